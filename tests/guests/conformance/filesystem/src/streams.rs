//! `read-via-stream`, `write-via-stream`, `append-via-stream`.

use crate::scratch::{Directory, add, contents, read_all, write_all};
use crate::wasi::filesystem::types::ErrorCode;
use conformance_suite::{Cases, Outcome, fails_with_one_of, functions, holds, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "read-via-stream",
        functions![
            from_the_start,
            from_the_middle,
            at_the_end,
            far_beyond_the_end,
            from_a_directory,
            sees_what_is_written_before_it_gets_there,
            several_at_once,
        ],
    );
    add(
        cases,
        "write-via-stream",
        functions![
            to_the_start,
            to_the_middle,
            does_not_truncate,
            far_beyond_the_end_leaves_zeros,
            several_to_one_file,
            on_a_directory,
            goes_on_where_it_stopped,
        ],
    );
    add(
        cases,
        "append-via-stream",
        functions![
            to_the_end,
            to_an_empty_file,
            after_others_wrote,
            two_in_turns,
            after_the_file_shrank,
            append_to_a_directory,
        ],
    );
}

fn from_the_start(directory: &Directory) -> Outcome {
    same(read_all(&directory.put("file", b"bytes")?.read_via_stream(0)?)?, b"bytes")
}

fn from_the_middle(directory: &Directory) -> Outcome {
    same(read_all(&directory.put("file", b"bytes")?.read_via_stream(2)?)?, b"tes")
}

fn at_the_end(directory: &Directory) -> Outcome {
    same(read_all(&directory.put("file", b"bytes")?.read_via_stream(5)?)?, b"")
}

fn far_beyond_the_end(directory: &Directory) -> Outcome {
    same(read_all(&directory.put("file", b"bytes")?.read_via_stream(1 << 40)?)?, b"")
}

fn from_a_directory(directory: &Directory) -> Outcome {
    fails_with_one_of(directory.read_via_stream(0), &[ErrorCode::IsDirectory, ErrorCode::BadDescriptor])
}

fn sees_what_is_written_before_it_gets_there(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"one ")?;
    let input = file.read_via_stream(0)?;
    same(input.blocking_read(4)?, b"one ")?;
    file.write(b"two", 4)?;
    same(read_all(&input)?, b"two")
}

fn several_at_once(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    let (input, output) = (file.read_via_stream(0)?, file.append_via_stream()?);
    write_all(&output, b" more")?;
    same(read_all(&input)?, b"bytes more")
}

fn to_the_start(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"")?;
    write_all(&file.write_via_stream(0)?, b"bytes")?;
    same(contents(&file)?, b"bytes")
}

fn to_the_middle(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    write_all(&file.write_via_stream(2)?, b"TE")?;
    same(contents(&file)?, b"byTEs")
}

fn does_not_truncate(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    drop(file.write_via_stream(0)?);
    write_all(&file.write_via_stream(0)?, b"B")?;
    same(contents(&file)?, b"Bytes")
}

fn far_beyond_the_end_leaves_zeros(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"a")?;
    write_all(&file.write_via_stream(1_000)?, b"b")?;
    same(file.stat()?.size, 1_001)?;
    holds("zeros are between", file.read(999, 1)?.0.iter().all(|byte| *byte == 0))
}

fn several_to_one_file(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"......")?;
    let streams = [file.write_via_stream(0)?, file.write_via_stream(2)?, file.write_via_stream(4)?];
    for stream in streams.iter().rev() {
        write_all(stream, b"ab")?;
    }
    same(contents(&file)?, b"ababab")
}

fn on_a_directory(directory: &Directory) -> Outcome {
    fails_with_one_of(directory.write_via_stream(0), &[ErrorCode::IsDirectory, ErrorCode::BadDescriptor])
}

fn goes_on_where_it_stopped(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"")?;
    let output = file.write_via_stream(2)?;
    write_all(&output, b"a")?;
    file.write(b"z", 0)?;
    write_all(&output, b"b")?;
    same(contents(&file)?, b"z\0ab")
}

fn to_the_end(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    write_all(&file.append_via_stream()?, b" more")?;
    same(contents(&file)?, b"bytes more")
}

fn to_an_empty_file(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"")?;
    write_all(&file.append_via_stream()?, b"bytes")?;
    same(contents(&file)?, b"bytes")
}

fn after_others_wrote(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"a")?;
    let output = file.append_via_stream()?;
    file.write(b"bc", 1)?;
    write_all(&output, b"d")?;
    same(contents(&file)?, b"abcd")
}

fn two_in_turns(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"")?;
    let (one, other) = (file.append_via_stream()?, directory.file("file")?.append_via_stream()?);
    for _ in 0..3 {
        write_all(&one, b"a")?;
        write_all(&other, b"b")?;
    }
    same(contents(&file)?, b"ababab")
}

fn after_the_file_shrank(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    let output = file.append_via_stream()?;
    write_all(&output, b"!")?;
    file.set_size(1)?;
    write_all(&output, b"?")?;
    same(contents(&file)?, b"b?")
}

fn append_to_a_directory(directory: &Directory) -> Outcome {
    fails_with_one_of(directory.append_via_stream(), &[ErrorCode::IsDirectory, ErrorCode::BadDescriptor])
}
