//! A host whose clock goes back, stands still and jumps.

use super::liar::Lie;
use super::{attempt, has_not_panicked, start};
use crate::probe::Probe;
use cloister_client::{ClientError, Session};
use cloister_tests::{Enclave, Setup, name};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What the clock says instead of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeLie {
    /// At each reading it is a second earlier.
    GoesBack,
    StandsStill,
    Is1970,
    /// Anything from 1970 until now.
    IsAnyTimeBefore,
    /// The end of what the ABI can say.
    IsTheLast,
    /// It goes on from fifty years ahead.
    IsYearsAhead,
    /// Now, in a year, in 1970.
    Jumps,
}

/// What the lie needs to remember.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The honest time when the lie began.
    begin: Option<u64>,
    readings: u64,
}

impl Clock {
    pub(super) fn read(&mut self, lie: TimeLie, honest: u64) -> u64 {
        let begin = *self.begin.get_or_insert(honest);
        self.readings += 1;
        match lie {
            TimeLie::GoesBack => begin.saturating_sub(self.readings.saturating_mul(SECOND)),
            TimeLie::StandsStill => begin,
            TimeLie::Is1970 => 0,
            // Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
            TimeLie::IsAnyTimeBefore => self.readings.wrapping_mul(0x9e37_79b9_7f4a_7c15) % honest.max(1),
            TimeLie::IsTheLast => u64::MAX,
            TimeLie::IsYearsAhead => honest.saturating_add(50 * YEAR),
            TimeLie::Jumps => [honest, honest.saturating_add(YEAR), 0][(self.readings % 3) as usize],
        }
    }
}

/// Time that is too early makes timers early or late; with the honest clock, all is as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_or_stands_still_harms_nothing_that_lasts() {
    let (enclave, liar) = start(Setup::new()).await;
    let mut latest = 0;
    for lie in [TimeLie::StandsStill, TimeLie::GoesBack, TimeLie::Is1970, TimeLie::IsAnyTimeBefore] {
        liar.tell(Some(Lie::Time(lie)));
        for _ in 0..3 {
            // Nothing is late where no time passes.
            let patience = if lie == TimeLie::StandsStill { RECOVERY } else { CALLS };
            let answered = calls_within(patience, &enclave, &mut latest).await;
            assert!(lie != TimeLie::StandsStill || answered, "{lie:?}: no call was answered");
        }
        assert!(liar.told() > 0, "{lie:?} was never told");
        liar.tell(None);
        let began = Instant::now();
        while !calls_under(&enclave, &mut latest).await {
            assert!(began.elapsed() < RECOVERY, "{lie:?}: nothing is answered afterwards");
        }
        has_not_panicked(&enclave);
    }
    all_is_well(&enclave, latest).await;
    assert_eq!(enclave.stop().unwrap(), cloister_host::Exit::Success);
}

/// Years that pass at once end what waits. What begins later goes on as ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_serves_in_a_time_that_is_years_ahead() {
    let (enclave, liar) = start(Setup::new()).await;
    let mut latest = 0;
    liar.tell(Some(Lie::Time(TimeLie::IsYearsAhead)));
    let began = Instant::now();
    while !calls_under(&enclave, &mut latest).await {
        assert!(began.elapsed() < RECOVERY, "nothing is answered in fifty years");
    }
    all_is_well(&enclave, latest).await;
    let session = enclave.caller().await;
    let seconds =
        session.call_json(&name("patient"), "wall-now", &json!([])).await.unwrap().result[0].as_u64();
    assert!(seconds.unwrap() > 40 * YEAR / SECOND + 1_700_000_000, "{seconds:?}");
    assert!(liar.told() > 0);
    has_not_panicked(&enclave);
    assert_eq!(enclave.stop().unwrap(), cloister_host::Exit::Success);
}

/// Once time was ahead and is back, timers may be early until it is there again: the host denies service, as it always
/// can. Nothing panics, no answer is wrong, and what was stored is there after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_and_back_costs_a_restart_at_most() {
    for lie in [TimeLie::Jumps, TimeLie::IsTheLast] {
        let (enclave, liar) = start(Setup::new()).await;
        let session = enclave.owner().await;
        let probe = Probe { session: &session, app: "patient" };
        probe.ok("write-file", json!(["/kept", "through all times"])).await;
        let mut latest = 0;
        liar.tell(Some(Lie::Time(lie)));
        for _ in 0..3 {
            calls_under(&enclave, &mut latest).await;
        }
        assert!(liar.told() > 0, "{lie:?} was never told");
        liar.tell(None);
        let answered = calls_under(&enclave, &mut latest).await;
        println!("{lie:?}: afterwards calls are {}", if answered { "answered" } else { "not answered" });
        has_not_panicked(&enclave);
        drop(session);
        let enclave = enclave.kill_and_keep().start();
        let session = enclave.owner().await;
        let probe = Probe { session: &session, app: "patient" };
        assert_eq!(probe.ok("read-file", json!(["/kept"])).await, json!("through all times"));
        all_is_well(&enclave, 0).await;
        assert_eq!(enclave.stop().unwrap(), cloister_host::Exit::Success);
    }
}

/// Whether calls of a new session are answered. Each is right or fails, within seconds; the monotonic clock does not go
/// back behind `latest`, and no date is out of its range.
async fn calls_under(enclave: &Enclave, latest: &mut u64) -> bool {
    calls_within(CALLS, enclave, latest).await
}

async fn calls_within(patience: Duration, enclave: &Enclave, latest: &mut u64) -> bool {
    let calls = async {
        let session = enclave.connect(enclave.policy()).await?;
        let sum = attempt(&session, "steady", "add", json!([20, 22])).await?;
        assert_eq!(sum, json!(42));
        let readings = attempt(&session, "patient", "clock-series", json!([50])).await?;
        for reading in readings.as_array().expect("it is a list") {
            let reading = reading.as_u64().expect("it is a number");
            assert!(reading >= *latest, "the clock goes back from {latest} to {reading}");
            *latest = reading;
        }
        let dates = attempt(&session, "patient", "wall-series", json!([50])).await?;
        for date in dates.as_array().expect("it is a list") {
            assert!(date[0].as_u64().is_some_and(|seconds| seconds <= LAST_DATE), "{date}");
            assert!(date[1].as_u64().is_some_and(|nanoseconds| nanoseconds < SECOND), "{date}");
        }
        // It may be early or never come.
        let sleep = attempt(&session, "hasty", "sleep", json!([20]));
        let _slept = tokio::time::timeout(Duration::from_millis(500), sleep).await;
        Ok::<_, ClientError>(())
    };
    // No time of the host's bounds these calls but ours.
    matches!(tokio::time::timeout(patience, calls).await, Ok(Ok(())))
}

async fn all_is_well(enclave: &Enclave, latest: u64) {
    let session = enclave.caller().await;
    let ask = async |app: &str, export: &str, arguments: Value| of(&session, app, export, arguments).await;
    assert_eq!(ask("steady", "add", json!([20, 22])).await, json!(42));
    assert!(ask("patient", "now", json!([])).await.as_u64().unwrap() >= latest);
    let began = Instant::now();
    ask("patient", "sleep", json!([300])).await;
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

async fn of(session: &Session, app: &str, export: &str, arguments: Value) -> Value {
    let result = attempt(session, app, export, arguments).await;
    result.unwrap_or_else(|error| panic!("{app} {export}: {error}"))
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
const YEAR: u64 = 365 * 24 * 3_600 * SECOND;
/// 9999-12-31T23:59:59Z.
const LAST_DATE: u64 = 253_402_300_799;
/// Until an enclave answers again.
const RECOVERY: Duration = Duration::from_secs(120);
/// For a new session and its calls.
const CALLS: Duration = Duration::from_secs(10);
