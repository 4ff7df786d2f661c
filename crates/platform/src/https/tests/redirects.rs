//! Where responses lead.

use cloister_egress::{EgressOutcome, Roots};
use cloister_test_authority::{Authority, Versions};
use http::{Request as Asked, Response as Answer};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::call::{Call, get, header, send, with_headers};
use super::server::{AnyBody, AsRoots as _, Connections, serve_counted, whole};
use crate::bindings::privasys::enclave_os::https::{Method, RatlsPolicy, Request, TeeType};
use crate::https::MAX_REDIRECTS;
use crate::https::error::FetchError;
use crate::https::request::Fetch;

/// `/STATUS?TARGET` leads to the target, `/count/N` to `/count/N-1`; everything else says what it was asked.
async fn lead(request: Asked<Incoming>) -> Answer<AnyBody> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let to = |status: u16, location: &str| {
        Answer::builder().status(status).header("location", location).body(whole("look there")).unwrap()
    };
    if let Some(left) =
        path.strip_prefix("/count/").and_then(|left| left.parse::<u32>().ok()).filter(|&left| left > 0)
    {
        return to(302, &format!("/count/{}", left - 1));
    }
    if let Some(status) =
        path.trim_start_matches('/').parse().ok().filter(|status| (300..400).contains(status))
    {
        return match head.uri.query() {
            Some(location) => to(status, location),
            None => Answer::builder().status(status).body(whole("nowhere")).unwrap(),
        };
    }
    let mut answer = Answer::builder().header("asked", format!("{} {path}", head.method));
    for (name, value) in &head.headers {
        answer = answer.header(format!("got-{name}"), value);
    }
    answer.body(body.map_err(Into::into).boxed_unsync()).unwrap()
}

async fn server() -> (Call, Authority, String, Connections) {
    let authority = Authority::new();
    let (address, connections) =
        serve_counted(authority.good().acceptor(&["http/1.1"], Versions::All), lead).await;
    let call = Call::new(&["https://localhost:*", "https://127.0.0.1:*"], authority.roots());
    (call, authority, format!("https://localhost:{}", address.port()), connections)
}

#[tokio::test]
async fn methods_and_bodies_on_the_way() {
    let (mut call, _, url, connections) = server().await;
    let cases = [
        (301, Method::Post, "GET", ""),
        (302, Method::Post, "GET", ""),
        (303, Method::Post, "GET", ""),
        (307, Method::Post, "POST", "body"),
        (308, Method::Post, "POST", "body"),
        (301, Method::Put, "PUT", "body"),
        (302, Method::Delete, "DELETE", "body"),
        (303, Method::Put, "GET", ""),
        (303, Method::Patch, "GET", ""),
        (307, Method::Patch, "PATCH", "body"),
    ];
    for (status, method, asked, body) in cases {
        let request = send(method, &format!("{url}/{status}?/end"), b"body");
        let request = with_headers(request, &[("content-type", "text/plain"), ("x-own", "1")]);
        let response = call.fetch(request).await.unwrap();
        assert_eq!(header(&response, "asked"), Some(&*format!("{asked} /end")), "{status}");
        assert_eq!(response.body, body.as_bytes());
        assert_eq!(header(&response, "got-content-type").is_some(), !body.is_empty(), "{status}");
        assert_eq!(header(&response, "got-x-own"), Some("1"));
    }
    let head = call.fetch(Request { method: Method::Head, ..get(&format!("{url}/303?/end")) }).await.unwrap();
    assert_eq!(header(&head, "asked"), Some("HEAD /end"));
    assert_eq!(connections.begun(), 1);
}

#[tokio::test]
async fn each_step_is_logged() {
    let (mut call, _, url, _) = server().await;
    call.fetch(get(&format!("{url}/count/2"))).await.unwrap();
    let outcomes: Vec<_> = call.logged().iter().map(|request| request.outcome).collect();
    assert_eq!(outcomes, [302, 302, 200].map(EgressOutcome::Status));
}

#[tokio::test]
async fn references_of_all_kinds() {
    let (mut call, _, url, _) = server().await;
    let host = url.strip_prefix("https://").unwrap().to_owned();
    let cases = [
        ("end", "/end"),
        ("./a/../end", "/end"),
        ("/x/y?z#f", "/x/y"),
        (&*format!("//{host}/there"), "/there"),
        (&*format!("{url}/there"), "/there"),
        (&*format!("HTTPS://{host}/there"), "/there"),
    ];
    for (reference, expected) in cases {
        let response = call.fetch(get(&format!("{url}/302?{reference}"))).await.unwrap();
        assert_eq!(header(&response, "asked"), Some(&*format!("GET {expected}")), "{reference}");
    }
}

#[tokio::test]
async fn responses_that_lead_nowhere_are_responses() {
    let (mut call, _, url, _) = server().await;
    for (path, status) in
        [("/301", 301), ("/308", 308), ("/300?/end", 300), ("/304?/end", 304), ("/305?/end", 305)]
    {
        let response = call.fetch(get(&format!("{url}{path}"))).await.unwrap();
        assert_eq!(response.status, status, "{path}");
    }
}

#[tokio::test]
async fn loops_end() {
    let (mut call, _, url, _) = server().await;
    let most = format!("{url}/count/{MAX_REDIRECTS}");
    assert_eq!(header(&call.fetch(get(&most)).await.unwrap(), "asked"), Some("GET /count/0"));
    let before = call.logged().len();
    for one_more in [format!("{url}/count/{}", MAX_REDIRECTS + 1), format!("{url}/302?")] {
        let error = call.fetch(get(&one_more)).await.unwrap_err();
        assert_eq!(error, "there were more than 10 redirects");
    }
    assert_eq!(call.logged().len(), before + 2 * (MAX_REDIRECTS + 1));
}

#[tokio::test]
async fn redirects_that_are_not_followed() {
    let (mut call, _, url, connections) = server().await;
    let cases = [
        ("http://localhost/", "only https urls are fetched, and this one begins with \"http:\""),
        ("ftp://localhost/", "only https urls are fetched, and this one begins with \"ftp:\""),
        ("https://user@localhost/", "the url cannot be used: it has user information before the host"),
        ("https://", "the url cannot be used: it names no host that can be connected to"),
    ];
    for (location, why) in cases {
        let error = call.fetch(get(&format!("{url}/302?{location}"))).await.unwrap_err();
        assert_eq!(error, format!("a redirect was not followed: {why}"));
    }
    let error = call.fetch(get(&format!("{url}/302?https://elsewhere.example/"))).await.unwrap_err();
    assert_eq!(error, "the app's network rules do not allow https://elsewhere.example");
    let last = call.logged().pop().unwrap();
    assert_eq!((&*last.host, last.outcome), ("elsewhere.example", EgressOutcome::Refused));
    assert!(connections.begun() >= 1);
}

#[tokio::test]
async fn credentials_stay_with_the_server_that_they_are_for() {
    let (mut call, authority, url, _) = server().await;
    let (other, _) = serve_counted(authority.good().acceptor(&["h2"], Versions::All), lead).await;
    let secrets =
        [("authorization", "secret"), ("cookie", "secret"), ("proxy-authorization", "secret"), ("x", "1")];
    let at = |location: String| with_headers(get(&format!("{url}/307?{location}")), &secrets);
    let same = call.fetch(at("/end".to_owned())).await.unwrap();
    for (name, _) in secrets {
        assert!(header(&same, &format!("got-{name}")).is_some(), "{name}");
    }
    // Another port, another name of the same server; and back again.
    let elsewhere = format!("https://localhost:{}", other.port());
    let named = url.replace("localhost", "127.0.0.1");
    for location in [format!("{elsewhere}/end"), format!("{named}/end"), format!("{elsewhere}/307?{url}/end")]
    {
        let response = call.fetch(at(location)).await.unwrap();
        assert_eq!(header(&response, "asked"), Some("GET /end"));
        assert_eq!(header(&response, "got-x"), Some("1"));
        for name in ["authorization", "cookie", "proxy-authorization"] {
            assert_eq!(header(&response, &format!("got-{name}")), None, "{name}");
        }
    }
}

#[tokio::test]
async fn roots_of_a_request_count_on_all_of_the_way() {
    let (mut call, authority, url, _) = server().await;
    let strangers = Authority::new();
    let (other, _) = serve_counted(strangers.good().acceptor(&["h2"], Versions::All), lead).await;
    let there = format!("{url}/302?https://localhost:{}/end", other.port());
    let request = Request { ca_roots_der: Some(vec![authority.der().to_vec()]), ..get(&there) };
    let error = call.fetch(request).await.unwrap_err();
    assert!(error.contains("was not issued by an authority that is trusted"), "{error}");
}

/// The policy is about the server that it names, and says nothing of where that one leads.
#[test]
fn an_enclave_leads_nowhere_else() {
    let policy = RatlsPolicy {
        tee: TeeType::Sgx,
        mr_enclave: Some(vec![1; 32]),
        mr_signer: None,
        mr_td: None,
        challenge_nonce: None,
        expected_oids: Vec::new(),
        attestation_servers: Vec::new(),
    };
    let call = Call::anywhere(Roots::Mozilla);
    let request = Request { ratls: Some(policy), ..get("https://enclave.example/") };
    let mut fetch = Fetch::read(request, call.https()).unwrap();
    let mut lead = |location: &str| {
        let headers = [(http::header::LOCATION, location.parse().unwrap())].into_iter().collect();
        fetch.follow(http::StatusCode::FOUND, &headers)
    };
    assert_eq!(lead("/there"), Ok(true));
    assert_eq!(lead("https://ENCLAVE.example:443/there"), Ok(true));
    for elsewhere in ["https://other.example/", "https://enclave.example:444/", "//www.enclave.example/"] {
        assert!(matches!(lead(elsewhere), Err(FetchError::RedirectElsewhere(_))), "{elsewhere}");
    }
}
