//! What an app may do on the network: nothing that no rule of its own allows.

use crate::probe::{Echo, Probe, component, datagram, free_port, network, settings};
use cloister_client::{Check, ClientError, Policy};
use cloister_tests::{name, shared};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn without_rules_nothing_is_allowed() {
    let session = shared().owner().await;
    let probe = Probe::deploy(&session, "no-network", &settings(&[])).await;
    let outside = Echo::start();
    for (export, arguments) in everything(outside.address) {
        assert_eq!(probe.error(export, arguments).await, "access-denied", "{export}");
    }
    for scheme in ["https", "http"] {
        let url = format!("{scheme}://{}/", outside.address);
        assert_eq!(probe.error("http-get", json!([url])).await, HTTP_DENIED);
    }
    // An address is looked up without the host.
    assert_eq!(probe.ok("lookup", json!(["192.0.2.7"])).await, json!(["192.0.2.7"]));
    assert_eq!(outside.heard(), 0);
    let egress = session.egress(&probe.name()).await.unwrap();
    let refused: Vec<_> =
        egress.requests.iter().map(|request| (&*request.scheme, &*request.host, request.port)).collect();
    let port = outside.address.port();
    assert_eq!(refused, [("https", "127.0.0.1", port), ("http", "127.0.0.1", port)]);
    assert!(egress.requests.iter().all(|request| request.status.is_none() && request.error.is_some()));
    session.remove(&probe.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_one_kind_is_none_of_another() {
    let session = shared().owner().await;
    let outside = Echo::start();
    let address = outside.address;
    // Which exports each rule opens.
    let cases: [(&str, String, &[&str]); 7] = [
        ("kind-https", format!("https://{address}"), &[]),
        ("kind-http", format!("http://{address}"), &[]),
        ("kind-tcp", format!("tcp://{address}"), &["tcp-roundtrip", "tcp-read-to-end"]),
        ("kind-udp", format!("udp://{address}"), &["udp-roundtrip", "udp-roundtrip-with-peer"]),
        ("kind-tcp-listen", format!("tcp-listen://{address}"), &["tcp-bind", "tcp-listen"]),
        ("kind-udp-listen", format!("udp-listen://{address}"), &["udp-bind"]),
        ("kind-lookup", "lookup://localhost".to_owned(), &["lookup"]),
    ];
    for (app, rule, open) in &cases {
        let probe = Probe::deploy(&session, app, &settings(&[rule])).await;
        for (export, arguments) in everything(address) {
            // It would wait until the peer ends, which this one never does first.
            if open.contains(&export) && export == "tcp-read-to-end" {
                continue;
            }
            let result = probe.get(export, arguments).await;
            let denied = result["err"] == "access-denied";
            assert_eq!(denied, !open.contains(&export), "{rule}, {export}: {result}");
        }
        session.remove(&probe.name()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_opens_its_address_and_port_and_no_other() {
    let session = shared().owner().await;
    let (allowed, denied) = (Echo::start(), Echo::start());
    let elsewhere = Echo::at(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
    let rules = [format!("tcp://{}", allowed.address), format!("udp://{}", allowed.address)];
    let rules = rules.each_ref().map(String::as_str);
    let probe = Probe::deploy(&session, "exactly", &settings(&rules)).await;
    let bytes = json!([7, 8, 9]);
    assert_eq!(probe.ok("tcp-roundtrip", json!([allowed.text(), bytes])).await, bytes);
    for export in ["udp-roundtrip", "udp-roundtrip-with-peer", "udp-roundtrip-after-peer"] {
        assert_eq!(probe.ok(export, datagram(allowed.address)).await, json!([1, 2, 3]), "{export}");
    }
    let addresses = probe.ok("tcp-addresses", json!([allowed.text()])).await;
    assert_eq!(addresses[1], json!(allowed.text()));
    let heard = allowed.heard();
    let same_port = |address: IpAddr| SocketAddr::new(address, allowed.address.port());
    let others = [
        denied.address,
        elsewhere.address,
        same_port(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))),
        same_port(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    for other in others {
        assert_eq!(probe.error("tcp-roundtrip", json!([other.to_string(), bytes])).await, "access-denied");
        for export in ["udp-roundtrip", "udp-roundtrip-with-peer"] {
            assert_eq!(probe.error(export, datagram(other)).await, "access-denied", "{export} {other}");
        }
    }
    // IPv4 in the clothes of IPv6 is no address at all.
    let mapped = same_port(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()));
    let error = probe.error("tcp-roundtrip", json!([mapped.to_string(), bytes])).await;
    assert_eq!(error, "invalid-argument");
    assert_eq!((denied.heard(), elsewhere.heard(), allowed.heard()), (0, 0, heard));
    session.remove(&probe.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_has_the_address_and_port_that_its_rule_names() {
    let session = shared().owner().await;
    let (port, other) = (free_port(), free_port());
    let at = format!("127.0.0.1:{port}");
    let probe = Probe::deploy(&session, "listens", &settings(&[&format!("tcp-listen://{at}")])).await;
    for denied in [
        format!("127.0.0.1:{other}"),
        format!("0.0.0.0:{port}"),
        format!("127.0.0.2:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(probe.error("tcp-listen", json!([denied])).await, "access-denied", "{denied}");
    }
    // Port 0 may be bound to, and the port that the host chose is not the rule's.
    assert_eq!(probe.error("tcp-listen", json!(["127.0.0.1:0"])).await, "access-denied");
    let client = tokio::task::spawn_blocking({
        let at = at.clone();
        move || connect_and_send(&at, b"hello")
    });
    let accepted = probe.ok("tcp-accept", json!([at])).await;
    assert_eq!(accepted, json!([client.await.unwrap().to_string(), b"hello"]));
    session.remove(&probe.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_hosts_are_those_of_the_rules() {
    let session = shared().owner().await;
    let closed = free_port();
    let rules = [
        "lookup://localhost".to_owned(),
        "lookup://*.invalid".to_owned(),
        format!("https://localhost:{closed}"),
        format!("http://127.0.0.1:{closed}"),
    ];
    let rules = rules.each_ref().map(String::as_str);
    let probe = Probe::deploy(&session, "names", &settings(&rules)).await;
    for allowed in ["localhost", "LocalHost"] {
        let addresses = probe.ok("lookup", json!([allowed])).await;
        assert!(addresses.as_array().is_some_and(|list| !list.is_empty()), "{allowed}: {addresses}");
    }
    // Not every resolver knows it with its dot.
    assert_ne!(probe.get("lookup", json!(["localhost."])).await["err"], "access-denied");
    let error = probe.error("lookup", json!(["nobody.invalid"])).await;
    assert_ne!(error, "access-denied");
    for denied in ["example.com", "sub.localhost", "invalid", "localhost.example"] {
        assert_eq!(probe.error("lookup", json!([denied])).await, "access-denied", "{denied}");
    }
    // Nobody listens where these go: they fail, and not by a rule.
    for allowed in [format!("https://localhost:{closed}/"), format!("http://127.0.0.1:{closed}/x?y")] {
        let error = probe.error("http-get", json!([allowed])).await;
        assert_ne!(error, HTTP_DENIED, "{allowed}");
    }
    for denied in [
        format!("http://localhost:{closed}/"),
        format!("https://127.0.0.1:{closed}/"),
        "https://localhost/".to_owned(),
        format!("https://sub.localhost:{closed}/"),
        "http://127.0.0.1/".to_owned(),
    ] {
        assert_eq!(probe.error("http-get", json!([denied])).await, HTTP_DENIED, "{denied}");
    }
    session.remove(&probe.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_those_of_the_latest_deploy() {
    let session = shared().owner().await;
    let (first, second) = (Echo::start(), Echo::start());
    let rule_of = |outside: &Echo| format!("tcp://{}", outside.address);
    let probe = Probe::deploy(&session, "new-rules", &settings(&[&rule_of(&first)])).await;
    let ask = async |outside: &Echo| probe.get("tcp-roundtrip", json!([outside.text(), [5]])).await;
    let (done, denied) = (json!({ "ok": [5] }), json!({ "err": "access-denied" }));
    assert_eq!((ask(&first).await, ask(&second).await), (done.clone(), denied.clone()));
    session.replace(&probe.name(), component(), &settings(&[&rule_of(&second)]), |_| {}).await.unwrap();
    assert_eq!((ask(&first).await, ask(&second).await), (denied.clone(), done));
    session.replace(&probe.name(), component(), &settings(&[]), |_| {}).await.unwrap();
    assert_eq!((ask(&first).await, ask(&second).await), (denied.clone(), denied));
    session.remove(&probe.name()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_clients_see_the_rules_and_that_plaintext_leaves() {
    let session = shared().owner().await;
    let cases: [(&str, &[&str], bool); 4] = [
        ("seen-none", &[], false),
        ("seen-protected", &["https://*.example.com", "lookup://*"], false),
        ("seen-tcp", &["https://example.com", "tcp://192.0.2.0/24:443"], true),
        ("seen-http", &["http://example.com:8080-8089"], true),
    ];
    for (app, rules, plaintext) in cases {
        let probe = Probe::deploy(&session, app, &settings(rules)).await;
        let described = session.describe(&probe.name()).await.unwrap();
        assert_eq!(described.network, network(rules), "{app}");
        assert_eq!(described.sends_plaintext, plaintext, "{app}");
        // Nobody who calls the app needs to ask its owner.
        let caller = shared().caller().await;
        let claimed = caller.claims().app(&probe.name()).expect("it is in the claims");
        assert_eq!(claimed.network, network(rules), "{app}");
        assert_eq!(claimed.network.is_plaintext(), plaintext, "{app}");
    }
    for (app, _, _) in cases {
        session.remove(&name(app)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_refuses_an_app_with_more_rules_than_it_pins() {
    let session = shared().owner().await;
    let app = "pinned-rules";
    let deployed = ["https://api.example.com", "tcp://192.0.2.1:443"];
    let probe = Probe::deploy(&session, app, &settings(&deployed)).await;
    let pins = |rules: &[&str]| shared().policy().with_network(name(app), network(rules));
    let accepted: [&[&str]; 3] = [
        &deployed,
        &["https://*.example.com", "tcp://192.0.2.0/24:1-1024"],
        &["https://*:*", "tcp://*:*", "udp://*:*", "lookup://*"],
    ];
    for most in accepted {
        let caller = shared().connect(pins(most)).await.unwrap();
        let now = caller.call_json(&probe.name(), "now", &json!([])).await.unwrap();
        assert!(now.result.is_u64(), "{most:?}");
    }
    let refused: [&[&str]; 5] = [
        &[],
        &["https://api.example.com"],
        &["https://api.example.com", "tcp://192.0.2.1:444"],
        &["https://api.example.com", "udp://192.0.2.1:443"],
        &["https://www.example.com", "tcp://192.0.2.1:443"],
    ];
    for most in refused {
        is_refused(pins(most)).await;
    }
    // An app that gets more later is refused by the next session.
    let most = ["https://api.example.com"];
    session.replace(&probe.name(), component(), &settings(&most), |_| {}).await.unwrap();
    shared().connect(pins(&most)).await.unwrap();
    let more = ["https://api.example.com", "http://api.example.com"];
    session.replace(&probe.name(), component(), &settings(&more), |_| {}).await.unwrap();
    is_refused(pins(&most)).await;
    session.remove(&probe.name()).await.unwrap();
}

async fn is_refused(policy: Policy) {
    let app = name("pinned-rules");
    match shared().connect(policy).await {
        Err(ClientError::Refused(refused)) => {
            let failed: Vec<_> = refused.report.failed().cloned().collect();
            assert_eq!(failed, [Check::NetworkRules { app }]);
        }
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

/// Every way of the probe to the network but HTTP.
fn everything(outside: SocketAddr) -> Vec<(&'static str, Value)> {
    // Where somebody listens already, nobody else can: it fails, and only a rule makes it be denied.
    let at = json!([outside.to_string()]);
    vec![
        ("tcp-roundtrip", json!([outside.to_string(), [1]])),
        ("tcp-read-to-end", at.clone()),
        ("tcp-bind", at.clone()),
        ("tcp-listen", at.clone()),
        ("udp-bind", at),
        ("udp-roundtrip", datagram(outside)),
        ("udp-roundtrip-with-peer", datagram(outside)),
        ("lookup", json!(["localhost"])),
    ]
}

/// Connects as soon as somebody listens, and gives the address that it connects from.
fn connect_and_send(at: &str, bytes: &[u8]) -> SocketAddr {
    let deadline = Instant::now() + Duration::from_secs(25);
    loop {
        match TcpStream::connect(at) {
            Ok(mut stream) => {
                stream.write_all(bytes).unwrap();
                return stream.local_addr().unwrap();
            }
            Err(error) => assert!(Instant::now() < deadline, "{at}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

const HTTP_DENIED: &str = "HTTP-request-denied";
