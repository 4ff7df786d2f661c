//! The life of an app.

use crate::probe::{Gate, component};
use cloister_api::{Code, DeployEvent, DeploySettings, EnvironmentVariable, Limits};
use cloister_client::{Client, ClientError, DeployProgress, Identity, Session};
use cloister_tests::{RawTls, Setup, code_hash, for_everybody, guest, name, shared};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;

/// The code of the problem that a request has to end in.
pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Code {
    match result {
        Err(ClientError::Problem(problem)) => problem.code,
        other => panic!("a problem was expected, not {other:?}"),
    }
}

pub(crate) async fn deploy(session: &Session, app: &str, wasm: &str) {
    session.deploy(&name(app), guest(wasm), &for_everybody(), |_| {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_deployed_called_described_and_removed() {
    let session = shared().owner().await;
    let app = name("life");
    let wasm = guest("toolbox");
    let hash = hex::encode(code_hash(&wasm));
    let mut events = Vec::new();
    let settings = DeploySettings {
        limits: Limits { fuel: 1_000_000, ..Limits::default() },
        environment: vec![EnvironmentVariable { name: "TOKEN".into(), value: "planted-secret".into() }],
        ..for_everybody()
    };
    let deployed =
        session.deploy(&app, wasm.clone(), &settings, |progress| events.push(progress)).await.unwrap();
    assert_eq!(deployed.summary.code_hash, hash);
    assert_eq!(deployed.summary.size, wasm.len() as u64);
    assert_eq!(deployed.summary.owner, shared().identity().fingerprint());
    assert_eq!(deployed.environment, ["TOKEN"]);
    assert_eq!(deployed.limits.fuel, 1_000_000);
    assert!(deployed.wit.contains("add: func(a: u32, b: u32) -> u32"), "{}", deployed.wit);
    assert!(deployed.code_bytes > 0);
    assert!(
        events.iter().any(|event| matches!(event, DeployProgress::Uploaded { sent, total } if sent == total))
    );
    assert!(events.iter().any(|event| matches!(
        event,
        DeployProgress::Enclave(DeployEvent::Received { code_hash, .. }) if *code_hash == hash
    )));

    let answer = session.call_json(&app, "add", &json!({ "a": 20, "b": 22 })).await.unwrap();
    assert_eq!(answer.result, json!(42));
    assert_eq!(answer.code_hash, hash);
    assert!(answer.fuel > 0 && answer.fuel < 1000, "{}", answer.fuel);
    let wave = session.call_wave(&app, "add", &["1".into(), "2".into()]).await.unwrap();
    assert_eq!(wave.result, json!("3"));
    assert_eq!(code(session.call_json(&app, "fail", &json!([])).await), Code::GuestTrapped);

    let described = session.describe(&app).await.unwrap();
    assert_eq!((described.total.calls, described.total.errors), (3, 1));
    let add = &described.functions["add"];
    assert_eq!((add.calls, add.errors), (2, 0));
    assert_eq!(add.fuel_total, answer.fuel + wave.fuel);
    assert_eq!((add.fuel_min, add.fuel_max), (answer.fuel.min(wave.fuel), answer.fuel.max(wave.fuel)));
    assert!(add.wall_us_max >= add.wall_us_min);
    let metrics = session.metrics().await.unwrap();
    assert!(metrics.contains("cloister_calls_total{app=\"life\",function=\"add\"} 2"), "{metrics}");
    assert!(metrics.contains("cloister_call_errors_total{app=\"life\",function=\"fail\"} 1"), "{metrics}");
    assert!(session.apps().await.unwrap().apps.contains(&described.summary));

    session.remove(&app).await.unwrap();
    assert_eq!(code(session.call_json(&app, "add", &json!([1, 2])).await), Code::UnknownApp);
    assert_eq!(code(session.remove(&app).await), Code::UnknownApp);
    assert!(!shared().log().concat().contains("planted-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_finish_on_the_code_that_they_began_with() {
    let session = shared().owner().await;
    let app = name("replaced");
    let gate = Gate::start().await;
    let old = session.deploy(&app, component(), &gate.settings(), |_| {}).await.unwrap();
    let caller = shared().caller().await;
    let slow = tokio::spawn({
        let (app, arguments) = (app.clone(), json!([gate.text(), [7]]));
        async move { caller.call_json(&app, "tcp-roundtrip", &arguments).await }
    });
    let held = gate.held().await;
    let new = session.replace(&app, guest("toolbox"), &for_everybody(), |_| {}).await.unwrap();
    let answer = session.call_json(&app, "add", &json!([1, 2])).await.unwrap();
    assert_eq!((answer.result, answer.code_hash), (json!(3), new.summary.code_hash));
    held.release().await;
    let slow = slow.await.unwrap().unwrap();
    assert_eq!((slow.result, slow.code_hash), (json!({ "ok": [7] }), old.summary.code_hash));
    session.remove(&app).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_gives_the_executable_pages_back() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    let used = |metrics: String| -> u64 {
        let line = metrics.lines().find(|line| line.starts_with("cloister_code_pool_bytes_used ")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let wasm = guest("toolbox");
    let before = used(session.metrics().await.unwrap());
    let mut code = 0;
    for _ in 0..40 {
        let app = name("pages");
        code = session.deploy(&app, wasm.clone(), &for_everybody(), |_| {}).await.unwrap().code_bytes;
        session.remove(&app).await.unwrap();
    }
    let after = used(session.metrics().await.unwrap());
    assert!(after < before + code, "{before} {after} {code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_run_at_once_and_each_gets_its_own_answer() {
    let session = shared().owner().await;
    deploy(&session, "many", "toolbox").await;
    let callers = (0..8_u32).map(|caller| {
        tokio::spawn(async move {
            let session = shared().caller().await;
            for i in 0..100 {
                let answer =
                    session.call_json(&name("many"), "add", &json!([caller * 1000, i])).await.unwrap();
                assert_eq!(answer.result, json!(caller * 1000 + i));
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert_eq!(session.describe(&name("many")).await.unwrap().functions["add"].calls, 800);
    session.remove(&name("many")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_owner_may_administer() {
    let caller = shared().caller().await;
    let app = name("guarded");
    assert_eq!(code(caller.apps().await), Code::Unauthenticated);
    assert_eq!(code(caller.metrics().await), Code::Unauthenticated);
    assert_eq!(code(caller.describe(&app).await), Code::Unauthenticated);
    assert_eq!(code(caller.remove(&app).await), Code::Unauthenticated);
    let deployed = caller.deploy(&app, guest("toolbox"), &for_everybody(), |_| {}).await;
    assert_eq!(code(deployed), Code::Unauthenticated);
    let stranger = cloister_client::Client::new(shared().policy())
        .with_identity(cloister_client::Identity::generate().unwrap())
        .connect(&shared().endpoint())
        .await
        .unwrap();
    assert_eq!(code(stranger.apps().await), Code::Forbidden);
    let deployed = stranger.deploy(&app, guest("toolbox"), &for_everybody(), |_| {}).await;
    assert_eq!(code(deployed), Code::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_sees_and_changes_their_own_apps_only() {
    let mut setup = Setup::new();
    let second = Identity::generate().unwrap();
    setup.configuration.owners.push(second.fingerprint().parse().unwrap());
    let enclave = setup.start();
    let first = enclave.owner().await;
    deploy(&first, "mine", "toolbox").await;
    let second =
        Client::new(enclave.policy()).with_identity(second).connect(&enclave.endpoint()).await.unwrap();
    deploy(&second, "yours", "toolbox").await;
    let names = |list: cloister_api::AppList| {
        list.apps.into_iter().map(|app| app.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(first.apps().await.unwrap()), ["mine"]);
    assert_eq!(names(second.apps().await.unwrap()), ["yours"]);
    let app = name("mine");
    assert_eq!(code(second.describe(&app).await), Code::Forbidden);
    assert_eq!(code(second.remove(&app).await), Code::Forbidden);
    let replaced = second.replace(&app, guest("writer"), &for_everybody(), |_| {}).await;
    assert_eq!(code(replaced), Code::Forbidden);
    assert!(!second.metrics().await.unwrap().contains("app=\"mine\""));
    assert_eq!(first.call_json(&app, "add", &json!([1, 2])).await.unwrap().result, json!(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_bound_are_told_that_the_enclave_is_busy() {
    let mut setup = Setup::new();
    setup.configuration.max_concurrent_calls = 2;
    let enclave = Arc::new(setup.start());
    let session = enclave.owner().await;
    let limits = Limits { fuel: 1 << 39, wall_time_ms: 1_000, ..Limits::default() };
    let settings = DeploySettings { limits, ..for_everybody() };
    session.deploy(&name("brief"), guest("toolbox"), &settings, |_| {}).await.unwrap();
    deploy(&session, "third", "toolbox").await;
    let gate = Gate::start().await;
    session.deploy(&name("slow"), component(), &gate.settings(), |_| {}).await.unwrap();
    let slow = [0, 1].map(|number| {
        let (enclave, arguments) = (Arc::clone(&enclave), json!([gate.text(), [number]]));
        tokio::spawn(async move {
            enclave.caller().await.call_json(&name("slow"), "tcp-roundtrip", &arguments).await
        })
    });
    let held = [gate.held().await, gate.held().await];
    assert!(session.metrics().await.unwrap().contains("cloister_calls_under_way 2"));
    assert_eq!(code(session.call_json(&name("third"), "add", &json!([1, 2])).await), Code::Busy);
    for held in held {
        held.release().await;
    }
    for (number, call) in slow.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap().result, json!({ "ok": [number] }));
    }
    // Calls that their own time ends make room, too.
    for _ in 0..3 {
        assert_eq!(code(session.call_json(&name("brief"), "spin", &json!([])).await), Code::TimedOut);
    }
    assert_eq!(session.call_json(&name("third"), "add", &json!([1, 2])).await.unwrap().result, json!(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_calls_under_way_finish() {
    let mut setup = Setup::new();
    setup.configuration.grace_ms = 120_000;
    setup.launch.grace = Duration::from_secs(150);
    let enclave = setup.start();
    let session = enclave.owner().await;
    let gate = Gate::start().await;
    session.deploy(&name("last"), component(), &gate.settings(), |_| {}).await.unwrap();
    let caller = enclave.caller().await;
    let arguments = json!([gate.text(), [7]]);
    let last =
        tokio::spawn(async move { caller.call_json(&name("last"), "tcp-roundtrip", &arguments).await });
    let held = gate.held().await;
    let address = enclave.address();
    enclave.running().shutdown();
    let deadline = Instant::now() + PATIENCE;
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "it still listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!last.is_finished(), "it was ended");
    held.release().await;
    assert_eq!(last.await.unwrap().unwrap().result, json!({ "ok": [7] }));
    assert!(matches!(enclave.stop(), Ok(cloister_host::Exit::Success)));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_owes_nothing_and_answers_nothing_does_not_hold_up_a_stop() {
    let mut setup = Setup::new();
    setup.configuration.grace_ms = 300_000;
    setup.launch.grace = Duration::from_secs(330);
    let enclave = setup.start();
    // A runtime of its own that nobody polls from here on: the connection stays open, and its end is never answered.
    let stalled = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (endpoint, policy) = (enclave.endpoint(), enclave.policy());
    let (stalled, session) = tokio::task::spawn_blocking(move || {
        let session = stalled.block_on(async {
            let session = Client::new(policy).connect(&endpoint).await.unwrap();
            session.health().await.unwrap();
            session
        });
        (stalled, session)
    })
    .await
    .unwrap();
    let began = Instant::now();
    let exit = tokio::task::spawn_blocking(|| enclave.stop()).await.unwrap();
    assert!(matches!(exit, Ok(cloister_host::Exit::Success)), "{exit:?}");
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    drop(session);
    stalled.shutdown_background();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_guest_reaches_the_hosts_log() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    let settings = DeploySettings {
        environment: vec![EnvironmentVariable { name: "PLANTED".into(), value: "planted".into() }],
        ..for_everybody()
    };
    session.deploy(&name("planted-app"), guest("toolbox"), &settings, |_| {}).await.unwrap();
    session.deploy(&name("planted-log"), guest("writer"), &settings, |_| {}).await.unwrap();
    let echo = session.call_json(&name("planted-app"), "echo", &json!(["planted text"])).await.unwrap();
    assert_eq!(echo.result, json!("planted text"));
    session.call_json(&name("planted-log"), "write", &json!([3])).await.unwrap();
    assert_eq!(session.logs(&name("planted-log")).await.unwrap(), "hello\nhello\nhello\n");
    assert_eq!(code(enclave.caller().await.logs(&name("planted-log")).await), Code::Unauthenticated);
    code(session.call_json(&name("planted-app"), "fail", &json!([])).await);
    code(session.call_json(&name("planted-app"), "add", &json!(["planted", "planted"])).await);
    code(session.call_json(&name("planted-none"), "planted", &json!([])).await);
    let log = enclave.log();
    for marker in ["planted", "PLANTED", "hello", "fail_on_purpose"] {
        assert!(!log.iter().any(|line| line.contains(marker)), "{marker}: {log:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let mut setup = Setup::new();
    setup.configuration.idle_timeout_ms = 5_000;
    // Nothing else ends it in time.
    setup.configuration.header_timeout_ms = 600_000;
    setup.configuration.body_timeout_ms = 600_000;
    let enclave = setup.start();
    let session = enclave.caller().await;
    session.health().await.unwrap();
    let mut raw = RawTls::connect(enclave.address(), "localhost").await.unwrap();
    let began = Instant::now();
    let answer = raw.send(b"GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n", 4 * PATIENCE).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // It read until the end, and not until its patience was over.
    assert!(began.elapsed() < 3 * PATIENCE, "{:?}", began.elapsed());
    assert!(!matches!(raw.0.read(&mut [0]).await, Ok(1..)));
    while !session.is_lost() {
        assert!(began.elapsed() < 3 * PATIENCE, "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(session.health().await.is_err());
    enclave.caller().await.health().await.unwrap();
}

/// For what has to happen.
const PATIENCE: Duration = Duration::from_secs(60);
