//! `error`, and streams after an operation failed. What fails is a write beyond what any file can hold.

use crate::scratch::{Scratch, closed};
use crate::wasi::filesystem::types::{ErrorCode, filesystem_error_code};
use crate::wasi::io::error::Error;
use crate::wasi::io::streams::{OutputStream, StreamError};
use conformance_suite::{Cases, Failure, Outcome, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases.with(
        "error",
        functions![
            a_blocking_write_fails,
            a_write_fails_then_or_at_the_flush,
            zeroes_fail_too,
            a_splice_fails,
            it_can_be_shown,
            it_has_the_filesystems_code,
            it_outlives_its_stream,
            it_is_reported_once,
            after_it_check_write_is_closed,
            after_it_flush_is_closed,
            after_it_the_stream_is_ready,
            after_it_the_file_is_as_before,
            two_streams_fail_by_themselves,
        ],
    )
}

fn a_blocking_write_fails() -> Outcome {
    let file = Scratch::empty("error-blocking")?;
    failed(far(&file)?.blocking_write_and_flush(b"x")).map(drop)
}

fn a_write_fails_then_or_at_the_flush() -> Outcome {
    let file = Scratch::empty("error-write")?;
    let output = far(&file)?;
    output.check_write()?;
    match output.write(b"x") {
        Ok(()) => failed(output.blocking_flush()).map(drop),
        failure => failed(failure).map(drop),
    }
}

fn zeroes_fail_too() -> Outcome {
    let file = Scratch::empty("error-zeroes")?;
    failed(far(&file)?.blocking_write_zeroes_and_flush(1)).map(drop)
}

fn a_splice_fails() -> Outcome {
    let (from, to) = (Scratch::of("error-splice-from", b"x")?, Scratch::empty("error-splice-to")?);
    failed(far(&to)?.blocking_splice(&from.input()?, 1)).map(drop)
}

fn it_can_be_shown() -> Outcome {
    let file = Scratch::empty("error-shown")?;
    let error = failed(far(&file)?.blocking_write_and_flush(b"x"))?;
    let text = error.to_debug_string();
    holds("it says something", !text.is_empty())?;
    same(error.to_debug_string(), text)
}

fn it_has_the_filesystems_code() -> Outcome {
    let file = Scratch::empty("error-code")?;
    let error = failed(far(&file)?.blocking_write_and_flush(b"x"))?;
    same(filesystem_error_code(&error), Some(ErrorCode::FileTooLarge))?;
    same(filesystem_error_code(&error), Some(ErrorCode::FileTooLarge))
}

fn it_outlives_its_stream() -> Outcome {
    let file = Scratch::empty("error-outlives")?;
    let output = far(&file)?;
    let error = failed(output.blocking_write_and_flush(b"x"))?;
    drop(output);
    drop(file);
    holds("it says something", !error.to_debug_string().is_empty())
}

fn it_is_reported_once() -> Outcome {
    let file = Scratch::empty("error-once")?;
    let output = far(&file)?;
    failed(output.blocking_write_and_flush(b"x"))?;
    closed(output.blocking_write_and_flush(b"x"))?;
    closed(output.blocking_write_and_flush(b"x"))
}

fn after_it_check_write_is_closed() -> Outcome {
    let file = Scratch::empty("error-check")?;
    let output = far(&file)?;
    failed(output.blocking_write_and_flush(b"x"))?;
    closed(output.check_write())
}

fn after_it_flush_is_closed() -> Outcome {
    let file = Scratch::empty("error-flush")?;
    let output = far(&file)?;
    failed(output.blocking_write_and_flush(b"x"))?;
    closed(output.flush())?;
    closed(output.blocking_flush())
}

fn after_it_the_stream_is_ready() -> Outcome {
    let file = Scratch::empty("error-ready")?;
    let output = far(&file)?;
    failed(output.blocking_write_and_flush(b"x"))?;
    let pollable = output.subscribe();
    pollable.block();
    holds("it is ready", pollable.ready())
}

fn after_it_the_file_is_as_before() -> Outcome {
    let file = Scratch::of("error-file", b"bytes")?;
    failed(far(&file)?.blocking_write_and_flush(b"x"))?;
    file.holds(b"bytes")
}

fn two_streams_fail_by_themselves() -> Outcome {
    let file = Scratch::empty("error-two")?;
    let (bad, good) = (far(&file)?, file.output()?);
    failed(bad.blocking_write_and_flush(b"x"))?;
    good.blocking_write_and_flush(b"x")?;
    file.holds(b"x")
}

/// A stream that writes where no file can have bytes.
fn far(file: &Scratch) -> Outcome<OutputStream> {
    Ok(file.file.write_via_stream(1 << 62)?)
}

/// The error of a stream's function that failed.
#[track_caller]
fn failed<T>(result: Result<T, StreamError>) -> Outcome<Error> {
    match result {
        Err(StreamError::LastOperationFailed(error)) => Ok(error),
        Err(StreamError::Closed) => Err(Failure::new("closed instead of last-operation-failed")),
        Ok(_) => Err(Failure::new("success instead of last-operation-failed")),
    }
}
