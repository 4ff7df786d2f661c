//! Apps of the same component that use the same names everywhere, and of which none ever sees another.

use crate::apps::code;
use crate::probe::{Probe, component, settings};
use cloister_api::{Code, DeploySettings, EnvironmentVariable};
use cloister_client::{Client, Identity, Session, Tree, Upload};
use cloister_tests::{Setup, name, shared};
use serde_json::{Value, json};
use std::time::Duration;

/// Settings with the same names for every app, and values of its own.
fn settings_of(app: &str) -> DeploySettings {
    let variable = |name: &str, what: &str| EnvironmentVariable {
        name: name.to_owned(),
        value: format!("{what} of {app}"),
    };
    DeploySettings {
        environment: vec![variable("TOKEN", "token"), variable("USER", "user")],
        config: vec![variable("database", "database"), variable("greeting", "greeting")],
        ..settings(&[])
    }
}

/// Writes under the names that all apps of these tests use.
async fn fill(probe: Probe<'_>) {
    let own = format!("of {}", probe.app);
    probe.ok("write-file", json!(["/notes", own])).await;
    probe.ok("set-key", json!(["", "key", own])).await;
    probe.ok("increment", json!(["", "counter", probe.app.len()])).await;
    assert_eq!(probe.ok("make-temp", json!(["work", own])).await, json!("work-0"));
    assert_eq!(probe.ok("make-temp", json!(["work", own])).await, json!("work-1"));
    probe.get("write-log", json!([format!("line {own}")])).await;
    assert_eq!(probe.error("http-get", json!([format!("https://{}.example/", probe.app)])).await, DENIED);
}

/// Finds what [`fill`] wrote, what the settings say, and nothing else.
async fn has_its_own(probe: Probe<'_>) {
    let app = probe.app;
    let own = json!(format!("of {app}"));
    for (name, what) in [("TOKEN", "token"), ("USER", "user")] {
        assert_eq!(probe.get("env", json!([name])).await, json!(format!("{what} of {app}")));
    }
    assert_eq!(sorted(probe.get("env-names", json!([])).await), ["TOKEN", "USER"]);
    let config = [("database", "database"), ("greeting", "greeting")]
        .map(|(key, what)| json!([key, format!("{what} of {app}")]));
    for pair in &config {
        assert_eq!(probe.ok("config", json!([pair[0]])).await, pair[1]);
    }
    let mut all: Vec<Value> = serde_json::from_value(probe.ok("config-all", json!([])).await).unwrap();
    all.sort_by_key(Value::to_string);
    assert_eq!(all, config);
    assert_eq!(probe.ok("read-file", json!(["/notes"])).await, own);
    assert_eq!(probe.ok("list-files", json!(["/"])).await, json!(["notes", "tmp"]));
    assert_eq!(probe.ok("temp-names", json!([])).await, json!(["work-0", "work-1"]));
    assert_eq!(probe.ok("read-file", json!(["/tmp/work-0"])).await, own);
    assert_eq!(probe.ok("get-key", json!(["", "key"])).await, own);
    assert_eq!(probe.ok("list-keys", json!([""])).await, json!(["counter", "key"]));
    assert_eq!(probe.ok("increment", json!(["", "counter", 0])).await, json!(app.len()));
    let log = probe.session.logs(&probe.name()).await.unwrap();
    assert!(log.contains(&format!("line of {app}")), "{log}");
    assert_eq!(log.matches("line of ").count(), log.matches(&format!("line of {app}\n")).count(), "{log}");
    let egress = probe.session.egress(&probe.name()).await.unwrap();
    let hosts: Vec<_> = egress.requests.iter().map(|request| request.host.as_str()).collect();
    assert_eq!(hosts, [format!("{app}.example")]);
}

/// Finds nothing of what [`fill`] wrote.
async fn is_new(probe: Probe<'_>) {
    assert_eq!(probe.ok("list-files", json!(["/"])).await, json!([]));
    assert_eq!(probe.ok("temp-names", json!([])).await, json!([]));
    assert_eq!(probe.error("read-file", json!(["/notes"])).await, "no-entry");
    assert_eq!(probe.error("read-file", json!(["/tmp/work-0"])).await, "no-entry");
    assert_eq!(probe.ok("list-keys", json!([""])).await, json!([]));
    assert_eq!(probe.ok("get-key", json!(["", "key"])).await, Value::Null);
    assert_eq!(probe.session.logs(&probe.name()).await.unwrap(), "");
    assert!(probe.session.egress(&probe.name()).await.unwrap().requests.is_empty());
    let described = probe.session.describe(&probe.name()).await.unwrap();
    assert_eq!((described.storage.files, described.storage.keys), (0, 0), "{:?}", described.storage);
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_of_one_component_share_no_name() {
    let session = shared().owner().await;
    let one = Probe::deploy(&session, "same-name-one", &settings_of("same-name-one")).await;
    fill(one).await;
    let other = Probe::deploy(&session, "same-name-other", &settings_of("same-name-other")).await;
    is_new(other).await;
    fill(other).await;
    for probe in [one, other] {
        has_its_own(probe).await;
    }
    // The other one's changes and removals change nothing here.
    other.ok("write-file", json!(["/notes", "changed"])).await;
    other.ok("remove-file", json!(["/tmp/work-0"])).await;
    other.ok("set-key", json!(["", "key", "changed"])).await;
    has_its_own(one).await;
    for probe in [one, other] {
        session.remove(&probe.name()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_that_run_at_once_never_mix() {
    let session = shared().owner().await;
    let apps = ["at-once-one", "at-once-two", "at-once-three"];
    for app in apps {
        Probe::deploy(&session, app, &settings_of(app)).await;
    }
    let callers = apps.map(|app| {
        tokio::spawn(async move {
            let session = shared().caller().await;
            let probe = Probe { session: &session, app };
            for round in 0..20 {
                let own = format!("{round} of {app}");
                probe.ok("write-file", json!(["/notes", own])).await;
                probe.ok("set-key", json!(["", "key", own])).await;
                assert_eq!(probe.ok("make-temp", json!(["work", own])).await, json!(format!("work-{round}")));
                assert_eq!(probe.get("env", json!(["TOKEN"])).await, json!(format!("token of {app}")));
                assert_eq!(
                    probe.ok("config", json!(["greeting"])).await,
                    json!(format!("greeting of {app}"))
                );
                assert_eq!(probe.ok("read-file", json!(["/notes"])).await, json!(own));
                assert_eq!(probe.ok("get-key", json!(["", "key"])).await, json!(own));
                assert_eq!(probe.ok("increment", json!(["", "counter", 1])).await, json!(round + 1));
            }
        })
    });
    for caller in callers {
        caller.await.unwrap();
    }
    for app in apps {
        session.remove(&name(app)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_or_bucket_leads_to_another_app() {
    let session = shared().owner().await;
    let one = Probe::deploy(&session, "ways-one", &settings_of("ways-one")).await;
    fill(one).await;
    let other = Probe::deploy(&session, "ways-other", &settings_of("ways-other")).await;
    for path in [
        "/../ways-one/notes",
        "/../../ways-one/notes",
        "/./../notes",
        "/ways-one/notes",
        "/app:ways-one/notes",
        "/../app:ways-one/notes",
        "/tmp/../../ways-one/tmp/work-0",
        "ways-one/notes",
        "//notes",
    ] {
        let result = other.get("read-file", json!([path])).await;
        assert!(result.get("err").is_some(), "{path}: {result}");
    }
    for bucket in
        ["ways-one", "app:ways-one", "/ways-one", "../ways-one", "kv:ways-one", "ways-one/default", "\0", "*"]
    {
        for (export, arguments) in [
            ("get-key", json!([bucket, "key"])),
            ("list-keys", json!([bucket])),
            ("increment", json!([bucket, "counter", 1])),
        ] {
            let error = other.error(export, arguments).await;
            assert!(error == "no-such-store" || error == "access-denied", "{bucket:?}: {error}");
        }
    }
    for key in ["ways-one/key", "../ways-one/key", "ways-one:key", "\0key"] {
        let result = other.get("get-key", json!(["", key])).await;
        assert!(result.get("err").is_some() || result["ok"].is_null(), "{key:?}: {result}");
    }
    for variable in ["ways-one:TOKEN", "TOKEN ", "token", ""] {
        assert_eq!(other.get("env", json!([variable])).await, Value::Null, "{variable:?}");
        assert_eq!(other.ok("config", json!([variable])).await, Value::Null, "{variable:?}");
    }
    is_new(other).await;
    has_its_own(one).await;
    for probe in [one, other] {
        session.remove(&probe.name()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_one_app_changes_nothing_for_the_other() {
    let session = shared().owner().await;
    let one = Probe::deploy(&session, "fate-one", &settings_of("fate-one")).await;
    let other = Probe::deploy(&session, "fate-other", &settings_of("fate-other")).await;
    for probe in [one, other] {
        fill(probe).await;
    }
    // A replaced app keeps its data and has the new settings.
    let settings = settings_of("its successor");
    session.replace(&one.name(), component(), &settings, |_| {}).await.unwrap();
    assert_eq!(one.get("env", json!(["TOKEN"])).await, json!("token of its successor"));
    assert_eq!(one.ok("config", json!(["greeting"])).await, json!("greeting of its successor"));
    assert_eq!(one.ok("read-file", json!(["/notes"])).await, json!("of fate-one"));
    assert_eq!(one.ok("get-key", json!(["", "key"])).await, json!("of fate-one"));
    has_its_own(other).await;

    let removal = session.remove(&one.name()).await.unwrap();
    assert_eq!(removal.keys, 2);
    has_its_own(other).await;
    // Who has the name next finds nothing of who had it.
    let one = Probe::deploy(&session, "fate-one", &settings_of("fate-one")).await;
    is_new(one).await;
    fill(one).await;
    for probe in [one, other] {
        has_its_own(probe).await;
    }
    for probe in [one, other] {
        session.remove(&probe.name()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_keep_apart_through_a_restart() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    for app in ["again-one", "again-other"] {
        fill(Probe::deploy(&session, app, &settings_of(app)).await).await;
    }
    drop(session);
    let enclave = enclave.stop_and_keep().start();
    let session = enclave.owner().await;
    for app in ["again-one", "again-other"] {
        let probe = Probe { session: &session, app };
        assert_eq!(probe.get("env", json!(["TOKEN"])).await, json!(format!("token of {app}")));
        assert_eq!(probe.ok("config", json!(["greeting"])).await, json!(format!("greeting of {app}")));
        assert_eq!(probe.ok("read-file", json!(["/notes"])).await, json!(format!("of {app}")));
        assert_eq!(probe.ok("temp-names", json!([])).await, json!(["work-0", "work-1"]));
        assert_eq!(probe.ok("get-key", json!(["", "key"])).await, json!(format!("of {app}")));
        assert_eq!(probe.ok("increment", json!(["", "counter", 0])).await, json!(app.len()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_seen_by_their_own_app_only() {
    let session = shared().owner().await;
    let with_assets = async |app: &'static str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("page"), format!("page of {app}")).unwrap();
        let assets = Some(Tree::list(folder.path()).unwrap());
        let upload = Upload { wasm: component(), files: None, assets };
        session.deploy(&name(app), upload, &settings_of(app), |_| {}).await.unwrap();
        Probe { session: &session, app }
    };
    let one = with_assets("assets-one").await;
    let other = with_assets("assets-other").await;
    let bare = Probe::deploy(&session, "assets-none", &settings_of("assets-none")).await;
    for probe in [one, other] {
        assert_eq!(
            probe.ok("read-file", json!(["/assets/page"])).await,
            json!(format!("page of {}", probe.app))
        );
        assert_eq!(probe.ok("list-files", json!(["/assets"])).await, json!(["page"]));
        assert_eq!(probe.error("write-file", json!(["/assets/page", "changed"])).await, "read-only");
        assert_eq!(probe.error("remove-file", json!(["/assets/page"])).await, "read-only");
    }
    assert!(!sorted(bare.get("preopens", json!([])).await).contains(&"/assets".to_owned()));
    assert_eq!(bare.error("read-file", json!(["/assets/page"])).await, "no-entry");
    // A directory of the app's own that has the name is its own.
    for path in ["/../assets-one/assets/page", "/assets-one/page", "/app:assets-one/page"] {
        let result = bare.get("read-file", json!([path])).await;
        assert!(result.get("err").is_some(), "{path}: {result}");
    }
    // A successor without assets has none.
    session.replace(&one.name(), component(), &settings_of("assets-one"), |_| {}).await.unwrap();
    assert_eq!(one.error("read-file", json!(["/assets/page"])).await, "no-entry");
    assert_eq!(other.ok("read-file", json!(["/assets/page"])).await, json!("page of assets-other"));
    for probe in [one, other, bare] {
        session.remove(&probe.name()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_and_requests_are_read_by_the_owner_only() {
    let mut setup = Setup::new();
    let second = Identity::generate().unwrap();
    setup.configuration.owners.push(second.fingerprint().parse().unwrap());
    let enclave = setup.start();
    let first = enclave.owner().await;
    let second =
        Client::new(enclave.policy()).with_identity(second).connect(&enclave.endpoint()).await.unwrap();
    let mine = Probe::deploy(&first, "mine", &settings_of("mine")).await;
    let yours = Probe::deploy(&second, "yours", &settings_of("yours")).await;
    for probe in [mine, yours] {
        fill(probe).await;
        has_its_own(probe).await;
    }
    let strangers = [
        (&second, mine, Code::Forbidden),
        (&first, yours, Code::Forbidden),
        (&enclave.caller().await, mine, Code::Unauthenticated),
    ];
    for (stranger, probe, expected) in strangers {
        is_told_nothing(stranger, probe, expected).await;
    }
    // Whoever follows a log gets lines of this app only.
    let mut following = first.follow_logs(&mine.name()).await.unwrap();
    yours.get("write-log", json!(["line of yours, later"])).await;
    mine.get("write-log", json!(["line of mine, later"])).await;
    let mut text = Vec::new();
    while !text.windows(LATER.len()).any(|window| window == LATER) {
        let more = tokio::time::timeout(Duration::from_secs(60), following.next()).await.unwrap().unwrap();
        text.extend_from_slice(&more.expect("the log goes on"));
    }
    assert!(!String::from_utf8_lossy(&text).contains("yours"));
    for marker in ["line of", ".example", "token of", "greeting of"] {
        assert!(!enclave.log().iter().any(|line| line.contains(marker)), "the host's log has {marker:?}");
    }
}

async fn is_told_nothing(stranger: &Session, probe: Probe<'_>, expected: Code) {
    let app = probe.name();
    assert_eq!(code(stranger.logs(&app).await), expected);
    assert_eq!(code(stranger.follow_logs(&app).await.map(drop)), expected);
    assert_eq!(code(stranger.egress(&app).await), expected);
    assert_eq!(code(stranger.describe(&app).await), expected);
}

fn sorted(names: Value) -> Vec<String> {
    let mut names: Vec<String> = serde_json::from_value(names).expect("it is a list of names");
    names.sort();
    names
}

const DENIED: &str = "HTTP-request-denied";
const LATER: &[u8] = b"line of mine, later";
