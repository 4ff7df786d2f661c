//! Who may do what, over TLS, as `docs/design/authorization.md` says it.

use super::identities::{Key, TestIssuer};
use super::web::{Body, Sender, nothing};
use super::*;
use crate::server;
use cloister_api::{AppList, CallerPolicy, RUN_HEADER, TokenIssuer, token_principal};
use cloister_channel_body::Channel;
use http::{StatusCode, header};
use http_body_util::Either;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use std::collections::BTreeMap;
use tokio_rustls::TlsConnector;

/// Everybody whom the page names.
struct Cast {
    idp: TestIssuer,
    owner: Key,
    other_owner: Key,
    operator: Key,
    stranger: Key,
    p256: Key,
    p384: Key,
    ed25519: Key,
}

impl Cast {
    async fn new() -> Self {
        Self {
            idp: TestIssuer::start("idp").await,
            owner: Key::p256(),
            other_owner: Key::p256(),
            operator: Key::p256(),
            stranger: Key::p256(),
            p256: Key::p256(),
            p384: Key::p384(),
            ed25519: Key::ed25519(),
        }
    }

    /// Who owns what a column is about.
    fn owner_of(&self, column: &str) -> KeyFingerprint {
        match column {
            "owner-token" => token_principal(&self.idp.settings.issuer, OWNER),
            _ => self.owner.fingerprint,
        }
    }

    fn enclave(&self) -> Arc<Enclave> {
        start_with(
            Arc::new(MemoryDisk::new(MAX_BLOCKS)),
            Configuration {
                owners: vec![
                    self.owner.fingerprint,
                    self.other_owner.fingerprint,
                    self.owner_of("owner-token"),
                ],
                operator: Some(self.operator.fingerprint),
                issuers: vec![self.idp.settings.clone()],
                // Some of them wait while others deploy.
                idle_timeout_ms: 3_600_000,
                ..Configuration::default()
            },
        )
    }

    /// What a column's caller shows.
    fn shows(&self, column: &str) -> (Option<&Key>, Option<String>) {
        let token = |claims| (None, Some(self.idp.token(&claims)));
        let expired = || self.idp.claims_with("guest", "exp", json!(1_700_000_000));
        match column {
            "nobody" => (None, None),
            "stranger-key" => (Some(&self.stranger), None),
            "caller-key-p256" => (Some(&self.p256), None),
            "caller-key-p384" => (Some(&self.p384), None),
            "caller-key-ed25519" => (Some(&self.ed25519), None),
            "token" | "token-no-role" => token(self.idp.claims("guest")),
            "token-role" => token(self.idp.claims_with("guest", "roles", json!(["reader"]))),
            "token-expired" => token(expired()),
            "token-wrong-audience" => token(self.idp.claims_with("guest", "aud", json!("another"))),
            "token-unsigned" => (None, Some(self.idp.unsigned(&self.idp.claims("guest")))),
            "owner-key" => (Some(&self.owner), None),
            "owner-key-with-token-expired" => (Some(&self.owner), token(expired()).1),
            "owner-token" => token(self.idp.claims(OWNER)),
            "other-owner-key" => (Some(&self.other_owner), None),
            "operator-key" => (Some(&self.operator), None),
            other => panic!("the page has a column {other}"),
        }
    }
}

/// One caller's connection, and the token that goes with each request.
struct Client {
    sender: Sender,
    token: Option<String>,
}

impl Client {
    async fn connect(enclave: &Arc<Enclave>, cast: &Cast, column: &str) -> Self {
        let (key, token) = cast.shows(column);
        Self { sender: connect(enclave, key).await, token }
    }

    /// The status, and the code of a problem.
    async fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let (head, body) = self.sender.send(request.body(body).unwrap()).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let problem = serde_json::from_slice::<Problem>(&body).ok().filter(|_| !head.status.is_success());
        Answer { status: head.status, code: problem.map(|problem| problem.code), body }
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    code: Option<Code>,
    body: Bytes,
}

impl Answer {
    /// As the page's cells say it.
    fn cell(&self) -> &str {
        match self.code {
            Some(code @ (Code::Unauthenticated | Code::Forbidden | Code::InvalidToken)) => code.as_str(),
            _ => "yes",
        }
    }
}

/// TLS with this key, and HTTP/2.
async fn connect(enclave: &Arc<Enclave>, key: Option<&Key>) -> Sender {
    let own = enclave.attestor.certificate_for(&enclave.state().attested, None).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert[0].clone()).unwrap();
    let configuration = ClientConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut configuration = match key {
        None => configuration.with_no_client_auth(),
        Some(key) => {
            let private = PrivatePkcs8KeyDer::from(key.pkcs8.clone()).into();
            configuration.with_client_auth_cert(vec![key.certificate.clone()], private).unwrap()
        }
    };
    configuration.alpn_protocols = vec![b"h2".to_vec()];
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    tokio::spawn(server::serve_alone(Arc::clone(enclave), theirs));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(configuration)).connect(name, ours).await.unwrap();
    let io = TokioIo::new(stream);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    Sender::Two(sender)
}

/// A table of the page by the name of its first column: rows by their first cell, cells by their columns.
fn table(first: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = PAGE.lines().skip_while(|line| !line.starts_with(&format!("| {first} |")));
    let columns = cells(lines.next().unwrap());
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells = cells(line);
        assert_eq!(cells.len(), columns.len(), "{line}");
        (cells[0].clone(), columns.iter().cloned().zip(cells).collect())
    };
    rows.map(row).collect()
}

/// The columns of a row that are callers.
fn callers(row: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    row.iter().filter(|(column, _)| !matches!(column.as_str(), "operation" | "request" | "policy" | "rules"))
}

async fn clients<'a>(
    enclave: &Arc<Enclave>,
    cast: &Cast,
    columns: impl Iterator<Item = &'a String>,
) -> BTreeMap<String, Client> {
    let mut clients = BTreeMap::new();
    for column in columns {
        clients.insert(column.clone(), Client::connect(enclave, cast, column).await);
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_about_the_enclave_and_its_apps_are_for_those_whom_the_page_names() {
    let cast = Cast::new().await;
    let enclave = cast.enclave();
    let app_of = |column: &str| if column == "owner-token" { "tokens" } else { "keys" };
    let redeploy = async |column: &str| {
        let owner = cast.owner_of(column);
        deploy(&enclave, Kind::Deploy, owner, app_of(column), ADD).await.unwrap();
    };
    redeploy("owner-key").await;
    redeploy("owner-token").await;
    let rows = table("operation");
    assert!(rows.len() >= 14);
    let mut clients = clients(&enclave, &cast, callers(&rows[0].1).map(|(column, _)| column)).await;
    let component = wat::parse_str(ADD).unwrap();
    let mut asked = 0;
    for (operation, row) in &rows {
        let request = row["request"].trim_matches('`');
        let (method, path) = request.split_once(' ').unwrap();
        for (column, expected) in callers(row) {
            asked += 1;
            let app = if operation == "deploy" { format!("new-{asked}") } else { app_of(column).to_owned() };
            let path = path.replace("{app}", &app);
            let (headers, body) = match operation.as_str() {
                "deploy" | "replace" => (vec![("content-type", "application/wasm")], component.clone()),
                "evidence" => (vec![], json!({ "nonce": "00".repeat(32) }).to_string().into_bytes()),
                _ => (vec![], Vec::new()),
            };
            let client = clients.get_mut(column).unwrap();
            let answer = loop {
                let body = Either::Left(Full::from(body.clone()));
                let answer = client.ask(method, &path, &headers, body).await;
                // The check before ends a moment after its answer.
                if answer.code != Some(Code::Busy) {
                    break answer;
                }
            };
            assert_eq!(answer.cell(), expected, "{operation} by {column}: {answer:?}");
            // Without a CPU there is no other image.
            if expected == "yes" && !path.starts_with("/v1/upgrade/") {
                assert!(answer.status.is_success(), "{operation} by {column}: {answer:?}");
            }
            if expected == "yes" && operation == "remove" {
                redeploy(column).await;
            }
        }
    }
    assert_eq!(asked, rows.len() * 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_runs_and_web_requests_are_for_those_whom_the_page_names() {
    let cast = Cast::new().await;
    let enclave = cast.enclave();
    let settings =
        || DeploySettings { issuers: vec![cast.idp.settings.clone()], ..DeploySettings::default() };
    for (app, wasm) in [("call", guests::platform()), ("run", guests::command()), ("web", guests::web())] {
        deploy_as(&enclave, Kind::Deploy, cast.owner.fingerprint, app, wasm, settings()).await.unwrap();
    }
    let rows = table("policy");
    assert!(rows.len() >= 8);
    let columns = callers(&rows[0].1).map(|(column, _)| column);
    let mut clients = clients(&enclave, &cast, columns).await;
    let mut asked = 0;
    for (policy, row) in &rows {
        for entry in ["call", "run", "web"] {
            for owner in ["owner-key", "owner-token"] {
                govern(&enclave, entry, cast.owner_of(owner), rules(&cast, &row["rules"], entry)).await;
                let is_of = |column: &str| (column == "owner-token") == (owner == "owner-token");
                for (column, expected) in callers(row).filter(|(column, _)| is_of(column)) {
                    asked += 1;
                    let client = clients.get_mut(column).unwrap();
                    let answer = match entry {
                        "call" => client.ask("POST", "/v1/apps/call/calls/who", &[], nothing()).await,
                        "run" => {
                            let headers = [(RUN_HEADER, r#"{"arguments":["o"]}"#)];
                            client.ask("POST", "/v1/apps/run/run", &headers, nothing()).await
                        }
                        _ => client.ask("GET", "/apps/web/h", &[], nothing()).await,
                    };
                    assert_eq!(answer.cell(), expected, "{policy}: {entry} by {column}: {answer:?}");
                    assert_eq!(answer.status == StatusCode::OK, expected == "yes", "{answer:?}");
                }
            }
        }
    }
    assert_eq!(asked, rows.len() * 3 * 15);
}

/// The rules of a cell, with the cast's keys. An empty cell is that of settings that say nothing.
fn rules(cast: &Cast, cell: &str, entry: &str) -> CallerPolicy {
    if cell.is_empty() {
        return serde_json::from_str::<DeploySettings>("{}").unwrap().callers;
    }
    let other = if entry == "run" { "@web" } else { "@run" };
    let texts = cell.trim_matches('`').split_whitespace().filter(|text| *text != "[]");
    let rules = texts.map(|rule| {
        let rule = rule.replace("P256", &cast.p256.fingerprint.to_string());
        let rule = rule.replace("P384", &cast.p384.fingerprint.to_string());
        rule.replace("ED25519", &cast.ed25519.fingerprint.to_string())
            .replace("OTHER", other)
            .parse()
            .unwrap()
    });
    CallerPolicy::new(rules.collect()).unwrap()
}

/// Gives an app another owner and other rules, as no request can.
async fn govern(enclave: &Arc<Enclave>, app: &str, owner: KeyFingerprint, callers: CallerPolicy) {
    let app = name(app);
    let changed: Result<(), Problem> = enclave
        .change(move |enclave, mut apps| {
            let present = &apps.running[&app];
            let mut record = present.record.clone();
            (record.owner, record.callers) = (owner, callers);
            let next = Arc::new(present.with_record(record));
            apps.running.insert(app, next);
            Ok((enclave.evidence(apps)?, ()))
        })
        .await;
    changed.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_which_apps_there_are_and_nothing_of_them() {
    let cast = Cast::new().await;
    let enclave = cast.enclave();
    deploy(&enclave, Kind::Deploy, cast.owner.fingerprint, "ledger", ADD).await.unwrap();
    deploy(&enclave, Kind::Deploy, cast.other_owner.fingerprint, "other", ADD).await.unwrap();
    for (column, apps, counted) in [
        ("operator-key", &["ledger", "other"][..], 0),
        ("owner-key", &["ledger"], 1),
        ("owner-token", &[], 0),
    ] {
        let mut client = Client::connect(&enclave, &cast, column).await;
        let list = client.ask("GET", "/v1/apps", &[], nothing()).await.body;
        let list: AppList = serde_json::from_slice(&list).unwrap();
        assert_eq!(Vec::from_iter(list.apps.iter().map(|app| app.name.as_str())), apps, "{column}");
        let volume = client.ask("GET", "/v1/volume", &[], nothing()).await.body;
        assert_eq!(serde_json::from_slice::<VolumeStatistics>(&volume).unwrap().apps.len(), counted);
    }
    let call = Request::new(Full::new(Bytes::from_static(b"[1,2]")));
    calls::serve(&enclave, &Caller::unknown(), &name("ledger"), "f", call).await.unwrap();
    for (column, tells) in [("operator-key", false), ("other-owner-key", false), ("owner-key", true)] {
        let mut client = Client::connect(&enclave, &cast, column).await;
        let text = client.ask("GET", "/v1/metrics", &[], nothing()).await.body;
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.contains("cloister_apps 2"), "{text}");
        assert_eq!(text.contains("ledger"), tells, "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_knows_whom_a_token_is_about() {
    let cast = Cast::new().await;
    let enclave = cast.enclave();
    let who = async |column: &str| {
        let mut client = Client::connect(&enclave, &cast, column).await;
        let answer = client.ask("POST", "/v1/apps/app/calls/who", &[], nothing()).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()["result"].clone()
    };
    let issuers = || vec![cast.idp.settings.clone()];
    let owner = cast.owner.fingerprint;
    let settings = DeploySettings { issuers: issuers(), ..for_everybody() };
    deploy_as(&enclave, Kind::Deploy, owner, "app", guests::platform(), settings).await.unwrap();
    // Nothing depends on the token.
    for column in ["nobody", "token", "token-expired"] {
        assert!(who(column).await["err"].is_string(), "{column}");
    }
    let callers = vec!["*=public".parse().unwrap(), "*=token:idp".parse().unwrap()];
    let callers = CallerPolicy::new(callers).unwrap();
    let settings = DeploySettings { issuers: issuers(), callers, ..DeploySettings::default() };
    deploy_as(&enclave, Kind::Replace, owner, "app", guests::platform(), settings).await.unwrap();
    let subject = |name| json!({ "ok": format!("token:{}#{name}", cast.idp.settings.issuer) });
    assert!(who("nobody").await["err"].is_string());
    assert_eq!(who("token").await, subject("guest"));
    assert_eq!(who("owner-token").await, subject(OWNER));
    assert_eq!(who("owner-key").await, json!({ "ok": format!("key:{owner}") }));
    let mut client = Client::connect(&enclave, &cast, "token-expired").await;
    let answer = client.ask("POST", "/v1/apps/app/calls/who", &[], nothing()).await;
    assert_eq!(answer.code, Some(Code::InvalidToken));
}

/// Nobody is let in, and nobody is told that a good token is a bad one.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_issuer_gives_no_keys_is_not_called_bad() {
    let mut cast = Cast::new().await;
    cast.idp.settings.jwks = Some("https://localhost:1/keys".to_owned());
    let enclave = cast.enclave();
    let settings = DeploySettings {
        callers: CallerPolicy::new(vec!["*=token:idp".parse().unwrap()]).unwrap(),
        issuers: vec![cast.idp.settings.clone()],
        ..DeploySettings::default()
    };
    let owner = cast.owner.fingerprint;
    deploy_as(&enclave, Kind::Deploy, owner, "app", guests::platform(), settings).await.unwrap();
    for (column, expected) in [
        ("token", Code::IssuerUnavailable),
        ("owner-token", Code::IssuerUnavailable),
        ("token-unsigned", Code::InvalidToken),
        ("nobody", Code::Unauthenticated),
    ] {
        let mut client = Client::connect(&enclave, &cast, column).await;
        for (method, path) in [("GET", "/v1/apps"), ("POST", "/v1/apps/app/calls/who")] {
            let answer = client.ask(method, path, &[], nothing()).await;
            assert_eq!(answer.code, Some(expected), "{column}: {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_of_a_request_that_is_refused() {
    let cast = Cast::new().await;
    let enclave = cast.enclave();
    let callers = CallerPolicy::new(vec!["*=owner".parse().unwrap()]).unwrap();
    let settings = || DeploySettings { callers: callers.clone(), ..DeploySettings::default() };
    let owner = cast.owner.fingerprint;
    for (app, wasm) in [("call", guests::platform()), ("run", guests::command()), ("web", guests::web())] {
        deploy_as(&enclave, Kind::Deploy, owner, app, wasm, settings()).await.unwrap();
    }
    let mut client = Client::connect(&enclave, &cast, "nobody").await;
    // Not even whether there is such an export.
    let answer = client.ask("POST", "/v1/apps/call/calls/whom", &[], nothing()).await;
    assert_eq!(answer.code, Some(Code::Unauthenticated));
    for path in ["/v1/apps/call/calls/who", "/v1/apps/run/run", "/apps/web/e"] {
        // Nothing ever comes of this body.
        let (_upload, body) = Channel::new(1);
        let answer = client.ask("POST", path, &[], Either::Right(body)).await;
        assert_eq!(answer.code, Some(Code::Unauthenticated), "{path}");
    }
    for app in ["call", "run", "web"] {
        let (total, _) = enclave.app(&name(app)).unwrap().counters.read();
        assert_eq!(total.calls, 0, "{app}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_about_exports_that_there_are() {
    let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
    let deploy = async |rules: &[&str]| {
        let callers = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let callers = CallerPolicy::new(callers).unwrap();
        let settings = DeploySettings { callers, ..DeploySettings::default() };
        let _ = admin::remove(&enclave, Requester::with_key(owner()), name("web")).await;
        deploy_as(&enclave, Kind::Deploy, owner(), "web", guests::web(), settings).await
    };
    let described = deploy(&["@web=public", "handle=owner"]).await.unwrap();
    let rules = Vec::from_iter(described.callers.rules().iter().map(ToString::to_string));
    assert_eq!(rules, ["@web=public", "wasi:http/incoming-handler@0.2.12#handle=owner"]);
    let claimed = claims(&enclave).apps[0].callers.clone();
    assert_eq!(claimed, described.callers);
    let problem = deploy(&["hndle=owner"]).await.unwrap_err();
    assert_eq!((problem.code, problem.suggestions.len()), (Code::InvalidSettings, 1), "{}", problem.detail);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claims_say_who_may_what() {
    let cast = Cast::new().await;
    let disk = MemoryDisk::new(MAX_BLOCKS);
    let configuration = || Configuration {
        operator: Some(cast.operator.fingerprint),
        issuers: vec![cast.idp.settings.clone()],
        image_upgrade: "operator".parse().unwrap(),
        ..Configuration::default()
    };
    let enclave = start_with(Arc::new(disk.clone()), configuration());
    let settings = DeploySettings {
        callers: CallerPolicy::new(vec!["*=token:idp".parse().unwrap()]).unwrap(),
        issuers: vec![cast.idp.settings.clone()],
        upgrade: cloister_api::Upgrade::Frozen,
        ..DeploySettings::default()
    };
    deploy_as(&enclave, Kind::Deploy, owner(), "app", guests::platform(), settings).await.unwrap();
    let first = claims(&enclave);
    assert_eq!(first.operator, Some(*cast.operator.fingerprint.as_bytes()));
    assert_eq!(first.image_upgrade, cloister_attestation::ImageUpgradeClaim::Operator);
    assert_eq!(first.platform, cloister_attestation::PlatformClaim::Simulated);
    assert_eq!((first.issuers.len(), first.issuers[0].name.as_str()), (1, "idp"));
    assert!(first.issuers[0].roots.is_some());
    assert_eq!(first.apps[0].issuers, first.issuers);
    assert_eq!(first.apps[0].upgrade, cloister_attestation::UpgradePolicy::Frozen);
    assert_eq!(first.boot.counter, 1);
    assert!(first.made >= first.boot.told_time && first.boot.told_time > 1_700_000_000);
    drop(enclave);
    let second = claims(&start_with(Arc::new(disk), configuration()));
    assert_eq!((second.boot.counter, &second.apps), (2, &first.apps));
    assert!(second.made >= first.made);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_made_anew_when_it_is_old() {
    let disk = || Arc::new(MemoryDisk::new(MAX_BLOCKS));
    let young = start(disk());
    let before = young.state();
    upkeep::renew(&young).await;
    assert!(Arc::ptr_eq(&before, &young.state()), "it is a day younger than it may be");
    let old = start_with(disk(), Configuration { quote_lifetime_ms: 0, ..Configuration::default() });
    deploy(&old, Kind::Deploy, owner(), "ledger", ADD).await.unwrap();
    let (before, claimed) = (old.state(), claims(&old));
    upkeep::renew(&old).await;
    assert!(!Arc::ptr_eq(&before, &old.state()));
    let renewed = claims(&old);
    assert_eq!((renewed.apps, renewed.boot, renewed.tls_key), (claimed.apps, claimed.boot, claimed.tls_key));
    assert!(renewed.made >= claimed.made && renewed.volume.unwrap().epoch > claimed.volume.unwrap().epoch);
    assert!(Arc::ptr_eq(&before.apps.running[&name("ledger")], &old.state().apps.running[&name("ledger")]));
}

#[tokio::test]
async fn issuers_that_are_none_keep_the_enclave_from_starting() {
    let storage =
        Storage::mount(Arc::new(MemoryDisk::new(MAX_BLOCKS)), &FixedKey, Options::default()).unwrap();
    let issuer = TokenIssuer {
        name: "idp".into(),
        issuer: "https://id.example".into(),
        audience: "a".into(),
        roles_claim: "roles".into(),
        jwks: None,
        roots: vec!["MAA=".into()],
    };
    let configuration = Configuration { issuers: vec![issuer], ..Configuration::default() };
    let key = storage.identity().unwrap();
    let attestor = attest::Attestor::new(&configuration, b"{}", key, 1).unwrap();
    let runtime = Runtime::new(Settings::default()).unwrap();
    let loaded = storage.load(&runtime).unwrap();
    let refused = Enclave::new(configuration, runtime, Settings::default(), attestor, storage, loaded);
    let why = refused.err().unwrap().to_string();
    assert!(why.contains("the configuration's issuers: root 0 of token issuer 'idp'"), "{why}");
}

const PAGE: &str = include_str!("../../../../docs/design/authorization.md");
/// The subject of the owner who is known by a token.
const OWNER: &str = "olga";
