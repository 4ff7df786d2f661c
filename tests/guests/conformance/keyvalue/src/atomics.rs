use crate::wasi::keyvalue::atomics::increment;
use crate::wasi::keyvalue::store::open;
use crate::{bucket, refuses};
use conformance_suite::{Cases, Outcome, functions, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases.with(
        "atomics.increment",
        functions![
            a_missing_key_starts_at_the_delta,
            adds_the_delta,
            adds_nothing,
            a_missing_key_by_nothing,
            up_to_the_largest_number,
            beyond_the_largest_number_fails,
            what_failed_changes_nothing,
            of_what_is_no_number_fails,
            many_times,
            keys_count_by_themselves,
            after_delete_it_starts_again,
            is_kept,
        ],
    )
}

fn a_missing_key_starts_at_the_delta() -> Outcome {
    same(increment(&bucket()?, "counter", 5)?, 5)
}

fn adds_the_delta() -> Outcome {
    let bucket = bucket()?;
    increment(&bucket, "counter", 5)?;
    same(increment(&bucket, "counter", 37)?, 42)
}

fn adds_nothing() -> Outcome {
    let bucket = bucket()?;
    increment(&bucket, "counter", 5)?;
    same(increment(&bucket, "counter", 0)?, 5)
}

fn a_missing_key_by_nothing() -> Outcome {
    let bucket = bucket()?;
    same(increment(&bucket, "counter", 0)?, 0)?;
    same(bucket.exists("counter")?, true)
}

fn up_to_the_largest_number() -> Outcome {
    let bucket = bucket()?;
    increment(&bucket, "counter", u64::MAX - 1)?;
    same(increment(&bucket, "counter", 1)?, u64::MAX)
}

fn beyond_the_largest_number_fails() -> Outcome {
    let bucket = bucket()?;
    increment(&bucket, "counter", u64::MAX)?;
    refuses(increment(&bucket, "counter", 1))
}

fn what_failed_changes_nothing() -> Outcome {
    let bucket = bucket()?;
    increment(&bucket, "counter", u64::MAX)?;
    refuses(increment(&bucket, "counter", 1))?;
    same(increment(&bucket, "counter", 0)?, u64::MAX)
}

fn of_what_is_no_number_fails() -> Outcome {
    let bucket = bucket()?;
    for value in [&b"text"[..], b"1.5", b"-1", b"0x10", b"99999999999999999999", b"\xff\xff"] {
        bucket.set("counter", value)?;
        refuses(increment(&bucket, "counter", 1))?;
        same(bucket.get("counter")?, Some(value.to_vec()))?;
    }
    Ok(())
}

fn many_times() -> Outcome {
    let bucket = bucket()?;
    (1..=200).try_for_each(|round| same(increment(&bucket, "counter", 1)?, round))
}

fn keys_count_by_themselves() -> Outcome {
    let bucket = bucket()?;
    increment(&bucket, "one", 1)?;
    increment(&bucket, "other", 10)?;
    same(increment(&bucket, "one", 1)?, 2)
}

fn after_delete_it_starts_again() -> Outcome {
    let bucket = bucket()?;
    increment(&bucket, "counter", 5)?;
    bucket.delete("counter")?;
    same(increment(&bucket, "counter", 1)?, 1)
}

/// Wasmtime gives each handle a copy of its own.
fn is_kept() -> Outcome {
    increment(&bucket()?, "counter", 5)?;
    same(increment(&open("")?, "counter", 1)?, 6)
}
