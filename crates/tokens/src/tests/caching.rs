//! When keys are fetched, and how long they are used.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::sync::Semaphore;

use super::signer::{
    DISCOVERY, ISSUER, KEYS, NOW, Signer, at, claims, claims_with, issuer_with, key_set, now, settings,
};
use crate::{Documents, FETCH_TIMEOUT, FetchError, FixedDocuments, Issuers, KeysError, TokenError};

/// Claims that stay good for years.
fn lasting() -> serde_json::Value {
    claims_with("exp", json!(NOW + 1_000_000_000))
}

fn keys_error(error: TokenError) -> KeysError {
    match error {
        TokenError::Keys { issuer, error } if issuer == "clinic" => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_again_after_ten_minutes() {
    let signer = Signer::new("k");
    let (documents, issuers) = issuer_with(&[&signer]);
    assert!(documents.asked().is_empty());
    let token = signer.token(&lasting());
    for seconds in [0, 1, 599] {
        issuers.verify(&token, at(NOW + seconds)).await.unwrap();
        assert_eq!(documents.asked(), [DISCOVERY, KEYS], "{seconds}");
    }
    issuers.verify(&token, at(NOW + 600)).await.unwrap();
    assert_eq!(documents.asked(), [DISCOVERY, KEYS, DISCOVERY, KEYS]);
}

#[tokio::test]
async fn tokens_of_nobody_fetch_nothing() {
    let signer = Signer::new("k");
    let (documents, issuers) = issuer_with(&[&signer]);
    for token in ["a.b.c".to_owned(), signer.token(&claims_with("iss", json!("https://evil.example")))] {
        issuers.verify(&token, now()).await.unwrap_err();
    }
    assert!(documents.asked().is_empty());
}

#[tokio::test]
async fn a_key_set_that_is_given_needs_no_discovery() {
    let signer = Signer::new("k");
    let documents = FixedDocuments::new();
    documents.set("https://given.example/keys", key_set(&[&signer]));
    let settings =
        cloister_api::TokenIssuer { jwks: Some("https://given.example/keys".into()), ..settings() };
    let issuers = Issuers::with_documents(&[settings], Arc::new(documents.clone())).unwrap();
    issuers.verify(&signer.token(&claims()), now()).await.unwrap();
    assert_eq!(documents.asked(), ["https://given.example/keys"]);
}

#[tokio::test]
async fn old_keys_are_used_for_a_day_where_the_issuer_cannot_be_reached() {
    const DAY: u64 = 24 * 60 * 60;
    let signer = Signer::new("k");
    let (documents, issuers) = issuer_with(&[&signer]);
    let token = signer.token(&lasting());
    issuers.verify(&token, now()).await.unwrap();
    documents.remove(KEYS);
    for seconds in [600, DAY / 2, DAY - 1] {
        issuers.verify(&token, at(NOW + seconds)).await.unwrap();
    }
    assert_eq!(documents.asked().len(), 2 + 3 * 2);
    let error = keys_error(issuers.verify(&token, at(NOW + DAY + 20)).await.unwrap_err());
    assert!(matches!(error, KeysError::Fetch(FetchError::Status { status: 404, .. })), "{error}");
    documents.set(KEYS, key_set(&[&signer]));
    issuers.verify(&token, at(NOW + DAY + 40)).await.unwrap();
}

#[tokio::test]
async fn what_is_no_key_set_does_not_take_the_place_of_one() {
    let signer = Signer::new("k");
    let (documents, issuers) = issuer_with(&[&signer]);
    let token = signer.token(&lasting());
    issuers.verify(&token, now()).await.unwrap();
    documents.set(KEYS, "<html>maintenance</html>");
    issuers.verify(&token, at(NOW + 600)).await.unwrap();
}

#[tokio::test]
async fn an_issuer_can_take_its_keys_back() {
    let signer = Signer::new("k");
    let (documents, issuers) = issuer_with(&[&signer]);
    let token = signer.token(&lasting());
    issuers.verify(&token, now()).await.unwrap();
    documents.set(KEYS, key_set(&[]));
    issuers.verify(&token, at(NOW + 599)).await.unwrap();
    let error = issuers.verify(&token, at(NOW + 600)).await.unwrap_err();
    assert_eq!(error, TokenError::UnknownKey { issuer: "clinic".into() });
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_seen_and_strangers_make_few_fetches() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let (documents, issuers) = issuer_with(&[&old]);
    issuers.verify(&old.token(&claims()), now()).await.unwrap();
    documents.set(KEYS, key_set(&[&new]));
    issuers.verify(&new.token(&claims()), at(NOW + 1)).await.unwrap();
    assert_eq!(documents.asked().len(), 4);
    // The old one is not accepted any more, and is not asked for again soon.
    let unknown = TokenError::UnknownKey { issuer: "clinic".into() };
    for seconds in 1..=10 {
        let refused = issuers.verify(&old.token(&claims()), at(NOW + seconds)).await;
        assert_eq!(refused.unwrap_err(), unknown);
        assert_eq!(documents.asked().len(), 4, "{seconds}");
    }
    assert_eq!(issuers.verify(&old.token(&claims()), at(NOW + 11)).await.unwrap_err(), unknown);
    assert_eq!(documents.asked().len(), 6);
    // Meanwhile the new one always is.
    issuers.verify(&new.token(&claims()), at(NOW + 11)).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_failed_is_left_alone_for_ten_seconds() {
    let signer = Signer::new("k");
    let (documents, issuers) = issuer_with(&[&signer]);
    documents.remove(DISCOVERY);
    let token = signer.token(&claims());
    let failed = keys_error(issuers.verify(&token, now()).await.unwrap_err());
    assert!(matches!(failed, KeysError::Fetch(_)), "{failed}");
    documents.set(DISCOVERY, json!({"issuer": ISSUER, "jwks_uri": KEYS}).to_string());
    let failed = keys_error(issuers.verify(&token, at(NOW + 9)).await.unwrap_err());
    assert_eq!(failed, KeysError::FailedBefore);
    assert_eq!(documents.asked(), [DISCOVERY]);
    issuers.verify(&token, at(NOW + 10)).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_was_put_back_makes_keys_no_younger() {
    let signer = Signer::new("k");
    let (documents, issuers) = issuer_with(&[&signer]);
    let token = signer.token(&lasting());
    issuers.verify(&token, now()).await.unwrap();
    // Requests overtake each other.
    issuers.verify(&token, at(NOW - 60)).await.unwrap();
    assert_eq!(documents.asked().len(), 2);
    issuers.verify(&token, at(NOW - 61)).await.unwrap();
    assert_eq!(documents.asked().len(), 4);
    documents.remove(KEYS);
    let error = keys_error(issuers.verify(&token, at(NOW - 1000)).await.unwrap_err());
    assert!(matches!(error, KeysError::Fetch(_)), "{error}");
}

#[tokio::test]
async fn descriptions_that_are_refused() {
    let signer = Signer::new("k");
    for (description, expected) in [
        ("", KeysError::Discovery),
        ("[]", KeysError::Discovery),
        (r#"{"issuer":"https://login.example/clinic","issuer":"a"}"#, KeysError::Discovery),
        (r#"{"jwks_uri":"https://keys.example/clinic"}"#, KeysError::OtherIssuer),
        (
            r#"{"issuer":"https://login.example/clinic/","jwks_uri":"https://keys.example/clinic"}"#,
            KeysError::OtherIssuer,
        ),
        (
            r#"{"issuer":"https://evil.example","jwks_uri":"https://keys.example/clinic"}"#,
            KeysError::OtherIssuer,
        ),
        (r#"{"issuer":"https://login.example/clinic"}"#, KeysError::NoKeySet),
        (r#"{"issuer":"https://login.example/clinic","jwks_uri":1}"#, KeysError::NoKeySet),
        (
            r#"{"issuer":"https://login.example/clinic","jwks_uri":"http://keys.example/clinic"}"#,
            KeysError::NoKeySet,
        ),
        (
            r#"{"issuer":"https://login.example/clinic","jwks_uri":"https://u:p@keys.example/"}"#,
            KeysError::NoKeySet,
        ),
    ] {
        let (documents, issuers) = issuer_with(&[&signer]);
        documents.set(DISCOVERY, description);
        let error = keys_error(issuers.verify(&signer.token(&claims()), now()).await.unwrap_err());
        assert_eq!(error, expected, "{description}");
        assert_eq!(documents.asked(), [DISCOVERY]);
    }
}

/// Documents of which each waits for a permit.
struct Gated {
    documents: FixedDocuments,
    gate: Semaphore,
    waiting: AtomicUsize,
}

impl Gated {
    fn before(documents: FixedDocuments) -> (Arc<Self>, Issuers) {
        let gated = Arc::new(Self { documents, gate: Semaphore::new(0), waiting: AtomicUsize::new(0) });
        let issuers = Issuers::with_documents(&[settings()], Arc::clone(&gated) as _).unwrap();
        (gated, issuers)
    }

    async fn somebody_waits(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }
}

impl Documents for Gated {
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>> {
        Box::pin(async move {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.unwrap().forget();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            self.documents.get(url).await
        })
    }
}

#[tokio::test]
async fn one_fetch_is_under_way_at_once() {
    let signer = Signer::new("k");
    let (documents, _) = issuer_with(&[&signer]);
    let (gated, issuers) = Gated::before(documents.clone());
    let issuers = Arc::new(issuers);
    let token = signer.token(&claims());
    let verifying: Vec<_> = (0..10)
        .map(|_| {
            let (issuers, token) = (Arc::clone(&issuers), token.clone());
            tokio::spawn(async move { issuers.verify(&token, now()).await })
        })
        .collect();
    gated.somebody_waits().await;
    gated.gate.add_permits(100);
    for verified in verifying {
        verified.await.unwrap().unwrap();
    }
    assert_eq!(documents.asked(), [DISCOVERY, KEYS]);
}

#[tokio::test]
async fn nobody_waits_for_keys_that_are_only_to_be_newer_but_who_fetches_them() {
    let signer = Signer::new("k");
    let (documents, _) = issuer_with(&[&signer]);
    let (gated, issuers) = Gated::before(documents);
    gated.gate.add_permits(2);
    let issuers = Arc::new(issuers);
    let token = signer.token(&lasting());
    issuers.verify(&token, now()).await.unwrap();
    let first = {
        let (issuers, token) = (Arc::clone(&issuers), token.clone());
        tokio::spawn(async move { issuers.verify(&token, at(NOW + 700)).await })
    };
    gated.somebody_waits().await;
    issuers.verify(&token, at(NOW + 700)).await.unwrap();
    assert!(!first.is_finished());
    gated.gate.add_permits(2);
    first.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_fetch_goes_on_where_whoever_began_it_leaves() {
    let signer = Signer::new("k");
    let (documents, _) = issuer_with(&[&signer]);
    let (gated, issuers) = Gated::before(documents.clone());
    let token = signer.token(&claims());
    tokio::select! {
        biased;
        _ = issuers.verify(&token, now()) => panic!("the gate is closed"),
        () = gated.somebody_waits() => {}
    }
    gated.gate.add_permits(2);
    issuers.verify(&token, now()).await.unwrap();
    assert_eq!(documents.asked(), [DISCOVERY, KEYS]);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_answers_is_given_up() {
    let signer = Signer::new("k");
    let (_gated, issuers) = Gated::before(FixedDocuments::new());
    let began = tokio::time::Instant::now();
    let error = keys_error(issuers.verify(&signer.token(&claims()), now()).await.unwrap_err());
    assert_eq!((error, began.elapsed().as_secs()), (KeysError::Timeout, FETCH_TIMEOUT.as_secs()));
}
