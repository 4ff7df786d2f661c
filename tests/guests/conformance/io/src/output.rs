//! `output-stream`, over files and the standard streams.

use crate::scratch::{Scratch, pattern, read_all, write_all};
use crate::wasi::cli::{stderr::get_stderr, stdout::get_stdout};
use crate::wasi::io::streams::OutputStream;
use conformance_suite::{Cases, Outcome, came_back, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases
        .with(
            "output-stream",
            functions![
                check_write_permits_something,
                check_write_may_be_asked_again,
                write_of_nothing,
                write_of_one_byte,
                write_of_all_that_is_permitted,
                writes_stay_in_order,
                many_small_writes,
                at_capacity_it_waits_and_goes_on,
                check_write_after_a_flush,
                flush_of_nothing,
                flush_twice,
                flush_makes_it_visible,
                blocking_flush_makes_it_visible,
                blocking_flush_of_nothing,
                blocking_write_and_flush_of_nothing,
                blocking_write_and_flush_of_4096,
                blocking_writes_stay_in_order,
                write_zeroes_of_nothing,
                write_zeroes_within_the_permit,
                write_zeroes_between_writes,
                blocking_write_zeroes_of_nothing,
                blocking_write_zeroes_of_4096,
                ready_means_permitted,
                pollables_may_be_many,
                two_of_one_file,
                outlives_its_descriptor,
                dropped_without_a_flush,
                a_large_file,
                standard_output_takes_bytes,
                standard_error_takes_bytes,
                standard_output_takes_what_is_no_text,
                standard_output_takes_nothing,
                standard_output_takes_zeroes,
                standard_output_twice,
                standard_output_at_capacity,
            ],
        )
        .with(
            "traps",
            functions![
                write_beyond_the_permit,
                write_beyond_the_permit_of_standard_output,
                write_zeroes_beyond_the_permit,
                blocking_write_and_flush_of_4097,
                blocking_write_zeroes_of_4097,
                blocking_write_to_standard_output_of_4097,
            ],
        )
}

fn check_write_permits_something() -> Outcome {
    let file = Scratch::empty("check-write")?;
    holds("there is a permit", file.output()?.check_write()? > 0)
}

fn check_write_may_be_asked_again() -> Outcome {
    let file = Scratch::empty("check-write-again")?;
    let output = file.output()?;
    let permit = output.check_write()?;
    same(output.check_write()?, permit)?;
    output.write(b"x")?;
    output.blocking_flush()?;
    file.holds(b"x")
}

fn write_of_nothing() -> Outcome {
    let file = Scratch::empty("write-nothing")?;
    let output = file.output()?;
    output.check_write()?;
    output.write(b"")?;
    output.blocking_flush()?;
    file.holds(b"")
}

fn write_of_one_byte() -> Outcome {
    let file = Scratch::empty("write-one")?;
    let output = file.output()?;
    output.check_write()?;
    output.write(b"x")?;
    output.blocking_flush()?;
    file.holds(b"x")
}

fn write_of_all_that_is_permitted() -> Outcome {
    let file = Scratch::empty("write-permit")?;
    let output = file.output()?;
    let bytes = pattern(permit(&output)?);
    output.write(&bytes)?;
    output.blocking_flush()?;
    file.holds(&bytes)
}

fn writes_stay_in_order() -> Outcome {
    let file = Scratch::empty("write-order")?;
    let output = file.output()?;
    for word in ["one ", "two ", "three"] {
        write_all(&output, word.as_bytes())?;
    }
    file.holds(b"one two three")
}

fn many_small_writes() -> Outcome {
    let file = Scratch::empty("small-writes")?;
    let output = file.output()?;
    for byte in pattern(500) {
        permit(&output)?;
        output.write(&[byte])?;
    }
    output.blocking_flush()?;
    file.holds(&pattern(500))
}

fn at_capacity_it_waits_and_goes_on() -> Outcome {
    let file = Scratch::empty("capacity")?;
    let output = file.output()?;
    let bytes = pattern(CAPACITY);
    let mut written = 0;
    while written < bytes.len() {
        let permit = permit(&output)?.min(bytes.len() - written);
        output.write(&bytes[written..written + permit])?;
        written += permit;
    }
    output.blocking_flush()?;
    file.holds(&bytes)
}

fn check_write_after_a_flush() -> Outcome {
    let file = Scratch::empty("check-after-flush")?;
    let output = file.output()?;
    permit(&output)?;
    output.write(b"x")?;
    output.flush()?;
    output.subscribe().block();
    holds("there is a permit", output.check_write()? > 0)
}

fn flush_of_nothing() -> Outcome {
    let file = Scratch::empty("flush-nothing")?;
    let output = file.output()?;
    output.flush()?;
    holds("there is a permit", permit(&output)? > 0)
}

fn flush_twice() -> Outcome {
    let file = Scratch::empty("flush-twice")?;
    let output = file.output()?;
    output.flush()?;
    output.flush()?;
    write_all(&output, b"x")?;
    file.holds(b"x")
}

fn flush_makes_it_visible() -> Outcome {
    let file = Scratch::empty("flush")?;
    let output = file.output()?;
    permit(&output)?;
    output.write(b"bytes")?;
    output.flush()?;
    output.subscribe().block();
    file.holds(b"bytes")
}

fn blocking_flush_makes_it_visible() -> Outcome {
    let file = Scratch::empty("blocking-flush")?;
    let output = file.output()?;
    permit(&output)?;
    output.write(b"bytes")?;
    output.blocking_flush()?;
    file.holds(b"bytes")
}

fn blocking_flush_of_nothing() -> Outcome {
    let file = Scratch::empty("blocking-flush-nothing")?;
    file.output()?.blocking_flush()?;
    file.holds(b"")
}

fn blocking_write_and_flush_of_nothing() -> Outcome {
    let file = Scratch::empty("blocking-write-nothing")?;
    file.output()?.blocking_write_and_flush(b"")?;
    file.holds(b"")
}

fn blocking_write_and_flush_of_4096() -> Outcome {
    let file = Scratch::empty("blocking-write")?;
    file.output()?.blocking_write_and_flush(&pattern(4_096))?;
    file.holds(&pattern(4_096))
}

fn blocking_writes_stay_in_order() -> Outcome {
    let file = Scratch::empty("blocking-writes")?;
    let output = file.output()?;
    for part in pattern(40_000).chunks(4_000) {
        output.blocking_write_and_flush(part)?;
    }
    file.holds(&pattern(40_000))
}

fn write_zeroes_of_nothing() -> Outcome {
    let file = Scratch::empty("zeroes-nothing")?;
    let output = file.output()?;
    permit(&output)?;
    output.write_zeroes(0)?;
    output.blocking_flush()?;
    file.holds(b"")
}

fn write_zeroes_within_the_permit() -> Outcome {
    let file = Scratch::empty("zeroes")?;
    let output = file.output()?;
    let length = permit(&output)?.min(10_000);
    output.write_zeroes(length as u64)?;
    output.blocking_flush()?;
    file.holds(&vec![0; length])
}

fn write_zeroes_between_writes() -> Outcome {
    let file = Scratch::empty("zeroes-between")?;
    let output = file.output()?;
    write_all(&output, b"a")?;
    permit(&output)?;
    output.write_zeroes(3)?;
    write_all(&output, b"b")?;
    file.holds(b"a\0\0\0b")
}

fn blocking_write_zeroes_of_nothing() -> Outcome {
    let file = Scratch::empty("blocking-zeroes-nothing")?;
    file.output()?.blocking_write_zeroes_and_flush(0)?;
    file.holds(b"")
}

fn blocking_write_zeroes_of_4096() -> Outcome {
    let file = Scratch::empty("blocking-zeroes")?;
    file.output()?.blocking_write_zeroes_and_flush(4_096)?;
    file.holds(&[0; 4_096])
}

fn ready_means_permitted() -> Outcome {
    let file = Scratch::empty("ready")?;
    let output = file.output()?;
    let pollable = output.subscribe();
    for _ in 0..3 {
        pollable.block();
        holds("there is a permit", output.check_write()? > 0)?;
        output.write(b"x")?;
    }
    output.blocking_flush()?;
    file.holds(b"xxx")
}

fn pollables_may_be_many() -> Outcome {
    let file = Scratch::empty("output-pollables")?;
    let output = file.output()?;
    let pollables = [output.subscribe(), output.subscribe()];
    pollables.iter().for_each(|pollable| pollable.block());
    write_all(&output, b"x")
}

fn two_of_one_file() -> Outcome {
    let file = Scratch::empty("two-outputs")?;
    let (one, other) = (file.output()?, file.file.write_via_stream(3)?);
    write_all(&other, b"def")?;
    write_all(&one, b"abc")?;
    file.holds(b"abcdef")
}

fn outlives_its_descriptor() -> Outcome {
    let file = Scratch::empty("output-outlives")?;
    let output = file.output()?;
    let input = file.input()?;
    drop(file);
    write_all(&output, b"bytes")?;
    same(read_all(&input)?, b"bytes")
}

fn dropped_without_a_flush() -> Outcome {
    let file = Scratch::empty("dropped")?;
    let output = file.output()?;
    permit(&output)?;
    output.write(b"bytes")?;
    drop(output);
    let contents = file.contents()?;
    holds("it has everything or nothing", contents == b"bytes" || contents.is_empty())
}

fn a_large_file() -> Outcome {
    let file = Scratch::empty("large-output")?;
    write_all(&file.output()?, &pattern(300_000))?;
    file.holds(&pattern(300_000))
}

fn standard_output_takes_bytes() -> Outcome {
    write_all(&get_stdout(), b"standard output\n")
}

fn standard_error_takes_bytes() -> Outcome {
    write_all(&get_stderr(), b"standard error\n")
}

fn standard_output_takes_what_is_no_text() -> Outcome {
    write_all(&get_stdout(), b"\xff\xfe\x00\n")
}

fn standard_output_takes_nothing() -> Outcome {
    let stdout = get_stdout();
    stdout.check_write()?;
    stdout.write(b"")?;
    stdout.blocking_write_and_flush(b"")?;
    Ok(stdout.blocking_flush()?)
}

fn standard_output_takes_zeroes() -> Outcome {
    let stdout = get_stdout();
    permit(&stdout)?;
    stdout.write_zeroes(8)?;
    Ok(stdout.blocking_write_zeroes_and_flush(8)?)
}

fn standard_output_twice() -> Outcome {
    let (one, other) = (get_stdout(), get_stdout());
    write_all(&one, b"one\n")?;
    drop(one);
    write_all(&other, b"other\n")
}

fn standard_output_at_capacity() -> Outcome {
    write_all(&get_stdout(), &[b'.'; 200_000])
}

fn write_beyond_the_permit() -> Outcome {
    let file = Scratch::empty("traps-write")?;
    let output = file.output()?;
    let permit = permit(&output)?;
    let _ = output.write(&vec![0; permit + 1]);
    came_back()
}

fn write_beyond_the_permit_of_standard_output() -> Outcome {
    let stdout = get_stdout();
    let permit = permit(&stdout)?;
    let _ = stdout.write(&vec![b'x'; permit + 1]);
    came_back()
}

fn write_zeroes_beyond_the_permit() -> Outcome {
    let file = Scratch::empty("traps-zeroes")?;
    let output = file.output()?;
    let permit = permit(&output)?;
    let _ = output.write_zeroes(permit as u64 + 1);
    came_back()
}

fn blocking_write_and_flush_of_4097() -> Outcome {
    let file = Scratch::empty("traps-blocking-write")?;
    let _ = file.output()?.blocking_write_and_flush(&[0; 4_097]);
    came_back()
}

fn blocking_write_zeroes_of_4097() -> Outcome {
    let file = Scratch::empty("traps-blocking-zeroes")?;
    let _ = file.output()?.blocking_write_zeroes_and_flush(4_097);
    came_back()
}

fn blocking_write_to_standard_output_of_4097() -> Outcome {
    let _ = get_stdout().blocking_write_and_flush(&[b'x'; 4_097]);
    came_back()
}

/// Waits until the stream permits a write, and says of how many bytes.
fn permit(output: &OutputStream) -> Outcome<usize> {
    loop {
        match output.check_write()? {
            0 => output.subscribe().block(),
            permit => return Ok(permit as usize),
        }
    }
}

/// More than any stream takes at once.
const CAPACITY: usize = 3 << 20;
