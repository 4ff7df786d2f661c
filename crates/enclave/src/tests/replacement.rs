//! What may take an app's place.

use super::*;
use cloister_api::{Endorsement, Upgrade};
use cloister_attestation::{TlsKey, UpgradePolicy};

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_app_is_never_replaced_with_its_data() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy_as(&enclave, Kind::Deploy, owner(), "ledger", wasm(ADD), becoming(Upgrade::Frozen)).await.unwrap();
    enclave.app(&name("ledger")).unwrap().storage.set_key(b"old", b"value");
    enclave.storage.commit().await.unwrap();
    let before = claims(&enclave).apps;
    assert_eq!(before[0].upgrade, UpgradePolicy::Frozen);
    for (wasm, settings) in [(wasm(SUB), becoming(Upgrade::Owner)), (wasm(ADD), becoming(Upgrade::Frozen))] {
        let problem = replace(&enclave, wasm, settings, Vec::new()).await.unwrap_err();
        assert_eq!(problem.code, Code::UpgradeFrozen);
    }
    assert_eq!(claims(&enclave).apps, before);
    let restarted = start(Arc::new(disk.fork()));
    let problem = replace(&restarted, wasm(SUB), becoming(Upgrade::Owner), Vec::new()).await.unwrap_err();
    assert_eq!((problem.code, claims(&restarted).apps), (Code::UpgradeFrozen, before));
    drop(restarted);

    // What comes under the name later has none of the data.
    admin::remove(&enclave, Requester::with_key(owner()), name("ledger")).await.unwrap();
    deploy(&enclave, Kind::Deploy, owner(), "ledger", SUB).await.unwrap();
    assert!(!enclave.app(&name("ledger")).unwrap().storage.has_key(b"old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_may_become_stricter_and_not_looser() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    deploy(&enclave, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    assert_eq!(claims(&enclave).apps[0].upgrade, UpgradePolicy::Owner);
    replace(&enclave, wasm(SUB), becoming(Upgrade::Frozen), Vec::new()).await.unwrap();
    let problem = replace(&enclave, wasm(ADD), becoming(Upgrade::Owner), Vec::new()).await.unwrap_err();
    assert_eq!(problem.code, Code::UpgradeFrozen);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endorsed_app_is_replaced_by_what_enough_of_its_keys_signed() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let [anna, bert, carl] = [(); 3].map(|()| TlsKey::generate().unwrap());
    let fingerprint = |key: &TlsKey| KeyFingerprint::from_hash(key.fingerprint());
    let two = || Upgrade::endorsed(2, [&anna, &bert, &carl].map(fingerprint).to_vec()).unwrap();
    let settings = || becoming(two());
    deploy_as(&enclave, Kind::Deploy, owner(), "ledger", wasm(ADD), settings()).await.unwrap();
    enclave.app(&name("ledger")).unwrap().storage.set_key(b"old", b"value");
    let hash = endorsed_hash(&enclave, SUB, settings()).await;
    let sign = |key: &TlsKey, hash: &[u8; 32]| key.endorse(hash).unwrap();

    let missing = |problem: Problem, absent: &[&TlsKey], present: &[&TlsKey]| {
        assert_eq!(problem.code, Code::EndorsementMissing, "{}", problem.detail);
        assert!(problem.detail.contains(&hex::encode(hash)), "{}", problem.detail);
        for key in absent {
            assert!(problem.detail.contains(&fingerprint(key).to_string()), "{}", problem.detail);
        }
        for key in present {
            assert!(!problem.detail.contains(&fingerprint(key).to_string()), "{}", problem.detail);
        }
    };
    let refused = async |endorsements| {
        replace(&enclave, wasm(SUB), settings(), endorsements).await.map(|_| ()).unwrap_err()
    };
    missing(refused(Vec::new()).await, &[&anna, &bert, &carl], &[]);
    missing(refused(vec![sign(&bert, &hash)]).await, &[&anna, &carl], &[&bert]);
    missing(refused(vec![sign(&bert, &hash), sign(&bert, &hash)]).await, &[&anna, &carl], &[&bert]);
    let stranger = TlsKey::generate().unwrap();
    missing(refused(vec![sign(&bert, &hash), sign(&stranger, &hash)]).await, &[&anna, &carl], &[&bert]);
    missing(refused(vec![sign(&bert, &hash), sign(&anna, &[7; 32])]).await, &[&anna, &carl], &[]);
    assert_eq!(claims(&enclave).apps[0].code_hash, sha256(&wasm(ADD)));

    let signed = || vec![sign(&carl, &hash), sign(&bert, &hash)];
    // They signed this code, with these rules and this policy, and no other.
    let others = [
        (ADD, settings()),
        (SUB, becoming(Upgrade::Owner)),
        (
            SUB,
            DeploySettings {
                network: serde_json::from_str(r#"["https://a.example"]"#).unwrap(),
                ..settings()
            },
        ),
        (SUB, DeploySettings { limits: Limits { fuel: 9, ..Limits::default() }, ..settings() }),
        (SUB, DeploySettings { callers: CallerPolicy::public(), ..settings() }),
    ];
    for (wat, settings) in others {
        let problem = replace(&enclave, wasm(wat), settings, signed()).await.unwrap_err();
        assert_eq!(problem.code, Code::EndorsementMissing);
    }
    replace(&enclave, wasm(SUB), settings(), signed()).await.unwrap();
    assert_eq!(claims(&enclave).apps[0].code_hash, sha256(&wasm(SUB)));
    assert_eq!(claims(&enclave).apps[0].endorsement_hash().unwrap(), hash);
    assert!(enclave.app(&name("ledger")).unwrap().storage.has_key(b"old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn endorsements_do_not_make_an_owner() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let key = TlsKey::generate().unwrap();
    let policy = || Upgrade::endorsed(1, vec![KeyFingerprint::from_hash(key.fingerprint())]).unwrap();
    deploy_as(&enclave, Kind::Deploy, owner(), "ledger", wasm(ADD), becoming(policy())).await.unwrap();
    let hash = endorsed_hash(&enclave, SUB, becoming(policy())).await;
    let endorsements = vec![key.endorse(&hash).unwrap()];
    let deployment = deployment(&enclave, Kind::Replace, other_owner(), wasm(SUB), becoming(policy()));
    let problem = Deployment { endorsements, ..deployment }.run(&mpsc::channel(16).0).await.unwrap_err();
    assert_eq!(problem.code, Code::Forbidden);
}

/// A part of the app is lost, and its policy is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_app_keeps_its_policy() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    deploy_as(&enclave, Kind::Deploy, owner(), "ledger", wasm(ADD), becoming(Upgrade::Frozen)).await.unwrap();
    drop(enclave);
    let damaged = (0..disk.blocks().unwrap()).rev().find_map(|block| {
        let disk = disk.fork();
        disk.modify(block, |bytes| bytes[9] ^= 1);
        let storage = Storage::mount(Arc::new(disk.clone()), &FixedKey, Options::default()).ok()?;
        let (_, affected) = storage.load(&Runtime::new(Settings::default()).unwrap()).ok()?.affected.pop()?;
        let is_replaceable = affected.record.is_some() && affected.storage.is_some();
        is_replaceable.then_some(disk)
    });
    let enclave = start(Arc::new(damaged.unwrap()));
    assert_eq!(enclave.app(&name("ledger")).unwrap_err().code, Code::AppDamaged);
    let problem = replace(&enclave, wasm(ADD), becoming(Upgrade::Frozen), Vec::new()).await.unwrap_err();
    assert_eq!(problem.code, Code::UpgradeFrozen);
    admin::remove(&enclave, Requester::with_key(owner()), name("ledger")).await.unwrap();
}

/// The hash that a replacement with these settings needs signatures over, as endorsers compute it who know what is claimed now.
async fn endorsed_hash(enclave: &Arc<Enclave>, wat: &str, settings: DeploySettings) -> [u8; 32] {
    let mut next = claims(enclave).apps[0].clone();
    next.code_hash = sha256(&wasm(wat));
    next.limits = settings.limits;
    next.upgrade = UpgradePolicy::from(&settings.upgrade);
    next.endorsement_hash().unwrap()
}

async fn replace(
    enclave: &Arc<Enclave>,
    wasm: Vec<u8>,
    settings: DeploySettings,
    endorsements: Vec<Endorsement>,
) -> Result<AppDescription, Problem> {
    let deployment = deployment(enclave, Kind::Replace, owner(), wasm, settings);
    Deployment { endorsements, ..deployment }.run(&mpsc::channel(16).0).await
}

fn deployment(
    enclave: &Arc<Enclave>,
    kind: Kind,
    owner: KeyFingerprint,
    wasm: Vec<u8>,
    settings: DeploySettings,
) -> Deployment {
    super::deployment(enclave, kind, owner, "ledger", wasm, settings).unwrap()
}

fn becoming(upgrade: Upgrade) -> DeploySettings {
    DeploySettings { upgrade, ..DeploySettings::default() }
}

fn wasm(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}
