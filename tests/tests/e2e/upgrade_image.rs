//! One image takes another's place, and gets its volume where the volume's rule and its operator allow that, and nowhere else.

use crate::storage::{deploy_files, ok};
use cloister_api::{Code, Configuration, HandOver, ImageDigest, ImageUpgrade, VolumeAdoption};
use cloister_client::{
    Accepted, Client, ClientError, Endpoint, Identity, Measurement, Policy, Session, TrustAnchor,
};
use cloister_host::{DeviceKind, DiskSettings, Launch, LogSink, Running};
use cloister_tests::{Enclave, Machine, Setup, SoftTpm, error, given, name, status};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

fn next_image() -> PathBuf {
    given("CLOISTER_NEXT_IMAGE")
}

fn next_sigstruct() -> PathBuf {
    given("CLOISTER_NEXT_SIGSTRUCT")
}

/// MRENCLAVE of the image that follows: ENCLAVEHASH of its SIGSTRUCT (Intel SDM volume 3D, table 38-19).
fn next_mrenclave() -> [u8; 32] {
    fs::read(next_sigstruct()).unwrap()[960..992].try_into().unwrap()
}

/// MRSIGNER of the image that follows: SHA-256 of its SIGSTRUCT's MODULUS.
fn next_mrsigner() -> ImageDigest {
    ImageDigest::from_bytes(Sha256::digest(&fs::read(next_sigstruct()).unwrap()[128..512]).into())
}

/// Its ISVPRODID.
fn next_product() -> u16 {
    u16::from_le_bytes(fs::read(next_sigstruct()).unwrap()[1024..1026].try_into().unwrap())
}

/// An enclave whose owner is its operator, too, and whose volume has this rule for its whole life.
fn founded(image_upgrade: ImageUpgrade) -> Enclave {
    let mut setup = Setup::new();
    setup.configuration.operator = setup.configuration.owners.first().copied();
    setup.configuration.image_upgrade = image_upgrade;
    setup.start()
}

/// The image that follows, on the same soft platform, started to receive a volume.
struct Receiver {
    running: Running,
    policy: Policy,
    _folder: TempDir,
}

impl Receiver {
    fn start(state: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let configuration =
            Configuration { listen: "127.0.0.1:0".into(), receive: true, ..Configuration::default() };
        let launch = Launch {
            device: DeviceKind::Soft,
            configuration: serde_json::to_vec(&configuration).unwrap(),
            disk: DiskSettings::in_folder(folder.path()),
            log: LogSink::discard(),
            ..Launch::new(next_image(), next_sigstruct(), state)
        };
        let running = launch.start().unwrap();
        let root_fingerprint = running.soft_root_fingerprint().unwrap();
        let measurement = Measurement::Exactly(vec![running.mrenclave()]);
        let policy = Policy::new(TrustAnchor::Simulated { root_fingerprint }, measurement);
        Self { running, policy, _folder: folder }
    }

    async fn session(&self) -> Session {
        let address = self.running.local_addr(Duration::from_secs(120)).unwrap().to_string();
        let endpoint = Endpoint { address, server_name: "localhost".into() };
        Client::new(self.policy.clone()).connect(&endpoint).await.unwrap()
    }
}

/// The whole exchange, as the operator's `cloister upgrade` does it.
async fn hand_over(operator: &Session, receiver: &Session) -> Result<VolumeAdoption, ClientError> {
    let offer = operator.offer_volume().await?;
    let request = receiver.request_volume(&offer).await?;
    let given = operator.hand_over_volume(&request).await?;
    receiver.receive_volume(&given).await
}

#[track_caller]
fn problem<T>(answer: Result<T, ClientError>) -> (Code, String) {
    match answer {
        Err(ClientError::Problem(problem)) => (problem.code, problem.detail),
        Err(other) => panic!("a problem was expected, not {other}"),
        Ok(_) => panic!("a problem was expected"),
    }
}

/// A session of the owner's with an enclave whose volume the images in `before` had.
async fn owner_after(enclave: &Enclave, before: &[[u8; 32]]) -> Session {
    let accepted = [&[enclave.running().mrenclave()], before].concat();
    let policy = Policy { mrenclave: Measurement::Exactly(accepted), ..enclave.policy() };
    let identity = Identity::from_pem(&enclave.identity().to_pem().unwrap()).unwrap();
    Client::new(policy).with_identity(identity).connect(&enclave.endpoint()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn data_keys_and_identity_go_over_to_an_image_that_may_have_them() {
    let enclave = founded(ImageUpgrade::listed(vec![ImageDigest::from_bytes(next_mrenclave())]).unwrap());
    let old = enclave.running().mrenclave();
    assert_ne!(old, next_mrenclave());
    let owner = enclave.owner().await;
    deploy_files(&owner, "kept").await;
    ok(&owner, "kept", "put", json!(["before", "written before"])).await;
    ok(&owner, "kept", "set-key", json!(["key", "value"])).await;

    let receiver = Receiver::start(enclave.state());
    let session = receiver.session().await;
    assert_eq!(session.claims().volume, None, "it has none");
    let adoption = hand_over(&owner, &session).await.unwrap();
    assert_eq!((&adoption.from, &adoption.to), (&hex::encode(old), &hex::encode(next_mrenclave())));
    drop((session, receiver));

    // The old image goes on, and what it does goes over, too.
    ok(&owner, "kept", "put", json!(["after", "written after"])).await;
    let (tls_key, boot) = (owner.claims().tls_key, owner.claims().boot);
    let epoch = owner.latest_epoch().unwrap();
    drop(owner);
    let mut setup = enclave.stop_and_keep();
    (setup.launch.image, setup.launch.sigstruct) = (next_image(), next_sigstruct());
    setup.configuration.adopt = Some(adoption.adoption);
    let enclave = setup.start();

    let refused = enclave.connect(enclave.policy()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused(_)), "who does not accept the old image: {refused:?}");
    let owner = owner_after(&enclave, &[old]).await;
    assert_eq!(owner.claims().lineage, [old]);
    assert_eq!(owner.claims().tls_key, tls_key, "the identity stays");
    let pinned = Policy {
        identity: Accepted::OneOf(vec![tls_key]),
        mrenclave: Measurement::Exactly(vec![enclave.running().mrenclave(), old]),
        ..enclave.policy()
    };
    enclave.connect(pinned).await.unwrap();
    assert_ne!(owner.claims().boot.id, boot.id);
    assert_eq!(owner.claims().boot.counter, boot.counter + 1);
    assert!(owner.volume().unwrap().epoch > epoch);
    for (file, text) in [("before", "written before"), ("after", "written after")] {
        assert_eq!(ok(&owner, "kept", "get", json!([file])).await, json!(text));
    }
    assert_eq!(ok(&owner, "kept", "get-key", json!(["key"])).await, json!("value"));
    let metrics = owner.metrics().await.unwrap();
    assert!(
        metrics.contains("cloister_components_compiled_total 1"),
        "native code is the image's: {metrics}"
    );
    drop(owner);

    let mut setup = enclave.stop_and_keep();
    (setup.launch.image, setup.launch.sigstruct) = (next_image(), next_sigstruct());
    setup.configuration.adopt = None;
    let enclave = setup.start();
    let owner = owner_after(&enclave, &[old]).await;
    assert_eq!(owner.claims().lineage, [old], "for good");
    assert_eq!(ok(&owner, "kept", "get", json!(["after"])).await, json!("written after"));
    let metrics = owner.metrics().await.unwrap();
    assert!(metrics.contains("cloister_components_restored_total 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_permission_the_key_stays_where_it_is() {
    let other = ImageDigest::from_bytes([7; 32]);
    let signer = |mrsigner, product, minimum_svn| ImageUpgrade::Signer { mrsigner, product, minimum_svn };
    for (rule, why) in [
        (ImageUpgrade::Never, "never"),
        (ImageUpgrade::listed(vec![other]).unwrap(), "not one of those"),
        (signer(other, 0, 0), "not the key"),
        (signer(next_mrsigner(), !next_product(), 0), "product number"),
        (signer(next_mrsigner(), next_product(), u16::MAX), "security version"),
    ] {
        let enclave = founded(rule.clone());
        let owner = enclave.owner().await;
        let receiver = Receiver::start(enclave.state());
        let (code, detail) = problem(hand_over(&owner, &receiver.session().await).await);
        assert_eq!(code, Code::UpgradeRefused, "{rule}: {detail}");
        assert!(detail.contains(why), "{rule}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_alone_hands_over_and_each_offer_is_for_one_exchange() {
    let enclave = founded(ImageUpgrade::Operator);
    let operator = enclave.owner().await;
    let receiver = Receiver::start(enclave.state());
    let new = receiver.session().await;
    let stranger = Client::new(enclave.policy()).with_identity(Identity::generate().unwrap());
    let stranger = stranger.connect(&enclave.endpoint()).await.unwrap();
    let nobody = enclave.caller().await;

    let offer = operator.offer_volume().await.unwrap();
    let request = new.request_volume(&offer).await.unwrap();
    assert_eq!(problem(stranger.offer_volume().await).0, Code::Forbidden);
    assert_eq!(problem(stranger.hand_over_volume(&request).await).0, Code::Forbidden);
    assert_eq!(problem(nobody.offer_volume().await).0, Code::Unauthenticated);
    assert_eq!(problem(nobody.hand_over_volume(&request).await).0, Code::Unauthenticated);

    let given = operator.hand_over_volume(&request).await.unwrap();
    assert_eq!(problem(operator.hand_over_volume(&request).await).0, Code::UpgradeRefused, "twice");
    let later = new.request_volume(&operator.offer_volume().await.unwrap()).await.unwrap();
    assert_eq!(problem(new.receive_volume(&given).await).0, Code::UpgradeRefused, "an earlier exchange");
    operator.offer_volume().await.unwrap();
    assert_eq!(problem(operator.hand_over_volume(&later).await).0, Code::UpgradeRefused, "an earlier offer");

    // What the messenger changes is noticed, at each end.
    let offer = operator.offer_volume().await.unwrap();
    let mut request = new.request_volume(&offer).await.unwrap();
    request.key = "09".repeat(32);
    assert_eq!(problem(operator.hand_over_volume(&request).await).0, Code::UpgradeRefused);
    let offer = operator.offer_volume().await.unwrap();
    let request = new.request_volume(&offer).await.unwrap();
    let given = operator.hand_over_volume(&request).await.unwrap();
    let given = HandOver { volume: "00".repeat(16), ..given };
    assert_eq!(problem(new.receive_volume(&given).await).0, Code::UpgradeRefused);

    // Another platform's enclave is no receiver, whatever it is.
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Receiver::start(elsewhere.path());
    let (code, detail) = problem(hand_over(&operator, &foreign.session().await).await);
    assert_eq!(code, Code::UpgradeRefused, "{detail}");
    assert!(detail.contains("same CPU"), "{detail}");

    // Each serves its own part, and a receiver nothing else.
    assert_eq!(problem(operator.request_volume(&offer).await).0, Code::NotFound);
    assert_eq!(problem(new.offer_volume().await).0, Code::NotFound);
    assert_eq!(problem(new.apps().await).0, Code::NotFound);
    assert_eq!(problem(new.call_json(&name("any"), "f", &json!([])).await).0, Code::NotFound);
    new.health().await.unwrap();
    assert!(hand_over(&operator, &new).await.is_ok(), "after all that");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_without_an_operator_is_never_upgraded() {
    let mut setup = Setup::new();
    setup.configuration.image_upgrade = ImageUpgrade::Operator;
    let enclave = setup.start();
    assert_eq!(
        problem(enclave.owner().await.offer_volume().await).0,
        Code::Forbidden,
        "an owner is no operator"
    );
}

fn arguments<'a>(key: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["--operator", key, "--image-upgrade", "operator"], more].concat()
}

/// `cloister upgrade` on a machine; where it wrote what the next image needs.
fn upgrade(machine: &Machine) -> String {
    let file = machine.folder().join("adopt.json").display().to_string();
    let (image, sigstruct) = (next_image().display().to_string(), next_sigstruct().display().to_string());
    let state = machine.folder().join("state").display().to_string();
    let shown = machine.succeeds(&[
        "upgrade",
        "--image",
        &image,
        "--sigstruct",
        &sigstruct,
        "--device",
        "soft",
        "--state",
        &state,
        "-o",
        &file,
    ]);
    assert!(shown.contains("--adopt"), "{shown}");
    file
}

#[test]
fn the_command_line_upgrades_and_every_other_way_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("owner.pem").display().to_string();
    let (image, sigstruct) = (next_image().display().to_string(), next_sigstruct().display().to_string());
    let next = ["--image", image.as_str(), "--sigstruct", sigstruct.as_str()];
    let machine = Machine::start_in(folder, &arguments(&key, &[]));
    let old = machine.text("mrenclave");
    let files = given("CLOISTER_EXAMPLES").join("files.wasm");
    machine.succeeds(&["deploy", files.to_str().unwrap(), "--name", "ledger", "--fuel", "1G"]);
    machine.succeeds(&["call", "ledger", "put", "--json", "[\"balance\",\"100\"]"]);
    let adopt = upgrade(&machine);
    let (_, folder) = machine.terminate();
    let disk = folder.path().join("state/volume");
    let before = fs::read(&disk).unwrap();

    let refused = Machine::refuses_to_start(folder.path(), &arguments(&key, &next));
    assert!(refused.contains("another enclave image"), "without --adopt: {refused}");
    let with_adopt = [&next[..], &["--adopt", &adopt]].concat();
    let empty = folder.path().join("empty").display().to_string();
    let refused = Machine::refuses_to_start(
        folder.path(),
        &arguments(&key, &[&with_adopt[..], &["--volume", &empty]].concat()),
    );
    assert!(refused.contains("the disk holds none"), "{refused}");
    let other = folder.path().join("other").display().to_string();
    let machine = Machine::start_in(folder, &arguments(&key, &["--volume", &other]));
    let (_, folder) = machine.terminate();
    let refused = Machine::refuses_to_start(
        folder.path(),
        &arguments(&key, &[&with_adopt[..], &["--volume", &other]].concat()),
    );
    assert!(refused.contains("is for the volume"), "another volume: {refused}");
    let refused = Machine::refuses_to_start(folder.path(), &["--image-upgrade", "operator"]);
    assert!(refused.contains("fixed for its whole life"), "another operator: {refused}");
    let refused = Machine::refuses_to_start(folder.path(), &["--operator", &key]);
    assert!(refused.contains("fixed for its whole life"), "another rule: {refused}");
    assert_eq!(fs::read(&disk).unwrap(), before, "who is refused writes nothing");

    let machine = Machine::start_in(folder, &arguments(&key, &with_adopt));
    let new = machine.text("mrenclave");
    let unaware = machine.run(&["call", "ledger", "get", "--json", "[\"balance\"]"]);
    assert_eq!(status(&unaware), 4, "who accepts the new image alone: {}", error(&unaware));
    machine.succeeds(&["profile", "set", "default", "--mrenclave", &new, "--mrenclave", &old]);
    let balance = machine.json(&["call", "ledger", "get", "--json", "[\"balance\"]"]);
    assert_eq!(balance["result"]["ok"], "100");
    let (_, folder) = machine.terminate();

    let refused = Machine::refuses_to_start(folder.path(), &arguments(&key, &[]));
    assert!(refused.contains("another enclave image"), "the old image: {refused}");
    let machine = Machine::start_in(folder, &arguments(&key, &next));
    machine.succeeds(&["profile", "set", "default", "--mrenclave", &new, "--mrenclave", &old]);
    let balance = machine.json(&["call", "ledger", "get", "--json", "[\"balance\"]"]);
    assert_eq!(balance["result"]["ok"], "100");
}

#[test]
fn with_a_tpm_the_anchor_goes_on_and_the_older_disk_opens_to_neither_image() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("owner.pem").display().to_string();
    let tpm = SoftTpm::start();
    let tpm = tpm.argument();
    let (image, sigstruct) = (next_image().display().to_string(), next_sigstruct().display().to_string());
    let anchored = ["--tpm", tpm.as_str()];
    let machine = Machine::start_in(folder, &arguments(&key, &anchored));
    let old = machine.text("mrenclave");
    let files = given("CLOISTER_EXAMPLES").join("files.wasm");
    machine.succeeds(&["deploy", files.to_str().unwrap(), "--name", "ledger", "--fuel", "1G"]);
    let adopt = upgrade(&machine);
    machine.succeeds(&["call", "ledger", "put", "--json", "[\"balance\",\"100\"]"]);
    let (_, folder) = machine.terminate();
    let disk = folder.path().join("state/volume");
    let before = fs::read(&disk).unwrap();

    let next = [&anchored[..], &["--image", &image, "--sigstruct", &sigstruct, "--adopt", &adopt]].concat();
    let machine = Machine::start_in(folder, &arguments(&key, &next));
    let new = machine.text("mrenclave");
    machine.succeeds(&["profile", "set", "default", "--mrenclave", &new, "--mrenclave", &old]);
    machine.succeeds(&["verify", "--freshness", "tpm"]);
    machine.succeeds(&["call", "ledger", "put", "--json", "[\"balance\",\"0\"]"]);
    let (_, folder) = machine.terminate();
    let after = fs::read(&disk).unwrap();

    fs::write(&disk, &before).unwrap();
    for arguments in [arguments(&key, &next), arguments(&key, &anchored)] {
        let refused = Machine::refuses_to_start(folder.path(), &arguments);
        assert!(refused.contains("An old disk was put back"), "{refused}");
    }
    fs::write(&disk, &after).unwrap();
    let machine = Machine::start_in(folder, &arguments(&key, &next));
    machine.succeeds(&["profile", "set", "default", "--mrenclave", &new, "--mrenclave", &old]);
    let balance = machine.json(&["call", "ledger", "get", "--json", "[\"balance\"]"]);
    assert_eq!(balance["result"]["ok"], "0");
}
