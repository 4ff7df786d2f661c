//! Servers that prove who they are and then do not do what they should.

use super::fetcher::{Fetch, Fetcher, at};
use crate::platform::settings;
use cloister_api::{DeploySettings, Limits};
use cloister_tests::shared;
use cloister_tests::tls_servers::{Authority, Behavior, Misbehavior, Service};
use std::time::{Duration, Instant};

/// Ways to break off, of which none is a response.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_without_its_end_is_none() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for how in [
        Misbehavior::ShortBody,
        Misbehavior::NoLastChunk,
        Misbehavior::CutOff,
        Misbehavior::HalfAHead,
        Misbehavior::NoAnswer,
        Misbehavior::Garbage,
    ] {
        let server = Service::that(Behavior::Misbehaves(how)).start(&identity).await;
        let url = at("localhost", server.port());
        let fetcher = Fetcher::deploy("without-end", std::slice::from_ref(&url)).await;
        let began = Instant::now();
        let why = fetcher.fails(&Fetch::get(&url).trusting(&[authority.der()])).await;
        println!("{how:?}: {why}");
        // A fetch has 60 seconds: it did not wait for them.
        assert!(began.elapsed() < Duration::from_secs(55), "{how:?}");
        assert_eq!(server.sessions(), 1, "{how:?}");
        let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap();
        assert!(logged.requests[0].error.is_some(), "{how:?}: {logged:?}");
        fetcher.remove().await;
    }
}

/// What does not end by itself is ended by a bound, after few bytes.
#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bodies_without_end_are_cut_off() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for (how, most) in [
        (Misbehavior::EndlessHeaders, 16 << 20),
        (Misbehavior::EndlessHeader, 16 << 20),
        (Misbehavior::Gigabyte, 64 << 20),
        (Misbehavior::GigabyteInChunks, 64 << 20),
    ] {
        let server = Service::that(Behavior::Misbehaves(how)).start(&identity).await;
        let url = at("localhost", server.port());
        let fetcher = Fetcher::deploy("endless", std::slice::from_ref(&url)).await;
        let began = Instant::now();
        let why = fetcher.fails(&Fetch::get(&url).trusting(&[authority.der()])).await;
        // Until the server noticed.
        tokio::time::sleep(Duration::from_millis(200)).await;
        println!("{how:?}: {why}; {} KiB, {:?}", server.bytes_written() >> 10, began.elapsed());
        assert!(server.bytes_written() < most, "{how:?}: {} bytes", server.bytes_written());
        fetcher.remove().await;
    }
}

/// What costs nobody anything but the time that a fetch has.
#[tokio::test(flavor = "multi_thread")]
async fn endless_interim_responses_are_no_response() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let server = Service::that(Behavior::Misbehaves(Misbehavior::EndlessInformation)).start(&identity).await;
    let url = at("localhost", server.port());
    let fetcher = Fetcher::deploy("interim", std::slice::from_ref(&url)).await;
    let began = Instant::now();
    let why = fetcher.fails(&Fetch::get(&url).trusting(&[authority.der()])).await;
    println!("{why}; {} KiB, {:?}", server.bytes_written() >> 10, began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(115));
    fetcher.remove().await;
}

/// A fetch has 60 seconds, however often something comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_drip_is_not_waited_for() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let mut drips = Vec::new();
    for how in [Misbehavior::SlowHead, Misbehavior::SlowBody, Misbehavior::Silence] {
        let server = Service::that(Behavior::Misbehaves(how)).start(&identity).await;
        let fetch = Fetch::get(at("localhost", server.port())).trusting(&[authority.der()]);
        let test = format!("drip-{how:?}").to_lowercase();
        let limits = Limits { wall_time_ms: 180_000, ..settings().limits };
        let settings = DeploySettings { limits, ..settings() };
        let rules = [at("localhost", server.port())];
        let fetcher = Fetcher::deploy_with(shared(), &test, &rules, settings).await;
        drips.push(tokio::spawn(async move {
            let began = Instant::now();
            let why = fetcher.fails(&fetch).await;
            let took = began.elapsed();
            fetcher.remove().await;
            (how, why, took)
        }));
    }
    // Others are served meanwhile.
    for _ in 0..10 {
        shared().caller().await.health().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for drip in drips {
        let (how, why, took) = drip.await.unwrap();
        println!("{how:?}: {why} after {took:?}");
        assert!(took > Duration::from_secs(10) && took < Duration::from_secs(170), "{how:?}: {took:?}");
    }
}
