//! `link-at`.

use crate::scratch::{Directory, FOLLOW, NO_FOLLOW, add};
use crate::wasi::filesystem::types::{DescriptorType, ErrorCode};
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of, functions, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "link-at",
        functions![
            shares_contents,
            to_another_directory,
            from_another_directory,
            outlives_the_first_name,
            many_names,
            of_a_missing_file,
            over_a_file,
            over_a_directory,
            over_itself,
            over_a_dangling_symlink,
            of_a_directory,
            into_a_missing_directory,
            of_a_symlink_itself,
            of_what_a_symlink_names,
            with_a_trailing_slash_after_the_old,
            with_a_trailing_slash_after_the_new,
        ],
    );
}

fn shares_contents(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    directory.link_at(NO_FOLLOW, "file", directory, "other")?;
    file.write(b"B", 0)?;
    directory.holds("other", b"Bytes")
}

fn to_another_directory(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let other = Directory::new_in(directory, "a")?;
    directory.link_at(NO_FOLLOW, "file", &other, "other")?;
    directory.holds("a/other", b"bytes")
}

fn from_another_directory(directory: &Directory) -> Outcome {
    let other = Directory::new_in(directory, "a")?;
    other.put("file", b"bytes")?;
    other.link_at(NO_FOLLOW, "file", directory, "other")?;
    directory.holds("other", b"bytes")
}

fn outlives_the_first_name(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.link_at(NO_FOLLOW, "file", directory, "other")?;
    directory.unlink_file_at("file")?;
    directory.holds("other", b"bytes")
}

fn many_names(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    for number in 0..100 {
        directory.link_at(NO_FOLLOW, "file", directory, &format!("name-{number}"))?;
    }
    same(file.stat()?.link_count, 101)
}

fn of_a_missing_file(directory: &Directory) -> Outcome {
    fails(directory.link_at(NO_FOLLOW, "missing", directory, "other"), ErrorCode::NoEntry)
}

fn over_a_file(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.put("other", b"other bytes")?;
    fails(directory.link_at(NO_FOLLOW, "file", directory, "other"), ErrorCode::Exist)?;
    directory.holds("other", b"other bytes")
}

fn over_a_directory(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.create_directory_at("other")?;
    fails(directory.link_at(NO_FOLLOW, "file", directory, "other"), ErrorCode::Exist)
}

fn over_itself(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.link_at(NO_FOLLOW, "file", directory, "file"), ErrorCode::Exist)
}

fn over_a_dangling_symlink(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("missing", "other")?;
    fails(directory.link_at(NO_FOLLOW, "file", directory, "other"), ErrorCode::Exist)
}

fn of_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    fails(directory.link_at(NO_FOLLOW, "a", directory, "other"), ErrorCode::NotPermitted)
}

fn into_a_missing_directory(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.link_at(NO_FOLLOW, "file", directory, "missing/other"), ErrorCode::NoEntry)
}

fn of_a_symlink_itself(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    directory.link_at(NO_FOLLOW, "link", directory, "other")?;
    same(directory.kind("other")?, DescriptorType::SymbolicLink)?;
    same(directory.readlink_at("other")?, "file")
}

/// POSIX leaves it to implementations whether a link to what a symbolic link names can be made.
fn of_what_a_symlink_names(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    match directory.link_at(FOLLOW, "link", directory, "other") {
        Ok(()) => same(directory.kind("other")?, DescriptorType::RegularFile),
        refused => fails(refused, ErrorCode::Invalid),
    }
}

fn with_a_trailing_slash_after_the_old(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.link_at(NO_FOLLOW, "file/", directory, "other"), ErrorCode::NotDirectory)
}

fn with_a_trailing_slash_after_the_new(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let linked = directory.link_at(NO_FOLLOW, "file", directory, "other/");
    fails_with_one_of(linked, &[ErrorCode::NoEntry, ErrorCode::NotDirectory, ErrorCode::IsDirectory])?;
    directory.is_missing("other")
}
