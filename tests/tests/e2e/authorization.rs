//! Who may do what: every cell of the tables in `docs/design/authorization.md`, asked of a running enclave, and what may take
//! an app's place.

mod callers;
mod replacements;
mod tables;

use bytes::Bytes;
use callers::World;
use cloister_api::{API_PATH, CallerPolicy, DeploySettings, SETTINGS_HEADER};
use cloister_client::{ForwardBody, Session};
use cloister_tests::guest;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use serde_json::{Value, json};
use tables::Table;

/// Every request about the enclave and its apps × every kind of caller.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_allowed_exactly_where_the_table_says() {
    let table = Table::of_requests();
    assert!(table.rows.len() >= 14 && table.columns.len() >= 11, "{table:?}");
    let world = World::start().await;
    world.deploy("subject", &DeploySettings::default()).await;
    let mut wrong = Vec::new();
    for row in &table.rows {
        for (column, expected) in table.columns.iter().zip(&row.cells) {
            let caller = world.caller(column);
            let subject = if caller.owns_by_token { "subject-by-token" } else { "subject" };
            // One that is new where the request makes it, one that can go where the request removes it.
            let name = match row.name.as_str() {
                "deploy" => format!("made-by-{column}"),
                _ => subject.to_owned(),
            };
            let (method, path) = row.request.split_once(' ').expect("a method and a path");
            let request = request(&method.parse().expect("a method"), &path.replace("{app}", &name));
            let answer = ask(caller.session, caller.token, body_of(&row.name, request)).await;
            check(&mut wrong, expected, &answer, &format!("{} by {column}", row.name));
            if row.name == "remove" && answer.is_success() {
                world.deploy("subject", &DeploySettings::default()).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells are otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every policy of an app × every kind of caller × every way to ask the app.
#[tokio::test(flavor = "multi_thread")]
async fn apps_are_asked_exactly_where_the_table_says() {
    let table = Table::of_policies();
    assert!(table.rows.len() >= 8 && table.columns.len() >= 15, "{table:?}");
    let world = World::start().await;
    let mut wrong = Vec::new();
    for row in &table.rows {
        // `OTHER` is an entry that is not the one that is asked for.
        for (ways, other) in [(&[Way::Call, Way::Web][..], "@run"), (&[Way::Run][..], "@web")] {
            let settings = settings(&world, &row.request.replace("OTHER", other));
            let app = format!("{}-{}", row.name, other.trim_start_matches('@'));
            world.deploy(&app, &settings).await;
            for (column, expected) in table.columns.iter().zip(&row.cells) {
                let caller = world.caller(column);
                let name = if caller.owns_by_token { format!("{app}-by-token") } else { app.clone() };
                for way in ways {
                    let answer = ask(caller.session, caller.token, way.request(&name)).await;
                    check(&mut wrong, expected, &answer, &format!("{way:?} of {} by {column}", row.name));
                    if expected == "yes" {
                        assert!(way.reached(&answer), "{way:?} of {} by {column}: {answer:?}", row.name);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells are otherwise:\n{}", wrong.len(), wrong.join("\n"));
}

/// An app with a rule for one of its exports by a short name admits calls of it by any of its names, and of no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_for_an_export_is_about_it_by_every_name() {
    let world = World::start().await;
    let settings = settings(&world, "add=public");
    let described = world.deploy("sums", &settings).await;
    let rules: Vec<String> = described.callers.rules().iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["test:entries/sums@1.2.0#add=public"]);
    let nobody = world.caller("nobody");
    for export in ["add", "sums%23add", "test:entries%2Fsums%23add", "test:entries%2Fsums@1.2.0%23add"] {
        let path = format!("/v1/apps/sums/calls/{export}");
        let request = with_json(request(&Method::POST, &path), &json!([1, 2]));
        let answer = ask(nobody.session, None, request).await;
        assert!(answer.is_success(), "{export}: {answer:?}");
    }
    for way in [Way::Run, Way::Web] {
        let answer = ask(nobody.session, None, way.request("sums")).await;
        assert_eq!(answer.code.as_deref(), Some("forbidden"), "{way:?}");
    }
}

/// A rule about what the app does not have, or about an issuer that it does not name, is no setting.
#[tokio::test(flavor = "multi_thread")]
async fn rules_about_nothing_are_refused() {
    let world = World::start().await;
    for rules in ["subtract=public", "*=token:elsewhere"] {
        let settings = serde_json::to_string(&settings(&world, rules)).unwrap();
        let mut request = request(&Method::POST, "/v1/apps/nothing");
        request.headers_mut().insert(SETTINGS_HEADER, settings.parse().unwrap());
        let request = with_wasm(request);
        let answer = ask(world.caller("owner-key").session, None, request).await;
        assert_eq!(answer.code.as_deref(), Some("invalid-settings"), "{rules}: {answer:?}");
    }
}

/// What an app is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Call,
    Run,
    Web,
}

impl Way {
    fn request(self, app: &str) -> Request<ForwardBody> {
        match self {
            Self::Call => {
                with_json(request(&Method::POST, &format!("/v1/apps/{app}/calls/add")), &json!([20, 22]))
            }
            Self::Run => request(&Method::POST, &format!("/v1/apps/{app}/run")),
            Self::Web => empty(Method::GET, &format!("/apps/{app}/")),
        }
    }

    /// Whether the guest got the request. As a web service it never answers.
    fn reached(self, answer: &Answer) -> bool {
        match self {
            Self::Call | Self::Run => answer.is_success(),
            Self::Web => answer.code.as_deref() == Some("no-response"),
        }
    }
}

/// What a request got.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Of a problem.
    code: Option<String>,
    detail: String,
}

impl Answer {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Asks over a session, with this token where there is one.
async fn ask(session: &Session, token: Option<&str>, mut request: Request<ForwardBody>) -> Answer {
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a token is ASCII");
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let response = session.forward(request).await.unwrap_or_else(|error| panic!("{error}"));
    let status = response.status().as_u16();
    if response.status().is_success() {
        return Answer { status, code: None, detail: String::new() };
    }
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |field: &str| problem[field].as_str().map(str::to_owned);
    Answer { status, code: text("code"), detail: text("detail").unwrap_or_default() }
}

/// Notes where a cell says otherwise than the enclave.
fn check(wrong: &mut Vec<String>, expected: &str, answer: &Answer, what: &str) {
    let refused = answer.code.as_deref().filter(|code| REFUSALS.contains(code));
    let found = refused.unwrap_or("yes");
    if found != expected {
        let Answer { status, detail, .. } = answer;
        wrong.push(format!(
            "{what}: the table says {expected}, the enclave {found} (status {status}: {detail})"
        ));
    }
}

/// A request of the protocol, at the place where no web service can be.
fn request(method: &Method, path: &str) -> Request<ForwardBody> {
    empty(method.clone(), &path.replacen("/v1", API_PATH, 1))
}

fn empty(method: Method, path: &str) -> Request<ForwardBody> {
    let body = ForwardBody::new(Full::new(Bytes::new()));
    Request::builder().method(method).uri(path).body(body).expect("a request")
}

/// The request with what it needs to be understood.
fn body_of(operation: &str, request: Request<ForwardBody>) -> Request<ForwardBody> {
    match operation {
        "evidence" => with_json(request, &json!({ "nonce": "00".repeat(32) })),
        "deploy" | "replace" => with_wasm(request),
        _ => request,
    }
}

fn with_json(request: Request<ForwardBody>, value: &Value) -> Request<ForwardBody> {
    with_body(request, "application/json", value.to_string().into())
}

fn with_wasm(request: Request<ForwardBody>) -> Request<ForwardBody> {
    with_body(request, cloister_api::WASM, guest("entries"))
}

fn with_body(request: Request<ForwardBody>, media_type: &'static str, body: Bytes) -> Request<ForwardBody> {
    let (mut head, _) = request.into_parts();
    head.headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(media_type));
    Request::from_parts(head, ForwardBody::new(Full::new(body)))
}

/// The settings with these rules, in which keys stand by the names of the page, and with the issuer that they may name. An empty cell
/// is that of settings that say nothing.
fn settings(world: &World, rules: &str) -> DeploySettings {
    let named = |rule: &str| {
        let keys =
            [("P256", "caller-key-p256"), ("P384", "caller-key-p384"), ("ED25519", "caller-key-ed25519")];
        keys.iter().fold(rule.to_owned(), |rule, (name, column)| {
            rule.replace(&format!("key:{name}"), &format!("key:{}", world.fingerprint(column)))
        })
    };
    let said_nothing = DeploySettings { issuers: vec![world.issuer()], ..DeploySettings::default() };
    if rules.is_empty() {
        return said_nothing;
    }
    let texts = rules.split_whitespace().filter(|text| *text != "[]");
    let rules = texts.map(|rule| named(rule).parse().expect("a rule")).collect();
    DeploySettings { callers: CallerPolicy::new(rules).expect("a policy"), ..said_nothing }
}

/// The codes that say that a request was refused for who sent it.
const REFUSALS: &[&str] = &["unauthenticated", "invalid-token", "forbidden"];
