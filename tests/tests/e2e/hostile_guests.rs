//! Eight hostile guests beside a good one, in the image.

use crate::apps::{code, deploy};
use cloister_api::{Code, DeploySettings, Limits};
use cloister_client::ClientError;
use cloister_tests::{Setup, for_everybody, given, guest, name, shared};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn eight_hostile_guests_beside_a_good_one() {
    let session = shared().owner().await;
    deploy(&session, "good", "toolbox").await;
    deploy(&session, "toolbox", "toolbox").await;
    deploy(&session, "handles", "handle-bomb").await;
    deploy(&session, "host-calls", "clock-reader").await;
    deploy(&session, "log", "writer").await;
    let small = DeploySettings { limits: Limits { result: 1000, ..Limits::default() }, ..for_everybody() };
    session.deploy(&name("result"), guest("toolbox"), &small, |_| {}).await.unwrap();

    let over = Arc::new(AtomicBool::new(false));
    let good: Vec<_> = (0..2)
        .map(|_| {
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let session = shared().caller().await;
                let mut calls = 0_u32;
                while !over.load(Ordering::Relaxed) || calls < 10 {
                    let answer = session.call_json(&name("good"), "add", &json!([calls, 1])).await.unwrap();
                    assert_eq!(answer.result, json!(calls + 1));
                    calls += 1;
                }
            })
        })
        .collect();

    let hostile = [
        ("toolbox", "spin", json!([]), Code::OutOfFuel, "endless loop"),
        ("toolbox", "hoard", json!([]), Code::LimitExceeded, "memory bomb"),
        ("toolbox", "dive", json!([]), Code::GuestTrapped, "deep recursion"),
        ("result", "big", json!([10_000]), Code::ResultTooLarge, "huge result"),
        ("handles", "own", json!([]), Code::LimitExceeded, "handle bomb"),
        ("host-calls", "read", json!([0]), Code::OutOfFuel, "host-call flood"),
        ("toolbox", "fail", json!([]), Code::GuestTrapped, "panic"),
        ("log", "write", json!([100_000_000]), Code::OutOfFuel, "log flood"),
    ];
    for round in 0..3 {
        let under_way = hostile.clone().map(|(app, export, arguments, expected, what)| {
            tokio::spawn(async move {
                let session = shared().caller().await;
                match session.call_json(&name(app), export, &arguments).await {
                    Err(ClientError::Problem(problem)) => {
                        assert_eq!(problem.code, expected, "{what}, round {round}: {problem:?}");
                    }
                    other => panic!("{what}, round {round}: {other:?}"),
                }
            })
        });
        for call in under_way {
            call.await.unwrap();
        }
    }
    over.store(true, Ordering::Relaxed);
    for calls in good {
        calls.await.unwrap();
    }
    let log = session.describe(&name("log")).await.unwrap();
    assert_eq!((log.total.calls, log.total.errors), (3, 3));
    for app in ["good", "toolbox", "handles", "host-calls", "log", "result"] {
        session.remove(&name(app)).await.unwrap();
    }
}

/// Each may have as much memory as an app can be given, and together they want three times the image's heap.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_want_more_than_the_heap_harm_no_modest_one() {
    let enclave = Arc::new(Setup::new().start());
    let session = enclave.owner().await;
    deploy(&session, "modest", "toolbox").await;
    let limits = Limits { memory: 512 << 20, result: 16 << 20, fuel: 1 << 32, ..Limits::default() };
    let settings = DeploySettings { limits, ..for_everybody() };
    session.deploy(&name("greedy"), guest("toolbox"), &settings, |_| {}).await.unwrap();
    let greedy = (0..20).map(|i| {
        let enclave = Arc::clone(&enclave);
        tokio::spawn(async move {
            let session = enclave.caller().await;
            let (export, arguments) =
                if i % 2 == 0 { ("hoard", json!([])) } else { ("big", json!([4_000_000])) };
            session.call_json(&name("greedy"), export, &arguments).await
        })
    });
    let greedy = greedy.collect::<Vec<_>>();
    let mut answers = 0_u32;
    while answers < 100 || !greedy.iter().all(tokio::task::JoinHandle::is_finished) {
        let answer = session.call_json(&name("modest"), "add", &json!([answers, 1])).await.unwrap();
        assert_eq!(answer.result, json!(answers + 1));
        answers += 1;
    }
    for call in greedy {
        match call.await.unwrap() {
            Ok(answer) => assert_eq!(answer.result.as_array().map(Vec::len), Some(4_000_000)),
            Err(ClientError::Problem(problem)) => {
                let expected =
                    [Code::LimitExceeded, Code::ResultTooLarge, Code::GuestTrapped, Code::TimedOut];
                assert!(expected.contains(&problem.code), "{problem:?}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// The image that is shipped has no way to make it panic, so this is one of the same code that does when a guest writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_enclaves_own_code_ends_one_call() {
    let mut setup = Setup::new();
    setup.launch.image = given("CLOISTER_PROVOKED_IMAGE");
    setup.launch.sigstruct = given("CLOISTER_PROVOKED_SIGSTRUCT");
    let enclave = Arc::new(setup.start());
    let session = enclave.owner().await;
    deploy(&session, "good", "toolbox").await;
    deploy(&session, "provokes", "writer").await;
    let callers = (0..4).map(|_| {
        let enclave = Arc::clone(&enclave);
        tokio::spawn(async move {
            let session = enclave.caller().await;
            for i in 0..50 {
                let panicked = session.call_json(&name("provokes"), "write", &json!([1])).await;
                assert_eq!(code(panicked), Code::Internal);
                let answer = session.call_json(&name("good"), "add", &json!([i, 1])).await.unwrap();
                assert_eq!(answer.result, json!(i + 1));
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let provokes = session.describe(&name("provokes")).await.unwrap().total;
    assert_eq!((provokes.calls, provokes.errors), (200, 200));
    let log = enclave.log();
    assert!(log.iter().any(|line| line.contains("panic at")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("provoked by")), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_names_its_reason_and_the_functions() {
    let session = shared().owner().await;
    deploy(&session, "traps", "toolbox").await;
    for (export, arguments, reason) in [
        ("div", json!([1, 0]), "integer divide by zero"),
        ("out-of-bounds", json!([]), "out of bounds memory access"),
        ("dive", json!([]), "call stack exhausted"),
        ("fail", json!([]), "unreachable"),
    ] {
        let Err(ClientError::Problem(problem)) = session.call_json(&name("traps"), export, &arguments).await
        else {
            panic!("{export} did not trap");
        };
        let trap = problem.trap.expect("it has a trap");
        assert!(trap.reason.contains(reason), "{export}: {}", trap.reason);
        assert!(!trap.backtrace.is_empty(), "{export}");
        if export == "fail" {
            assert_eq!(trap.backtrace[0].function.as_deref(), Some("fail_on_purpose"));
        }
    }
    session.remove(&name("traps")).await.unwrap();
}
