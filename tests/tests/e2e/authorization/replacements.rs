//! What may take an app's place and keep its data.

use super::callers::World;
use super::settings;
use cloister_api::{
    AppDescription, Code, DeploySettings, Endorsement, EnvironmentVariable, KeyFingerprint, NetworkPolicy,
    Upgrade,
};
use cloister_client::{AppClaims, ClientError, Deployment, Identity, KeyAlgorithm, Session, deployed_claims};
use cloister_tests::{Machine, code_hash, error, guest, name, shared, status};
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_app_is_never_replaced_and_can_be_removed() {
    let owner = shared().owner().await;
    let frozen = DeploySettings { upgrade: Upgrade::Frozen, ..DeploySettings::default() };
    let app = deploy(&owner, "frozen", &frozen).await;
    assert_eq!(app.upgrade, Upgrade::Frozen);
    let other = DeploySettings { upgrade: Upgrade::Owner, ..DeploySettings::default() };
    for settings in [&frozen, &other] {
        assert_eq!(refused(replace(&owner, "frozen", settings, &[]).await).0, Code::UpgradeFrozen);
    }
    let key = Identity::generate().unwrap();
    let endorsement = endorse(&key, "frozen", &other);
    assert_eq!(refused(replace(&owner, "frozen", &other, &[endorsement]).await).0, Code::UpgradeFrozen);
    assert_eq!(owner.describe(&name("frozen")).await.unwrap().upgrade, Upgrade::Frozen);
    owner.remove(&name("frozen")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_may_give_up_the_right_to_replace() {
    let owner = shared().owner().await;
    let app = deploy(&owner, "given-up", &DeploySettings::default()).await;
    assert_eq!(app.upgrade, Upgrade::Owner);
    let frozen = DeploySettings { upgrade: Upgrade::Frozen, ..DeploySettings::default() };
    assert_eq!(replace(&owner, "given-up", &frozen, &[]).await.unwrap().upgrade, Upgrade::Frozen);
    let claims = shared().caller().await.claims().app(&name("given-up")).unwrap().upgrade.clone();
    assert_eq!(Upgrade::from(&claims), Upgrade::Frozen);
    let thawed = replace(&owner, "given-up", &DeploySettings::default(), &[]).await;
    assert_eq!(refused(thawed).0, Code::UpgradeFrozen);
    owner.remove(&name("given-up")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endorsed_app_is_replaced_by_what_enough_keys_signed() {
    let owner = shared().owner().await;
    let keys = [KeyAlgorithm::P256, KeyAlgorithm::Ed25519, KeyAlgorithm::P256]
        .map(|algorithm| Identity::generate_for(algorithm).unwrap());
    let listed = keys.iter().map(|key| key.fingerprint().parse().unwrap()).collect();
    let endorsed =
        DeploySettings { upgrade: Upgrade::endorsed(2, listed).unwrap(), ..DeploySettings::default() };
    deploy(&owner, "endorsed", &endorsed).await;
    let next =
        DeploySettings { limits: cloister_api::Limits { fuel: 5, ..Default::default() }, ..endorsed.clone() };
    let by = |key: &Identity| endorse(key, "endorsed", &next);

    let (code, detail) = refused(replace(&owner, "endorsed", &next, &[]).await);
    let hash = hex::encode(claims("endorsed", &next).endorsement_hash().unwrap());
    assert!(code == Code::EndorsementMissing && detail.contains(&hash), "{detail} does not name {hash}");
    let stranger = Identity::generate().unwrap();
    for too_few in [
        vec![by(&keys[0])],
        vec![by(&keys[0]), by(&keys[0])],
        vec![by(&keys[1]), by(&stranger)],
        // Of something else: the settings that the app has.
        vec![by(&keys[0]), endorse(&keys[1], "endorsed", &endorsed)],
        vec![by(&keys[0]), endorse(&keys[1], "another", &next)],
    ] {
        let (code, _) = refused(replace(&owner, "endorsed", &next, &too_few).await);
        assert_eq!(code, Code::EndorsementMissing, "{}", too_few.len());
    }
    assert_eq!(owner.describe(&name("endorsed")).await.unwrap().limits.fuel, endorsed.limits.fuel);

    let enough = [by(&keys[1]), by(&stranger), by(&keys[2])];
    let replaced = replace(&owner, "endorsed", &next, &enough).await.unwrap();
    assert_eq!(replaced.limits.fuel, 5);
    // What was signed for one replacement is no signature under the next.
    let again = DeploySettings { upgrade: Upgrade::Owner, ..next.clone() };
    assert_eq!(refused(replace(&owner, "endorsed", &again, &enough).await).0, Code::EndorsementMissing);
    let enough = [endorse(&keys[0], "endorsed", &again), endorse(&keys[1], "endorsed", &again)];
    assert_eq!(replace(&owner, "endorsed", &again, &enough).await.unwrap().upgrade, Upgrade::Owner);
    owner.remove(&name("endorsed")).await.unwrap();
}

/// What a client computes offline is what the enclave claims, whatever the settings are.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_endorsed_is_what_is_claimed() {
    let world = World::start().await;
    let certificate = world.issuer().roots[0].clone();
    let variable = |name: &str| EnvironmentVariable { name: name.into(), value: "v".into() };
    let rules = "*=owner @run=key:P256 test:entries/sums@1.2.0#add=token:idp/reader";
    let rich = DeploySettings {
        environment: vec![variable("B"), variable("A")],
        config: vec![variable("k")],
        network: NetworkPolicy::new(vec!["lookup://*".parse().unwrap(), "https://a.com".parse().unwrap()])
            .unwrap(),
        roots: vec![certificate.clone()],
        quote_roots: vec![certificate],
        configure_with: Some("add".into()),
        upgrade: Upgrade::endorsed(1, vec![KeyFingerprint::from_hash([9; 32])]).unwrap(),
        ..settings(&world, rules)
    };
    for (app, settings) in [("rich", rich), ("plain", DeploySettings::default())] {
        deploy(world.caller("owner-key").session, app, &settings).await;
        let session = world.enclave.caller().await;
        let claimed = session.claims().app(&name(app)).unwrap().clone();
        let owner = hex::decode(world.fingerprint("owner-key")).unwrap().try_into().unwrap();
        let expected = deployed_claims(&deployment(app, owner, &settings)).unwrap();
        assert_eq!(claimed, expected);
        assert_eq!(claimed.endorsement_hash(), expected.endorsement_hash());
    }
}

/// The same on the command line, with a rule by a short name.
#[test]
fn the_command_line_endorses_what_it_replaces() {
    let machine = Machine::start();
    let file = machine.folder().join("entries.wasm");
    std::fs::write(&file, guest("entries")).unwrap();
    let (file, endorser) = (text(&file), text(&machine.folder().join("endorser.pem")));
    let key = machine.json(&["keygen", "--out", &endorser, "--algorithm", "ed25519"]);
    let upgrade = format!("endorsed:1:{}", key["fingerprint"].as_str().unwrap());
    machine.succeeds(&["deploy", &file, "--name", "sums", "--upgrade", &upgrade]);

    let next = ["--caller", "add=public", "--caller", "@run=owner", "--fuel", "5M", "--upgrade", "frozen"];
    let replace = [&["replace", &file, "--name", "sums"], &next[..]].concat();
    let refused = machine.run(&replace);
    assert_eq!(status(&refused), 5);
    assert!(error(&refused).contains("endorsement-missing") && error(&refused).contains("cloister endorse"));

    let (owner, out) = (text(&machine.key()), text(&machine.folder().join("endorsement.json")));
    let endorse = ["endorse", "sums", &file, "--owner", &owner, "--key", &endorser, "--out", &out];
    let said = machine.json(&[&endorse, &next[..]].concat());
    assert_eq!(said["callers"][1], "test:entries/sums@1.2.0#add=public");
    machine.succeeds(&[&replace, &["--endorsement", &out][..]].concat());
    let app = machine.json(&["describe", "sums"]);
    assert_eq!((&app["upgrade"], &app["limits"]["fuel"]), (&"frozen".into(), &5_000_000.into()));
    let shown = machine.json(&["verify", "--app", "sums"]);
    let app = shown["apps"].as_array().unwrap().iter().find(|app| app["name"] == "sums").unwrap();
    assert_eq!((&app["upgrade"], &app["callers"]), (&"frozen".into(), &said["callers"]));
    let refused = machine.run(&[&replace, &["--endorsement", &out][..]].concat());
    assert!(error(&refused).contains("upgrade-frozen"), "{}", error(&refused));
}

async fn deploy(owner: &Session, app: &str, settings: &DeploySettings) -> AppDescription {
    let deployed = owner.deploy(&name(app), guest("entries"), settings, |_| {}).await;
    deployed.unwrap_or_else(|error| panic!("{app}: {error}"))
}

async fn replace(
    owner: &Session,
    app: &str,
    settings: &DeploySettings,
    endorsements: &[Endorsement],
) -> Result<AppDescription, ClientError> {
    owner.replace_endorsed(&name(app), guest("entries"), settings, endorsements, |_| {}).await
}

fn refused(result: Result<AppDescription, ClientError>) -> (Code, String) {
    match result {
        Err(ClientError::Problem(problem)) => (problem.code, problem.detail),
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

/// Of the shared enclave's owner.
fn claims(app: &str, settings: &DeploySettings) -> AppClaims {
    let owner = hex::decode(shared().identity().fingerprint()).unwrap().try_into().unwrap();
    deployed_claims(&deployment(app, owner, settings)).unwrap()
}

fn deployment(app: &str, owner: [u8; 32], settings: &DeploySettings) -> Deployment {
    let code_hash = code_hash(&guest("entries"));
    Deployment { name: name(app), owner, code_hash, assets: None, settings: settings.clone() }
}

fn endorse(key: &Identity, app: &str, settings: &DeploySettings) -> Endorsement {
    key.endorse(&claims(app, settings)).unwrap()
}

fn text(path: &Path) -> String {
    path.to_str().expect("the path is text").to_owned()
}
