//! How much a response may be, and how much a request.

use super::fetcher::{Fetch, Fetcher, at};
use cloister_tests::tls_servers::{Authority, Behavior, Service};

#[tokio::test(flavor = "multi_thread")]
async fn a_response_has_eight_mebibytes_of_body_and_a_hundred_headers() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for behavior in [Behavior::Http1, Behavior::Http2] {
        let server = Service::that(behavior).start(&identity).await;
        let url = at("localhost", server.port());
        let fetcher = Fetcher::deploy("bounds", std::slice::from_ref(&url)).await;
        let fetch = |path: String| Fetch::get(format!("{url}{path}")).trusting(&[authority.der()]);
        for length in [0, 1, 65_536, MOST] {
            assert_eq!(fetcher.length(&fetch(format!("/bytes/{length}"))).await, (200, length));
        }
        for length in [MOST + 1, 4 * MOST] {
            fetcher.fails(&fetch(format!("/bytes/{length}"))).await;
        }
        // HEAD says how long the body would be, and there is none.
        let head = fetch(format!("/bytes/{}", 4 * MOST)).method("head");
        assert_eq!(fetcher.length(&head).await, (200, 0));

        let many = fetcher.get(&fetch("/headers/90/100".to_owned())).await;
        assert_eq!(many.headers.iter().filter(|(name, _)| name == "x-filler").count(), 90);
        let long = fetcher.get(&fetch("/headers/10/6000".to_owned())).await;
        assert!(long.headers.iter().all(|(name, value)| name != "x-filler" || value.len() == 6_000));
        for too_much in ["/headers/20/6000", "/headers/150/10", "/headers/1/70000", "/headers/400/400"] {
            fetcher.fails(&fetch(too_much.to_owned())).await;
        }
        // None of it kept the next one from working.
        assert_eq!(fetcher.length(&fetch("/bytes/10".to_owned())).await, (200, 10));
        fetcher.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_carries_megabytes() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for behavior in [Behavior::Http1, Behavior::Http2] {
        let server = Service::that(behavior).start(&identity).await;
        let url = at("localhost", server.port());
        let fetcher = Fetcher::deploy("upload", std::slice::from_ref(&url)).await;
        let body: Vec<u8> = (0..3 << 20).map(|position: u32| (position % 251) as u8).collect();
        let answer = fetcher.length(&Fetch::post(&url, body.clone()).trusting(&[authority.der()])).await;
        assert_eq!(answer, (200, body.len() as u64));
        assert!(server.received()[0].body == body, "{behavior:?}");
        assert_eq!(server.received().len(), 1);
        fetcher.remove().await;
    }
}

/// What `wit/https.wit` says.
const MOST: u64 = 8 << 20;
