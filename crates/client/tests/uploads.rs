//! Bundles over a verified session: what is sent, and what is believed of the answer.

#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use bytes::Bytes;
use cloister_api::{
    AppDescription, AssetsDescription, Code, DeployEvent, DeploySettings, ENDORSEMENTS_HEADER, Endorsement,
    EnvironmentVariable, Problem,
};
use cloister_attestation::sha256;
use cloister_client::{ClientError, Tree, TreeError, Upload};
use enclave::{FakeEnclave, description, lines, response};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

#[tokio::test]
async fn a_bundle_is_sent_from_directories() {
    for alpn in [b"h2".to_vec(), b"http/1.1".to_vec()] {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "files/seed/a", &[1; 100_000]);
        write(directory.path(), "assets/index.html", b"hi");
        let files = Tree::list(&directory.path().join("files")).unwrap();
        let assets = Tree::list(&directory.path().join("assets")).unwrap();
        let hash = hex::encode(assets.assets_hash().unwrap().unwrap());

        let received: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut enclave = FakeEnclave { alpn: vec![alpn], ..FakeEnclave::new() };
        enclave.answer = {
            let received = received.clone();
            Arc::new(move |_, body| {
                *received.lock().unwrap() = body.to_vec();
                deployed(with_assets(&hash))
            })
        };
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let upload = Upload { wasm: WASM, files: Some(files), assets: Some(assets) };
        let settings = DeploySettings::default();
        let app = session.deploy(&"hello".parse().unwrap(), upload, &settings, |_| {}).await.unwrap();
        assert_eq!(app.assets.unwrap().files, 1);
        let received = received.lock().unwrap();
        let expected = [
            &[1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0][..],
            &WASM,
            &[2, 6, 0, 0xa0, 0x86, 1, 0, 0, 0, 0, 0],
            b"seed/a",
            &[1; 100_000],
            &[3, 10, 0, 2, 0, 0, 0, 0, 0, 0, 0],
            b"index.html",
            b"hi",
            &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert!(*received == expected, "{} bytes", received.len());
    }
}

#[tokio::test]
async fn other_assets_than_were_sent_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "a", b"1");
    let assets = Tree::list(directory.path()).unwrap();
    for answered in [with_assets(&"00".repeat(32)), description(&code_hash())] {
        let mut enclave = FakeEnclave::new();
        enclave.answer = Arc::new(move |_, _| deployed(answered.clone()));
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let upload = Upload { wasm: WASM, files: None, assets: Some(assets.clone()) };
        let settings = DeploySettings::default();
        let result = session.replace(&"hello".parse().unwrap(), upload, &settings, |_| {}).await;
        assert!(matches!(result, Err(ClientError::Assets { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_file_that_shrank_ends_the_upload() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "a", b"12345");
    let files = Tree::list(directory.path()).unwrap();
    write(directory.path(), "a", b"1");
    for alpn in [b"h2".to_vec(), b"http/1.1".to_vec()] {
        let enclave = FakeEnclave { alpn: vec![alpn], ..FakeEnclave::new() };
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let upload = Upload { wasm: WASM, files: Some(files.clone()), assets: None };
        let settings = DeploySettings::default();
        let result = session.deploy(&"hello".parse().unwrap(), upload, &settings, |_| {}).await;
        assert!(matches!(result, Err(ClientError::Tree(TreeError::Changed { .. }))), "{result:?}");
    }
}

#[tokio::test]
async fn settings_of_48_kib_go_over_both_protocols() {
    for alpn in [b"h2".to_vec(), b"http/1.1".to_vec()] {
        let mut enclave = FakeEnclave { alpn: vec![alpn], ..FakeEnclave::new() };
        enclave.answer = Arc::new(move |_, _| deployed(description(&code_hash())));
        let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
        let variable = EnvironmentVariable { name: "X".into(), value: "x".repeat(47 << 10) };
        let settings = DeploySettings { environment: vec![variable], ..DeploySettings::default() };
        session.deploy(&"hello".parse().unwrap(), WASM, &settings, |_| {}).await.unwrap();
        let [text] = &enclave.settings.lock().unwrap()[..] else { panic!("one deploy") };
        assert_eq!(serde_json::from_str::<DeploySettings>(text).unwrap(), settings);
    }
}

#[tokio::test]
async fn endorsements_go_with_a_replacement_and_with_nothing_else() {
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(move |_, _| deployed(description(&code_hash())));
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    let (hello, settings) = ("hello".parse().unwrap(), DeploySettings::default());
    let endorsement = Endorsement { key: "MFkw".into(), signature: "MEUC".into() };
    session.deploy(&hello, WASM, &settings, |_| {}).await.unwrap();
    session.replace(&hello, WASM, &settings, |_| {}).await.unwrap();
    session
        .replace_endorsed(&hello, WASM, &settings, std::slice::from_ref(&endorsement), |_| {})
        .await
        .unwrap();
    let headers = enclave.headers.lock().unwrap().clone();
    let sent = Vec::from_iter(headers.iter().map(|headers| headers.get(ENDORSEMENTS_HEADER)));
    let [_, None, None, Some(sent)] = sent[..] else { panic!("{sent:?}") };
    let sent: Vec<Endorsement> = serde_json::from_slice(sent.as_bytes()).unwrap();
    assert_eq!(sent, std::slice::from_ref(&endorsement));

    let much = Endorsement { signature: "A".repeat(8 << 10), ..endorsement };
    let refused = session.replace_endorsed(&hello, WASM, &settings, &[much], |_| {}).await;
    assert!(matches!(refused, Err(ClientError::RequestTooLarge { .. })), "{refused:?}");
}

/// An enclave that refuses a bundle answers while the client still sends.
#[tokio::test]
async fn a_refusal_ends_the_upload() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "a", &vec![1; 8 << 20]);
    let files = Tree::list(directory.path()).unwrap();
    let mut enclave = FakeEnclave::new();
    enclave.answer = Arc::new(|_, _| {
        let problem = Problem::new(Code::InvalidBundle, "no");
        response(400, "application/problem+json", serde_json::to_vec(&problem).unwrap())
    });
    let session = enclave.client().connect(&enclave.serve().await).await.unwrap();
    let upload = Upload { wasm: WASM, files: Some(files), assets: None };
    let settings = DeploySettings::default();
    let result = session.deploy(&"hello".parse().unwrap(), upload, &settings, |_| {}).await;
    assert!(matches!(result, Err(ClientError::Problem(_))), "{result:?}");
}

fn write(directory: &Path, path: &str, contents: &[u8]) {
    let path = directory.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

fn deployed(app: AppDescription) -> http::Response<Bytes> {
    response(200, cloister_api::NDJSON, lines(&[DeployEvent::Deployed { app: Box::new(app) }]))
}

fn with_assets(hash: &str) -> AppDescription {
    let assets = AssetsDescription { hash: hash.to_owned(), bytes: 2, files: 1, at: "/assets".to_owned() };
    AppDescription { assets: Some(assets), ..description(&code_hash()) }
}

fn code_hash() -> String {
    hex::encode(sha256(&WASM))
}

const WASM: Bytes = Bytes::from_static(b"wasm");
