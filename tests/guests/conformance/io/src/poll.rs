//! `wasi:io/poll`.

use crate::scratch::Scratch;
use crate::wasi::cli::{stderr::get_stderr, stdin::get_stdin, stdout::get_stdout};
use crate::wasi::clocks::monotonic_clock::{now, subscribe_duration, subscribe_instant};
use crate::wasi::io::poll::{Pollable, poll};
use conformance_suite::{Cases, Outcome, came_back, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases
        .with(
            "poll",
            functions![
                one_that_is_ready,
                one_that_is_waited_for,
                many_that_are_ready,
                the_only_one_of_many_that_is_ready,
                some_of_many_that_are_ready,
                the_earliest_of_many_timers,
                the_same_twice,
                the_same_twice_waited_for,
                the_same_twice_beside_one_that_is_never_ready,
                the_same_hundred_times,
                two_of_the_same_moment,
                a_thousand_of_which_the_last_is_ready,
                a_thousand_that_are_ready,
                a_thousand_timers,
                timers_and_streams_together,
                a_timer_limits_the_wait_for_others,
                again_gives_the_same,
                what_was_not_ready_becomes_ready,
                others_stay_after_one_is_dropped,
                standard_streams_are_ready,
                files_are_ready,
            ],
        )
        .with(
            "pollable",
            functions![
                ready_is_true_once_it_is_ready,
                ready_is_false_before,
                ready_does_not_wait,
                ready_stays,
                ready_does_not_use_it_up,
                block_waits,
                block_returns_at_once_when_ready,
                block_twice,
                ready_turns_true_after_another_was_waited_for,
                is_dropped_while_not_ready,
                thousands_are_made_and_dropped,
            ],
        )
        .with("traps", functions![poll_of_nothing])
}

fn one_that_is_ready() -> Outcome {
    same(poll(&[&ready()]), [0])
}

fn one_that_is_waited_for() -> Outcome {
    let before = now();
    same(poll(&[&subscribe_duration(5 * MILLISECOND)]), [0])?;
    holds("it waited", now() - before >= 5 * MILLISECOND)
}

fn many_that_are_ready() -> Outcome {
    same(polled(&[&ready(), &ready(), &ready()]), [0, 1, 2])
}

fn the_only_one_of_many_that_is_ready() -> Outcome {
    same(poll(&[&never(), &ready(), &never()]), [1])
}

fn some_of_many_that_are_ready() -> Outcome {
    same(polled(&[&ready(), &never(), &ready(), &never(), &ready()]), [0, 2, 4])
}

fn the_earliest_of_many_timers() -> Outcome {
    let (early, late) = (subscribe_duration(10 * MILLISECOND), subscribe_duration(HOUR));
    same(poll(&[&never(), &late, &early]), [2])
}

fn the_same_twice() -> Outcome {
    let pollable = ready();
    same(polled(&[&pollable, &pollable]), [0, 1])
}

fn the_same_twice_waited_for() -> Outcome {
    let pollable = subscribe_duration(5 * MILLISECOND);
    same(polled(&[&pollable, &pollable]), [0, 1])
}

fn the_same_twice_beside_one_that_is_never_ready() -> Outcome {
    let (pollable, never) = (subscribe_duration(5 * MILLISECOND), never());
    same(polled(&[&pollable, &never, &pollable, &never]), [0, 2])
}

fn the_same_hundred_times() -> Outcome {
    let pollable = ready();
    same(polled(&[&pollable; 100]), (0..100).collect::<Vec<_>>())
}

fn two_of_the_same_moment() -> Outcome {
    let moment = now() + 5 * MILLISECOND;
    let (one, other) = (subscribe_instant(moment), subscribe_instant(moment));
    one.block();
    other.block();
    same(polled(&[&one, &other]), [0, 1])
}

fn a_thousand_of_which_the_last_is_ready() -> Outcome {
    let mut pollables: Vec<_> = (0..999).map(|_| never()).collect();
    pollables.push(ready());
    same(poll(&pollables.iter().collect::<Vec<_>>()), [999])
}

fn a_thousand_that_are_ready() -> Outcome {
    let pollables: Vec<_> = (0..1_000).map(|_| ready()).collect();
    same(polled(&pollables.iter().collect::<Vec<_>>()), (0..1_000).collect::<Vec<_>>())
}

fn a_thousand_timers() -> Outcome {
    let pollables: Vec<_> = (0..1_000).map(|_| subscribe_duration(20 * MILLISECOND)).collect();
    let mut left: Vec<_> = pollables.iter().collect();
    while !left.is_empty() {
        for index in polled(&left).into_iter().rev() {
            left.remove(index as usize);
        }
    }
    Ok(())
}

fn timers_and_streams_together() -> Outcome {
    let file = Scratch::of("timers-and-streams", b"x")?;
    let (input, output) = (file.input()?, file.output()?);
    let (readable, writable) = (input.subscribe(), output.subscribe());
    readable.block();
    writable.block();
    same(polled(&[&never(), &readable, &never(), &writable]), [1, 3])
}

fn a_timer_limits_the_wait_for_others() -> Outcome {
    let before = now();
    same(poll(&[&never(), &never(), &subscribe_duration(5 * MILLISECOND)]), [2])?;
    holds("it waited", now() - before >= 5 * MILLISECOND)
}

fn again_gives_the_same() -> Outcome {
    let (never, ready) = (never(), ready());
    same(poll(&[&never, &ready]), [1])?;
    same(poll(&[&never, &ready]), [1])
}

fn what_was_not_ready_becomes_ready() -> Outcome {
    let (soon, now) = (subscribe_duration(20 * MILLISECOND), ready());
    let mut seen = poll(&[&soon, &now]);
    while seen.len() < 2 {
        subscribe_duration(5 * MILLISECOND).block();
        seen = polled(&[&soon, &now]);
    }
    same(seen, [0, 1])
}

fn others_stay_after_one_is_dropped() -> Outcome {
    let (one, dropped, other) = (ready(), ready(), ready());
    same(polled(&[&one, &dropped, &other]), [0, 1, 2])?;
    drop(dropped);
    same(polled(&[&one, &other]), [0, 1])
}

fn standard_streams_are_ready() -> Outcome {
    let (stdin, stdout, stderr) = (get_stdin(), get_stdout(), get_stderr());
    for pollable in [stdin.subscribe(), stdout.subscribe(), stderr.subscribe()] {
        pollable.block();
        same(poll(&[&never(), &pollable]), [1])?;
    }
    Ok(())
}

fn files_are_ready() -> Outcome {
    let file = Scratch::empty("files-are-ready")?;
    let (input, output) = (file.input()?, file.output()?);
    for pollable in [input.subscribe(), output.subscribe()] {
        pollable.block();
        holds("it is ready", pollable.ready())?;
    }
    Ok(())
}

fn ready_is_true_once_it_is_ready() -> Outcome {
    holds("it is ready", ready().ready())
}

fn ready_is_false_before() -> Outcome {
    holds("it is not ready", !never().ready())
}

fn ready_does_not_wait() -> Outcome {
    let before = now();
    holds("it is not ready", !subscribe_duration(HOUR).ready())?;
    holds("it did not wait", now() - before < A_LONG_TIME)
}

fn ready_stays() -> Outcome {
    let pollable = ready();
    holds("it is ready three times", pollable.ready() && pollable.ready() && pollable.ready())
}

fn ready_does_not_use_it_up() -> Outcome {
    let pollable = ready();
    holds("it is ready", pollable.ready())?;
    same(poll(&[&pollable]), [0])?;
    pollable.block();
    holds("it is ready still", pollable.ready())
}

fn block_waits() -> Outcome {
    let before = now();
    subscribe_duration(5 * MILLISECOND).block();
    holds("it waited", now() - before >= 5 * MILLISECOND)
}

fn block_returns_at_once_when_ready() -> Outcome {
    let before = now();
    ready().block();
    holds("it did not wait", now() - before < A_LONG_TIME)
}

fn block_twice() -> Outcome {
    let pollable = subscribe_duration(5 * MILLISECOND);
    pollable.block();
    pollable.block();
    holds("it is ready", pollable.ready())
}

fn ready_turns_true_after_another_was_waited_for() -> Outcome {
    let (early, later) = (subscribe_duration(MILLISECOND), subscribe_duration(10 * MILLISECOND));
    later.block();
    same(polled(&[&early, &later]), [0, 1])
}

fn is_dropped_while_not_ready() -> Outcome {
    let never = never();
    same(poll(&[&never, &ready()]), [1])?;
    drop(never);
    same(poll(&[&ready()]), [0])
}

fn thousands_are_made_and_dropped() -> Outcome {
    for _ in 0..5_000 {
        drop(never());
    }
    same(poll(&[&ready()]), [0])
}

fn poll_of_nothing() -> Outcome {
    poll(&[]);
    came_back()
}

/// Indices in ascending order: the standard promises none.
fn polled(pollables: &[&Pollable]) -> Vec<u32> {
    let mut ready = poll(pollables);
    ready.sort_unstable();
    ready
}

/// A timer that has elapsed, and was waited for: Wasmtime does not say that it is ready before anybody waited.
fn ready() -> Pollable {
    let pollable = subscribe_duration(0);
    pollable.block();
    pollable
}

fn never() -> Pollable {
    subscribe_duration(u64::MAX)
}

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
/// Longer than any machine stands still, in nanoseconds.
const A_LONG_TIME: u64 = 20 * SECOND;
const HOUR: u64 = 3_600 * SECOND;
