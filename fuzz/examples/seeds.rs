//! Writes what fuzzing begins with: `cargo +nightly run --example seeds -- corpus`.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_attestation::{AppExtensions, Evidence, TlsKey, leaf_certificate};

use appraisal::CLAIMS;

#[path = "../appraisal.rs"]
mod appraisal;

fn main() {
    let corpus = PathBuf::from(std::env::args_os().nth(1).expect("the folder to write to"));
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let vectors = crates.join("attestation/tests/vectors");
    let read = |name: &str| fs::read(vectors.join(name)).expect("the vectors are there");
    let claims = CLAIMS.clone();
    let [sgx, tdx] = ["sgx_quote.bin", "tdx_quote.bin"].map(read);
    write(&corpus, "quote", "sgx", &sgx);
    write(&corpus, "quote", "tdx", &tdx);
    write(&corpus, "claims", "documented", &claims);

    let evidence = Evidence { claims: claims.clone(), quote: sgx.clone() };
    write(&corpus, "certificate", "evidence", &evidence.encode());
    let app = AppExtensions {
        code_hash: [1; 32],
        configuration: [2; 32],
        values: vec![(1, b"a key".to_vec()), (7, Vec::new())],
    };
    let key = TlsKey::generate().expect("randomness");
    let names = ["hello.localhost".to_owned()];
    let certificate = leaf_certificate(&key, &names, &evidence, Some(&app)).expect("it can be signed");
    write(&corpus, "certificate", "leaf", &certificate);

    let collateral: serde_json::Value =
        serde_json::from_slice(&read("sgx_quote_collateral.json")).expect("it is JSON");
    let [claims, quote] = [&claims, &sgx].map(|part| BASE64_STANDARD.encode(part));
    let answer = serde_json::json!({
        "claims": claims, "quote": quote, "signature": BASE64_STANDARD.encode([3; 70]), "collateral": collateral,
        "volume": {"epoch": 1, "root": "00".repeat(32)},
    });
    write(&corpus, "evidence", "sgx", answer.to_string().as_bytes());

    for (at, text) in TOKENS.iter().enumerate() {
        write(&corpus, "tokens", &at.to_string(), text.as_bytes());
    }
    for (at, text) in RULES.iter().enumerate() {
        write(&corpus, "rules", &at.to_string(), text.as_bytes());
    }
    for (at, text) in SETTINGS.iter().enumerate() {
        write(&corpus, "settings", &at.to_string(), text.as_bytes());
    }
    for policy in fs::read_dir(crates.join("policy/tests/good")).expect("the policies are there") {
        let path = policy.expect("the folder is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        write(&corpus, "policy", &name, &fs::read(&path).expect("the policy is there"));
    }
    write(&corpus, "bundle", "three", &bundle());
}

/// A component, a file and an asset; the first byte is the target's own.
fn bundle() -> Vec<u8> {
    use cloister_api::{EntryHead, EntryKind};
    let entries: [(EntryKind, &str, &[u8]); 4] = [
        (EntryKind::Component, "", b"wasm"),
        (EntryKind::File, "a/b", b"file"),
        (EntryKind::Asset, "c", b"asset"),
        (EntryKind::End, "", b""),
    ];
    let mut bundle = vec![3];
    for (kind, path, contents) in entries {
        bundle.extend(EntryHead { kind, path: path.len() as u16, size: contents.len() as u64 }.encode());
        bundle.extend([path.as_bytes(), contents].concat());
    }
    bundle
}

fn write(corpus: &Path, target: &str, name: &str, contents: &[u8]) {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(folder.join(name), contents).expect("the folder is writable");
}

/// As the target reads them.
const TOKENS: [&str; 4] = [
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSJ9.AAAA\n\n{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}",
    ",\"typ\":\"JWT\"\n\n{\"iss\":\"https://a.example\",\"sub\":\"alice\",\"aud\":[\"me\"],\"exp\":1800000300,\"nbf\":1,\"iat\":1.5,\"roles\":[\"a\"]}",
    "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSJ9.AAAA\n\n{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"alg\":\"RS256\",\"use\":\"sig\",\"key_ops\":[\"verify\"],\"n\":\"AQAB\",\"e\":\"AQAB\"}]}\n\n{\"issuer\":\"https://a.example\",\"jwks_uri\":\"https://a.example/keys\"}",
    "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSJ9.AAAA\n\n{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"\",\"y\":\"\",\"d\":\"\"}]}",
];
const RULES: [&str; 3] = [
    "*=public\n@run=owner\n@web=token:staff/doctor\nexample:a/b@1.0.0#c=key:0000000000000000000000000000000000000000000000000000000000000000",
    "https://*.example.com:8443\nhttp://a\ntcp-connect://10.0.0.0/8:1-2\nudp-bind://[::1]:53\ntcp-listen://0.0.0.0:80",
    "endorsed:1:0000000000000000000000000000000000000000000000000000000000000000",
];
const SETTINGS: [&str; 4] = [
    r#"{"limits":{},"environment":[{"name":"a","value":"b"}],"network":["https://example.com"],"roots":["MIIB"],"configure_with":"c","directories":[{"path":"/d","guest":".","read_only":true}],"callers":["*=public","@run=token:staff"],"issuers":[{"name":"staff","issuer":"https://id.example.com","audience":"a"}],"upgrade":{"endorsed":{"threshold":1,"keys":["0000000000000000000000000000000000000000000000000000000000000000"]}}}"#,
    r#"[{"key":"AAAA","signature":"AAAA"}]"#,
    r#"{"nonce":"00"}"#,
    r#"{"listen":"127.0.0.1:0","owners":["0000000000000000000000000000000000000000000000000000000000000000"],"image_upgrade":"never","freshness":"tpm"}"#,
];
