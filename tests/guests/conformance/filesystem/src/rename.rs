//! `rename-at`.

use crate::scratch::{Directory, NO_FOLLOW, add, contents};
use crate::wasi::filesystem::types::{DescriptorType, ErrorCode};
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "rename-at",
        functions![
            a_file,
            a_file_to_another_directory,
            a_file_over_another,
            a_file_over_itself,
            a_file_over_its_hard_link,
            a_file_over_a_directory,
            a_file_over_a_symlink,
            a_directory,
            a_directory_with_contents,
            a_directory_to_another_directory,
            a_directory_over_an_empty_one,
            a_directory_over_a_full_one,
            a_directory_over_a_file,
            a_directory_into_itself,
            a_directory_into_its_grandchild,
            a_directory_over_its_parent,
            a_symlink_itself,
            a_dangling_symlink,
            a_missing_file,
            into_a_missing_directory,
            open_files_stay_open,
            open_files_that_are_replaced_stay,
            open_directories_stay_open,
            the_directory_itself,
            a_file_to_a_name_with_a_trailing_slash,
            a_directory_to_a_name_with_a_trailing_slash,
            a_file_by_a_name_with_a_trailing_slash,
            two_change_places,
        ],
    );
}

fn a_file(directory: &Directory) -> Outcome {
    directory.put("old", b"bytes")?;
    directory.rename_at("old", directory, "new")?;
    same(directory.names()?, ["new"])?;
    directory.holds("new", b"bytes")
}

fn a_file_to_another_directory(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let other = Directory::new_in(directory, "a")?;
    directory.rename_at("file", &other, "file")?;
    directory.is_missing("file")?;
    other.holds("file", b"bytes")
}

fn a_file_over_another(directory: &Directory) -> Outcome {
    directory.put("old", b"old bytes")?;
    directory.put("new", b"new bytes")?;
    directory.rename_at("old", directory, "new")?;
    same(directory.names()?, ["new"])?;
    directory.holds("new", b"old bytes")
}

fn a_file_over_itself(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.rename_at("file", directory, "file")?;
    directory.holds("file", b"bytes")
}

/// As in POSIX, nothing happens where both names are of one file.
fn a_file_over_its_hard_link(directory: &Directory) -> Outcome {
    directory.put("one", b"bytes")?;
    directory.link_at(NO_FOLLOW, "one", directory, "other")?;
    directory.rename_at("one", directory, "other")?;
    same(directory.names()?, ["one", "other"])
}

fn a_file_over_a_directory(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.create_directory_at("a")?;
    fails(directory.rename_at("file", directory, "a"), ErrorCode::IsDirectory)
}

fn a_file_over_a_symlink(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.put("target", b"target's bytes")?;
    directory.symlink_at("target", "link")?;
    directory.rename_at("file", directory, "link")?;
    same(directory.kind("link")?, DescriptorType::RegularFile)?;
    directory.holds("target", b"target's bytes")
}

fn a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("old")?;
    directory.rename_at("old", directory, "new")?;
    same(directory.names()?, ["new"])
}

fn a_directory_with_contents(directory: &Directory) -> Outcome {
    directory.create_directory_at("old")?;
    directory.create_directory_at("old/inner")?;
    directory.put("old/inner/file", b"bytes")?;
    directory.rename_at("old", directory, "new")?;
    directory.holds("new/inner/file", b"bytes")
}

fn a_directory_to_another_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"bytes")?;
    let other = Directory::new_in(directory, "b")?;
    directory.rename_at("a", &other, "c")?;
    directory.holds("b/c/file", b"bytes")?;
    directory.holds("b/c/../c/file", b"bytes")
}

fn a_directory_over_an_empty_one(directory: &Directory) -> Outcome {
    directory.create_directory_at("old")?;
    directory.put("old/file", b"bytes")?;
    directory.create_directory_at("new")?;
    directory.rename_at("old", directory, "new")?;
    directory.holds("new/file", b"bytes")
}

fn a_directory_over_a_full_one(directory: &Directory) -> Outcome {
    directory.create_directory_at("old")?;
    directory.create_directory_at("new")?;
    directory.put("new/file", b"bytes")?;
    fails_with_one_of(
        directory.rename_at("old", directory, "new"),
        &[ErrorCode::NotEmpty, ErrorCode::Exist],
    )?;
    directory.holds("new/file", b"bytes")
}

fn a_directory_over_a_file(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("file", b"bytes")?;
    fails(directory.rename_at("a", directory, "file"), ErrorCode::NotDirectory)
}

fn a_directory_into_itself(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    fails(directory.rename_at("a", directory, "a/b"), ErrorCode::Invalid)
}

fn a_directory_into_its_grandchild(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    let inner = Directory::new_in(directory, "a/b")?;
    fails(directory.rename_at("a", &inner, "c"), ErrorCode::Invalid)
}

fn a_directory_over_its_parent(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.create_directory_at("a/b")?;
    fails_with_one_of(directory.rename_at("a/b", directory, "a"), &[ErrorCode::NotEmpty, ErrorCode::Exist])
}

fn a_symlink_itself(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "old")?;
    directory.rename_at("old", directory, "new")?;
    same(directory.readlink_at("new")?, "file")?;
    same(directory.names()?, ["file", "new"])
}

fn a_dangling_symlink(directory: &Directory) -> Outcome {
    directory.symlink_at("missing", "old")?;
    directory.rename_at("old", directory, "new")?;
    same(directory.readlink_at("new")?, "missing")
}

fn a_missing_file(directory: &Directory) -> Outcome {
    directory.put("new", b"bytes")?;
    fails(directory.rename_at("missing", directory, "new"), ErrorCode::NoEntry)?;
    directory.holds("new", b"bytes")
}

fn into_a_missing_directory(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.rename_at("file", directory, "missing/file"), ErrorCode::NoEntry)?;
    directory.holds("file", b"bytes")
}

fn open_files_stay_open(directory: &Directory) -> Outcome {
    let file = directory.put("old", b"bytes")?;
    directory.rename_at("old", directory, "new")?;
    file.write(b"B", 0)?;
    directory.holds("new", b"Bytes")
}

fn open_files_that_are_replaced_stay(directory: &Directory) -> Outcome {
    let replaced = directory.put("new", b"replaced")?;
    directory.put("old", b"bytes")?;
    directory.rename_at("old", directory, "new")?;
    same(contents(&replaced)?, b"replaced")?;
    same(replaced.stat()?.link_count, 0)
}

fn open_directories_stay_open(directory: &Directory) -> Outcome {
    let moved = Directory::new_in(directory, "old")?;
    directory.rename_at("old", directory, "new")?;
    moved.put("file", b"bytes")?;
    directory.holds("new/file", b"bytes")?;
    holds("it is the same directory", moved.is_same_object(&*directory.directory("new")?))
}

fn the_directory_itself(directory: &Directory) -> Outcome {
    let codes = [ErrorCode::Busy, ErrorCode::Invalid];
    fails_with_one_of(directory.rename_at(".", directory, "new"), &codes)?;
    directory.create_directory_at("a")?;
    fails_with_one_of(directory.rename_at("a", directory, "."), &codes)
}

fn a_file_to_a_name_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let codes = [ErrorCode::NotDirectory, ErrorCode::NoEntry, ErrorCode::IsDirectory];
    fails_with_one_of(directory.rename_at("file", directory, "new/"), &codes)?;
    directory.holds("file", b"bytes")
}

fn a_directory_to_a_name_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.create_directory_at("old")?;
    directory.rename_at("old/", directory, "new/")?;
    same(directory.names()?, ["new"])
}

fn a_file_by_a_name_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.rename_at("file/", directory, "new"), ErrorCode::NotDirectory)
}

fn two_change_places(directory: &Directory) -> Outcome {
    directory.put("one", b"1")?;
    directory.put("two", b"2")?;
    directory.rename_at("one", directory, "aside")?;
    directory.rename_at("two", directory, "one")?;
    directory.rename_at("aside", directory, "two")?;
    directory.holds("one", b"2")?;
    directory.holds("two", b"1")
}
