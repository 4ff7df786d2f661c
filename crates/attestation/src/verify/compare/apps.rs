//! What is expected of apps, compared with what the claims say of them.

use super::{Compared, not_asked, passed, result};
use crate::verify::{AppExpectation, Check, CheckResult, ConfigurationDemand, Policy};
use crate::{AppClaims, AssetsClaim, Claims, ConfigurationClaim, HASH_LEN};
use cloister_api::{AppName, NetworkPolicy};

/// Makes the checks of every app that the policy names. `claims` may be the reason why there are none.
pub(super) fn compare(claims: Result<&Claims, String>, policy: &Policy) -> Vec<CheckResult> {
    let checks = |(name, expected): (&AppName, &AppExpectation)| {
        let app = claims.clone().and_then(|claims| match claims.app(name) {
            Some(app) => Ok(app),
            None => Err(format!("the enclave has no app {name}")),
        });
        of_app(name, app, expected)
    };
    policy.apps.iter().flat_map(checks).collect()
}

/// What nothing is expected of is shown all the same; an app that is absent fails what is.
fn of_app(name: &AppName, app: Result<&AppClaims, String>, expected: &AppExpectation) -> Vec<CheckResult> {
    let name = || name.clone();
    let mut checks = Vec::new();
    if let Some(expected) = &expected.code_hash {
        let outcome = app.clone().and_then(|app| code_hash(app, expected));
        checks.push(result(Check::CodeHash { app: name() }, outcome));
    }
    let outcome = match &expected.network {
        Some(most) => app.clone().and_then(|app| network(app, most)),
        None => app.clone().map_or_else(not_asked, any_network),
    };
    checks.push(result(Check::NetworkRules { app: name() }, outcome));
    let outcome = match &expected.assets {
        Some(expected) => app.clone().and_then(|app| assets(app, expected)),
        None => app.clone().map_or_else(not_asked, any_assets),
    };
    checks.push(result(Check::Assets { app: name() }, outcome));
    let outcome = app.clone().map_or_else(not_asked, |app| configuration(app, expected.configuration));
    checks.push(result(Check::Configuration { app: name() }, outcome));
    for (suffix, expected) in &expected.extensions {
        let outcome = app.clone().and_then(|app| extension(app, *suffix, expected));
        checks.push(result(Check::Extension { app: name(), suffix: *suffix }, outcome));
    }
    checks
}

fn code_hash(app: &AppClaims, expected: &[u8; HASH_LEN]) -> Compared {
    if app.code_hash != *expected {
        let (found, expected) = (hex::encode(app.code_hash), hex::encode(expected));
        return Err(format!("it is {found}, and {expected} is expected"));
    }
    passed(hex::encode(expected))
}

fn network(app: &AppClaims, most: &NetworkPolicy) -> Compared {
    let beyond = Vec::from_iter(most.beyond(&app.network).into_iter().map(ToString::to_string));
    if beyond.is_empty() {
        return passed(rules(app));
    }
    Err(format!("the policy does not allow {}; the app has {}", beyond.join(", "), rules(app)))
}

fn any_network(app: &AppClaims) -> Compared {
    not_asked(format!("{}; this policy accepts any", rules(app)))
}

/// Plaintext is called what it is, whether or not the policy accepts it.
fn rules(app: &AppClaims) -> String {
    let rules = match app.network.rules() {
        [] => "none: it opens no connections".to_owned(),
        rules => Vec::from_iter(rules.iter().map(ToString::to_string)).join(", "),
    };
    let plaintext = if app.network.is_plaintext() { "; MAY SEND PLAINTEXT THROUGH THE HOST" } else { "" };
    rules + plaintext
}

fn assets(app: &AppClaims, expected: &AssetsClaim) -> Compared {
    match &app.assets {
        Some(found) if found == expected => passed(shown(found)),
        Some(found) => Err(format!("they are {}, and {} is expected", shown(found), shown(expected))),
        None => Err(format!("it has none, and {} is expected", shown(expected))),
    }
}

fn any_assets(app: &AppClaims) -> Compared {
    match &app.assets {
        Some(found) => not_asked(format!("{}; this policy accepts any", shown(found))),
        None => not_asked("it has none"),
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
        Some(found) if found == expected => passed(hex::encode(found)),
        Some(found) => {
            Err(format!("it is {}, and {} is expected", hex::encode(found), hex::encode(expected)))
        }
        None => Err(format!("the app shows none, and {} is expected", hex::encode(expected))),
    }
}
