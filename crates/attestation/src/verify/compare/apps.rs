//! What is expected of apps, compared with what the claims say of them.

use super::{Compared, Subject, accepted, enclave, in_hex, listed, not_asked, others, passed, result};
use crate::verify::{
    Accepted, AppExpectation, Check, CheckResult, ConfigurationDemand, Policy, Presence, UpgradeDemand,
};
use crate::{AppClaims, AssetsClaim, Claims, ConfigurationClaim, HASH_LEN, UpgradePolicy};
use cloister_api::{AppName, CallerPolicy, CallerRule, NetworkPolicy, Upgrade, Who};

/// Makes the checks of every app that the policy names.
pub(super) fn compare(claims: &Subject<'_, Claims>, policy: &Policy) -> Vec<CheckResult> {
    let checks = |(name, expected): (&AppName, &AppExpectation)| {
        let app = match claims.found {
            None => Found::Unknown(claims.missing),
            Some(claims) => claims.app(name).map_or(Found::Absent(name), Found::App),
        };
        of_app(name, &app, expected)
    };
    policy.apps.iter().flat_map(checks).collect()
}

/// An app that the policy names.
enum Found<'a> {
    App(&'a AppClaims),
    /// The claims list none of this name.
    Absent(&'a AppName),
    /// The claims cannot be read.
    Unknown(&'static str),
}

/// Whether a policy says anything about a part of an app.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Demand {
    Made,
    None,
}

impl Demand {
    fn of<T>(demand: Option<&T>) -> Self {
        demand.map_or(Self::None, |_| Self::Made)
    }

    fn on<T>(accepted: &Accepted<T>) -> Self {
        if accepted.is_asked() { Self::Made } else { Self::None }
    }
}

impl Found<'_> {
    /// What nothing is demanded of is shown all the same; an app that is absent fails what is.
    fn compare(&self, demand: Demand, compare: impl FnOnce(&AppClaims) -> Compared) -> Compared {
        match self {
            Self::App(app) => compare(app),
            Self::Absent(name) if demand == Demand::Made => Err(format!("the enclave has no app {name}")),
            Self::Absent(name) => not_asked(format!("the enclave has no app {name}")),
            Self::Unknown(why) => not_asked(*why),
        }
    }
}

fn of_app(name: &AppName, app: &Found<'_>, expected: &AppExpectation) -> Vec<CheckResult> {
    let name = || name.clone();
    let presence = match expected.presence {
        Presence::Required => Demand::Made,
        Presence::Optional => Demand::None,
    };
    let upgrade_demand = match (&expected.upgrade, &expected.endorsers, expected.minimum_endorsements) {
        (Accepted::Any, None, None) => Demand::None,
        _ => Demand::Made,
    };
    let mut checks = vec![
        result(Check::App { app: name() }, app.compare(presence, |_| present(presence))),
        result(
            Check::CodeHash { app: name() },
            app.compare(Demand::on(&expected.code), |app| accepted(&app.code_hash, &expected.code, in_hex)),
        ),
        result(
            Check::Owner { app: name() },
            app.compare(Demand::on(&expected.owner), |app| accepted(&app.owner, &expected.owner, in_hex)),
        ),
        result(Check::Upgrade { app: name() }, app.compare(upgrade_demand, |app| upgrade(app, expected))),
        result(
            Check::Callers { app: name() },
            app.compare(Demand::of(expected.callers.as_ref()), |app| callers(app, expected.callers.as_ref())),
        ),
        result(
            Check::CallerIssuers { app: name() },
            app.compare(Demand::of(expected.issuers.as_ref()), |app| {
                enclave::issuers(&app.issuers, expected.issuers.as_deref())
            }),
        ),
        result(
            Check::NetworkRules { app: name() },
            app.compare(Demand::of(expected.network.as_ref()), |app| network(app, expected.network.as_ref())),
        ),
        result(
            Check::QuoteRoots { app: name() },
            app.compare(Demand::on(&expected.quote_roots), |app| {
                accepted(&app.quote_roots, &expected.quote_roots, |roots| match roots {
                    Some(hash) => hex::encode(hash),
                    None => "none beside Intel's".to_owned(),
                })
            }),
        ),
        result(
            Check::Assets { app: name() },
            app.compare(Demand::of(expected.assets.as_ref()), |app| assets(app, expected.assets.as_ref())),
        ),
        result(
            Check::Configuration { app: name() },
            app.compare(Demand::None, |app| configuration(app, expected.configuration)),
        ),
    ];
    let extensions = expected.extensions.iter().map(|(suffix, expected)| {
        let outcome = app.compare(Demand::Made, |app| extension(app, *suffix, expected));
        result(Check::Extension { app: name(), suffix: *suffix }, outcome)
    });
    checks.extend(extensions);
    checks
}

fn present(presence: Demand) -> Compared {
    match presence {
        Demand::Made => passed("it is there"),
        Demand::None => not_asked("it is there; this policy does not require it"),
    }
}

fn upgrade(app: &AppClaims, expected: &AppExpectation) -> Compared {
    let shown = Upgrade::from(&app.upgrade).to_string();
    let kind = match app.upgrade {
        UpgradePolicy::Frozen => UpgradeDemand::Frozen,
        UpgradePolicy::Owner => UpgradeDemand::Owner,
        UpgradePolicy::Endorsed { .. } => UpgradeDemand::Endorsed,
    };
    let mut asked = expected.upgrade.is_asked();
    if let Accepted::OneOf(list) = &expected.upgrade
        && !list.contains(&kind)
    {
        let list = listed(list, |demand| word(*demand).to_owned());
        return Err(format!("it is {shown}, and {list} is expected"));
    }
    if let UpgradePolicy::Endorsed { threshold, keys } = &app.upgrade {
        if let Some(endorsers) = &expected.endorsers {
            asked = true;
            if let Some(others) = others(keys, endorsers, in_hex) {
                return Err(format!(
                    "it is {shown}, and the policy does not accept the endorsement of {others}"
                ));
            }
        }
        if let Some(least) = expected.minimum_endorsements {
            asked = true;
            if *threshold < least {
                return Err(format!("it is {shown}, and the policy demands {least} endorsements"));
            }
        }
    }
    if asked { passed(shown) } else { not_asked(format!("{shown}; this policy accepts any")) }
}

fn word(demand: UpgradeDemand) -> &'static str {
    match demand {
        UpgradeDemand::Frozen => "frozen",
        UpgradeDemand::Owner => "owner",
        UpgradeDemand::Endorsed => "endorsed",
    }
}

fn callers(app: &AppClaims, most: Option<&CallerPolicy>) -> Compared {
    let shown = match app.callers.rules() {
        [] => "nobody".to_owned(),
        rules => listed(rules, ToString::to_string),
    };
    let Some(most) = most else { return not_asked(format!("{shown}; this policy accepts any")) };
    let accepted = |rule: &&CallerRule| most.rules().iter().any(|most| covers(most, rule));
    let beyond = Vec::from_iter(app.callers.rules().iter().filter(|rule| !accepted(rule)));
    if beyond.is_empty() {
        return passed(shown);
    }
    Err(format!(
        "the policy does not accept {}; the app admits {shown}",
        listed(&beyond, ToString::to_string)
    ))
}

/// Whether `most` admits whoever the rule admits, to all that the rule does.
fn covers(most: &CallerRule, rule: &CallerRule) -> bool {
    let who = match (&most.who, &rule.who) {
        (Who::Public, _) => true,
        (Who::Token { issuer, role: None }, Who::Token { issuer: same, .. }) => issuer == same,
        (most, who) => most == who,
    };
    who && most.entry.covers(&rule.entry)
}

fn network(app: &AppClaims, most: Option<&NetworkPolicy>) -> Compared {
    let Some(most) = most else { return not_asked(format!("{}; this policy accepts any", rules(app))) };
    let beyond = Vec::from_iter(most.beyond(&app.network).into_iter().map(ToString::to_string));
    if beyond.is_empty() {
        return passed(rules(app));
    }
    Err(format!("the policy does not allow {}; the app has {}", beyond.join(", "), rules(app)))
}

/// Plaintext is called what it is, whether or not the policy accepts it.
fn rules(app: &AppClaims) -> String {
    let rules = match app.network.rules() {
        [] => "none: it opens no connections".to_owned(),
        rules => listed(rules, ToString::to_string),
    };
    let plaintext = if app.network.is_plaintext() { "; MAY SEND PLAINTEXT THROUGH THE HOST" } else { "" };
    rules + plaintext
}

fn assets(app: &AppClaims, expected: Option<&AssetsClaim>) -> Compared {
    match (&app.assets, expected) {
        (Some(found), None) => not_asked(format!("{}; this policy accepts any", shown(found))),
        (None, None) => not_asked("it has none"),
        (Some(found), Some(expected)) if found == expected => passed(shown(found)),
        (Some(found), Some(expected)) => {
            Err(format!("they are {}, and {} is expected", shown(found), shown(expected)))
        }
        (None, Some(expected)) => Err(format!("it has none, and {} is expected", shown(expected))),
    }
}

fn shown(assets: &AssetsClaim) -> String {
    format!("{} at {}", hex::encode(assets.hash), assets.at)
}

fn configuration(app: &AppClaims, demand: ConfigurationDemand) -> Compared {
    match (app.configuration, demand) {
        (ConfigurationClaim::NotNeeded, _) => passed("not needed"),
        (ConfigurationClaim::Complete, _) => passed("complete, as the app said"),
        (ConfigurationClaim::Awaited, ConfigurationDemand::Any) => {
            not_asked("awaited: it answers its owner's configuration alone; this policy accepts that")
        }
        (ConfigurationClaim::Awaited, ConfigurationDemand::Settled) => {
            Err("it awaits its configuration: until its owner has configured it, it answers nobody else"
                .to_owned())
        }
    }
}

fn extension(app: &AppClaims, suffix: u32, expected: &[u8; HASH_LEN]) -> Compared {
    match app.extension(suffix) {
        Some(found) => accepted(found, &Accepted::OneOf(vec![*expected]), in_hex),
        None => Err(format!("the app shows none, and {} is expected", hex::encode(expected))),
    }
}
