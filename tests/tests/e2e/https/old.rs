//! Versions of TLS.

use super::fetcher::{Fetch, Fetcher, at};
use cloister_tests::tls_servers::{Authority, Behavior, HandWrittenTls11, OpensslServer, Service, Versions};

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_1_is_not_spoken() {
    let authority = Authority::new();
    let server = OpensslServer::tls11(&authority.issue("localhost"));
    // A client that is old enough is served: it is the version that is refused below.
    assert_eq!(server.version_for_an_old_client(), "TLSv1.1");
    let by_hand = HandWrittenTls11::start();
    let urls = [at("localhost", server.address.port()), at("localhost", by_hand.address.port())];
    let fetcher = Fetcher::deploy("tls11", &urls).await;
    for url in &urls {
        let why = fetcher.fails(&Fetch::get(url).trusting(&[authority.der()])).await;
        assert!(why.contains("TLS"), "{url}: {why}");
    }
    let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap();
    assert!(
        logged.requests.iter().all(|request| request.tls.is_none() && request.peer.is_none()),
        "{logged:?}"
    );
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_no_tls_is_no_server() {
    let authority = Authority::new();
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = at("localhost", plain.local_addr().unwrap().port());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = plain.accept().await {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain").await;
        }
    });
    let fetcher = Fetcher::deploy("no-tls", std::slice::from_ref(&url)).await;
    fetcher.fails(&Fetch::get(&url).trusting(&[authority.der()])).await;
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_alone_is_good_enough_and_the_log_says_so() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for (versions, name) in
        [(Versions::Tls12, "TLSv1.2"), (Versions::Tls13, "TLSv1.3"), (Versions::All, "TLSv1.3")]
    {
        let service = Service { versions, behavior: Behavior::Either, ..Service::default() };
        let server = service.start(&identity).await;
        let url = at("localhost", server.port());
        let fetcher = Fetcher::deploy("tls12", std::slice::from_ref(&url)).await;
        assert_eq!(fetcher.get(&Fetch::get(&url).trusting(&[authority.der()])).await.status, 200);
        let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap();
        assert_eq!(logged.requests[0].tls.as_deref(), Some(name));
        fetcher.remove().await;
    }
}
