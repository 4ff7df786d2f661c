//! What an appraisal says of apps: their code, their network rules, their assets.

use super::*;

#[test]
fn an_app_with_other_code_is_refused() {
    let mut case = Case::new();
    case.policy = case.policy.with_app(hello(), [0xdd; 32]);
    case.fails_only(&[Check::CodeHash { app: hello() }]);
}

#[test]
fn an_expected_app_that_is_absent_is_refused() {
    let mut case = Case::new();
    let app: AppName = "absent".parse().unwrap();
    case.policy = case.policy.with_app(app.clone(), CODE_HASH);
    case.fails_only(&[Check::CodeHash { app: app.clone() }]);
    case.policy = case.policy.with_network(app.clone(), NetworkPolicy::default());
    case.fails_only(&[Check::CodeHash { app: app.clone() }, Check::NetworkRules { app }]);
}

#[test]
fn rules_within_the_policy_are_accepted_and_shown() {
    let mut case = with_app(|app| app.network = network(&["https://api.example.com", "lookup://x.org"]));
    case.policy = case.policy.with_network(hello(), network(&["https://*.example.com:*", "lookup://*"]));
    let verified = case.verify().unwrap();
    let Some(Outcome::Passed { detail }) = verified.report().outcome(&Check::NetworkRules { app: hello() })
    else {
        panic!()
    };
    assert_eq!(detail, "https://api.example.com, lookup://x.org");
}

#[test]
fn rules_beyond_the_policy_are_refused_by_name() {
    let mut case = with_app(|app| app.network = network(&["https://a.com", "tcp://10.0.0.1:5432"]));
    case.policy = case.policy.with_network(hello(), network(&["https://a.com"]));
    let refused = case.fails_only(&[Check::NetworkRules { app: hello() }]);
    assert!(refused.to_string().contains("does not allow tcp://10.0.0.1:5432;"), "{refused}");
    assert!(refused.to_string().contains("MAY SEND PLAINTEXT THROUGH THE HOST"), "{refused}");
}

#[test]
fn an_app_that_must_not_speak_is_refused_where_it_may() {
    let mut case = with_app(|app| app.network = network(&["https://a.com"]));
    case.policy = case.policy.with_network(hello(), NetworkPolicy::default());
    case.fails_only(&[Check::NetworkRules { app: hello() }]);
    let mut case = Case::new();
    case.policy = case.policy.with_network(hello(), NetworkPolicy::default());
    assert!(case.verify().is_ok());
}

#[test]
fn plaintext_is_shown_where_nobody_asked() {
    let case = with_app(|app| app.network = network(&["http://*"]));
    let verified = case.verify().unwrap();
    let Some(Outcome::NotAsked { why }) = verified.report().outcome(&Check::NetworkRules { app: hello() })
    else {
        panic!()
    };
    assert!(why.starts_with("http://*; MAY SEND PLAINTEXT THROUGH THE HOST"), "{why}");
}

#[test]
fn assets_have_to_be_the_expected_ones_in_their_place() {
    let expected = assets();
    let mut case = with_app(|app| app.assets = Some(expected.clone()));
    case.policy = case.policy.with_assets(hello(), expected.clone());
    assert!(case.verify().is_ok());
    for other in [
        None,
        Some(AssetsClaim { at: "/elsewhere".into(), ..expected.clone() }),
        Some(AssetsClaim { hash: [0xa6; 32], ..expected.clone() }),
    ] {
        let mut case = with_app(|app| app.assets = other);
        case.policy = case.policy.with_assets(hello(), expected.clone());
        let refused = case.fails_only(&[Check::Assets { app: hello() }]);
        let text = format!("{} at /assets is expected", "a5".repeat(32));
        assert!(refused.to_string().contains(&text), "{refused}");
    }
}

#[test]
fn an_app_that_awaits_its_configuration_is_refused_unless_that_is_accepted() {
    let awaited = || with_app(|app| app.configuration = ConfigurationClaim::Awaited);
    let refused = awaited().fails_only(&[Check::Configuration { app: hello() }]);
    assert!(refused.to_string().contains("it awaits its configuration"), "{refused}");
    let mut case = awaited();
    case.policy = case.policy.with_configuration(hello(), ConfigurationDemand::Any);
    let verified = case.verify().unwrap();
    let outcome = verified.report().outcome(&Check::Configuration { app: hello() });
    assert!(matches!(outcome, Some(Outcome::NotAsked { .. })));
    let complete = with_app(|app| app.configuration = ConfigurationClaim::Complete);
    assert!(complete.verify().is_ok());
    let mut unnamed = awaited();
    unnamed.policy.apps.clear();
    assert!(unnamed.verify().is_ok());
}

#[test]
fn extensions_have_to_be_the_expected_ones() {
    let [(first, value), (second, other)] = VALUES;
    let mut case = Case::new();
    case.policy = case.policy.with_extension(hello(), first, sha256(value));
    case.policy = case.policy.with_extension(hello(), second, sha256(other));
    let verified = case.verify().unwrap();
    let outcome = verified.report().outcome(&Check::Extension { app: hello(), suffix: first });
    assert_eq!(outcome, Some(&Outcome::Passed { detail: hex::encode(sha256(value)) }));

    case.policy = case.policy.with_extension(hello(), second, sha256(value));
    let refused = case.fails_only(&[Check::Extension { app: hello(), suffix: second }]);
    assert!(refused.to_string().contains("extension 7 of hello: it is "), "{refused}");
    let mut case = Case::new();
    case.policy = case.policy.with_extension(hello(), 2, sha256(value));
    let refused = case.fails_only(&[Check::Extension { app: hello(), suffix: 2 }]);
    assert!(refused.to_string().contains("the app shows none"), "{refused}");
    let json = serde_json::to_value(&refused.report).unwrap();
    let checks = json["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["check"] == "extension").unwrap();
    assert_eq!((&check["app"], &check["suffix"]), (&"hello".into(), &2.into()));
}

#[test]
fn an_absent_app_fails_what_is_expected_of_it_alone() {
    let mut case = Case::new();
    let app: AppName = "absent".parse().unwrap();
    case.policy = case.policy.with_configuration(app.clone(), ConfigurationDemand::Settled);
    assert!(case.verify().is_ok());
    case.policy = case.policy.with_extension(app.clone(), 1, [0; 32]);
    case.fails_only(&[Check::Extension { app, suffix: 1 }]);
}

fn with_app(change: impl FnOnce(&mut AppClaims)) -> Case {
    let mut claims = claims();
    change(&mut claims.apps[0]);
    Case::claiming(&claims)
}
