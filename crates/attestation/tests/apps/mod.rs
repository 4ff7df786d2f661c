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
    let expected = AssetsClaim { at: "/assets".into(), hash: [0xa5; 32] };
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
        case.fails_only(&[Check::Assets { app: hello() }]);
    }
}

fn with_app(change: impl FnOnce(&mut AppClaims)) -> Case {
    let mut claims = claims();
    change(&mut claims.apps[0]);
    Case::claiming(claims)
}

fn network(rules: &[&str]) -> NetworkPolicy {
    NetworkPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap()
}

fn hello() -> AppName {
    "hello".parse().unwrap()
}
