//! Deploys with files and assets, from the bytes of a body to the evidence.

use super::*;
use crate::deploy::receive::Receiver;
use cloister_api::{Directory, EntryHead, EntryKind, MAX_NETWORK_RULES, NetworkPolicy};
use cloister_attestation::AssetsHash;
use cloister_channel_body::Channel;

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_becomes_an_app_with_files_and_assets() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    let body = bundle(&[
        (EntryKind::File, "seed/a", &[1; 3_000_000]),
        (EntryKind::Asset, "css/site.css", b""),
        (EntryKind::Asset, "index.html", b"abc"),
    ]);
    let settings = DeploySettings {
        network: rules(&["https://example.com", "tcp://10.0.0.1:5432"]),
        config: vec![EnvironmentVariable { name: "limit".into(), value: "hunter3".into() }],
        directories: vec![Directory { path: "/seed".into(), guest: "/".into(), read_only: true }],
        ..for_everybody()
    };
    let described = receive(&enclave, Kind::Deploy, "site", settings, whole(&body)).await.unwrap();
    let assets = described.assets.clone().unwrap();
    let mut hash = AssetsHash::new();
    hash.add("css/site.css", 0, &sha256(b"")).unwrap();
    hash.add("index.html", 3, &sha256(b"abc")).unwrap();
    let hash = hash.finish().unwrap();
    assert_eq!((assets.hash, assets.bytes, assets.files), (hex::encode(hash), 3, 2));
    assert_eq!((described.storage.files, described.config.as_slice()), (2, &["limit".to_owned()][..]));
    assert!(described.sends_plaintext && !described.runs && !described.serves_http);

    let before = claims(&enclave).apps;
    assert_eq!(before[0].assets.as_ref().unwrap().hash, hash);
    let texts: Vec<_> = before[0].network.rules().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["https://example.com", "tcp://10.0.0.1:5432"]);
    drop(enclave);
    let enclave = start(Arc::new(disk));
    assert_eq!(claims(&enclave).apps, before);
    let app = enclave.app(&name("site")).unwrap();
    assert_eq!(app.storage.preopens(&app.record).len(), 2);
    assert_eq!(app.description().unwrap().assets, described.assets);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_takes_assets_and_no_files() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let deploy = async |kind, entries: &[(EntryKind, &str, &[u8])]| {
        receive(&enclave, kind, "site", for_everybody(), whole(&bundle(entries))).await
    };
    let first: &[(EntryKind, &str, &[u8])] = &[(EntryKind::File, "a", b"1"), (EntryKind::Asset, "b", b"2")];
    let before = deploy(Kind::Deploy, first).await.unwrap();
    let refused = deploy(Kind::Replace, first).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidBundle);
    assert!(refused.detail.contains("a replacement keeps the files"), "{}", refused.detail);
    let after = deploy(Kind::Replace, &[(EntryKind::Asset, "b", b"3")]).await.unwrap();
    assert_ne!(after.assets, before.assets);
    assert_eq!(after.storage.files, 1);
    let after = deploy(Kind::Replace, &[]).await.unwrap();
    assert_eq!(after.assets, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing_and_a_free_name() {
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let enclave = start(Arc::new(disk.clone()));
    let body = bundle(&[(EntryKind::File, "a", &[1; 4 << 20]), (EntryKind::Asset, "b", &[2; 4 << 20])]);
    let settings = for_everybody;
    // One that ends early, and one whose request is dropped while its body comes.
    let early = receive(&enclave, Kind::Deploy, "site", settings(), whole(&body[..6 << 20])).await;
    assert_eq!(early.unwrap_err().code, Code::InvalidBundle);
    let (mut sender, channel) = Channel::<Bytes, std::convert::Infallible>::new(1);
    let receiving = {
        let enclave = Arc::clone(&enclave);
        tokio::spawn(async move { receive(&enclave, Kind::Deploy, "site", settings(), channel).await })
    };
    for piece in body[..7 << 20].chunks(1 << 20) {
        sender.send_data(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    receiving.abort();
    let _ = receiving.await;
    while enclave.reserve(&name("site")).is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    enclave.storage.commit().await.unwrap();
    let used = enclave.storage.statistics().used;
    let restarted = start(Arc::new(disk.fork()));
    assert!(claims(&restarted).apps.is_empty());
    assert!(used < 1 << 10, "{used} blocks are used");
    receive(&enclave, Kind::Deploy, "site", settings(), whole(&body)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_that_cannot_be_kept_say_why() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let deploy = async |entries: &[(EntryKind, &str, &[u8])], settings: DeploySettings| {
        let refused =
            receive(&enclave, Kind::Deploy, "site", settings, whole(&bundle(entries))).await.unwrap_err();
        (refused.code, refused.detail)
    };
    let (code, detail) =
        deploy(&[(EntryKind::File, "a", b""), (EntryKind::File, "a/b", b"")], for_everybody()).await;
    assert_eq!(code, Code::InvalidBundle, "{detail}");
    assert!(detail.contains("'a/b'"), "{detail}");
    let limits = Limits { files: 1, ..Limits::default() };
    let few = DeploySettings { limits, ..for_everybody() };
    let (code, detail) = deploy(&[(EntryKind::File, "a/b", b"")], few).await;
    assert_eq!(code, Code::InvalidBundle);
    assert!(detail.contains("'files'"), "{detail}");
    let inside = DeploySettings { assets_at: Some("/".into()), ..for_everybody() };
    let (code, detail) = deploy(&[(EntryKind::Asset, "b", b"")], inside).await;
    assert_eq!(code, Code::InvalidSettings);
    assert!(detail.contains("would hide assets"), "{detail}");
    assert!(claims(&enclave).apps.is_empty());
}

/// As many rules as an app may have, in one app after the other.
#[tokio::test(flavor = "multi_thread")]
async fn claims_that_would_not_fit_the_evidence_are_refused() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let many: Vec<_> =
        (0..MAX_NETWORK_RULES).map(|i| format!("https://{i:02}.{}.example", "x".repeat(44))).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let mut deployed = 0;
    let refused = loop {
        let settings = DeploySettings { network: rules(&many), ..for_everybody() };
        let app = format!("app-{deployed}");
        match receive(&enclave, Kind::Deploy, &app, settings, whole(&bundle(&[]))).await {
            Ok(_) => deployed += 1,
            Err(problem) => break problem,
        }
    };
    assert_eq!(refused.code, Code::TooManyApps, "{}", refused.detail);
    assert!(refused.detail.contains("fewer or shorter"), "{}", refused.detail);
    assert!(deployed > 15, "{deployed}");
    assert_eq!(claims(&enclave).apps.len(), deployed);
    receive(&enclave, Kind::Deploy, "quiet", for_everybody(), whole(&bundle(&[]))).await.unwrap();
}

async fn receive<B>(
    enclave: &Arc<Enclave>,
    kind: Kind,
    app: &str,
    settings: DeploySettings,
    body: B,
) -> Result<AppDescription, Problem>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let (app, settings) = (name(app), settings::check(settings).unwrap());
    let held = (enclave.reserve(&app)?, Arc::clone(&enclave.deploys).try_acquire_owned().unwrap());
    let upload = enclave.storage.upload(&app, &settings.limits).unwrap();
    let files = (kind == Kind::Deploy).then_some(settings.limits.storage);
    let (wasm, upload, _held) = Receiver::new(enclave, upload, held).bundle(body, files).await?;
    let enclave = Arc::clone(enclave);
    let (name, owner, endorsements) = (app, owner(), Vec::new());
    let deployment = Deployment { enclave, kind, name, owner, settings, endorsements, wasm, upload };
    deployment.run(&mpsc::channel(16).0).await
}

fn bundle(entries: &[(EntryKind, &str, &[u8])]) -> Vec<u8> {
    let wasm = wat::parse_str(ADD).unwrap();
    let all = [&[(EntryKind::Component, "", &wasm[..])][..], entries, &[(EntryKind::End, "", b"")]].concat();
    let mut bytes = Vec::new();
    for (kind, path, contents) in all {
        let head = EntryHead { kind, path: path.len() as u16, size: contents.len() as u64 };
        bytes.extend_from_slice(&head.encode());
        bytes.extend_from_slice(path.as_bytes());
        bytes.extend_from_slice(contents);
    }
    bytes
}

fn whole(body: &[u8]) -> Full<Bytes> {
    Full::new(Bytes::copy_from_slice(body))
}

fn rules(texts: &[&str]) -> NetworkPolicy {
    NetworkPolicy::new(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
}
