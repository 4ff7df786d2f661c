//! A component of the field: built against a WIT that says what the interface facts say, in an order and with a package of its own,
//! and with nothing of this repository. It links and runs as it is.

use crate::apps::code;
use crate::platform::settings;
use crate::probe::network;
use bytes::Bytes;
use cloister_api::{Code, DeploySettings};
use cloister_tests::tls_servers::{Authority, Behavior, Service};
use cloister_tests::{name, platform_guest, shared};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_was_built_against_the_facts_alone_runs() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let server = Service::that(Behavior::Either).start(&identity).await;
    let url = format!("https://localhost:{}", server.port());
    let session = shared().owner().await;
    let app = name("of-the-field");
    let settings = DeploySettings { network: network(&[&url]), ..settings() };
    let deployed = session.deploy(&app, platform_guest("facts"), &settings, |_| {}).await.unwrap();
    for interface in ["crypto", "keystore", "https", "auth", "attestation", "sealing"] {
        let import = format!("privasys:enclave-os/{interface}@0.1.0");
        assert!(deployed.imports.contains(&import), "{import}: {:?}", deployed.imports);
    }
    let arguments = json!([url, crate::platform::base64(authority.der())]);
    let answer = session.call_json(&app, "exercise", &arguments).await.unwrap();
    let outcomes: Vec<(String, Result<String, String>)> =
        answer.result.as_array().expect("a list of outcomes").iter().map(outcome).collect();
    let owner = format!("key:{}", shared().identity().fingerprint());
    let somebody = format!("key:{}", "55".repeat(32));
    let users = format!("{somebody}=nurse");
    let expected: &[(&str, Option<&str>)] = &[
        ("crypto.digest sha256", Some("32")),
        ("crypto.digest sha384", Some("48")),
        ("crypto.digest sha512", Some("64")),
        ("crypto.get-random-bytes", Some("24")),
        ("keystore.generate-symmetric-key", Some("")),
        ("crypto.encrypt", Some("25")),
        ("crypto.decrypt", Some("9")),
        ("keystore.import-symmetric-key", Some("")),
        ("keystore.generate-signing-key ecdsa-p256-sha256", Some("")),
        ("crypto.sign ecdsa-p256-sha256", Some("")),
        ("crypto.verify ecdsa-p256-sha256", Some("true")),
        ("keystore.export-public-key ecdsa-p256-sha256", Some("91")),
        ("keystore.generate-signing-key ecdsa-p384-sha384", Some("")),
        ("crypto.sign ecdsa-p384-sha384", Some("")),
        ("crypto.verify ecdsa-p384-sha384", Some("true")),
        ("keystore.export-public-key ecdsa-p384-sha384", Some("120")),
        ("keystore.generate-hmac-key hmac-sha256", Some("")),
        ("crypto.hmac-sign hmac-sha256", Some("32")),
        ("crypto.hmac-verify hmac-sha256", Some("true")),
        ("keystore.generate-hmac-key hmac-sha384", Some("")),
        ("crypto.hmac-sign hmac-sha384", Some("48")),
        ("crypto.hmac-verify hmac-sha384", Some("true")),
        ("keystore.generate-hmac-key hmac-sha512", Some("")),
        ("crypto.hmac-sign hmac-sha512", Some("64")),
        ("crypto.hmac-verify hmac-sha512", Some("true")),
        ("keystore.persist-key", Some("")),
        ("keystore.key-exists", Some("true")),
        ("keystore.delete-key", Some("")),
        // It is in memory already.
        ("keystore.load-key", None),
        ("auth.get-caller-id", Some(&owner)),
        ("auth.get-my-roles", Some("owner")),
        ("auth.set-user-roles", Some(&somebody)),
        ("auth.get-user-roles", Some("nurse")),
        ("auth.list-users", Some(&users)),
        ("auth.remove-user-roles", Some(&somebody)),
        ("attestation.set-attestation-extension", Some("")),
        // The app was not deployed to be configured.
        ("attestation.set-config-complete", None),
        ("sealing.get-seal-key", Some("32 32")),
        ("https.fetch GET", Some("200 GET")),
        ("https.fetch POST", Some("200 POST")),
        ("https.fetch PUT", Some("200 PUT")),
        ("https.fetch DELETE", Some("200 DELETE")),
        ("https.fetch PATCH", Some("200 PATCH")),
        ("https.fetch HEAD", Some("200 HEAD")),
        ("https.fetch OPTIONS", Some("200 OPTIONS")),
        // The server is no enclave; and a policy for TDX has no measurement of SGX.
        ("https.fetch ratls sgx", None),
        ("https.fetch ratls tdx", None),
    ];
    let functions: Vec<&str> = outcomes.iter().map(|(function, _)| function.as_str()).collect();
    assert_eq!(functions, expected.iter().map(|(function, _)| *function).collect::<Vec<_>>());
    for ((function, answer), (_, expected)) in outcomes.iter().zip(expected) {
        match (answer, expected) {
            (Ok(text), Some(expected)) => assert_eq!(text, expected, "{function}"),
            (Err(_), None) => {}
            _ => panic!("{function}: {answer:?}, not {expected:?}"),
        }
    }
    let received = server.received();
    assert_eq!(received.len(), 7);
    assert!(received.iter().all(|request| request.header("x-of") == Some("the field")));
    let claims = shared().caller().await.claims().clone();
    assert!(claims.app(&app).unwrap().vouches_for(42, b"of the field"));
    session.remove(&app).await.unwrap();
}

fn outcome(value: &Value) -> (String, Result<String, String>) {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let answer = match text(&value["answer"]["ok"]) {
        Some(answer) => Ok(answer),
        None => Err(text(&value["answer"]["err"]).expect("an error is a text")),
    };
    (text(&value["function"]).expect("a name"), answer)
}

/// What is not the facts' is not linked: the test above shows something.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_with_other_types_is_refused_when_it_is_deployed() {
    let session = shared().owner().await;
    let app = name("not-of-the-field");
    for (import, field) in [
        // Another type of a parameter, of the result, a function that is not there, and an enum with its cases in another order.
        (
            "crypto",
            r#"(export "get-random-bytes" (func (param "len" u64) (result (result (list u8) (error string)))))"#,
        ),
        ("crypto", r#"(export "get-random-bytes" (func (param "len" u32) (result (list u8))))"#),
        (
            "keystore",
            r#"(export "export-private-key" (func (param "key-name" string) (result (result (list u8) (error string)))))"#,
        ),
        (
            "crypto",
            r#"(type $e (enum "sha512" "sha384" "sha256"))
               (export "digest-algorithm" (type $algorithm (eq $e)))
               (export "digest" (func (param "algorithm" $algorithm) (param "data" (list u8))
                 (result (result (list u8) (error string)))))"#,
        ),
        ("tea", r#"(export "brew" (func))"#),
    ] {
        let text = format!(r#"(component (import "privasys:enclave-os/{import}@0.1.0" (instance {field})))"#);
        let wasm: Bytes = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")).into();
        let refused = session.deploy(&app, wasm, &settings(), |_| {}).await;
        assert_eq!(code(refused), Code::UnsupportedImport, "{field}");
    }
}
