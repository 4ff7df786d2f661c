//! What the owner reads of an app's requests, and nobody of their contents.

use super::fetcher::{Fetch, Fetcher, at};
use cloister_client::Identity;
use cloister_tests::tls_servers::{Authority, Behavior, Service, Versions};
use cloister_tests::{Setup, code_hash, shared};
use std::time::SystemTime;

#[tokio::test(flavor = "multi_thread")]
async fn each_request_is_logged_with_what_happened() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let service = Service { versions: Versions::Tls12, behavior: Behavior::Http1, ..Service::default() };
    let old = service.start(&identity).await;
    let new = Service::that(Behavior::Http2).start(&identity).await;
    let stranger = Service::default().start(&Authority::new().issue("localhost")).await;
    let urls = [&old, &new, &stranger].map(|server| at("localhost", server.port()));
    let fetcher = Fetcher::deploy("egress", &urls).await;
    let began = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let trusting = |fetch: Fetch| fetch.trusting(&[authority.der()]);
    fetcher.get(&trusting(Fetch::post(&urls[0], vec![7; 1234]))).await;
    fetcher.length(&trusting(Fetch::get(format!("{}/bytes/100000", urls[1])))).await;
    fetcher.get(&trusting(Fetch::get(format!("{}/status/404", urls[1])))).await;
    fetcher.get(&trusting(Fetch::get(format!("{}/chain/1", urls[1])))).await;
    fetcher.fails(&trusting(Fetch::get(&urls[2]))).await;
    fetcher.fails(&trusting(Fetch::get(at("denied.example", 443)))).await;

    let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap();
    assert_eq!(logged.dropped, 0);
    let ended = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    for request in &logged.requests {
        assert!((began..=ended).contains(&request.time_ms), "{request:?}");
        assert!(request.duration_us < 60_000_000, "{request:?}");
        assert_eq!(request.scheme, "https");
    }
    let seen: Vec<_> = logged
        .requests
        .iter()
        .map(|request| {
            let tls = request.tls.as_deref().unwrap_or("none");
            (
                &*request.method,
                &*request.host,
                request.port,
                request.status,
                request.bytes_sent,
                request.bytes_received,
                tls,
            )
        })
        .collect();
    let (old, new, stranger) = (old.port(), new.port(), stranger.port());
    assert_eq!(
        seen[..5],
        [
            ("POST", "localhost", old, Some(200), 1234, 1234, "TLSv1.2"),
            ("GET", "localhost", new, Some(200), 0, 100_000, "TLSv1.3"),
            ("GET", "localhost", new, Some(404), 0, 0, "TLSv1.3"),
            // Each step of a redirect.
            ("GET", "localhost", new, Some(302), 0, seen[3].5, "TLSv1.3"),
            ("GET", "localhost", new, Some(200), 0, "the end".len() as u64, "TLSv1.3"),
        ]
    );
    let peer = hex::encode(code_hash(identity.der()));
    for request in &logged.requests[..5] {
        assert_eq!(request.peer.as_deref(), Some(&*peer), "{request:?}");
        assert!(request.duration_us > 0 && request.error.is_none(), "{request:?}");
    }
    let [refused, denied] = &logged.requests[5..] else { panic!("{logged:?}") };
    assert_eq!((&*refused.host, refused.port, refused.status), ("localhost", stranger, None));
    assert!(refused.error.as_deref().unwrap().contains("certificate"), "{refused:?}");
    assert_eq!((&*denied.host, denied.port, denied.status), ("denied.example", 443, None));
    assert!(denied.error.is_some() && denied.tls.is_none() && denied.peer.is_none(), "{denied:?}");

    // It is the owner's, and nobody else's.
    let other = fetcher.app.seen_by(shared(), &Identity::generate().unwrap()).await;
    assert!(other.session.egress(&other.name).await.is_err());
    let anonymous = fetcher.app.anonymously(shared()).await;
    assert!(anonymous.session.egress(&anonymous.name).await.is_err());
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_log_nor_the_host_has_paths_headers_or_bodies() {
    let authority = Authority::new();
    let server = Service::default().start(&authority.issue("localhost")).await;
    let url = at("localhost", server.port());
    let enclave = Setup::new().start();
    let settings = crate::platform::settings();
    let fetcher = Fetcher::deploy_with(&enclave, "planted", std::slice::from_ref(&url), settings).await;
    let fetch = |path: &str| {
        Fetch::post(format!("{url}{path}"), "PlantedBody")
            .header("x-planted-header", "PlantedValue")
            .trusting(&[authority.der()])
    };
    assert_eq!(fetcher.get(&fetch("/PlantedPath?PlantedQuery#PlantedFragment")).await.text(), "PlantedBody");
    // Where something goes wrong, too.
    fetcher.fails(&fetch("/bytes/100000000?PlantedQuery")).await;
    fetcher.fails(&fetch("/redirect/302?https://denied.example/PlantedPath")).await;
    fetcher.fails(&Fetch::get("https://PlantedUser:PlantedPassword@localhost/")).await;
    fetcher.fails(&Fetch { url: "PlantedUrl".to_owned(), ..fetch("/") }).await;
    let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap();
    assert!(logged.requests.len() >= 3);
    drop(fetcher);
    let logged = serde_json::to_string(&logged).unwrap().to_lowercase();
    assert!(!logged.contains("planted"), "{logged}");
    let setup = {
        let log = enclave.log().concat();
        assert!(!log.to_lowercase().contains("planted"), "{log}");
        enclave.stop_and_keep()
    };
    let disk = std::fs::read(setup.state().join("volume")).unwrap();
    let found = disk.windows(7).any(|window| window.eq_ignore_ascii_case(b"planted"));
    assert!(!found, "it is on the host's disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_bounded() {
    let authority = Authority::new();
    let server = Service::default().start(&authority.issue("localhost")).await;
    let url = at("localhost", server.port());
    let fetcher = Fetcher::deploy("long-log", std::slice::from_ref(&url)).await;
    let fetch = Fetch::get(&url).trusting(&[authority.der()]);
    for _ in 0..11 {
        fetcher.again(&fetch, 100).await;
    }
    fetcher.get(&Fetch::get(format!("{url}/status/418")).trusting(&[authority.der()])).await;
    let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap();
    assert_eq!((logged.dropped, logged.requests.len()), (101, 1000));
    assert_eq!(logged.requests.last().unwrap().status, Some(418));
    fetcher.remove().await;
}
