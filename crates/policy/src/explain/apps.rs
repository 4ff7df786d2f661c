use super::{Explanation, hash_or, issuers, said, words};
use crate::Issuers;
use crate::keys::{self, Table};
use cloister_api::{AppName, CallerPolicy, NetworkPolicy, Who};
use cloister_attestation::verify::{Accepted, AppExpectation, ConfigurationDemand, Policy, UpgradeDemand};

/// What a policy says about one app, which has to be there.
pub(super) fn explain(
    name: &AppName,
    app: &AppExpectation,
    policy: &Policy,
    known: &Issuers,
) -> Vec<Explanation> {
    let admits_tokens = match &app.callers {
        None => true,
        Some(most) => most.rules().iter().any(|rule| matches!(rule.who, Who::Token { .. })),
    };
    let mut explanations = vec![
        code(app),
        owner(app, policy),
        upgrade(app),
        endorsers(app),
        endorsements(app),
        network(app.network.as_ref()),
        callers(app.callers.as_ref()),
        issuers(keys::APP_ISSUERS, app.issuers.as_deref(), known).but_if(
            app.issuers.is_none() && admits_tokens,
            "rules about tokens name issuers as the owner named them: whoever they are, they can admit callers",
        ),
        assets(app),
        extensions(app),
        quote_roots(app),
        configuration(app),
    ];
    let placeholder = Table::App.header();
    for explanation in &mut explanations {
        explanation.key = explanation.key.replacen(placeholder, &format!("apps.{name}"), 1);
    }
    explanations
}

fn code(app: &AppExpectation) -> Explanation {
    match &app.code {
        Accepted::OneOf(list) => {
            said(keys::CODE, format!("the code {}, byte for byte", words(list.iter().map(hex::encode))))
        }
        Accepted::Any if app.owner != Accepted::Any => said(keys::CODE, "whatever code its owner deployed")
            .but("its owner can deploy code that does something else with what you send, and you would not notice"),
        Accepted::Any => said(keys::CODE, "whatever code answers under its name")
            .but("anybody whom the enclave lets deploy decides what is done with what you send"),
    }
}

fn owner(app: &AppExpectation, policy: &Policy) -> Explanation {
    match &app.owner {
        Accepted::Any => said(keys::OWNER, "whoever deployed it").but_if(
            policy.owners.is_none() && app.upgrade != Accepted::OneOf(vec![UpgradeDemand::Frozen]),
            "a stranger may have the right to replace its code, to configure it and to read its logs",
        ),
        Accepted::OneOf(list) => {
            said(keys::OWNER, format!("an app of the owner {}", words(list.iter().map(hex::encode))))
        }
    }
}

fn upgrade(app: &AppExpectation) -> Explanation {
    let by_owner =
        "its owner can later put other code in its place, which then has all data that you sent before";
    match &app.upgrade {
        Accepted::Any => {
            said(keys::UPGRADE, "an app whatever may take its place and keep its data").but(by_owner)
        }
        Accepted::OneOf(list) => {
            let word = |demand: &UpgradeDemand| match demand {
                UpgradeDemand::Frozen => "nothing",
                UpgradeDemand::Owner => "what its owner deploys",
                UpgradeDemand::Endorsed => "what its owner deploys and others endorsed",
            };
            let kinds = words(list.iter().map(|demand| word(demand).to_owned()));
            said(keys::UPGRADE, format!("an app whose place {kinds} may take while its data stays"))
                .but_if(list.contains(&UpgradeDemand::Owner), by_owner)
        }
    }
}

fn endorsers(app: &AppExpectation) -> Explanation {
    let endorsed = is_endorsed(app);
    match &app.endorsers {
        None => said(keys::ENDORSERS, "endorsements of whichever keys the app lists")
            .but_if(endorsed, "its owner chose them, and may be all of them"),
        Some(list) if list.is_empty() => said(keys::ENDORSERS, "an app that lists no keys for endorsements"),
        Some(list) => {
            said(keys::ENDORSERS, format!("endorsements of {} alone", words(list.iter().map(hex::encode))))
        }
    }
}

fn endorsements(app: &AppExpectation) -> Explanation {
    match app.minimum_endorsements {
        None | Some(1) => {
            said(keys::MINIMUM_ENDORSEMENTS, "one endorsement of an upgrade, where it takes any")
                .but_if(is_endorsed(app) && app.endorsers.is_none(), "and it may be the owner's own")
        }
        Some(least) => said(
            keys::MINIMUM_ENDORSEMENTS,
            format!("at least {least} endorsements of an upgrade, where it takes any"),
        ),
    }
}

fn is_endorsed(app: &AppExpectation) -> bool {
    matches!(&app.upgrade, Accepted::OneOf(list) if list.contains(&UpgradeDemand::Endorsed))
}

fn network(most: Option<&NetworkPolicy>) -> Explanation {
    match most {
        None => said(keys::NETWORK, "an app whatever it may do on the network")
            .but("it can send what you send to anybody, also in plaintext through the host"),
        Some(most) if most.is_empty() => said(keys::NETWORK, "an app that opens no connections"),
        Some(most) => {
            let rules = Vec::from_iter(most.rules().iter().map(ToString::to_string)).join(", ");
            said(keys::NETWORK, format!("an app that may do on the network: {rules}, or less")).but_if(
                most.is_plaintext(),
                "some of these let the host read and change what the app sends, unless the app encrypts it itself",
            )
        }
    }
}

fn callers(most: Option<&CallerPolicy>) -> Explanation {
    match most {
        None => said(keys::CALLERS, "an app whoever may call it")
            .but("others may ask it for what you sent, as far as its code lets them"),
        Some(most) if most.rules().is_empty() => said(keys::CALLERS, "an app that admits nobody"),
        Some(most) => {
            let rules = Vec::from_iter(most.rules().iter().map(ToString::to_string)).join(", ");
            let public = most.rules().iter().any(|rule| rule.who == Who::Public);
            said(keys::CALLERS, format!("an app that admits {rules}, or fewer"))
                .but_if(public, "everybody may ask it for some of this: what they learn is up to its code")
        }
    }
}

fn assets(app: &AppExpectation) -> Explanation {
    match &app.assets {
        None => said(keys::ASSETS, "whatever files come with its code, also none").but_if(
            app.code != Accepted::Any,
            "files can change what the same code does, such as a page that it serves",
        ),
        Some(assets) => {
            said(keys::ASSETS, format!("the files {} at {}", hex::encode(assets.hash), assets.at))
        }
    }
}

fn extensions(app: &AppExpectation) -> Explanation {
    if app.extensions.is_empty() {
        return said(keys::EXTENSIONS, "whatever the app shows in its certificates");
    }
    let value = |(suffix, hash): (&u32, &[u8; 32])| format!("{} under {suffix}", hex::encode(hash));
    let values = Vec::from_iter(app.extensions.iter().map(value)).join(", ");
    said(keys::EXTENSIONS, format!("an app that shows the values with the hashes {values}"))
}

fn quote_roots(app: &AppExpectation) -> Explanation {
    match &app.quote_roots {
        Accepted::Any => {
            said(keys::QUOTE_ROOTS, "an app that trusts whatever roots when it talks to other enclaves")
                .but("it may take a simulated enclave for a real one, and pass on to it what you send")
        }
        Accepted::OneOf(list) => said(
            keys::QUOTE_ROOTS,
            format!(
                "an app that trusts {} beside Intel when it talks to other enclaves",
                words(list.iter().map(|roots| hash_or(roots, "no root")))
            ),
        ),
    }
}

fn configuration(app: &AppExpectation) -> Explanation {
    match app.configuration {
        ConfigurationDemand::Settled => {
            said(keys::CONFIGURATION, "an app that needs no configuration, or was configured")
        }
        ConfigurationDemand::Any => {
            said(keys::CONFIGURATION, "an app also while its owner has yet to configure it")
                .but("who configures it decides then what it does")
        }
    }
}
