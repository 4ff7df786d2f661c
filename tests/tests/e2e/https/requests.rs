//! What is no request, and where requests may go.

use super::fetcher::{Fetch, Fetcher, at};
use cloister_tests::tls_servers::{Authority, Service, TlsServer};

async fn server() -> (Authority, TlsServer) {
    let authority = Authority::new();
    let server = Service::default().start(&authority.issue("localhost")).await;
    (authority, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_https_urls_are_fetched() {
    let (authority, server) = server().await;
    let port = server.port();
    let everywhere = ["https://*:*", "http://*:*", "tcp://*:*", "lookup://*"].map(str::to_owned);
    let fetcher = Fetcher::deploy("schemes", &everywhere).await;
    let urls = [
        String::new(),
        "localhost".to_owned(),
        format!("localhost:{port}"),
        format!("//localhost:{port}/"),
        format!("/localhost:{port}/"),
        format!("http://localhost:{port}/"),
        format!("HTTP://localhost:{port}/"),
        format!("ftp://localhost:{port}/"),
        format!("wss://localhost:{port}/"),
        format!("httpss://localhost:{port}/"),
        format!("https:localhost:{port}/"),
        format!("https:/localhost:{port}/"),
        "file:///etc/passwd".to_owned(),
        "data:text/plain,hello".to_owned(),
        "https://".to_owned(),
        "https:///path".to_owned(),
        format!("https://:{port}/"),
        "https://localhost:0/".to_owned(),
        "https://localhost:65536/".to_owned(),
        "https://localhost:port/".to_owned(),
        format!("https://user@localhost:{port}/"),
        format!("https://user:password@localhost:{port}/"),
        format!("https://localhost:{port}@127.0.0.1/"),
        format!("https://local host:{port}/"),
        format!("https://localhost:{port}\\@127.0.0.1/"),
        format!("https://localhost:{port}/a\\b"),
        format!("https://localhost:{port}/\r\nhost: other"),
        format!("https://localhost:{port}/\u{0}"),
        format!(" https://localhost:{port}/"),
        format!("https://[localhost]:{port}/"),
        format!("https://[::1:{port}/"),
        // What only looks like an address.
        format!("https://127.1:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://0x7f.1:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
    ];
    for url in urls {
        let why = fetcher.fails(&Fetch::get(&url).trusting(&[authority.der()])).await;
        println!("{url:?}: {why}");
        assert_eq!(server.received(), [], "{url:?}");
    }
    // The scheme and the host are spelled in either case, and what a path cannot have is encoded, as browsers do.
    let spelled = format!("HTTPS://LocalHost:{port}/a/../ä path?a query");
    assert_eq!(fetcher.get(&Fetch::get(spelled).trusting(&[authority.der()])).await.status, 200);
    assert_eq!(server.received()[0].target, "/%C3%A4%20path?a%20query");
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_has_eight_kibibytes() {
    let (authority, server) = server().await;
    let url = at("localhost", server.port());
    let fetcher = Fetcher::deploy("long-urls", std::slice::from_ref(&url)).await;
    let of_length = |length: usize| format!("{url}/{}", "x".repeat(length - url.len() - 1));
    let longest = fetcher.get(&Fetch::get(of_length(8 << 10)).trusting(&[authority.der()])).await;
    assert_eq!(longest.status, 200);
    assert_eq!(server.received()[0].target.len(), (8 << 10) - url.len());
    for length in [(8 << 10) + 1, 100_000] {
        fetcher.fails(&Fetch::get(of_length(length)).trusting(&[authority.der()])).await;
    }
    assert_eq!(server.received().len(), 1);
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_frame_a_message_are_not_the_guests() {
    let (authority, server) = server().await;
    let url = at("localhost", server.port());
    let fetcher = Fetcher::deploy("headers", std::slice::from_ref(&url)).await;
    let with = |name: &str, value: &str| Fetch::get(&url).header(name, value).trusting(&[authority.der()]);
    let forbidden = [
        ("host", "other.example"),
        ("Host", "other.example"),
        ("content-length", "100"),
        ("Content-Length", "0"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "websocket"),
        ("proxy-connection", "keep-alive"),
        ("expect", "100-continue"),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        (":authority", "other.example"),
        ("", "no name"),
        ("a b", "a space"),
        ("a:b", "a colon"),
        ("a\r\nb", "two lines"),
        ("x-lines", "one\r\ntwo: injected"),
        ("x-line", "one\ntwo"),
        ("x-zero", "a\u{0}b"),
    ];
    for (name, value) in forbidden {
        let why = fetcher.fails(&with(name, value)).await;
        println!("{name:?}: {value:?}: {why}");
    }
    assert_eq!(server.received(), []);
    // Twice the same name is two headers, in their order.
    let twice = with("x-list", "a").header("X-List", "b").header("x-empty", "");
    fetcher.get(&twice).await;
    let received = server.received();
    let values: Vec<&str> = received[0]
        .headers
        .iter()
        .filter(|(name, _)| name == "x-list")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(values, ["a", "b"]);
    assert_eq!(received[0].header("x-empty"), Some(""));
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_request_are_bounded() {
    let (authority, server) = server().await;
    let url = at("localhost", server.port());
    let fetcher = Fetcher::deploy("many-headers", std::slice::from_ref(&url)).await;
    let with = |count: usize, length: usize| {
        let headers = (0..count).map(|number| (format!("x-{number}"), "v".repeat(length))).collect();
        Fetch { headers, ..Fetch::get(&url).trusting(&[authority.der()]) }
    };
    fetcher.get(&with(100, 10)).await;
    fetcher.fails(&with(101, 10)).await;
    fetcher.get(&with(10, 6_000)).await;
    fetcher.fails(&with(10, 7_000)).await;
    fetcher.fails(&with(1, 70_000)).await;
    assert_eq!(server.received().len(), 2);
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_no_rule_names_are_refused_and_logged() {
    let (authority, server) = server().await;
    let port = server.port();
    let by_address = Service::default().start(&authority.issue("127.0.0.1")).await;
    let fetch = |url: String| Fetch::get(url).trusting(&[authority.der()]);
    let without = Fetcher::deploy("no-rules", &[]).await;
    without.fails(&fetch(at("localhost", port))).await;
    without.remove().await;

    let rules =
        [at("localhost", port), "https://*.example.com".to_owned(), format!("http://127.0.0.1:{port}")];
    let fetcher = Fetcher::deploy("rules", &rules).await;
    assert_eq!(fetcher.get(&fetch(at("localhost", port))).await.status, 200);
    let refused = [
        at("localhost", by_address.port()),
        at("127.0.0.1", port),
        at("127.0.0.1", by_address.port()),
        at("[::1]", port),
        at("localhost.example", port),
        "https://localhost/".to_owned(),
        "https://example.com/".to_owned(),
        "https://www.example.com:444/".to_owned(),
    ];
    for url in &refused {
        let why = fetcher.fails(&fetch(url.clone())).await;
        assert!(why.contains("rule"), "{url}: {why}");
    }
    assert_eq!((server.connections(), by_address.connections()), (1, 0));
    let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap().requests;
    assert_eq!(logged.len(), 1 + refused.len());
    for (request, url) in logged[1..].iter().zip(&refused) {
        assert!(request.status.is_none() && request.error.is_some(), "{url}: {request:?}");
        assert!(url.contains(&request.host), "{url}: {request:?}");
    }
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_not_there_are_errors() {
    let closed = crate::probe::free_port();
    let rules = [at("localhost", closed), "https://nobody.invalid".to_owned()];
    let fetcher = Fetcher::deploy("not-there", &rules).await;
    let closed = fetcher.fails(&Fetch::get(&rules[0])).await;
    let unknown = fetcher.fails(&Fetch::get(&rules[1])).await;
    assert_ne!(closed, unknown);
    fetcher.remove().await;
}
