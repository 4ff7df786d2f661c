//! A host that closes, truncates, repeats, delays or forges its answers. Connections may fail; the enclave may not,
//! and no wrong answer may pass for a right one.

use crate::apps::deploy;
use cloister_client::ClientError;
use cloister_host::{Answer, Call, Interference, StreamKind, UsercallError, UsercallKind};
use cloister_tests::{Enclave, Setup, name};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Lies once it is told to, for as many answers as it is told.
#[derive(Debug)]
struct Liar {
    lie: Lie,
    lying: AtomicBool,
    /// Answers that it could have changed, and those that it did.
    seen: AtomicU32,
    told: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    Close,
    Truncate,
    Repeat,
    Delay,
    LengthBeyondTheBuffer,
    HugeLength,
    ForgedBytes,
    UnknownError,
    SpuriousWouldBlock,
    WrongWriteLength,
}

impl Interference for Liar {
    fn answer(&self, call: &Call<'_>, answer: &mut Answer) {
        let on_a_connection = call.stream == Some(StreamKind::Socket);
        if !on_a_connection || answer.status != 0 || !self.lying.load(Ordering::Relaxed) {
            return;
        }
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        let read = call.kind == UsercallKind::Read;
        let write = call.kind == UsercallKind::Write;
        match self.lie {
            Lie::Close if read => answer.end_of_stream(),
            Lie::Truncate if read => {
                let half = answer.bytes.len() / 2;
                answer.set_bytes(answer.bytes[..half].to_vec());
            }
            Lie::Repeat if read => {
                let twice = [answer.bytes.as_slice(), answer.bytes.as_slice()].concat();
                let fits = twice.len().min(call.length);
                answer.set_bytes(twice[..fits].to_vec());
            }
            Lie::Delay if read || write => std::thread::sleep(Duration::from_millis(20)),
            Lie::LengthBeyondTheBuffer if read => answer.value = call.length as u64 + 1,
            Lie::HugeLength if read || write => answer.value = u64::MAX,
            Lie::ForgedBytes if read => answer.bytes.iter_mut().for_each(|byte| *byte ^= 0x55),
            Lie::UnknownError if read || write => answer.status = 0x1234_5678,
            Lie::SpuriousWouldBlock if read && seen.is_multiple_of(2) => {
                answer.fail(UsercallError::WouldBlock);
            }
            Lie::WrongWriteLength if write => answer.value = call.length as u64 + 1,
            _ => return,
        }
        self.told.fetch_add(1, Ordering::Relaxed);
    }
}

fn start(lie: Lie) -> (Enclave, Arc<Liar>) {
    let liar = Arc::new(Liar {
        lie,
        lying: AtomicBool::new(false),
        seen: AtomicU32::new(0),
        told: AtomicU32::new(0),
    });
    let mut setup = Setup::new();
    setup.configuration.header_timeout_ms = 10_000;
    setup.configuration.body_timeout_ms = 10_000;
    setup.launch.interference = Some(liar.clone());
    (setup.start(), liar)
}

/// Whatever the host does while it lies, each call is right or fails, and afterwards all is well.
async fn survives(lie: Lie) {
    let (enclave, liar) = start(lie);
    let session = enclave.owner().await;
    deploy(&session, "steady", "toolbox").await;
    liar.lying.store(true, Ordering::Relaxed);
    for i in 0..4 {
        let attempt = async {
            let session = enclave.connect(enclave.policy()).await?;
            session.call_json(&name("steady"), "add", &json!([i, 1])).await
        };
        match tokio::time::timeout(Duration::from_secs(3), attempt).await {
            Ok(Ok(answer)) => assert_eq!(answer.result, json!(i + 1), "{lie:?}"),
            Ok(Err(ClientError::Problem(problem))) => panic!("{lie:?}: a lie reached a request: {problem:?}"),
            Ok(Err(_)) | Err(_) => {}
        }
    }
    assert!(liar.told.load(Ordering::Relaxed) > 0, "{lie:?} was never told");
    liar.lying.store(false, Ordering::Relaxed);
    let session = enclave.owner().await;
    let answer = session.call_json(&name("steady"), "add", &json!([20, 22])).await.unwrap();
    assert_eq!(answer.result, json!(42), "{lie:?}");
}

macro_rules! lies {
    ($($test:ident: $lie:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                survives(Lie::$lie).await;
            }
        )*
    };
}

lies! {
    a_closed_connection: Close,
    truncated_bytes: Truncate,
    repeated_bytes: Repeat,
    late_answers: Delay,
    a_length_beyond_the_buffer: LengthBeyondTheBuffer,
    a_length_beyond_everything: HugeLength,
    forged_bytes: ForgedBytes,
    an_unknown_error: UnknownError,
    a_false_would_block: SpuriousWouldBlock,
    a_wrong_length_written: WrongWriteLength,
}

/// Answers the services with garbage.
#[derive(Debug)]
struct BadService(StreamKind);

impl Interference for BadService {
    fn answer(&self, call: &Call<'_>, answer: &mut Answer) {
        if call.stream == Some(self.0) && call.kind == UsercallKind::Read && answer.status == 0 {
            answer.bytes.iter_mut().for_each(|byte| *byte = 0xff);
        }
    }
}

#[test]
fn an_enclave_without_a_readable_configuration_or_quote_does_not_serve() {
    for service in [StreamKind::Configuration, StreamKind::Quotes] {
        let mut setup = Setup::new();
        setup.launch.interference = Some(Arc::new(BadService(service)));
        assert!(setup.try_start().is_err(), "{service:?}");
    }
}
