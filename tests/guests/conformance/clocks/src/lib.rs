//! `wasi:clocks`: the monotonic clock, its timers, and the wall clock.

use conformance_suite::{Cases, Outcome, functions, holds, same};
use wasi::clocks::monotonic_clock::{self, subscribe_duration, subscribe_instant};
use wasi::clocks::wall_clock;
use wasi::io::poll::poll;

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/clocks", generate_all });

conformance_suite::component!(cases, observing observe);

fn cases() -> Cases {
    Cases::default()
        .with(
            "monotonic-clock",
            functions![
                never_goes_back,
                goes_on,
                goes_on_by_what_was_waited_for,
                resolution_is_no_more_than_ten_milliseconds,
                resolution_stays,
            ],
        )
        .with(
            "subscribe-instant",
            functions![
                instant_in_the_past,
                instant_zero,
                instant_of_now,
                instant_in_the_future,
                instant_that_never_comes,
                instants_in_any_order,
                instant_that_passed_meanwhile,
            ],
        )
        .with(
            "subscribe-duration",
            functions![
                duration_of_nothing,
                duration_of_a_nanosecond,
                duration_of_milliseconds,
                duration_begins_when_it_is_asked_for,
                duration_of_a_year,
                duration_that_never_ends,
                durations_at_the_same_time,
                durations_one_after_the_other,
            ],
        )
        .with(
            "wall-clock",
            functions![
                nanoseconds_are_below_a_second,
                it_is_after_2020,
                it_goes_on_with_the_monotonic_clock,
                resolution_of_the_wall_clock_is_honest,
                resolution_of_the_wall_clock_stays,
            ],
        )
}

/// Both clocks, and their resolutions: the monotonic clock must not go back from one call to the next, the wall clock
/// must be near the caller's.
fn observe() -> Vec<(String, String)> {
    let (date, resolution) = (wall_clock::now(), wall_clock::resolution());
    vec![
        ("monotonic-clock.now".into(), monotonic_clock::now().to_string()),
        ("monotonic-clock.resolution".into(), monotonic_clock::resolution().to_string()),
        ("wall-clock.now".into(), date.seconds.to_string()),
        ("wall-clock.resolution".into(), nanoseconds(resolution).to_string()),
    ]
}

fn never_goes_back() -> Outcome {
    let mut latest = monotonic_clock::now();
    for _ in 0..1_000 {
        let now = monotonic_clock::now();
        holds("it does not go back", now >= latest)?;
        latest = now;
    }
    Ok(())
}

fn goes_on() -> Outcome {
    let start = monotonic_clock::now();
    for _ in 0..100 {
        if monotonic_clock::now() > start {
            return Ok(());
        }
        subscribe_duration(MILLISECOND).block();
    }
    holds("it goes on", false)
}

fn goes_on_by_what_was_waited_for() -> Outcome {
    waits_for(10 * MILLISECOND, || subscribe_duration(10 * MILLISECOND).block())
}

fn resolution_is_no_more_than_ten_milliseconds() -> Outcome {
    holds("it is something", monotonic_clock::resolution() > 0)?;
    holds("it is no more than ten milliseconds", monotonic_clock::resolution() <= 10 * MILLISECOND)
}

fn resolution_stays() -> Outcome {
    same(monotonic_clock::resolution(), monotonic_clock::resolution())
}

fn instant_in_the_past() -> Outcome {
    subscribe_duration(MILLISECOND).block();
    returns_at_once(|| subscribe_instant(monotonic_clock::now() - 1).block())
}

fn instant_zero() -> Outcome {
    returns_at_once(|| subscribe_instant(0).block())
}

fn instant_of_now() -> Outcome {
    returns_at_once(|| subscribe_instant(monotonic_clock::now()).block())
}

fn instant_in_the_future() -> Outcome {
    let when = monotonic_clock::now() + 10 * MILLISECOND;
    subscribe_instant(when).block();
    holds("it waited", monotonic_clock::now() >= when)
}

fn instant_that_never_comes() -> Outcome {
    let never = subscribe_instant(u64::MAX);
    holds("it is not ready", !never.ready())?;
    same(poll(&[&never, &subscribe_duration(MILLISECOND)]), [1])
}

fn instants_in_any_order() -> Outcome {
    let now = monotonic_clock::now();
    let timers = [30, 10, 20].map(|after| subscribe_instant(now + after * MILLISECOND));
    let [thirty, ten, twenty] = &timers;
    holds("ten is ready first", poll(&[thirty, ten, twenty]).contains(&1))?;
    holds("twenty is ready before thirty", poll(&[thirty, twenty]).contains(&1))?;
    same(poll(&[thirty]), [0])
}

fn instant_that_passed_meanwhile() -> Outcome {
    let timer = subscribe_instant(monotonic_clock::now() + MILLISECOND);
    subscribe_duration(10 * MILLISECOND).block();
    returns_at_once(|| timer.block())
}

fn duration_of_nothing() -> Outcome {
    returns_at_once(|| subscribe_duration(0).block())
}

fn duration_of_a_nanosecond() -> Outcome {
    returns_at_once(|| subscribe_duration(1).block())
}

fn duration_of_milliseconds() -> Outcome {
    waits_for(20 * MILLISECOND, || subscribe_duration(20 * MILLISECOND).block())
}

fn duration_begins_when_it_is_asked_for() -> Outcome {
    let start = monotonic_clock::now();
    let timer = subscribe_duration(20 * MILLISECOND);
    subscribe_duration(10 * MILLISECOND).block();
    timer.block();
    let waited = monotonic_clock::now() - start;
    holds("it waited", waited >= 20 * MILLISECOND)?;
    holds("it did not wait for long", waited < A_LONG_TIME)
}

fn duration_of_a_year() -> Outcome {
    let year = subscribe_duration(365 * 24 * 3_600 * SECOND);
    same(poll(&[&year, &subscribe_duration(MILLISECOND)]), [1])
}

fn duration_that_never_ends() -> Outcome {
    let never = subscribe_duration(u64::MAX);
    holds("it is not ready", !never.ready())?;
    same(poll(&[&never, &subscribe_duration(MILLISECOND)]), [1])
}

fn durations_at_the_same_time() -> Outcome {
    let start = monotonic_clock::now();
    // One after the other they would take half a minute.
    let timers: Vec<_> = (0..60).map(|_| subscribe_duration(SECOND / 2)).collect();
    timers.iter().for_each(|timer| timer.block());
    holds("they waited together", monotonic_clock::now() - start < A_LONG_TIME)
}

fn durations_one_after_the_other() -> Outcome {
    waits_for(15 * MILLISECOND, || (0..5).for_each(|_| subscribe_duration(3 * MILLISECOND).block()))
}

fn nanoseconds_are_below_a_second() -> Outcome {
    for _ in 0..100 {
        holds("they are below a second", wall_clock::now().nanoseconds < 1_000_000_000)?;
    }
    Ok(())
}

fn it_is_after_2020() -> Outcome {
    holds("it is after 2020", wall_clock::now().seconds > YEAR_2020)
}

fn it_goes_on_with_the_monotonic_clock() -> Outcome {
    let start = nanoseconds(wall_clock::now());
    subscribe_duration(50 * MILLISECOND).block();
    let passed = nanoseconds(wall_clock::now()).saturating_sub(start);
    // The host may set its clock meanwhile, but hardly in each of many runs.
    holds("about as much passed", passed >= 40 * u128::from(MILLISECOND))?;
    holds("not much more passed", passed < u128::from(A_LONG_TIME))
}

fn resolution_of_the_wall_clock_is_honest() -> Outcome {
    let resolution = wall_clock::resolution();
    holds("nanoseconds are below a second", resolution.nanoseconds < 1_000_000_000)?;
    holds("it is something", nanoseconds(resolution) > 0)?;
    holds("it is no more than a second", nanoseconds(resolution) <= u128::from(SECOND))
}

fn resolution_of_the_wall_clock_stays() -> Outcome {
    same(nanoseconds(wall_clock::resolution()), nanoseconds(wall_clock::resolution()))
}

#[track_caller]
fn returns_at_once(wait: impl FnOnce()) -> Outcome {
    let start = monotonic_clock::now();
    wait();
    holds("it returned at once", monotonic_clock::now() - start < A_LONG_TIME)
}

#[track_caller]
fn waits_for(duration: u64, wait: impl FnOnce()) -> Outcome {
    let start = monotonic_clock::now();
    wait();
    holds("it waited", monotonic_clock::now() - start >= duration)
}

fn nanoseconds(time: wall_clock::Datetime) -> u128 {
    u128::from(time.seconds) * u128::from(SECOND) + u128::from(time.nanoseconds)
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
/// Longer than any machine stands still, in nanoseconds.
const A_LONG_TIME: u64 = 20 * SECOND;
/// 2020-01-01T00:00:00Z.
const YEAR_2020: u64 = 1_577_836_800;
