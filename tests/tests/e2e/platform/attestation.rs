//! `attestation`: what an app puts into its certificate and into the claims.

use super::{App, Language, base64, settings};
use cloister_client::{Check, ClientError, Identity};
use cloister_tests::{Enclave, RawTls, Setup, code_hash, shared};
use serde_json::{Value, json};

async fn set(app: &App, suffix: u32, value: &[u8]) {
    app.ok(SET, json!([suffix, base64(value)])).await;
}

/// The certificate under a host name.
async fn certificate(enclave: &Enclave, host: &str) -> Vec<u8> {
    RawTls::connect(enclave.address(), host).await.unwrap().certificate()
}

/// Whether the certificate under an app's host name has this extension with this value, in DER: the object identifier, perhaps
/// whether it is critical, and an `OCTET STRING`.
async fn shows(app: &App, enclave: &Enclave, suffix: u32, value: &[u8]) -> bool {
    holds(&certificate(enclave, &format!("{}.localhost", app.name)).await, suffix, value)
}

fn holds(certificate: &[u8], suffix: u32, value: &[u8]) -> bool {
    let extension = [identifier(suffix), vec![0x04], der_length(value.len()), value.to_vec()].concat();
    certificate.windows(extension.len()).any(|window| window == extension)
}

/// 1.3.6.1.4.1.65230.3.5.`suffix` in DER (X.690, section 8.19).
fn identifier(suffix: u32) -> Vec<u8> {
    let mut arc = vec![(suffix & 0x7f) as u8];
    let mut rest = suffix >> 7;
    while rest > 0 {
        arc.insert(0, (rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    let arcs = [&[0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xfd, 0x4e, 0x03, 0x05][..], &arc].concat();
    [vec![0x06, arcs.len() as u8], arcs].concat()
}

/// X.690, section 8.1.3.
fn der_length(length: usize) -> Vec<u8> {
    match length {
        0..0x80 => vec![length as u8],
        0x80..0x100 => vec![0x81, length as u8],
        _ => vec![0x82, (length >> 8) as u8, length as u8],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_is_in_the_certificate_and_in_the_claims() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "extended").await;
        let other = App::deploy(shared(), language, "not-extended").await;
        let values: [(u32, Vec<u8>); 4] = [
            (0, b"zero".to_vec()),
            (7, b"seven".to_vec()),
            (300, vec![3; 300]),
            (u32::MAX, vec![0xff; 2000]),
        ];
        for (suffix, value) in &values {
            set(&app, *suffix, value).await;
            // From when it returned.
            assert!(shows(&app, shared(), *suffix, value).await, "{suffix}");
        }
        let claims = shared().caller().await.claims().clone();
        let claimed = claims.app(&app.name).unwrap();
        assert_eq!(claimed.extensions.len(), values.len());
        let described = app.describe().await.extensions;
        assert_eq!(described.len(), values.len(), "{described:?}");
        for (suffix, value) in &values {
            assert!(claimed.vouches_for(*suffix, value), "{suffix}");
            let oid = format!("1.3.6.1.4.1.65230.3.5.{suffix}");
            let described = described.iter().find(|extension| extension.oid == oid).expect("it is described");
            assert_eq!(described.bytes, value.len() as u64);
            assert_eq!(described.hash, hex::encode(code_hash(value)));
            // Nobody else's certificate has it.
            for host in [format!("{}.localhost", other.name), "localhost".to_owned()] {
                assert!(!holds(&certificate(shared(), &host).await, *suffix, value), "{host}");
            }
        }
        assert_eq!(claims.app(&other.name).unwrap().extensions, []);

        let expecting =
            |value: &[u8]| shared().policy().with_extension(app.name.clone(), 7, code_hash(value));
        shared().connect(expecting(b"seven")).await.unwrap();
        match shared().connect(expecting(b"eight")).await {
            Err(ClientError::Refused(refused)) => {
                let failed: Vec<&Check> = refused.report.failed().collect();
                assert_eq!(failed.len(), 1, "{}", refused.report);
            }
            other => panic!("a refusal was expected, not {other:?}"),
        }
        // Whoever calls may have the app set one: it is the app's to decide.
        let caller = app.seen_by(shared(), &Identity::generate().unwrap()).await;
        set(&caller, 8, b"by a caller").await;
        assert!(shows(&app, shared(), 8, b"by a caller").await);
        app.remove().await;
        other.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extension_is_replaced_and_removed() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "re-extended").await;
        set(&app, 5, b"first").await;
        set(&app, 6, b"stays").await;
        set(&app, 5, b"second").await;
        assert!(shows(&app, shared(), 5, b"second").await && !shows(&app, shared(), 5, b"first").await);
        assert_eq!(app.describe().await.extensions.len(), 2);
        set(&app, 5, b"").await;
        let certificate = certificate(shared(), &format!("{}.localhost", app.name)).await;
        let oid = identifier(5);
        assert!(!certificate.windows(oid.len()).any(|window| window == oid));
        assert!(holds(&certificate, 6, b"stays"));
        let caller = shared().caller().await;
        let claimed = caller.claims().app(&app.name).unwrap();
        assert_eq!(claimed.extensions, [(6, code_hash(b"stays"))]);
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_are_bounded() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "extension-bounds").await;
        let refused = async |suffix: u32, length: usize| {
            app.refused(SET, json!([suffix, base64(vec![1; length])])).await;
        };
        set(&app, 1, &[1; 4096]).await;
        assert!(shows(&app, shared(), 1, &[1; 4096]).await);
        refused(2, 4097).await;
        refused(1, 100_000).await;
        // All together.
        set(&app, 2, &[2; 4096]).await;
        refused(3, 1).await;
        set(&app, 2, &[2; 4095]).await;
        set(&app, 3, &[3]).await;
        refused(3, 2).await;
        set(&app, 1, &[]).await;
        for suffix in 4..=17 {
            set(&app, suffix, &[4; 10]).await;
        }
        // 2 to 17 are sixteen.
        refused(18, 1).await;
        set(&app, 17, &[5; 10]).await;
        set(&app, 17, &[]).await;
        set(&app, 18, &[6]).await;
        assert_eq!(app.describe().await.extensions.len(), 16);
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_begins_without_extensions() {
    for language in Language::BOTH {
        let app = App::deploy(shared(), language, "extension-replaced").await;
        set(&app, 1, b"of the old code").await;
        app.replace(language, &settings()).await;
        assert!(!shows(&app, shared(), 1, b"of the old code").await);
        assert_eq!(app.describe().await.extensions, []);
        assert_eq!(shared().caller().await.claims().app(&app.name).unwrap().extensions, []);
        app.remove().await;
        let app = App::deploy(shared(), language, "extension-replaced").await;
        assert_eq!(app.describe().await.extensions, []);
        app.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_outlive_a_restart() {
    let enclave = Setup::new().start();
    let app = App::deploy(&enclave, Language::Rust, "extension-kept").await;
    set(&app, 1, b"kept").await;
    set(&app, 2, b"removed").await;
    set(&app, 2, b"").await;
    let before = app.describe().await.extensions;
    drop(app);
    // What a call was answered for is durable: a kill takes nothing.
    let enclave = enclave.kill_and_keep().start();
    let app = App::again(&enclave, Language::Rust, "extension-kept").await;
    assert!(shows(&app, &enclave, 1, b"kept").await);
    assert_eq!(app.describe().await.extensions, before);
    assert_eq!(enclave.caller().await.claims().app(&app.name).unwrap().extensions, [(1, code_hash(b"kept"))]);
}

/// What clients of the field read.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_have_the_extensions_that_clients_read() {
    let app = App::deploy(shared(), Language::Rust, "field-extensions").await;
    let claims = shared().caller().await.claims().clone();
    let claimed = claims.app(&app.name).unwrap();
    let own = certificate(shared(), &format!("{}.localhost", app.name)).await;
    let of_enclave = certificate(shared(), "localhost").await;
    // 1.3.6.1.4.1.65230 and two arcs, then 32 bytes.
    let under = |certificate: &[u8], arcs: [u8; 2], hash: [u8; 32]| {
        let head = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xfd, 0x4e, arcs[0], arcs[1], 0x04, 0x20];
        let extension = [&head[..], &hash].concat();
        certificate.windows(extension.len()).any(|window| window == extension)
    };
    assert!(under(&own, [3, 2], claimed.code_hash) && !under(&of_enclave, [3, 2], claimed.code_hash));
    let configuration = claimed.hash().unwrap();
    assert!(under(&own, [3, 1], configuration) && !under(&of_enclave, [3, 1], configuration));
    for certificate in [&own, &of_enclave] {
        assert!(under(certificate, [1, 1], claims.configuration));
        // 1.2.840.113741.1.13.1.0: Intel's.
        let quote = [0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, 0x00];
        assert!(certificate.windows(quote.len()).any(|window| window == quote));
    }
    app.remove().await;
}

/// A value that is no list of bytes does not come so far.
#[tokio::test(flavor = "multi_thread")]
async fn a_suffix_is_a_number_of_thirty_two_bits() {
    let app = App::deploy(shared(), Language::Rust, "extension-suffix").await;
    for suffix in [json!(-1), json!(1_u64 << 32), json!(1.5), Value::Null] {
        assert!(app.call(SET, json!([suffix, ""])).await.is_err(), "{suffix}");
    }
    app.remove().await;
}

const SET: &str = "attestation-set-attestation-extension";
