//! A host that lies in every answer about sockets, names and the time. The guest may fail or wait; nothing panics, other
//! calls go on, and afterwards all is well.

mod liar;
mod time;

use crate::apps::deploy;
use crate::probe::{Echo, Probe, datagram, free_port, settings};
use cloister_api::{Code, Limits};
use cloister_client::{ClientError, Session};
use cloister_frames::SocketFailure;
use cloister_host::{Exit, StreamKind};
use cloister_tests::{Enclave, Setup, name};
use liar::{AnswerLie, Asked, FoundLie, Liar, Lie, NumberLie, TransferLie};
use serde_json::{Value, json};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_are_errors_of_the_guests_call() {
    let lies = [
        AnswerLie::Empty,
        AnswerLie::Cut,
        AnswerLie::Longer,
        AnswerLie::Garbage,
        AnswerLie::TooLong,
        AnswerLie::AnotherKind,
        AnswerLie::UnknownFailure,
    ];
    let table = pairs(&Asked::ALL, &lies, |asked| match asked {
        // A connection is closed whatever the host says.
        Asked::Shutdown => Expected::Anything,
        _ => Expected::Failure,
    });
    survives(&table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_with_the_wrong_number_family_or_count_are_errors() {
    let numbers =
        [NumberLie::OfAClientsConnection, NumberLie::NeverGiven, NumberLie::Negative, NumberLie::AllOnes];
    let service = AnswerLie::Number(NumberLie::OfAStreamToTheSockets);
    let mut table =
        pairs(&[Asked::Open, Asked::Accept, Asked::Resolve], &numbers.map(AnswerLie::Number), |_| {
            Expected::Failure
        });
    // The host is at the other end of a stream to a service of its own: it may be a peer as good as any other.
    table.extend(pairs(&[Asked::Open, Asked::Resolve], &[service], |_| Expected::Failure));
    table.extend(pairs(&[Asked::Accept], &[service], |_| Expected::Anything));
    table.extend(pairs(
        &[Asked::LocalAddress, Asked::Accept, Asked::Receive],
        &[AnswerLie::AnotherFamily, AnswerLie::MappedAddress],
        |_| Expected::Failure,
    ));
    table.extend(pairs(&[Asked::Receive, Asked::Send], &[AnswerLie::TooMany, AnswerLie::NoDatagram], |_| {
        Expected::Failure
    }));
    table.extend(pairs(&[Asked::Receive], &[AnswerLie::CutDatagram], |_| Expected::Failure));
    table.extend(pairs(&[Asked::Receive], &[AnswerLie::StrangersDatagram], |_| Expected::FailureOrWait));
    table.extend(pairs(&[Asked::Option], &[AnswerLie::GreatestValue], |_| Expected::Failure));
    survives(&table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_are_none_are_the_guests_to_handle() {
    let failures = SocketFailure::ALL.into_iter().filter(|failure| *failure != SocketFailure::WouldBlock);
    let lies: Vec<_> = failures.map(AnswerLie::Failure).collect();
    survives(&pairs(&Asked::ALL, &lies, |asked| match asked {
        Asked::Shutdown => Expected::Anything,
        _ => Expected::FailureOrWait,
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_nothing_ends_with_the_calls_own_time() {
    let lies = [AnswerLie::Failure(SocketFailure::WouldBlock)];
    survives(&pairs(&Asked::ALL, &lies, |asked| match asked {
        Asked::Shutdown => Expected::Anything,
        _ if asked.can_wait() => Expected::FailureOrWait,
        _ => Expected::Failure,
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_be_done_and_is_not_harms_that_guest_alone() {
    let doable = [
        Asked::Bind,
        Asked::Connect,
        Asked::FinishConnect,
        Asked::Disconnect,
        Asked::Listen,
        Asked::SetOption,
        Asked::Shutdown,
    ];
    survives(&pairs(&doable, &[AnswerLie::Done], |_| Expected::Anything)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_change_on_their_way_harm_that_guest_alone() {
    let read = [
        TransferLie::End,
        TransferLie::Half,
        TransferLie::Twice,
        TransferLie::BeyondTheBuffer,
        TransferLie::Huge,
        TransferLie::Forged,
        TransferLie::UnknownError,
        TransferLie::NegativeError,
        TransferLie::AlwaysInterrupted,
        TransferLie::EverySecondWouldBlock,
    ];
    let written = [TransferLie::MoreWrittenThanOffered, TransferLie::NothingWritten];
    let mut table = Vec::new();
    for lie in read.into_iter().chain(written) {
        // Whatever is between the enclave and its own streams to the host's services is noticed.
        let of_service = match lie {
            TransferLie::EverySecondWouldBlock => Expected::Anything,
            _ => Expected::Failure,
        };
        table.push((Lie::Transfer(StreamKind::Sockets, lie), "tcp-options", of_service));
        table.push((Lie::Transfer(StreamKind::Sockets, lie), "udp-roundtrip", of_service));
        // Who changes a connection without TLS cannot be told from the peer; who breaks the ABI can.
        let of_connection = match lie {
            TransferLie::BeyondTheBuffer
            | TransferLie::Huge
            | TransferLie::UnknownError
            | TransferLie::NegativeError
            | TransferLie::MoreWrittenThanOffered => Expected::FailureOrWait,
            _ => Expected::Anything,
        };
        table.push((Lie::Transfer(StreamKind::Lent, lie), "tcp-roundtrip", of_connection));
    }
    for lie in read {
        let of_lookup = match lie {
            TransferLie::Twice | TransferLie::EverySecondWouldBlock | TransferLie::AlwaysInterrupted => {
                Expected::Anything
            }
            _ => Expected::FailureOrWait,
        };
        table.push((Lie::Transfer(StreamKind::Lookup, lie), "lookup", of_lookup));
    }
    survives(&table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_none_are_no_addresses() {
    let table = [
        (FoundLie::Nothing, Expected::Wait),
        (FoundLie::EmptyFrame, Expected::Failure),
        (FoundLie::Half, Expected::Failure),
        (FoundLie::LengthBeyondTheEnd, Expected::Failure),
        (FoundLie::HugeLength, Expected::Failure),
        (FoundLie::Garbage, Expected::Failure),
        (FoundLie::AnotherKind, Expected::Failure),
        (FoundLie::WouldBlock, Expected::Failure),
        (FoundLie::NoAddresses, Expected::Failure),
        (FoundLie::TooManyAddresses, Expected::Failure),
        (FoundLie::ByteTooMany, Expected::Failure),
        // The second answer is not read.
        (FoundLie::Twice, Expected::Truth),
        (FoundLie::MappedAddress, Expected::Anything),
    ];
    survives(&table.map(|(lie, expected)| (Lie::Found(lie), "lookup", expected))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_comes_holds_up_its_own_call_only() {
    let (enclave, liar) = start(Setup::new()).await;
    let outside = Echo::start();
    let (held, other) = (enclave.caller().await, enclave.caller().await);
    for asked in Asked::ALL {
        liar.tell(Some(Lie::Silence(asked)));
        let over = AtomicBool::new(false);
        let waiting = async {
            let probe = Probe { session: &held, app: "hasty" };
            let (export, arguments) = call_that_asks(asked, &outside);
            let result = probe.call(export, arguments).await;
            over.store(true, Ordering::Release);
            result
        };
        let others = async {
            let began = Instant::now();
            while !liar.is_holding() {
                assert!(began.elapsed() < PATIENCE, "{asked:?} was never asked");
                assert!(!over.load(Ordering::Acquire), "{asked:?} was never asked");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            for _ in 0..20 {
                answers_at_once(&other, asked).await;
            }
            // Also those that ask the same.
            let probe = Probe { session: &other, app: "patient" };
            let answer =
                tokio::time::timeout(PATIENCE, probe.ok("tcp-roundtrip", json!([outside.text(), [4]])));
            assert_eq!(answer.await.expect("it is answered meanwhile"), json!([4]), "{asked:?}");
            assert!(liar.is_holding(), "{asked:?}: the host gave up");
            liar.release();
        };
        let (result, ()) = tokio::join!(waiting, others);
        let outcome = end_of(result);
        assert!(Expected::Anything.is_met_by(&outcome), "{asked:?}: {outcome:?}");
        assert_eq!(liar.told(), 1, "{asked:?}");
    }
    fine_afterwards(enclave, &liar, &outside).await;
}

/// What a lie has to lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// The guest is told of an error.
    Failure,
    /// It waits until its call is over.
    Wait,
    FailureOrWait,
    /// It gets what an honest host says.
    Truth,
    /// A lie that nobody can tell from the truth, or that does not matter.
    Anything,
}

/// How a guest's call ended.
#[derive(Debug, PartialEq)]
enum Outcome {
    Answered(Value),
    Failed(String),
    Waited,
    /// Nothing that a guest's call may end with, whatever the host says.
    Broken(String),
}

impl Expected {
    fn is_met_by(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Anything, Outcome::Answered(_) | Outcome::Failed(_) | Outcome::Waited)
            | (Self::Failure | Self::FailureOrWait, Outcome::Failed(_))
            | (Self::Wait | Self::FailureOrWait, Outcome::Waited) => true,
            (Self::Truth, Outcome::Answered(value)) => {
                value.as_array().is_some_and(|list| list.iter().any(|address| address == "127.0.0.1"))
            }
            _ => false,
        }
    }

    /// The app for a call with this end: one that may wait is not given long.
    fn app(self) -> &'static str {
        match self {
            Self::Failure | Self::Truth => "patient",
            Self::Wait | Self::FailureOrWait | Self::Anything => "hasty",
        }
    }
}

type Row = (Lie, &'static str, Expected);

/// Each of these lies about each of these requests.
fn pairs(asked: &[Asked], lies: &[AnswerLie], expected: impl Fn(Asked) -> Expected) -> Vec<Row> {
    let rows = asked.iter().flat_map(|&asked| {
        let expected = expected(asked);
        lies.iter().map(move |&lie| (Lie::Answer(asked, lie), export_that_asks(asked), expected))
    });
    rows.collect()
}

/// Tells each lie, and looks at what comes of it while other calls go on. Then nothing is left of the lies.
async fn survives(table: &[Row]) {
    let (enclave, liar) = start(Setup::new()).await;
    let outside = Echo::start();
    let (session, other) = (enclave.caller().await, enclave.caller().await);
    let over = AtomicBool::new(false);
    let lies = async {
        let mut wrong = Vec::new();
        for &(lie, export, expected) in table {
            liar.tell(Some(lie));
            let probe = Probe { session: &session, app: expected.app() };
            let call = probe.call(export, arguments_of(export, &outside));
            let result = tokio::time::timeout(PATIENCE, call).await;
            let outcome = result.map_or_else(|_| Outcome::Broken("it does not end".to_owned()), end_of);
            let told = liar.told();
            liar.tell(None);
            // What the lie broke outside the call, such as a stream to the host, is mended by the next one.
            let _mended = attempt(&session, "patient", "tcp-bind", json!(["127.0.0.1:0"])).await;
            if told == 0 || !expected.is_met_by(&outcome) {
                wrong.push(format!("{lie:?}, told {told} times: {export}: {outcome:?}, not {expected:?}"));
            }
        }
        over.store(true, Ordering::Release);
        wrong
    };
    let others = async {
        let mut longest = Duration::ZERO;
        while !over.load(Ordering::Acquire) {
            longest = longest.max(answers_at_once(&other, "meanwhile").await);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        longest
    };
    let (wrong, longest) = tokio::join!(lies, others);
    println!("{} lies told; the slowest of the other calls took {longest:?}", table.len() - wrong.len());
    has_not_panicked(&enclave);
    assert!(wrong.is_empty(), "{} of {} lies:\n{}", wrong.len(), table.len(), wrong.join("\n"));
    fine_afterwards(enclave, &liar, &outside).await;
}

/// An enclave with a host that lies, and three apps: one that has time, one that has not, and one without a network.
async fn start(mut setup: Setup) -> (Enclave, Arc<Liar>) {
    let liar = Arc::new(Liar::default());
    setup.launch.interference = Some(liar.clone());
    let enclave = setup.start();
    let session = enclave.owner().await;
    let rules =
        ["tcp://127.0.0.1:*", "udp://127.0.0.1:1024-65535", "tcp-listen://127.0.0.1:*", "lookup://localhost"];
    let patient = settings(&rules);
    let mut hasty = settings(&rules);
    hasty.limits = Limits { wall_time_ms: 4_000, ..hasty.limits };
    Probe::deploy(&session, "patient", &patient).await;
    Probe::deploy(&session, "hasty", &hasty).await;
    deploy(&session, "steady", "toolbox").await;
    (enclave, liar)
}

/// All that was lied about works, on the same enclave; it has not panicked, and ends as it should.
async fn fine_afterwards(enclave: Enclave, liar: &Liar, outside: &Echo) {
    liar.tell(None);
    let session = enclave.owner().await;
    let probe = Probe { session: &session, app: "patient" };
    for export in EXPORTS {
        let result = probe.ok(export, arguments_of(export, outside)).await;
        match export {
            "tcp-roundtrip" => assert_eq!(result, json!([1, 2, 3]), "{export}"),
            _ if export.starts_with("udp-roundtrip") => assert_eq!(result, json!([1, 2, 3]), "{export}"),
            _ => {}
        }
    }
    let at = format!("127.0.0.1:{}", free_port());
    let client = tokio::task::spawn_blocking({
        let at = at.clone();
        move || {
            let began = Instant::now();
            loop {
                match std::net::TcpStream::connect(&at) {
                    Ok(mut stream) => return stream.write_all(b"hello").unwrap(),
                    Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    assert_eq!(probe.ok("tcp-accept", json!([at])).await[1], json!(b"hello"));
    client.await.unwrap();
    answers_at_once(&session, "afterwards").await;
    has_not_panicked(&enclave);
    drop(session);
    assert_eq!(enclave.stop().unwrap(), Exit::Success);
}

fn has_not_panicked(enclave: &Enclave) {
    let log = enclave.log();
    assert!(!log.iter().any(|line| line.contains("panic at")), "{log:?}");
}

/// The result of a call, however it ends.
///
/// # Errors
/// As the client says.
async fn attempt(session: &Session, app: &str, export: &str, arguments: Value) -> Result<Value, ClientError> {
    session.call_json(&name(app), export, &arguments).await.map(|answer| answer.result)
}

/// An app that does nothing on the network is not held up, and how long it took.
async fn answers_at_once(session: &Session, when: impl std::fmt::Debug) -> Duration {
    let began = Instant::now();
    let sum = tokio::time::timeout(PATIENCE, attempt(session, "steady", "add", json!([20, 22])));
    let sum = sum.await.unwrap_or_else(|_| panic!("{when:?}: another call is held up"));
    assert_eq!(sum.unwrap(), json!(42), "{when:?}");
    began.elapsed()
}

/// How a call ended: with the guest's result, or with a problem of that call alone.
fn end_of(result: Result<Value, ClientError>) -> Outcome {
    match result {
        Ok(value) => match value.get("err") {
            Some(error) => Outcome::Failed(error.as_str().unwrap_or_default().to_owned()),
            None => Outcome::Answered(value["ok"].clone()),
        },
        Err(ClientError::Problem(problem)) if [Code::TimedOut, Code::OutOfFuel].contains(&problem.code) => {
            Outcome::Waited
        }
        Err(error) => Outcome::Broken(error.to_string()),
    }
}

fn call_that_asks(asked: Asked, outside: &Echo) -> (&'static str, Value) {
    let export = export_that_asks(asked);
    (export, arguments_of(export, outside))
}

fn export_that_asks(asked: Asked) -> &'static str {
    match asked {
        Asked::Open | Asked::Bind | Asked::LocalAddress => "tcp-bind",
        Asked::Connect | Asked::FinishConnect | Asked::Shutdown => "tcp-roundtrip",
        Asked::Disconnect => "udp-roundtrip-after-peer",
        Asked::Listen => "tcp-listen",
        Asked::Accept => "tcp-accept",
        Asked::Option | Asked::SetOption => "tcp-options",
        Asked::Receive | Asked::Send => "udp-roundtrip",
        Asked::Resolve => "lookup",
    }
}

fn arguments_of(export: &str, outside: &Echo) -> Value {
    match export {
        "tcp-roundtrip" => json!([outside.text(), [1, 2, 3]]),
        "tcp-addresses" => json!([outside.text()]),
        "tcp-listen" | "tcp-accept" => json!([format!("127.0.0.1:{}", free_port())]),
        "lookup" => json!(["localhost"]),
        _ if export.starts_with("udp-roundtrip") => datagram(outside.address),
        _ => json!(["127.0.0.1:0"]),
    }
}

/// All that use the network and come back on their own.
const EXPORTS: [&str; 11] = [
    "tcp-bind",
    "tcp-listen",
    "tcp-roundtrip",
    "tcp-addresses",
    "tcp-options",
    "udp-bind",
    "udp-options",
    "udp-roundtrip",
    "udp-roundtrip-with-peer",
    "udp-roundtrip-after-peer",
    "lookup",
];

/// Far more than any call needs that is not held up.
const PATIENCE: Duration = Duration::from_secs(60);
