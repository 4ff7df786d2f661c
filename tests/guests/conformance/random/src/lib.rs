//! `wasi:random`: all three interfaces.

use conformance_suite::{Cases, Outcome, functions, holds, same};
use wasi::random::insecure::{get_insecure_random_bytes, get_insecure_random_u64};
use wasi::random::insecure_seed::insecure_seed;
use wasi::random::random::{get_random_bytes, get_random_u64};

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/random", generate_all });

conformance_suite::component!(cases, observing observe);

fn cases() -> Cases {
    let mut cases = Cases::default()
        .with("get-random-u64", functions![values_differ, every_bit_is_used])
        .with("get-insecure-random-u64", functions![insecure_values_differ, every_insecure_bit_is_used])
        .with("insecure-seed", functions![seed_is_there]);
    for (area, bytes) in [
        ("get-random-bytes", get_random_bytes as fn(u64) -> Vec<u8>),
        ("get-insecure-random-bytes", get_insecure_random_bytes),
    ] {
        for length in LENGTHS {
            cases.add(area, &format!("gives {length} bytes").replace(' ', "-"), move || {
                same(bytes(length).len() as u64, length)
            });
        }
        cases.add(area, "differs-each-time", move || holds("they differ", bytes(32) != bytes(32)));
        cases.add(area, "uses-every-value-of-a-byte", move || every_value_occurs(&bytes(1 << 16)));
        cases.add(area, "is-balanced", move || is_balanced(&bytes(1 << 16)));
        cases.add(area, "has-no-long-run", move || has_no_long_run(&bytes(1 << 16)));
        cases.add(area, "many-times", move || {
            (0..500).try_for_each(|round| same(bytes(round % 40).len() as u64, round % 40))
        });
    }
    cases
}

/// What must differ from one instance to the next, whatever a snapshot of an instance holds.
fn observe() -> Vec<(String, String)> {
    let (one, other) = insecure_seed();
    vec![
        ("get-random-u64".into(), get_random_u64().to_string()),
        ("get-random-bytes".into(), format!("{:?}", get_random_bytes(16))),
        ("get-insecure-random-u64".into(), get_insecure_random_u64().to_string()),
        ("get-insecure-random-bytes".into(), format!("{:?}", get_insecure_random_bytes(16))),
        ("insecure-seed".into(), format!("{one} {other}")),
    ]
}

fn values_differ() -> Outcome {
    all_differ(get_random_u64)
}

fn every_bit_is_used() -> Outcome {
    uses_every_bit(get_random_u64)
}

fn insecure_values_differ() -> Outcome {
    all_differ(get_insecure_random_u64)
}

fn every_insecure_bit_is_used() -> Outcome {
    uses_every_bit(get_insecure_random_u64)
}

/// The standard allows that it is the same each time, so nothing else can be asked of it here.
fn seed_is_there() -> Outcome {
    let seed = insecure_seed();
    holds("it is not zero", seed != (0, 0))
}

fn all_differ(value: fn() -> u64) -> Outcome {
    let mut values: Vec<_> = (0..100).map(|_| value()).collect();
    values.sort_unstable();
    values.dedup();
    same(values.len(), 100)
}

/// The chance that a bit never is set, or always is, is 2⁻¹⁹⁹ a bit.
fn uses_every_bit(value: fn() -> u64) -> Outcome {
    let (mut ones, mut zeros) = (0, 0);
    for _ in 0..200 {
        let value = value();
        ones |= value;
        zeros |= !value;
    }
    same((ones, zeros), (u64::MAX, u64::MAX))
}

/// The chance that one of 65,536 bytes never has some value is 256 · e⁻²⁵⁶.
fn every_value_occurs(bytes: &[u8]) -> Outcome {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    same(seen.iter().position(|seen| !seen), None)
}

/// Half of 524,288 bits are ones, within ten standard deviations of 362.
fn is_balanced(bytes: &[u8]) -> Outcome {
    let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
    let half = bytes.len() as u32 * 4;
    holds("about half of the bits are ones", ones.abs_diff(half) < 3_620)
}

/// Eight times the same byte in a row among 65,536 has a chance of 2⁻⁴⁰.
fn has_no_long_run(bytes: &[u8]) -> Outcome {
    let run = bytes.windows(8).position(|window| window.iter().all(|byte| *byte == window[0]));
    same(run, None)
}

const LENGTHS: [u64; 9] = [0, 1, 7, 8, 9, 255, 4_096, 65_535, 65_536];
