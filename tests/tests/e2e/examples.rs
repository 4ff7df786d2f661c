//! The examples, compiled inside the image.

use cloister_api::{DeployEvent, DeploySettings, Limits};
use cloister_client::DeployProgress;
use cloister_tests::{code_hash, example, name, shared};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_example_runs() {
    let session = shared().owner().await;
    let app = name("rust-example");
    let deployed = session.deploy(&app, example("rust"), &DeploySettings::default(), |_| {}).await.unwrap();
    assert_eq!(deployed.summary.code_hash, hex::encode(code_hash(&example("rust"))));
    let greeting = session.call_wave(&app, "greet", &["\"Ada\"".into()]).await.unwrap();
    assert!(greeting.result.as_str().unwrap().contains("Ada"), "{greeting:?}");
    let readings = json!([[
        { "sensor": "attic", "at": 1, "measurement": { "temperature": 3.5 } },
        { "sensor": "attic", "at": 2, "measurement": { "temperature": 4.5 } },
        { "sensor": "door", "at": 3, "measurement": { "contact": "open" } },
        { "sensor": "door", "at": 4, "measurement": "nothing" },
    ]]);
    let summary = session.call_json(&app, "summarize", &readings).await.unwrap().result;
    assert_eq!(summary["ok"]["readings"], json!(4), "{summary}");
    assert_eq!(summary["ok"]["temperature"]["mean"], json!(4.0), "{summary}");
    assert_eq!(summary["ok"]["left-open"], json!(["door"]), "{summary}");
    let empty = session.call_json(&app, "summarize", &json!([[]])).await.unwrap().result;
    assert_eq!(empty, json!({ "err": "empty" }));
    let dice = session.call_json(&app, "roll-dice", &json!([100, 6])).await.unwrap().result;
    let dice: Vec<u64> = dice["ok"].as_array().unwrap().iter().map(|die| die.as_u64().unwrap()).collect();
    assert!(dice.len() == 100 && dice.iter().all(|die| (1..=6).contains(die)), "{dice:?}");
    assert!(dice.iter().any(|die| *die != dice[0]));
    let now = session.call_json(&app, "now", &json!([])).await.unwrap().result;
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now["seconds"].as_u64().unwrap().abs_diff(seconds) < 60, "{now}");
    session.remove(&app).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_c_example_runs() {
    let session = shared().owner().await;
    let app = name("c-example");
    session.deploy(&app, example("c"), &DeploySettings::default(), |_| {}).await.unwrap();
    let call =
        async |export: &str, arguments| session.call_json(&app, export, &arguments).await.unwrap().result;
    assert_eq!(call("check-card", json!(["4111111111111111"])).await, json!(true));
    assert_eq!(call("check-card", json!(["4111111111111112"])).await, json!(false));
    // The check value of CRC-32/ISO-HDLC.
    assert_eq!(call("crc32", json!([b"123456789".to_vec()])).await, json!(0xcbf4_3926_u32));
    let account = call("check-iban", json!(["GB82 WEST 1234 5698 7654 32"])).await;
    assert_eq!(account["ok"]["country"], json!("GB"), "{account}");
    let wrong = call("check-iban", json!(["GB82 WEST 1234 5698 7654 33"])).await;
    assert_eq!(wrong, json!({ "err": "checksum" }));
    session.remove(&app).await.unwrap();
}

/// 12 MB of component: the image is sized for it. Other calls are answered while it compiles.
#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_example_runs_and_others_go_on_while_it_compiles() {
    let session = shared().owner().await;
    crate::apps::deploy(&session, "meanwhile", "toolbox").await;
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU32::new(0));
    let others = tokio::spawn({
        let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
        async move {
            let session = shared().caller().await;
            while !over.load(Ordering::Relaxed) {
                session.call_json(&name("meanwhile"), "add", &json!([1, 2])).await.unwrap();
                answered.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    });
    let app = name("javascript-example");
    let settings = DeploySettings {
        limits: Limits { fuel: 1_000_000_000, ..Limits::default() },
        ..DeploySettings::default()
    };
    let mut compiling = 0;
    let began = Instant::now();
    let deployed = session
        .deploy(&app, example("javascript"), &settings, |progress| {
            compiling +=
                u32::from(matches!(progress, DeployProgress::Enclave(DeployEvent::Compiling { .. })));
        })
        .await
        .unwrap();
    over.store(true, Ordering::Relaxed);
    others.await.unwrap();
    println!(
        "javascript: {} bytes compiled in {:.1} s to {} bytes; {} other calls answered meanwhile",
        deployed.summary.size,
        began.elapsed().as_secs_f64(),
        deployed.code_bytes,
        answered.load(Ordering::Relaxed)
    );
    assert!(compiling >= 2, "progress was shown {compiling} times");
    assert!(answered.load(Ordering::Relaxed) >= 5, "{answered:?}");
    let canonical =
        session.call_json(&app, "canonicalize", &json!(["{\"b\": 1, \"a\": [true, 1.0]}"])).await.unwrap();
    assert_eq!(canonical.result, json!({ "ok": "{\"a\":[true,1],\"b\":1}" }));
    let words = session.call_json(&app, "analyze", &json!(["one two two", 1])).await.unwrap().result;
    assert_eq!((&words["words"], &words["frequent"]), (&json!(3), &json!([["two", 2]])), "{words}");
    session.remove(&app).await.unwrap();
    session.remove(&name("meanwhile")).await.unwrap();
}
