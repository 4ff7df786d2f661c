//! An app that may keep 16 MiB and 2,000 files: `quota` or `insufficient-space`, and room again after removing.

use crate::scratch::{Directory, READ_WRITE, add, write_all};
use crate::wasi::filesystem::types::{ErrorCode, OpenFlags, filesystem_error_code};
use crate::wasi::io::streams::StreamError;
use conformance_suite::{Cases, Failure, Outcome, fails_with_one_of, functions, holds};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "limits",
        functions![
            writes_end,
            streams_end,
            removing_makes_room,
            sizes_end_or_are_free,
            files_end,
            directories_end
        ],
    );
}

fn writes_end(directory: &Directory) -> Outcome {
    let file = directory.file("file")?;
    let mut offset = 0;
    while offset < BEYOND {
        match file.write(&[b'x'; CHUNK], offset) {
            Ok(written) => offset += written,
            refused => return fails_with_one_of(refused, FULL),
        }
    }
    Err(Failure::new("there is no end"))
}

fn streams_end(directory: &Directory) -> Outcome {
    let output = directory.file("file")?.write_via_stream(0)?;
    for _ in 0..BEYOND / 4_096 {
        match output.blocking_write_and_flush(&[b'x'; 4_096]) {
            Ok(()) => {}
            Err(StreamError::LastOperationFailed(error)) => {
                let code = filesystem_error_code(&error);
                return holds("it says so", code.is_some_and(|code| FULL.contains(&code)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::new("there is no end"))
}

fn removing_makes_room(directory: &Directory) -> Outcome {
    writes_end(directory)?;
    directory.unlink_file_at("file")?;
    let file = directory.file("another")?;
    write_all(&file.write_via_stream(0)?, &[b'x'; 1 << 20])
}

/// Whether a hole counts is open. Where it does not, filling it ends.
fn sizes_end_or_are_free(directory: &Directory) -> Outcome {
    match directory.file("file")?.set_size(BEYOND) {
        Ok(()) => writes_end(directory),
        refused => fails_with_one_of(refused, FULL),
    }
}

fn files_end(directory: &Directory) -> Outcome {
    for number in 0..MANY {
        match directory.open(&format!("file-{number}"), OpenFlags::CREATE, READ_WRITE) {
            Ok(_) => {}
            refused => return fails_with_one_of(refused, FULL),
        }
    }
    Err(Failure::new("there is no end"))
}

fn directories_end(directory: &Directory) -> Outcome {
    for number in 0..MANY {
        match directory.create_directory_at(&format!("directory-{number}")) {
            Ok(()) => {}
            refused => return fails_with_one_of(refused, FULL),
        }
    }
    Err(Failure::new("there is no end"))
}

const FULL: &[ErrorCode] = &[ErrorCode::Quota, ErrorCode::InsufficientSpace];
const BEYOND: u64 = 32 << 20;
const MANY: usize = 3_000;
const CHUNK: usize = 64 << 10;
