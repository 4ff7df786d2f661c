//! Documents of real servers on the loopback interface.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_api::TokenIssuer;
use cloister_egress::{CertificateFault, EgressError};
use cloister_test_authority::{Authority, Versions};
use http::{Request as Asked, Response as Answer};
use hyper::body::Incoming;
use serde_json::json;

use super::server::{AnyBody, closed_port, serve, whole};
use super::signer::{Signer, key_set, settings};
use crate::{FetchError, Issuers, KeysError, MAX_DOCUMENT, TokenError, VerifiedToken};

/// What a server answers where its keys should be.
#[derive(Clone)]
struct Keys {
    status: u16,
    body: Vec<u8>,
}

impl Keys {
    fn good(signer: &Signer) -> Self {
        Self { status: 200, body: key_set(&[signer]).into_bytes() }
    }

    /// Describes itself as the host that was asked for.
    async fn answer(self, asked: Asked<Incoming>) -> Answer<AnyBody> {
        let url = format!("https://{}", asked.headers()["host"].to_str().unwrap());
        let asked_well = asked.method() == "GET" && asked.headers()["accept"] == "application/json";
        match asked.uri().path() {
            "/.well-known/openid-configuration" if asked_well => {
                Answer::new(whole(json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string()))
            }
            "/keys" if asked_well => {
                let answer = Answer::builder().status(self.status).header("location", "/moved");
                answer.body(whole(self.body)).unwrap()
            }
            _ => Answer::builder().status(400).body(whole("")).unwrap(),
        }
    }

    async fn serve(self, authority: &Authority) -> u16 {
        let acceptor = authority.good().acceptor(&["http/1.1"], Versions::All);
        serve(acceptor, move |asked| self.clone().answer(asked)).await.port()
    }
}

/// Verifies a token of the issuer at this port of loopback.
async fn verify(signer: &Signer, port: u16, root: &Authority) -> Result<VerifiedToken, TokenError> {
    let issuer = format!("https://localhost:{port}");
    let roots = vec![STANDARD.encode(root.der())];
    let issuers = Issuers::new(&[TokenIssuer { issuer: issuer.clone(), roots, ..settings() }]).unwrap();
    let token = signer.token(&json!({
        "iss": issuer, "sub": "alice", "aud": "cloister", "exp": 4_102_444_800_u64,
    }));
    issuers.verify(&token, SystemTime::now()).await
}

async fn refusal(keys: Keys) -> FetchError {
    let (signer, authority) = (Signer::new("k"), Authority::new());
    let port = keys.serve(&authority).await;
    fetch_error(verify(&signer, port, &authority).await)
}

fn fetch_error(verified: Result<VerifiedToken, TokenError>) -> FetchError {
    match verified.unwrap_err() {
        TokenError::Keys { error: KeysError::Fetch(error), .. } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_issuer_on_loopback() {
    let (signer, authority) = (Signer::new("k"), Authority::new());
    let port = Keys::good(&signer).serve(&authority).await;
    let verified = verify(&signer, port, &authority).await.unwrap();
    assert_eq!((&*verified.subject, verified.roles.len()), ("alice", 0));
}

#[tokio::test]
async fn answers_that_are_no_documents() {
    let host = || "localhost".to_owned();
    for status in [301, 302, 303, 307, 308] {
        let error = refusal(Keys { status, body: Vec::new() }).await;
        assert_eq!(error, FetchError::Redirect { host: host() }, "{status}");
    }
    for status in [201, 204, 400, 404, 500, 503] {
        let error = refusal(Keys { status, body: Vec::new() }).await;
        assert_eq!(error, FetchError::Status { host: host(), status });
    }
    let error = refusal(Keys { status: 200, body: vec![b' '; MAX_DOCUMENT + 1] }).await;
    assert_eq!(error, FetchError::TooLong { host: host() });
}

#[tokio::test]
async fn a_document_may_be_as_long_as_is_allowed() {
    let (signer, authority) = (Signer::new("k"), Authority::new());
    let mut keys = Keys::good(&signer);
    keys.body.resize(MAX_DOCUMENT, b' ');
    let port = keys.serve(&authority).await;
    assert!(verify(&signer, port, &authority).await.is_ok());
}

#[tokio::test]
async fn servers_that_are_not_the_issuer() {
    let (signer, authority) = (Signer::new("k"), Authority::new());
    let port = Keys::good(&signer).serve(&authority).await;
    let error = fetch_error(verify(&signer, port, &Authority::new()).await);
    let expected = EgressError::Certificate(CertificateFault::UnknownIssuer);
    assert_eq!(error, FetchError::Failed { host: "localhost".into(), error: expected });
    let error = fetch_error(verify(&signer, closed_port().await, &authority).await);
    let expected = EgressError::ConnectionRefused;
    assert_eq!(error, FetchError::Failed { host: "localhost".into(), error: expected });
}
