//! `splice` and `blocking-splice`.

use crate::scratch::{Scratch, closed, pattern, read_all};
use crate::wasi::cli::{stdin::get_stdin, stdout::get_stdout};
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use conformance_suite::{Cases, Outcome, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases.with(
        "splice",
        functions![
            moves_bytes,
            of_nothing,
            moves_no_more_than_asked_for,
            beyond_the_end_moves_what_is_there,
            at_the_end_is_closed,
            of_the_largest_length,
            leaves_the_rest_to_be_read,
            blocking_moves_bytes,
            blocking_of_nothing,
            blocking_at_the_end_is_closed,
            blocking_of_the_largest_length,
            blocking_moves_a_large_file,
            within_one_file,
            of_empty_standard_input_is_closed,
            to_standard_output,
        ],
    )
}

fn moves_bytes() -> Outcome {
    let (from, to) = files("moves", b"bytes")?;
    let (input, output) = (from.input()?, to.output()?);
    let mut moved = 0;
    while moved < 5 {
        input.subscribe().block();
        output.subscribe().block();
        moved += output.splice(&input, 5 - moved)?;
    }
    output.blocking_flush()?;
    to.holds(b"bytes")
}

fn of_nothing() -> Outcome {
    let (from, to) = files("nothing", b"bytes")?;
    same(to.output()?.splice(&from.input()?, 0)?, 0)?;
    to.holds(b"")
}

fn moves_no_more_than_asked_for() -> Outcome {
    let (from, to) = files("some", &pattern(1_000))?;
    let (input, output) = (from.input()?, to.output()?);
    let moved = output.blocking_splice(&input, 10)? as usize;
    holds("it is ten bytes or fewer", moved <= 10)?;
    output.blocking_flush()?;
    to.holds(&pattern(1_000)[..moved])
}

fn beyond_the_end_moves_what_is_there() -> Outcome {
    let (from, to) = files("beyond", b"bytes")?;
    let output = to.output()?;
    same(output.blocking_splice(&from.input()?, 1_000)?, 5)?;
    output.blocking_flush()?;
    to.holds(b"bytes")
}

fn at_the_end_is_closed() -> Outcome {
    let (from, to) = files("end", b"bytes")?;
    let input = from.input()?;
    read_all(&input)?;
    closed(to.output()?.splice(&input, 1))
}

fn of_the_largest_length() -> Outcome {
    let (from, to) = files("largest", b"bytes")?;
    let (input, output) = (from.input()?, to.output()?);
    let moved = output.splice(&input, u64::MAX)?;
    holds("it is what is there or less", moved <= 5)?;
    output.subscribe().block();
    move_rest(&output, &input)?;
    to.holds(b"bytes")
}

fn leaves_the_rest_to_be_read() -> Outcome {
    let (from, to) = files("rest", b"bytes")?;
    let (input, output) = (from.input()?, to.output()?);
    same(output.blocking_splice(&input, 2)?, 2)?;
    same(read_all(&input)?, b"tes")
}

fn blocking_moves_bytes() -> Outcome {
    let (from, to) = files("blocking", b"bytes")?;
    let output = to.output()?;
    same(output.blocking_splice(&from.input()?, 5)?, 5)?;
    output.blocking_flush()?;
    to.holds(b"bytes")
}

fn blocking_of_nothing() -> Outcome {
    let (from, to) = files("blocking-nothing", b"bytes")?;
    same(to.output()?.blocking_splice(&from.input()?, 0)?, 0)
}

fn blocking_at_the_end_is_closed() -> Outcome {
    let (from, to) = files("blocking-end", b"")?;
    closed(to.output()?.blocking_splice(&from.input()?, 1))
}

fn blocking_of_the_largest_length() -> Outcome {
    let (from, to) = files("blocking-largest", b"bytes")?;
    same(to.output()?.blocking_splice(&from.input()?, u64::MAX)?, 5)
}

fn blocking_moves_a_large_file() -> Outcome {
    let (from, to) = files("large", &pattern(300_000))?;
    move_rest(&to.output()?, &from.input()?)?;
    to.holds(&pattern(300_000))
}

fn within_one_file() -> Outcome {
    let file = Scratch::of("splice-within", b"bytes")?;
    let output = file.file.write_via_stream(5)?;
    same(output.blocking_splice(&file.input()?, 5)?, 5)?;
    output.blocking_flush()?;
    file.holds(b"bytesbytes")
}

fn of_empty_standard_input_is_closed() -> Outcome {
    let to = Scratch::empty("splice-stdin")?;
    closed(to.output()?.blocking_splice(&get_stdin(), 1))
}

fn to_standard_output() -> Outcome {
    let from = Scratch::of("splice-stdout", b"spliced\n")?;
    let stdout = get_stdout();
    same(stdout.blocking_splice(&from.input()?, 8)?, 8)?;
    Ok(stdout.blocking_flush()?)
}

fn move_rest(output: &OutputStream, input: &InputStream) -> Outcome {
    loop {
        match output.blocking_splice(input, 1 << 16) {
            Ok(_) => {}
            Err(StreamError::Closed) => return Ok(output.blocking_flush()?),
            Err(error) => return Err(error.into()),
        }
    }
}

/// One with contents, and an empty one.
fn files(name: &'static str, contents: &[u8]) -> Outcome<(Scratch, Scratch)> {
    let to = Box::leak(format!("splice-{name}-to").into_boxed_str());
    let from = Box::leak(format!("splice-{name}-from").into_boxed_str());
    Ok((Scratch::of(from, contents)?, Scratch::empty(to)?))
}
