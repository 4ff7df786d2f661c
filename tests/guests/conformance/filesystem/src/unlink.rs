//! `unlink-file-at`.

use crate::scratch::{Directory, add, contents};
use crate::wasi::filesystem::types::ErrorCode;
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of, functions, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "unlink-file-at",
        functions![
            a_file,
            a_file_below_a_directory,
            a_missing_file,
            twice,
            a_directory,
            a_symlink_and_not_its_target,
            a_symlink_to_a_directory,
            a_dangling_symlink,
            a_file_with_a_trailing_slash,
            itself,
            an_open_file_stays,
            and_makes_it_again,
        ],
    );
}

fn a_file(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.unlink_file_at("file")?;
    directory.is_missing("file")
}

fn a_file_below_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"bytes")?;
    directory.unlink_file_at("a/file")?;
    same(directory.directory("a")?.names()?, Vec::<String>::new())
}

fn a_missing_file(directory: &Directory) -> Outcome {
    fails(directory.unlink_file_at("missing"), ErrorCode::NoEntry)
}

fn twice(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.unlink_file_at("file")?;
    fails(directory.unlink_file_at("file"), ErrorCode::NoEntry)
}

fn a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    fails(directory.unlink_file_at("a"), ErrorCode::IsDirectory)?;
    same(directory.names()?, ["a"])
}

fn a_symlink_and_not_its_target(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    directory.unlink_file_at("link")?;
    same(directory.names()?, ["file"])
}

fn a_symlink_to_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.symlink_at("a", "link")?;
    directory.unlink_file_at("link")?;
    same(directory.names()?, ["a"])
}

fn a_dangling_symlink(directory: &Directory) -> Outcome {
    directory.symlink_at("missing", "link")?;
    directory.unlink_file_at("link")?;
    same(directory.names()?, Vec::<String>::new())
}

fn a_file_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.unlink_file_at("file/"), ErrorCode::NotDirectory)?;
    directory.holds("file", b"bytes")
}

fn itself(directory: &Directory) -> Outcome {
    fails_with_one_of(directory.unlink_file_at("."), &[ErrorCode::IsDirectory, ErrorCode::Invalid])
}

fn an_open_file_stays(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    directory.unlink_file_at("file")?;
    same(contents(&file)?, b"bytes")
}

fn and_makes_it_again(directory: &Directory) -> Outcome {
    let old = directory.put("file", b"old bytes")?;
    directory.unlink_file_at("file")?;
    directory.put("file", b"new bytes")?;
    same(contents(&old)?, b"old bytes")?;
    directory.holds("file", b"new bytes")
}
