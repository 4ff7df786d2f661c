//! The page in a browser, before a stand-in for an enclave: what it shows, the forms that it makes, and that it says so when
//! the enclave is another.

#[allow(dead_code, unreachable_pub, reason = "the end-to-end tests use the rest")]
#[path = "../../../tests/src/browser.rs"]
mod browser;
#[allow(dead_code, unreachable_pub, reason = "the other test program uses the rest")]
#[path = "../../../tests/src/diverter.rs"]
mod diverter;
#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
#[path = "../../client/tests/enclave/mod.rs"]
mod enclave;
#[allow(dead_code, unreachable_pub, reason = "a module of two test programs, each of which uses a part")]
mod local;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use browser::Browser;
use cloister_api::Problem;
use cloister_proxy::{Component, Settings};
use enclave::{CODE_HASH, FakeEnclave, description, response};
use local::{Local, address_of};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Bodies of the calls that came.
type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Describes its app by this WIT, and answers every call with this JSON text as its result.
fn enclave(wit: &str, result: &str) -> (FakeEnclave, Calls) {
    let mut enclave = FakeEnclave::new();
    let calls = Calls::default();
    let (wit, result, seen) = (wit.to_owned(), result.to_owned(), Arc::clone(&calls));
    enclave.answer = Arc::new(move |line, body| {
        if line == "GET /v1/apps/hello" {
            let mut description = description(&hex::encode(CODE_HASH));
            description.wit.clone_from(&wit);
            return response(200, "application/json", serde_json::to_vec(&description).unwrap());
        }
        let Some(export) = line.strip_prefix("POST /v1/apps/hello/calls/") else {
            return response(404, "text/plain", "");
        };
        seen.lock().unwrap().push((export.to_owned(), serde_json::from_slice(body).unwrap()));
        if export == "fail" {
            let problem = Problem::new(cloister_api::Code::GuestTrapped, "it <b>trapped</b>");
            return response(500, "application/problem+json", serde_json::to_vec(&problem).unwrap());
        }
        let hash = hex::encode(CODE_HASH);
        let answer = format!(
            "{{\"result\":{result},\"fuel\":8412,\"wall_us\":61,\"code_hash\":\"{hash}\",\"epoch\":7}}"
        );
        response(200, "application/json", answer)
    });
    (enclave, calls)
}

async fn open(local: &Local) -> Browser {
    let url = format!("http://localhost:{}/", local.address.port());
    // The browser's protocol is waited for on this thread.
    tokio::task::spawn_blocking(move || Browser::open(&url)).await.unwrap()
}

/// Waits for the first verification and for the form of the first function.
fn ready(browser: &mut Browser) {
    browser.wait_for("document.querySelector('#live').dataset.state === 'accepted'");
    browser.wait_for("!document.querySelector('#form').hidden");
}

fn call(browser: &mut Browser) -> Value {
    browser.click("#call");
    browser.wait_for("!document.querySelector('#answer').hidden");
    browser.evaluate("document.querySelector('#answer').dataset.kind")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_every_check_and_says_simulated() {
    let (enclave, _) =
        enclave("package root:component; world root { export greet: func(name: string) -> string; }", "1");
    let local = Local::start(&enclave).await;
    let mut browser = open(&local).await;
    ready(&mut browser);
    assert!(browser.evaluate("location.pathname").as_str() == Some("/.cloister/"));
    assert!(browser.text("#simulated").contains("SIMULATED"));
    assert_eq!(browser.text("#verdict"), "Verified, but simulated");
    let checks = browser.text("#checks");
    assert!(
        checks.contains("MRENCLAVE") && checks.contains("passed") && checks.contains("not asked"),
        "{checks}"
    );
    assert!(browser.text("#facts").contains(&"aa".repeat(32)), "the measurement is shown");
    let app = browser.text("[data-app=hello]");
    assert!(app.contains(&hex::encode(CODE_HASH)) && app.contains("*=owner"), "{app}");
    // Nothing came from anywhere else, and nothing was refused by the page's own policy.
    let loaded =
        browser.evaluate("performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)");
    for path in loaded.as_array().unwrap() {
        assert!(path.as_str().unwrap().starts_with("/.cloister/"), "{loaded}");
    }
    assert_eq!(browser.evaluate("getComputedStyle(document.querySelector('.card')).borderTopStyle"), "solid");
    // At the width of a phone nothing sticks out, light or dark.
    browser.resize(360, 740);
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        assert_eq!(browser.evaluate("document.documentElement.scrollWidth <= 360"), true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_every_type_sends_what_was_written() {
    let wit = "package root:component;
        world root {
            enum color { red, green }
            flags rights { read, write, admin }
            record person { name: string, age: u8, nickname: option<string> }
            variant figure { empty, circle(f64), named(person) }
            export all: func(yes: bool, big: u64, small: s8, ratio: f32, letter: char, text: string, data: list<u8>,
                numbers: list<u16>, maybe: option<option<u32>>, outcome: result<u8, string>, pair: tuple<u8, string>,
                who: person, what: figure, color: color, rights: rights) -> u64;
        }";
    let (enclave, calls) = enclave(wit, "18446744073709551615");
    let local = Local::start(&enclave).await;
    let mut browser = open(&local).await;
    ready(&mut browser);

    // A field is found by the name that its label or legend begins with.
    browser.evaluate(
        "globalThis.mark = (name, id, scope = '#fields') => {
            const named = [...document.querySelectorAll(`${scope} .name`)].find((one) => one.textContent === name);
            const title = named.parentElement;
            const found = title.tagName === 'LEGEND' ? title.parentElement : title.control;
            found.classList.add(id);
        }",
    );
    for name in [
        "yes", "big", "small", "ratio", "letter", "text", "data", "numbers", "maybe", "outcome", "pair",
        "who", "what", "color", "rights",
    ] {
        browser.evaluate(&format!("mark('{name}', 'f-{name}')"));
    }
    // What is not filled in yet is told where it is, and is not sent.
    browser.click("#call");
    assert_eq!(browser.text("#invalid"), "big: write a whole number");

    browser.click(".f-yes");
    browser.fill(".f-big", "18446744073709551616");
    browser.click("#call");
    assert!(browser.text("#invalid").contains("18446744073709551615"));
    browser.evaluate("document.querySelector('.f-big').value = ''");
    browser.fill(".f-big", "18446744073709551615");
    browser.fill(".f-small", "-128");
    browser.fill(".f-ratio", "-inf");
    browser.fill(".f-letter", "🜁");
    browser.fill(".f-text", "<b>\"quoted\"</b>\n");
    browser.fill(".f-data", "é");
    for number in ["1", "65535"] {
        browser.click(".f-numbers > div > button");
        // The new field has the focus.
        browser.write(number);
    }
    browser.click(".f-maybe input");
    browser.fill(".f-outcome input", "9");
    browser.fill(".f-pair .field:nth-child(1) input", "3");
    browser.fill(".f-pair .field:nth-child(2) textarea", "three");
    browser.fill(".f-who .field:nth-child(1) textarea", "Ada");
    browser.fill(".f-who .field:nth-child(2) input", "36");
    browser.choose(".f-what select", "circle");
    browser.fill(".f-what input", "2.5");
    browser.choose(".f-color", "green");
    browser.click(".f-rights label:nth-child(1) input");
    browser.click(".f-rights label:nth-child(3) input");

    assert_eq!(call(&mut browser), "result");
    assert_eq!(browser.text("#result"), "18446744073709551615", "no number is rounded");
    let cost = browser.text("#cost");
    assert!(cost.contains("8,412") && cost.contains("61 µs") && cost.contains("7:"), "{cost}");
    assert!(cost.contains(&hex::encode(CODE_HASH)), "{cost}");
    let sent = calls.lock().unwrap().clone();
    let expected = json!({
        "yes": true, "big": 18_446_744_073_709_551_615_u64, "small": -128, "ratio": "-inf", "letter": "🜁",
        "text": "<b>\"quoted\"</b>\n", "data": "w6k=", "numbers": [1, 65535], "maybe": { "some": null },
        "outcome": { "ok": 9 }, "pair": [3, "three"], "who": { "name": "Ada", "age": 36, "nickname": null },
        "what": { "circle": 2.5 }, "color": "green", "rights": ["read", "admin"],
    });
    assert_eq!(sent, [("all".to_owned(), expected)]);
    let headers = enclave.headers.lock().unwrap();
    assert_eq!(headers.last().unwrap()["cloister-expected-code"], hex::encode(CODE_HASH).as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_and_markup_are_shown_as_text() {
    let wit = "package root:component; world root { export echo: func() -> string; export fail: func(); }";
    let (enclave, _) = enclave(wit, "\"<img src=x onerror=alert(1)>\"");
    let local = Local::start(&enclave).await;
    let mut browser = open(&local).await;
    ready(&mut browser);
    assert_eq!(call(&mut browser), "result");
    assert_eq!(browser.text("#result"), "\"<img src=x onerror=alert(1)>\"");
    browser.choose("#function", "fail");
    assert_eq!(call(&mut browser), "problem");
    assert_eq!(browser.text("#answer-title"), "The guest trapped");
    assert_eq!(browser.text("#result"), "it <b>trapped</b>");
    assert!(browser.text("#cost").contains("guest-trapped"));
    assert_eq!(browser.evaluate("document.querySelectorAll('img, b').length"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_used_with_the_keyboard_alone() {
    let wit = "package root:component; world root { export greet: func(name: string) -> string; }";
    let (enclave, calls) = enclave(wit, "\"Hello\"");
    let local = Local::start(&enclave).await;
    let mut browser = open(&local).await;
    ready(&mut browser);
    let focus = "document.activeElement.id || document.activeElement.tagName";
    let mut visited = Vec::new();
    for _ in 0..12 {
        browser.press("Tab");
        let at = browser.evaluate(focus).as_str().unwrap().to_owned();
        match at.as_str() {
            "call" => {
                browser.press("Enter");
                break;
            }
            _ if browser.evaluate("document.activeElement.tagName") == "TEXTAREA" => browser.write("Ada"),
            _ => {}
        }
        visited.push(at);
    }
    browser.wait_for("!document.querySelector('#answer').hidden");
    assert!(
        visited.starts_with(&["verify".to_owned(), "app".to_owned(), "function".to_owned()]),
        "{visited:?}"
    );
    assert_eq!(calls.lock().unwrap()[..], [("greet".to_owned(), json!({ "name": "Ada" }))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_that_becomes_another_is_shown_as_failed_and_gets_nothing() {
    let wit = "package root:component; world root { export greet: func(name: string) -> string; }";
    let (genuine, _) = enclave(wit, "1");
    let (other, calls) = enclave(wit, "1");
    let local = Local::start(&genuine).await;
    let mut browser = open(&local).await;
    ready(&mut browser);
    local.way.divert(Some(address_of(&other).await));
    browser.click("#call");
    browser.wait_for("document.querySelector('#live').dataset.state === 'failed'");
    assert_eq!(browser.text("#verdict"), "Verification FAILED");
    assert!(browser.text("#checks").contains("FAILED"), "{}", browser.text("#checks"));
    assert!(browser.text("#failure").contains("root of trust"), "{}", browser.text("#failure"));
    assert_eq!(browser.evaluate("document.querySelector('#call').disabled"), true);
    assert!(calls.lock().unwrap().is_empty());

    local.way.divert(Some(address_of(&genuine).await));
    browser.click("#verify");
    browser.wait_for("document.querySelector('#live').dataset.state === 'accepted'");
    local.way.divert(None);
    browser.click("#verify");
    browser.wait_for("document.querySelector('#live').dataset.state === 'failed'");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_with_the_attested_hash_makes_the_form() {
    let wasm = wat::parse_str(
        "(component
            (core module $m (func (export \"f\") (param i32) (result i32) local.get 0))
            (core instance $i (instantiate $m))
            (func $f (param \"value\" u32) (result u32) (canon lift (core func $i \"f\")))
            (export \"double-it\" (func $f)))",
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.wasm");
    std::fs::write(&path, &wasm).unwrap();
    let component = Component::load(&path).unwrap();

    let (mut enclave, _) = enclave("", "4");
    enclave.claims.apps[0].code_hash = *component.code_hash();
    enclave.quote_as(|_| {});
    // This enclave describes its apps to nobody.
    enclave.answer = Arc::new(|line, _| match line {
        "GET /v1/apps/hello" => {
            let problem = Problem::new(cloister_api::Code::Forbidden, "not yours");
            response(403, "application/problem+json", serde_json::to_vec(&problem).unwrap())
        }
        _ => response(200, "application/json", "{\"result\":4,\"fuel\":1,\"wall_us\":1,\"code_hash\":\"\"}"),
    });
    let without = Local::start(&enclave).await;
    let interface = without.get("/.cloister/api/apps/hello").await.json();
    assert!(interface["unknown"].as_str().unwrap().contains("--wasm"), "{interface}");

    let settings = Settings { components: vec![component], ..Settings::default() };
    let local = Local::with(&enclave, enclave.client(), settings).await;
    let mut browser = open(&local).await;
    ready(&mut browser);
    assert!(browser.text("#about").contains("attested code hash"));
    assert!(browser.text("#documentation").contains("double-it(value: u32) -> u32"));
    browser.fill("#fields input", "2");
    assert_eq!(call(&mut browser), "result");
    assert_eq!(browser.text("#result"), "4");
}
