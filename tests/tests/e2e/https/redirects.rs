//! Redirects: to https only, and where the rules allow.

use super::fetcher::{Fetch, Fetcher, at};
use cloister_tests::tls_servers::{Authority, Behavior, Service, TlsServer};

/// Two servers, of which an app may fetch from the first, and perhaps from the second.
struct Places {
    authority: Authority,
    first: TlsServer,
    second: TlsServer,
}

impl Places {
    async fn start() -> Self {
        let authority = Authority::new();
        let first = Service::default().start(&authority.issue("localhost")).await;
        let second = Service::default().start(&authority.issue("127.0.0.1")).await;
        Self { authority, first, second }
    }

    fn first(&self) -> String {
        at("localhost", self.first.port())
    }

    fn second(&self) -> String {
        at("127.0.0.1", self.second.port())
    }

    fn fetch(&self, path: &str) -> Fetch {
        Fetch::get(format!("{}{path}", self.first())).trusting(&[self.authority.der()])
    }

    /// A redirect to this URL.
    fn to(&self, code: u16, url: &str) -> Fetch {
        self.fetch(&format!("/redirect/{code}?{url}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_redirects_are_followed_and_no_more() {
    let places = Places::start().await;
    let fetcher = Fetcher::deploy("chains", &[places.first()]).await;
    for length in [1, 10] {
        let answer = fetcher.get(&places.fetch(&format!("/chain/{length}"))).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "the end"), "{length}");
    }
    let before = places.first.received().len();
    // All over one connection.
    assert_eq!((before, places.first.sessions()), (2 + 11, 1));
    fetcher.fails(&places.fetch("/chain/11")).await;
    fetcher.fails(&places.fetch("/loop")).await;
    assert!(places.first.received().len() <= before + 2 * 11, "{}", places.first.received().len());
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_lead_nowhere_but_to_https() {
    let places = Places::start().await;
    let rules = [
        places.first(),
        places.second(),
        format!("http://127.0.0.1:{}", places.second.port()),
        format!("http://localhost:{}", places.first.port()),
    ];
    let fetcher = Fetcher::deploy("to-http", &rules).await;
    for location in [
        format!("http://127.0.0.1:{}/", places.second.port()),
        format!("http://localhost:{}/", places.first.port()),
        format!("HTTP://localhost:{}/", places.first.port()),
        "ftp://localhost/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "https://".to_owned(),
        "https://localhost:99999/".to_owned(),
    ] {
        for code in [301, 302, 303, 307, 308] {
            fetcher.fails(&places.to(code, &location)).await;
        }
    }
    assert_eq!(places.second.connections(), 0);
    fetcher.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_lead_nowhere_that_no_rule_allows() {
    let places = Places::start().await;
    let fetcher = Fetcher::deploy("to-denied", &[places.first()]).await;
    let elsewhere = format!("{}/", places.second());
    for code in [301, 302, 303, 307, 308] {
        let why = fetcher.fails(&places.to(code, &elsewhere)).await;
        assert!(why.contains("rule"), "{code}: {why}");
    }
    assert_eq!(places.second.connections(), 0);
    let logged = fetcher.app.session.egress(&fetcher.app.name).await.unwrap().requests;
    let to_second: Vec<_> = logged.iter().filter(|request| request.host == "127.0.0.1").collect();
    assert_eq!(to_second.len(), 5, "{logged:?}");
    assert!(to_second.iter().all(|request| request.error.is_some() && request.port == places.second.port()));
    fetcher.remove().await;

    let fetcher = Fetcher::deploy("to-allowed", &[places.first(), places.second()]).await;
    assert_eq!(fetcher.get(&places.to(302, &elsewhere)).await.status, 200);
    assert_eq!(places.second.received()[0].authority, format!("127.0.0.1:{}", places.second.port()));
    fetcher.remove().await;
}

/// What was trusted for the first server is what is trusted for the next.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_proves_itself_under_the_same_roots() {
    let places = Places::start().await;
    let stranger = Authority::new();
    let misnamed = places.authority.issue("other.example");
    let unknown = stranger.issue("localhost");
    for identity in [misnamed, unknown] {
        let next = Service::default().start(&identity).await;
        let url = at("localhost", next.port());
        let fetcher = Fetcher::deploy("next-server", &[places.first(), url.clone()]).await;
        fetcher.fails(&places.to(302, &url)).await;
        assert_eq!(next.received(), []);
        fetcher.remove().await;
    }
}

/// RFC 9110, sections 15.4.2 to 15.4.9, and the Fetch standard, where it leaves the choice.
#[tokio::test(flavor = "multi_thread")]
async fn methods_and_bodies_are_those_that_the_status_says() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    for behavior in [Behavior::Http1, Behavior::Http2] {
        let server = Service::that(behavior).start(&identity).await;
        let url = at("localhost", server.port());
        let fetcher = Fetcher::deploy("redirect-methods", std::slice::from_ref(&url)).await;
        let cases = [
            (301, "post", "GET"),
            (302, "post", "GET"),
            (303, "post", "GET"),
            (303, "put", "GET"),
            (303, "delete", "GET"),
            (303, "head", "HEAD"),
            (301, "get", "GET"),
            (302, "head", "HEAD"),
            (307, "post", "POST"),
            (308, "post", "POST"),
            (307, "put", "PUT"),
            (308, "patch", "PATCH"),
            (307, "delete", "DELETE"),
        ];
        for (code, method, then) in cases {
            let mut fetch = Fetch::get(format!("{url}/redirect/{code}?{url}/there"))
                .method(method)
                .trusting(&[authority.der()]);
            if ["post", "put", "patch"].contains(&method) {
                fetch.body = Some(b"a body".to_vec());
                fetch = fetch.header("content-type", "text/plain");
            }
            let answer = fetcher.get(&fetch).await;
            assert_eq!(answer.status, 200);
            let received = server.received();
            let last = received.last().unwrap();
            assert_eq!((last.target.as_str(), last.method.as_str()), ("/there", then), "{code} {method}");
            let keeps_body = fetch.body.is_some() && method.to_uppercase() == then;
            let expected: &[u8] = if keeps_body { b"a body" } else { b"" };
            assert_eq!(last.body, expected, "{code} {method}");
            assert_eq!(last.header("content-type").is_some(), keeps_body, "{code} {method}");
        }
        fetcher.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locations_are_relative_to_where_they_come_from() {
    let places = Places::start().await;
    let fetcher = Fetcher::deploy("relative", &[places.first(), places.second()]).await;
    let second = format!("//127.0.0.1:{}/x", places.second.port());
    for (location, target) in
        [("/absolute?q=1", "/absolute?q=1"), ("?q=2", "/redirect/302?q=2"), ("beside", "/redirect/beside")]
    {
        fetcher.get(&places.to(302, location)).await;
        // A path that ends in a query of the redirect's own is one more redirect.
        let received = places.first.received();
        assert!(received.iter().any(|request| request.target == target), "{location}: {received:?}");
    }
    fetcher.get(&places.to(302, &second)).await;
    assert_eq!(places.second.received().last().unwrap().target, "/x");
    // A redirect without a place is an answer.
    let answer = fetcher.get(&places.fetch("/status/302")).await;
    assert_eq!(answer.status, 302);
    fetcher.remove().await;
}

/// What a guest shows one server is not for another.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_do_not_go_to_another_server() {
    let places = Places::start().await;
    let fetcher = Fetcher::deploy("credentials", &[places.first(), places.second()]).await;
    let with = |fetch: Fetch| {
        fetch
            .header("authorization", "Bearer secret")
            .header("cookie", "session=secret")
            .header("x-other", "kept")
    };
    fetcher.get(&with(places.to(302, &format!("{}/same", places.first())))).await;
    let received = places.first.received();
    assert_eq!(received.last().unwrap().header("authorization"), Some("Bearer secret"));
    fetcher.get(&with(places.to(302, &format!("{}/other", places.second())))).await;
    let received = places.second.received();
    let last = received.last().unwrap();
    assert_eq!((last.header("authorization"), last.header("cookie")), (None, None));
    fetcher.remove().await;
}
