//! Many calls that wait at once, on few threads.

use super::web::{nothing, two};
use super::*;
use http::Method;
use std::time::Instant;

#[test]
fn a_thousand_calls_wait_at_once_while_short_ones_are_answered() {
    let executor =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    executor.block_on(async {
        let enclave = start(Arc::new(MemoryDisk::new(MAX_BLOCKS)));
        let limits = Limits { wall_time_ms: 600_000, ..Limits::default() };
        deploy_wasm(&enclave, Kind::Deploy, owner(), "web", guests::web(), limits).await.unwrap();
        let began = Instant::now();
        let mut waiting = Vec::new();
        // 64 streams each.
        for _ in 0..16 {
            let mut sender = two(&enclave, "web.test").await;
            waiting.push(tokio::spawn(async move {
                let requests = (0..63).map(|_| {
                    let request = Request::builder().method(Method::GET).uri("https://web.test/w");
                    request.body(nothing()).unwrap()
                });
                let mut answers = Vec::new();
                for request in requests {
                    let super::web::Sender::Two(sender) = &mut sender else { unreachable!() };
                    answers.push(tokio::spawn(sender.send_request(request)));
                }
                let mut good = 0;
                for answer in answers {
                    let body = answer.await.unwrap().unwrap().into_body().collect().await.unwrap();
                    good += usize::from(body.to_bytes() == "hello");
                }
                good
            }));
        }
        let mut sender = two(&enclave, "web.test").await;
        let mut slowest = Duration::ZERO;
        while !waiting.iter().all(|task| task.is_finished()) {
            let asked = Instant::now();
            assert_eq!(sender.text("https://web.test/h").await.0, 200);
            slowest = slowest.max(asked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let took = began.elapsed();
        let mut good = 0;
        for task in waiting {
            good += task.await.unwrap();
        }
        assert_eq!(good, 16 * 63);
        println!("{good} calls in {took:?}, the slowest short one {slowest:?}");
        // One second of waiting, not one after the other. Unoptimized, on busy machines, TLS takes its time.
        assert!(took < Duration::from_secs(120), "{took:?}");
    });
}
