//! `cloister proxy`: curl and a browser reach the image through it, and nothing else does.
//!
//! `crates/proxy/tests` has the rest, before a stand-in for the image: hop-by-hop fields, what is repeated, every kind of form.

use cloister_tests::tls_servers::{self, Behavior, TlsServer};
use cloister_tests::{Browser, Diverter, LocalProxy, Machine, error, given, status};
use serde_json::{Value, json};
use std::io::Read as _;
use std::process::{Command, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn curl_reaches_calls_and_web_services_through_the_proxy() {
    let machine = Machine::start();
    deploy(&machine, "deploy", "rust", "hello", &[]);
    deploy(&machine, "deploy", "web-rust", "web", &[]);
    let proxy = LocalProxy::start(&machine, &[]);
    let (code, greeting) = proxy.call("hello", "greet", &json!(["Ada"]));
    assert!(code == 200 && greeting["result"].as_str().unwrap().contains("Ada"), "{code} {greeting}");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let (code, said) = proxy.get(&[version, &proxy.url("web.localhost", "/hello")]);
        assert_eq!((code, said.as_str()), (200, "Hello, world!\n"), "{version}");
    }
    let (_, note) = proxy.get(&["--data", "Dear Ada", &proxy.url("web.localhost", "/notes")]);
    let (code, said) = proxy.get(&[&proxy.url("web.localhost", &format!("/notes/{}", note.trim()))]);
    assert_eq!((code, said.as_str()), (200, "Dear Ada"));
    assert_eq!(problem(&proxy.get(&[&proxy.url("absent.localhost", "/")])), (404, "unknown-app".to_owned()));

    // No other code answers than the one that was verified, until it was verified too.
    deploy(&machine, "replace", "c", "hello", &[]);
    let (code, refused) = proxy.call("hello", "check-card", &json!(["4111111111111111"]));
    assert_eq!((code, &refused["code"]), (412, &json!("code-changed")), "{refused}");
    let (code, checked) = proxy.call("hello", "check-card", &json!(["4111111111111111"]));
    assert_eq!((code, &checked["result"]), (200, &json!(true)), "{checked}");

    // The proxy's user is the owner, so that the page knows the functions.
    let (code, interface) = proxy.get(&[&proxy.url("localhost", "/.cloister/api/apps/hello")]);
    assert!(code == 200 && interface.contains("check-card"), "{interface}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_is_not_accepted_gets_nothing_through_the_proxy() {
    let (machine, another) = (Machine::start(), Machine::start());
    let wrong = machine.run(&["proxy", "--listen", "127.0.0.1:0", "--mrenclave", &"07".repeat(32)]);
    assert_eq!((status(&wrong), wrong.stdout.len()), (4, 0), "it does not listen: {}", error(&wrong));
    let open = machine.run(&["proxy", "--listen", "0.0.0.0:0"]);
    assert!(status(&open) == 2 && error(&open).contains("--expose"), "{}", error(&open));

    deploy(&machine, "deploy", "rust", "hello", &[]);
    let way = Diverter::start(machine.text("address").parse().unwrap()).await;
    let proxy = LocalProxy::start(&machine, &["--host", &way.address.to_string()]);
    assert_eq!(proxy.call("hello", "greet", &json!(["Ada"])).0, 200);

    let server = not_an_enclave().await;
    way.divert(Some(server.address));
    for _ in 0..2 {
        let (code, refused) = proxy.call("hello", "greet", &json!(["a secret"]));
        assert_eq!((code, &refused["code"]), (502, &json!("not-an-enclave")), "{refused}");
    }
    let received = server.received();
    assert!(!received.is_empty());
    for request in received {
        let line = format!("{} {}", request.method, request.target);
        assert_eq!(line, "POST /.well-known/cloister/v1/evidence", "{request:?}");
        assert!(!String::from_utf8_lossy(&request.body).contains("secret"));
    }

    // The same image on another platform.
    way.divert(Some(another.text("address").parse().unwrap()));
    let (code, refused) = proxy.call("hello", "greet", &json!(["a secret"]));
    assert_eq!((code, &refused["code"]), (502, &json!("verification-refused")), "{refused}");
    let checks = refused["report"]["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["check"] == "root-of-trust" && check["outcome"] == "failed"));

    way.divert(Some(machine.text("address").parse().unwrap()));
    assert_eq!(proxy.call("hello", "greet", &json!(["Ada"])).0, 200, "it recovers");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_cannot_use_the_proxy() {
    let machine = Machine::start();
    deploy(&machine, "deploy", "rust", "hello", &[]);
    deploy(&machine, "deploy", "web-rust", "web", &[]);
    let proxy = LocalProxy::start(&machine, &[]);
    let url = proxy.url("localhost", "/v1/apps/hello/calls/greet");
    for (field, expected) in [
        ("Sec-Fetch-Site: cross-site", (403, "cross-site")),
        ("Origin: https://evil.example", (403, "cross-site")),
        ("Origin: null", (403, "cross-site")),
        ("Host: evil.example", (421, "foreign-host")),
        ("Upgrade: websocket", (501, "upgrade-refused")),
    ] {
        let (code, refused) = problem(&proxy.get(&["--header", field, "--json", "[\"x\"]", &url]));
        assert_eq!((code, refused.as_str()), expected, "{field}");
    }

    // A real browser, on the page of an app, which is another origin than the proxy's own.
    let mut browser = Browser::open(&proxy.url("web.localhost", "/hello"));
    browser.evaluate(&format!(
        "fetch('{url}', {{ method: 'POST', mode: 'no-cors', body: '[\"x\"]' }}).then(() => true, () => true)"
    ));
    let status = |browser: &mut Browser, path: &str| {
        browser.evaluate(&format!("fetch('{path}').then((answer) => answer.status)"))
    };
    assert_eq!(status(&mut browser, "/.well-known/cloister/v1/apps"), 404);
    assert_eq!(status(&mut browser, "/.cloister/"), 404);
    assert_eq!(status(&mut browser, "/hello"), 200);
    // Below `/apps/` it is on the host of the proxy's page, with an origin of its own all the same.
    browser.go(&proxy.url("localhost", "/apps/web/hello"));
    assert_eq!(browser.evaluate("self.origin"), "null");
    let described = machine.json(&["describe", "hello"]);
    assert_eq!(described["total"]["calls"], 0, "{described}");
}

#[tokio::test(flavor = "multi_thread")]
async fn much_streams_through_the_proxy_in_little_memory() {
    let machine = Machine::start();
    deploy(&machine, "deploy", "web-rust", "web", &["--fuel", "1000G", "--timeout", "10m"]);
    let proxy = LocalProxy::start(&machine, &[]);
    proxy.get(&[&proxy.url("web.localhost", "/hello")]);
    let before = proxy.peak_memory();
    let size = STREAMED.to_string();
    let down = proxy.url("web.localhost", &format!("/stream?bytes={size}"));
    let (code, counted) =
        proxy.get(&["--output", "/dev/null", "--write-out", "%{size_download}\n%{http_code}", &down]);
    assert_eq!((code, counted.trim()), (200, size.as_str()));

    let mut echo = proxy
        .curl()
        .args(["--upload-file", "-", "--request", "POST", &proxy.url("web.localhost", "/echo")])
        .stdin(zeros())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut echoed = 0;
    let (mut output, mut buffer) = (echo.stdout.take().unwrap(), vec![1; 1 << 20]);
    while let length @ 1.. = output.read(&mut buffer).unwrap() {
        assert!(buffer[..length].iter().all(|byte| *byte == 0));
        echoed += length as u64;
    }
    assert!(echo.wait().unwrap().success());
    assert_eq!(echoed, STREAMED);
    let grown = proxy.peak_memory().saturating_sub(before);
    println!("the proxy's peak memory grew by {} KiB", grown >> 10);
    assert!(grown < STREAMED / 2, "{grown}");
}

/// With `CLOISTER_SCREENSHOT`, the page is also drawn into that file: the picture of `docs/proxy.md`.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_verifies_and_calls_in_a_browser() {
    let machine = Machine::start();
    deploy(&machine, "deploy", "rust", "sensors", &[]);
    let way = Diverter::start(machine.text("address").parse().unwrap()).await;
    let host = way.address.to_string();
    let proxy = LocalProxy::start(&machine, &["--host", &host, "--app", "sensors"]);
    let mut browser = Browser::open(&proxy.url("localhost", "/"));
    browser.wait_for("document.querySelector('#live').dataset.state === 'accepted'");
    assert!(browser.text("#simulated").contains("SIMULATED"));
    assert!(browser.text("#facts").contains(&machine.text("mrenclave")));
    browser.wait_for("!document.querySelector('#form').hidden");
    assert!(!browser.text("#checks").contains("FAILED"));
    let app = browser.text("[data-app=sensors]");
    assert!(app.contains("code hash") && app.contains("it opens no connections"), "{app}");

    browser.choose("#function", "greet");
    browser.fill("#fields textarea", "Ada");
    browser.click("#call");
    browser.wait_for("!document.querySelector('#answer').hidden");
    assert!(browser.text("#result").contains("Ada"), "{}", browser.text("#result"));

    // A list of records with a variant in each.
    browser.choose("#function", "summarize");
    browser.click("#fields > fieldset > div > button");
    browser.fill("#fields .item textarea", "attic");
    browser.fill("#fields .item .field:nth-child(2) input", "1800000000");
    browser.choose("#fields .item select", "temperature");
    browser.fill("#fields .item fieldset fieldset input", "21.5");
    browser.click("#call");
    browser.wait_for("!document.querySelector('#answer').hidden");
    let result: Value = serde_json::from_str(&browser.text("#result")).unwrap();
    assert_eq!(result["ok"]["temperature"]["mean"], json!(21.5), "{result}");
    assert!(browser.text("#cost").contains("fuel"));
    if let Some(file) = std::env::var_os("CLOISTER_SCREENSHOT") {
        browser.resize(1000, 1250);
        browser.evaluate("window.scrollTo(0, 0)");
        browser.screenshot(file.as_ref());
    }

    way.divert(Some(not_an_enclave().await.address));
    browser.click("#verify");
    browser.wait_for("document.querySelector('#live').dataset.state === 'failed'");
    assert_eq!(browser.text("#verdict"), "Verification FAILED");
    assert_eq!(browser.evaluate("document.querySelector('#call').disabled"), true);
    let calls = || machine.json(&["describe", "sensors"])["total"]["calls"].clone();
    assert_eq!(calls(), 2);
}

/// Answers whatever it is asked with what it is asked, over TLS 1.3.
async fn not_an_enclave() -> TlsServer {
    let identity = tls_servers::Identity::self_signed("localhost");
    tls_servers::Service::that(Behavior::Either).start(&identity).await
}

fn deploy(machine: &Machine, command: &str, example: &str, name: &str, arguments: &[&str]) {
    let component = given("CLOISTER_EXAMPLES").join(example).with_extension("wasm");
    let deploy = [command, component.to_str().unwrap(), "--name", name];
    machine.succeeds(&[&deploy[..], arguments].concat());
}

/// The status of a problem, and its code.
fn problem((status, body): &(u16, String)) -> (u16, String) {
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    (*status, problem["code"].as_str().unwrap().to_owned())
}

fn zeros() -> Stdio {
    let count = STREAMED.to_string();
    let mut head =
        Command::new("head").args(["--bytes", &count, "/dev/zero"]).stdout(Stdio::piped()).spawn().unwrap();
    let output = head.stdout.take().unwrap();
    // It ends with whoever reads it.
    std::thread::spawn(move || head.wait());
    output.into()
}

const STREAMED: u64 = 64 << 20;
