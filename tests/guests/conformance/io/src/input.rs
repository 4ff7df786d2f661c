//! `input-stream`, over files and an empty standard input.

use crate::scratch::{Scratch, closed, pattern, read_all};
use crate::wasi::cli::stdin::get_stdin;
use conformance_suite::{Cases, Outcome, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases.with(
        "input-stream",
        functions![
            read_gives_what_is_there,
            read_gives_no_more_than_asked_for,
            read_of_nothing,
            read_of_nothing_leaves_everything,
            read_at_the_end_is_closed,
            read_of_nothing_after_the_end_is_closed,
            read_of_the_largest_length,
            blocking_read_gives_at_least_one_byte,
            blocking_read_gives_no_more_than_asked_for,
            blocking_read_at_the_end_is_closed,
            blocking_read_of_the_largest_length,
            everything_in_small_steps,
            everything_of_a_large_file,
            skip_counts_what_it_skips,
            skip_of_nothing,
            skip_at_the_end_is_closed,
            skip_beyond_the_end_skips_what_is_there,
            blocking_skip_moves_on,
            blocking_skip_at_the_end_is_closed,
            blocking_skip_of_the_largest_length,
            skip_and_read_in_turns,
            closed_stays_closed,
            closed_is_ready,
            an_empty_file_is_closed,
            two_of_one_file_do_not_disturb_each_other,
            a_hundred_of_one_file,
            pollables_may_be_many,
            a_pollable_serves_many_reads,
            outlives_its_descriptor,
            empty_standard_input_is_closed,
            empty_standard_input_is_ready,
            empty_standard_input_skips_nothing,
            standard_input_twice,
        ],
    )
}

fn read_gives_what_is_there() -> Outcome {
    let file = Scratch::of("read", b"bytes")?;
    let input = file.input()?;
    let mut bytes = Vec::new();
    while bytes.len() < 5 {
        input.subscribe().block();
        bytes.extend(input.read(5)?);
    }
    same(bytes, b"bytes")
}

fn read_gives_no_more_than_asked_for() -> Outcome {
    let file = Scratch::of("read-some", &pattern(10_000))?;
    let input = file.input()?;
    // The wait may fetch more than is asked for after it.
    input.subscribe().block();
    let bytes = input.read(10)?;
    holds("it is ten bytes or fewer", bytes.len() <= 10)?;
    same(&bytes[..], &pattern(10_000)[..bytes.len()])
}

fn read_of_nothing() -> Outcome {
    let file = Scratch::of("read-nothing", b"bytes")?;
    same(file.input()?.read(0)?, b"")
}

fn read_of_nothing_leaves_everything() -> Outcome {
    let file = Scratch::of("read-nothing-first", b"bytes")?;
    let input = file.input()?;
    same(input.read(0)?, b"")?;
    same(read_all(&input)?, b"bytes")
}

fn read_at_the_end_is_closed() -> Outcome {
    let file = Scratch::of("read-at-end", b"bytes")?;
    let input = file.input()?;
    read_all(&input)?;
    closed(input.read(1))
}

fn read_of_nothing_after_the_end_is_closed() -> Outcome {
    let file = Scratch::of("read-nothing-at-end", b"bytes")?;
    let input = file.input()?;
    read_all(&input)?;
    closed(input.read(0))
}

fn read_of_the_largest_length() -> Outcome {
    let file = Scratch::of("read-largest", b"bytes")?;
    let input = file.input()?;
    let mut bytes = input.read(u64::MAX)?;
    bytes.extend(read_all(&input)?);
    same(bytes, b"bytes")
}

fn blocking_read_gives_at_least_one_byte() -> Outcome {
    let file = Scratch::of("blocking-read", b"bytes")?;
    let input = file.input()?;
    let bytes = input.blocking_read(5)?;
    holds("there is a byte", !bytes.is_empty())?;
    same(&bytes[..], &b"bytes"[..bytes.len()])
}

fn blocking_read_gives_no_more_than_asked_for() -> Outcome {
    let file = Scratch::of("blocking-read-some", &pattern(10_000))?;
    let input = file.input()?;
    same(input.blocking_read(1)?, &pattern(1)[..])?;
    let bytes = input.blocking_read(7)?;
    holds("it is seven bytes or fewer", bytes.len() <= 7)
}

fn blocking_read_at_the_end_is_closed() -> Outcome {
    let file = Scratch::of("blocking-read-at-end", b"x")?;
    let input = file.input()?;
    same(input.blocking_read(10)?, b"x")?;
    closed(input.blocking_read(10))
}

fn blocking_read_of_the_largest_length() -> Outcome {
    let file = Scratch::of("blocking-read-largest", b"x")?;
    same(file.input()?.blocking_read(u64::MAX)?, b"x")
}

fn everything_in_small_steps() -> Outcome {
    let file = Scratch::of("small-steps", &pattern(100))?;
    let input = file.input()?;
    let mut all = Vec::new();
    while all.len() < 100 {
        all.extend(input.blocking_read(3)?);
    }
    same(all, pattern(100))?;
    closed(input.blocking_read(3))
}

fn everything_of_a_large_file() -> Outcome {
    let file = Scratch::of("large", &pattern(LARGE))?;
    holds("all bytes arrive", read_all(&file.input()?)? == pattern(LARGE))
}

fn skip_counts_what_it_skips() -> Outcome {
    let file = Scratch::of("skip", &pattern(100))?;
    let input = file.input()?;
    input.subscribe().block();
    let skipped = input.skip(10)? as usize;
    holds("it is ten bytes or fewer", skipped <= 10)?;
    same(read_all(&input)?, &pattern(100)[skipped..])
}

fn skip_of_nothing() -> Outcome {
    let file = Scratch::of("skip-nothing", b"bytes")?;
    let input = file.input()?;
    same(input.skip(0)?, 0)?;
    same(read_all(&input)?, b"bytes")
}

fn skip_at_the_end_is_closed() -> Outcome {
    let file = Scratch::of("skip-at-end", b"bytes")?;
    let input = file.input()?;
    read_all(&input)?;
    closed(input.skip(1))
}

fn skip_beyond_the_end_skips_what_is_there() -> Outcome {
    let file = Scratch::of("skip-beyond", b"bytes")?;
    let input = file.input()?;
    same(input.blocking_skip(1_000)?, 5)?;
    closed(input.blocking_skip(1))
}

fn blocking_skip_moves_on() -> Outcome {
    let file = Scratch::of("blocking-skip", b"0123456789")?;
    let input = file.input()?;
    same(input.blocking_skip(4)?, 4)?;
    same(read_all(&input)?, b"456789")
}

fn blocking_skip_at_the_end_is_closed() -> Outcome {
    let file = Scratch::empty("blocking-skip-at-end")?;
    closed(file.input()?.blocking_skip(1))
}

fn blocking_skip_of_the_largest_length() -> Outcome {
    let file = Scratch::of("blocking-skip-largest", b"bytes")?;
    same(file.input()?.blocking_skip(u64::MAX)?, 5)
}

fn skip_and_read_in_turns() -> Outcome {
    let file = Scratch::of("skip-and-read", b"a-b-c-d")?;
    let input = file.input()?;
    let mut letters = Vec::new();
    for _ in 0..3 {
        letters.extend(input.blocking_read(1)?);
        same(input.blocking_skip(1)?, 1)?;
    }
    letters.extend(input.blocking_read(1)?);
    same(letters, b"abcd")
}

fn closed_stays_closed() -> Outcome {
    let file = Scratch::of("closed", b"x")?;
    let input = file.input()?;
    read_all(&input)?;
    file.file.write(b"more", 1)?;
    for _ in 0..3 {
        closed(input.blocking_read(1))?;
        closed(input.skip(1))?;
    }
    Ok(())
}

fn closed_is_ready() -> Outcome {
    let file = Scratch::empty("closed-is-ready")?;
    let input = file.input()?;
    closed(input.blocking_read(1))?;
    let pollable = input.subscribe();
    pollable.block();
    holds("it is ready", pollable.ready())
}

fn an_empty_file_is_closed() -> Outcome {
    let file = Scratch::empty("empty")?;
    closed(file.input()?.blocking_read(1))
}

fn two_of_one_file_do_not_disturb_each_other() -> Outcome {
    let file = Scratch::of("two", b"bytes")?;
    let (one, other) = (file.input()?, file.input()?);
    same(one.blocking_read(2)?, b"by")?;
    same(other.blocking_read(3)?, b"byt")?;
    same(read_all(&one)?, b"tes")?;
    same(read_all(&other)?, b"es")
}

fn a_hundred_of_one_file() -> Outcome {
    let file = Scratch::of("hundred", b"bytes")?;
    let inputs = (0..100).map(|_| file.input()).collect::<Outcome<Vec<_>>>()?;
    inputs.iter().try_for_each(|input| same(read_all(input)?, b"bytes"))
}

fn pollables_may_be_many() -> Outcome {
    let file = Scratch::of("many-pollables", b"bytes")?;
    let input = file.input()?;
    let pollables = [input.subscribe(), input.subscribe(), input.subscribe()];
    pollables.iter().for_each(|pollable| pollable.block());
    same(input.blocking_read(5)?, b"bytes")
}

fn a_pollable_serves_many_reads() -> Outcome {
    let file = Scratch::of("one-pollable", b"bytes")?;
    let input = file.input()?;
    let pollable = input.subscribe();
    let mut all = Vec::new();
    while all.len() < 5 {
        pollable.block();
        all.extend(input.read(1)?);
    }
    same(all, b"bytes")
}

fn outlives_its_descriptor() -> Outcome {
    let file = Scratch::of("outlives", b"bytes")?;
    let again = Scratch::of("outlives-another", b"bytes")?;
    let input = file.input()?;
    drop(file);
    drop(again);
    same(read_all(&input)?, b"bytes")
}

fn empty_standard_input_is_closed() -> Outcome {
    closed(get_stdin().blocking_read(1))
}

fn empty_standard_input_is_ready() -> Outcome {
    let stdin = get_stdin();
    let pollable = stdin.subscribe();
    pollable.block();
    holds("it is ready", pollable.ready())
}

fn empty_standard_input_skips_nothing() -> Outcome {
    closed(get_stdin().blocking_skip(1))
}

fn standard_input_twice() -> Outcome {
    let (one, other) = (get_stdin(), get_stdin());
    closed(one.blocking_read(1))?;
    closed(other.blocking_read(1))
}

const LARGE: usize = 300_000;
