//! Servers with nothing wrong.

use super::fetcher::{Fetch, Fetcher, at};
use cloister_tests::tls_servers::{Authority, Behavior, Service, Versions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_over_both_versions_of_tls() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let mut servers = Vec::new();
    for versions in [Versions::Tls12, Versions::Tls13] {
        for behavior in [Behavior::Http1, Behavior::Http2, Behavior::Either] {
            let service = Service { versions, behavior, ..Service::default() };
            servers.push((versions, service.start(&identity).await));
        }
    }
    let rules: Vec<String> = servers.iter().map(|(_, server)| at("localhost", server.port())).collect();
    let fetcher = Fetcher::deploy("good", &rules).await;
    for (versions, server) in &servers {
        let url = format!("{}/a/path?a=query&b=%20#a-fragment", at("localhost", server.port()));
        let fetch = Fetch::post(url, "a body")
            .header("X-Of-The-Guest", "a value")
            .header("accept", "text/*")
            .trusting(&[authority.der()]);
        let answer = fetcher.get(&fetch).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "a body"));
        assert_eq!(answer.header("x-method"), Some("POST"));
        assert!(answer.headers.iter().all(|(name, _)| *name == name.to_lowercase()), "{:?}", answer.headers);

        let [received] = &server.received()[..] else { panic!("{:?}", server.received()) };
        assert_eq!(received.method, "POST");
        // What is for the reader alone is not sent.
        assert_eq!(received.target, "/a/path?a=query&b=%20");
        assert_eq!(received.authority, format!("localhost:{}", server.port()));
        assert_eq!(received.header("x-of-the-guest"), Some("a value"));
        assert_eq!(received.header("accept"), Some("text/*"));
        assert_eq!(received.body, b"a body");
        assert_eq!(received.server_name.as_deref(), Some("localhost"), "{versions:?}");
    }
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_reached_by_name_and_by_address_of_either_family() {
    let authority = Authority::new();
    let mut cases: Vec<(&str, &str, IpAddr)> = vec![
        ("localhost", "localhost", Ipv4Addr::LOCALHOST.into()),
        ("127.0.0.1", "127.0.0.1", Ipv4Addr::LOCALHOST.into()),
        ("127.0.0.2", "127.0.0.2", Ipv4Addr::new(127, 0, 0, 2).into()),
    ];
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        cases.push(("[::1]", "::1", Ipv6Addr::LOCALHOST.into()));
    } else {
        println!("this machine has no IPv6");
    }
    for (host, name, at_address) in cases {
        let service = Service { at: at_address, ..Service::default() };
        let server = service.start(&authority.issue(name)).await;
        let fetcher = Fetcher::deploy("reached", &[at(host, server.port())]).await;
        let fetch = Fetch::get(at(host, server.port())).trusting(&[authority.der()]);
        assert_eq!(fetcher.get(&fetch).await.status, 200, "{host}");
        let [received] = &server.received()[..] else { panic!("{host}: {:?}", server.received()) };
        assert_eq!(received.target, "/");
        assert_eq!(received.authority, format!("{host}:{}", server.port()));
        // RFC 6066, section 3: an address is no server name.
        let expected = (host == "localhost").then_some("localhost");
        assert_eq!(received.server_name.as_deref(), expected, "{host}");
        fetcher.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_arrives_with_its_body() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for behavior in [Behavior::Http1, Behavior::Http2] {
        let server = Service::that(behavior).start(&identity).await;
        let fetcher = Fetcher::deploy("methods", &[at("localhost", server.port())]).await;
        for method in ["get", "post", "put", "delete", "patch", "head", "options"] {
            let mut fetch =
                Fetch::get(at("localhost", server.port())).method(method).trusting(&[authority.der()]);
            let sends_body = ["post", "put", "patch"].contains(&method);
            fetch.body = sends_body.then(|| method.as_bytes().to_vec());
            let answer = fetcher.get(&fetch).await;
            assert_eq!(answer.header("x-method"), Some(&*method.to_uppercase()));
            assert_eq!(answer.text(), if sends_body { method } else { "" });
        }
        let received: Vec<String> = server.received().into_iter().map(|request| request.method).collect();
        assert_eq!(received, ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]);
        fetcher.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_answers_and_no_errors() {
    let authority = Authority::new();
    let server = Service::default().start(&authority.issue("localhost")).await;
    let fetcher = Fetcher::deploy("statuses", &[at("localhost", server.port())]).await;
    for status in [200, 201, 204, 304, 400, 401, 404, 418, 429, 500, 503] {
        let url = format!("{}/status/{status}", at("localhost", server.port()));
        let answer = fetcher.get(&Fetch::get(url).trusting(&[authority.der()])).await;
        assert_eq!(answer.status, status);
    }
    fetcher.remove().await;
}
