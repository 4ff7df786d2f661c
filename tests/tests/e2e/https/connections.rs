//! Connections are kept for later requests of the same app that ask for the same.

use super::fetcher::{Fetch, Fetcher, at};
use cloister_tests::tls_servers::{Authority, Behavior, Misbehavior, Service};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests_of_many_calls() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for behavior in [Behavior::Http1, Behavior::Http2] {
        let server = Service::that(behavior).start(&identity).await;
        let url = at("localhost", server.port());
        let fetcher = Fetcher::deploy("kept", std::slice::from_ref(&url)).await;
        let fetch = Fetch::get(&url).trusting(&[authority.der()]);
        assert_eq!(fetcher.again(&fetch, 20).await, [200; 20]);
        for _ in 0..5 {
            fetcher.get(&fetch).await;
        }
        assert_eq!((server.connections(), server.sessions()), (1, 1), "{behavior:?}");
        assert_eq!(server.received().len(), 25);

        // Bodies, errors and large answers leave it in order.
        fetcher.get(&Fetch::post(&url, vec![7; 100_000]).trusting(&[authority.der()])).await;
        fetcher.get(&Fetch::get(format!("{url}/status/500")).trusting(&[authority.der()])).await;
        let large = Fetch::get(format!("{url}/bytes/1000000")).trusting(&[authority.der()]);
        assert_eq!(fetcher.length(&large).await, (200, 1_000_000));
        fetcher.get(&fetch).await;
        assert_eq!(server.sessions(), 1, "{behavior:?}");

        // Another app has its own.
        let other = Fetcher::deploy("kept-other", std::slice::from_ref(&url)).await;
        other.get(&fetch).await;
        assert_eq!(server.sessions(), 2, "{behavior:?}");
        other.remove().await;
        fetcher.remove().await;
    }
}

/// A connection that one request trusted is not trusted by another that would not.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_is_for_the_same_trust() {
    let (authority, other) = (Authority::new(), Authority::new());
    let identity = authority.issue("localhost");
    for behavior in [Behavior::Http1, Behavior::Http2] {
        let server = Service::that(behavior).start(&identity).await;
        let url = at("localhost", server.port());
        let fetcher = Fetcher::deploy("kept-trust", std::slice::from_ref(&url)).await;
        let trusting = Fetch::get(&url).trusting(&[authority.der()]);
        fetcher.get(&trusting).await;
        fetcher.fails(&Fetch::get(&url)).await;
        fetcher.fails(&Fetch::get(&url).trusting(&[])).await;
        fetcher.fails(&Fetch::get(&url).trusting(&[other.der()])).await;
        fetcher.get(&trusting).await;
        // More roots are other roots.
        fetcher.get(&Fetch::get(&url).trusting(&[authority.der(), other.der()])).await;
        assert_eq!(server.received().len(), 3, "{behavior:?}");
        fetcher.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_do_not_wait_for_one_connection() {
    let authority = Authority::new();
    let server = Service::default().start(&authority.issue("localhost")).await;
    let url = at("localhost", server.port());
    let fetcher = std::sync::Arc::new(Fetcher::deploy("at-once", std::slice::from_ref(&url)).await);
    let fetch = Fetch::get(&url).trusting(&[authority.der()]);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (fetcher, fetch) = (std::sync::Arc::clone(&fetcher), fetch.clone());
            tokio::spawn(async move { fetcher.again(&fetch, 10).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), [200; 10]);
    }
    let received = server.received();
    assert_eq!(received.len(), 80);
    let sessions: BTreeSet<u64> = received.iter().map(|request| request.session).collect();
    println!("80 requests over {} connections", sessions.len());
    assert!(sessions.len() <= 16, "connections are not kept: {}", sessions.len());
    fetcher.remove().await;
}

/// What a server does to one connection is not the next request's trouble.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_closes_after_each_answer_is_connected_to_again() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let broken = Service::that(Behavior::Misbehaves(Misbehavior::ShortBody)).start(&identity).await;
    let good = Service::default().start(&identity).await;
    let urls = [at("localhost", broken.port()), at("localhost", good.port())];
    let fetcher = Fetcher::deploy("closing", &urls).await;
    for _ in 0..3 {
        fetcher.fails(&Fetch::get(&urls[0]).trusting(&[authority.der()])).await;
        fetcher.get(&Fetch::get(&urls[1]).trusting(&[authority.der()])).await;
    }
    assert_eq!(broken.sessions(), 3);
    assert_eq!(good.sessions(), 1);
    fetcher.remove().await;
}
