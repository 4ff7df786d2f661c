//! `stat`, `set-times`, `metadata-hash`, `is-same-object`, and their forms with a path.

use crate::scratch::{Directory, FOLLOW, NO_FOLLOW, add};
use crate::wasi::clocks::wall_clock::{self, Datetime};
use crate::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp, OpenFlags,
};
use conformance_suite::{Cases, Failure, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "stat",
        functions![
            of_a_file,
            of_an_empty_file,
            of_a_directory,
            size_follows_writes,
            links_are_counted,
            times_are_there,
            times_are_about_now,
            modification_moves_on_with_a_write,
            modification_of_a_directory_moves_on_with_an_entry,
            reading_does_not_modify,
        ],
    );
    add(
        cases,
        "stat-at",
        functions![
            is_stat,
            of_a_symlink,
            of_a_symlinks_target,
            of_a_dangling_symlink,
            of_a_dangling_symlinks_target,
            of_a_missing_file,
            of_itself,
            of_a_file_with_a_trailing_slash,
            of_a_directory_with_a_trailing_slash,
            of_a_symlink_with_a_trailing_slash,
        ],
    );
    add(
        cases,
        "set-times",
        functions![
            to_given_times,
            of_a_directory_to_given_times,
            to_the_epoch,
            to_now,
            no_change,
            one_without_the_other,
            nanoseconds_of_a_second_and_more,
            keeps_contents,
        ],
    );
    add(
        cases,
        "set-times-at",
        functions![
            of_a_path,
            of_a_symlink_itself,
            of_what_a_symlink_names,
            of_a_missing_path,
            of_the_directory_itself
        ],
    );
    add(
        cases,
        "metadata-hash",
        functions![
            stays,
            differs_between_files,
            is_that_of_the_path,
            of_a_hard_link_is_the_same,
            of_a_symlink_is_another,
            of_a_symlinks_target_is_the_same,
            of_a_missing_path_fails,
            of_a_directory_stays,
            of_a_replaced_file_changes,
        ],
    );
    add(
        cases,
        "is-same-object",
        functions![
            with_itself,
            opened_twice,
            by_a_hard_link,
            by_a_symlink,
            after_a_rename,
            not_another_file,
            not_a_copy,
            not_file_and_directory,
            directories_by_different_ways,
        ],
    );
}

fn of_a_file(directory: &Directory) -> Outcome {
    let stat = directory.put("file", b"bytes")?.stat()?;
    same((stat.type_, stat.size, stat.link_count), (DescriptorType::RegularFile, 5, 1))
}

fn of_an_empty_file(directory: &Directory) -> Outcome {
    same(directory.put("file", b"")?.stat()?.size, 0)
}

fn of_a_directory(directory: &Directory) -> Outcome {
    let stat = directory.stat()?;
    same(stat.type_, DescriptorType::Directory)?;
    holds("it has a link", stat.link_count >= 1)
}

fn size_follows_writes(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.write(b"x", 99)?;
    same(file.stat()?.size, 100)?;
    file.set_size(7)?;
    same(file.stat()?.size, 7)
}

fn links_are_counted(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    directory.link_at(NO_FOLLOW, "file", directory, "other")?;
    same(file.stat()?.link_count, 2)?;
    directory.unlink_file_at("file")?;
    same(file.stat()?.link_count, 1)
}

fn times_are_there(directory: &Directory) -> Outcome {
    let stat = directory.put("file", b"bytes")?.stat()?;
    holds("modification", stat.data_modification_timestamp.is_some())?;
    holds("access", stat.data_access_timestamp.is_some())?;
    holds("status change", stat.status_change_timestamp.is_some())
}

fn times_are_about_now(directory: &Directory) -> Outcome {
    let modified = modified(&directory.put("file", b"bytes")?)?;
    holds("it is within a minute", wall_clock::now().seconds.abs_diff(modified.seconds) <= 60)?;
    holds("nanoseconds are below a second", modified.nanoseconds < 1_000_000_000)
}

fn modification_moves_on_with_a_write(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    set_modified(&file, LONG_AGO)?;
    file.write(b"x", 0)?;
    holds("it moved on", modified(&file)?.seconds > LONG_AGO.seconds)
}

fn modification_of_a_directory_moves_on_with_an_entry(directory: &Directory) -> Outcome {
    set_modified(directory, LONG_AGO)?;
    directory.put("file", b"")?;
    holds("it moved on", modified(directory)?.seconds > LONG_AGO.seconds)
}

fn reading_does_not_modify(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    set_modified(&file, LONG_AGO)?;
    file.read(5, 0)?;
    same(modified(&file)?.seconds, LONG_AGO.seconds)
}

fn is_stat(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    let (one, other) = (file.stat()?, directory.stat_at(NO_FOLLOW, "file")?);
    same((one.type_, one.size, one.link_count), (other.type_, other.size, other.link_count))
}

fn of_a_symlink(directory: &Directory) -> Outcome {
    directory.put("file", b"many bytes")?;
    directory.symlink_at("file", "link")?;
    let stat = directory.stat_at(NO_FOLLOW, "link")?;
    same((stat.type_, stat.size), (DescriptorType::SymbolicLink, 4))
}

fn of_a_symlinks_target(directory: &Directory) -> Outcome {
    directory.put("file", b"many bytes")?;
    directory.symlink_at("file", "link")?;
    let stat = directory.stat_at(FOLLOW, "link")?;
    same((stat.type_, stat.size), (DescriptorType::RegularFile, 10))
}

fn of_a_dangling_symlink(directory: &Directory) -> Outcome {
    directory.symlink_at("missing", "link")?;
    same(directory.stat_at(NO_FOLLOW, "link")?.type_, DescriptorType::SymbolicLink)
}

fn of_a_dangling_symlinks_target(directory: &Directory) -> Outcome {
    directory.symlink_at("missing", "link")?;
    fails(directory.stat_at(FOLLOW, "link").map(drop), ErrorCode::NoEntry)
}

fn of_a_missing_file(directory: &Directory) -> Outcome {
    fails(directory.stat_at(NO_FOLLOW, "missing").map(drop), ErrorCode::NoEntry)?;
    fails(directory.stat_at(FOLLOW, "missing").map(drop), ErrorCode::NoEntry)
}

fn of_itself(directory: &Directory) -> Outcome {
    same(directory.stat_at(NO_FOLLOW, ".")?.type_, DescriptorType::Directory)
}

fn of_a_file_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.put("file", b"")?;
    fails(directory.stat_at(NO_FOLLOW, "file/").map(drop), ErrorCode::NotDirectory)
}

fn of_a_directory_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    same(directory.stat_at(NO_FOLLOW, "a/")?.type_, DescriptorType::Directory)
}

/// As in POSIX, a slash after a symbolic link asks for the directory that it names.
fn of_a_symlink_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.symlink_at("a", "link")?;
    same(directory.stat_at(NO_FOLLOW, "link/")?.type_, DescriptorType::Directory)
}

fn to_given_times(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_times(at(1_000_000_000, 5), at(1_100_000_000, 999_999_999))?;
    same(accessed(&file)?, (1_000_000_000, 5))?;
    same(pair(modified(&file)?), (1_100_000_000, 999_999_999))
}

fn of_a_directory_to_given_times(directory: &Directory) -> Outcome {
    directory.set_times(at(1_000_000_000, 0), at(1_100_000_000, 0))?;
    same(pair(modified(directory)?), (1_100_000_000, 0))
}

fn to_the_epoch(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_times(at(0, 0), at(0, 0))?;
    same(pair(modified(&file)?), (0, 0))
}

fn to_now(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    set_modified(&file, LONG_AGO)?;
    file.set_times(NewTimestamp::Now, NewTimestamp::Now)?;
    holds("it is within a minute", wall_clock::now().seconds.abs_diff(modified(&file)?.seconds) <= 60)
}

fn no_change(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_times(at(1_000_000_000, 0), at(1_100_000_000, 0))?;
    file.set_times(NewTimestamp::NoChange, NewTimestamp::NoChange)?;
    same(accessed(&file)?, (1_000_000_000, 0))?;
    same(pair(modified(&file)?), (1_100_000_000, 0))
}

fn one_without_the_other(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_times(at(1_000_000_000, 0), at(1_100_000_000, 0))?;
    file.set_times(NewTimestamp::NoChange, at(1_200_000_000, 0))?;
    same(accessed(&file)?, (1_000_000_000, 0))?;
    file.set_times(at(1_300_000_000, 0), NewTimestamp::NoChange)?;
    same(accessed(&file)?, (1_300_000_000, 0))?;
    same(pair(modified(&file)?), (1_200_000_000, 0))
}

fn nanoseconds_of_a_second_and_more(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_times(at(1_000_000_000, 0), at(1_000_000_000, 0))?;
    for nanoseconds in [1_000_000_000, u32::MAX] {
        let codes = [ErrorCode::Invalid, ErrorCode::Overflow];
        fails_with_one_of(file.set_times(NewTimestamp::NoChange, at(0, nanoseconds)), &codes)?;
    }
    same(pair(modified(&file)?), (1_000_000_000, 0))
}

fn keeps_contents(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    file.set_times(at(1, 0), at(2, 0))?;
    same(file.stat()?.size, 5)?;
    directory.holds("file", b"bytes")
}

fn of_a_path(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    directory.set_times_at(NO_FOLLOW, "file", at(1_000_000_000, 1), at(1_100_000_000, 2))?;
    same(accessed(&file)?, (1_000_000_000, 1))?;
    same(pair(modified(&file)?), (1_100_000_000, 2))
}

fn of_a_symlink_itself(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    set_modified(&file, LONG_AGO)?;
    directory.symlink_at("file", "link")?;
    directory.set_times_at(NO_FOLLOW, "link", NewTimestamp::NoChange, at(1_100_000_000, 0))?;
    let link = directory.stat_at(NO_FOLLOW, "link")?;
    same(link.data_modification_timestamp.map(pair), Some((1_100_000_000, 0)))?;
    same(pair(modified(&file)?), pair(LONG_AGO))
}

fn of_what_a_symlink_names(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    directory.set_times_at(FOLLOW, "link", NewTimestamp::NoChange, at(1_100_000_000, 0))?;
    same(pair(modified(&file)?), (1_100_000_000, 0))
}

fn of_a_missing_path(directory: &Directory) -> Outcome {
    fails(
        directory.set_times_at(NO_FOLLOW, "missing", NewTimestamp::Now, NewTimestamp::Now),
        ErrorCode::NoEntry,
    )
}

fn of_the_directory_itself(directory: &Directory) -> Outcome {
    directory.set_times_at(NO_FOLLOW, ".", NewTimestamp::NoChange, at(1_100_000_000, 0))?;
    same(pair(modified(directory)?), (1_100_000_000, 0))
}

fn stays(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    same(hash(&file)?, hash(&file)?)
}

fn differs_between_files(directory: &Directory) -> Outcome {
    let (one, other) = (directory.put("one", b"bytes")?, directory.put("other", b"bytes")?);
    holds("they differ", hash(&one)? != hash(&other)?)
}

fn is_that_of_the_path(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    same(hash_at(directory, "file")?, hash(&file)?)
}

fn of_a_hard_link_is_the_same(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.link_at(NO_FOLLOW, "file", directory, "other")?;
    same(hash_at(directory, "file")?, hash_at(directory, "other")?)
}

fn of_a_symlink_is_another(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    holds("they differ", hash_at(directory, "file")? != hash_at(directory, "link")?)
}

fn of_a_symlinks_target_is_the_same(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    let hash = directory.metadata_hash_at(FOLLOW, "link")?;
    same((hash.lower, hash.upper), hash_at(directory, "file")?)
}

fn of_a_missing_path_fails(directory: &Directory) -> Outcome {
    fails(directory.metadata_hash_at(NO_FOLLOW, "missing").map(drop), ErrorCode::NoEntry)
}

fn of_a_directory_stays(directory: &Directory) -> Outcome {
    same(hash(directory)?, hash(directory)?)?;
    same(hash_at(directory, ".")?, hash(directory)?)
}

/// Both exist at the same time, so no implementation can take one for the other.
fn of_a_replaced_file_changes(directory: &Directory) -> Outcome {
    let old = directory.put("file", b"bytes")?;
    let before = hash_at(directory, "file")?;
    directory.put("new", b"bytes")?;
    directory.rename_at("new", directory, "file")?;
    holds("it changed", hash_at(directory, "file")? != before)?;
    same(old.stat()?.size, 5)
}

fn with_itself(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"")?;
    holds("it is the same", file.is_same_object(&file) && directory.is_same_object(directory))
}

fn opened_twice(directory: &Directory) -> Outcome {
    directory.put("file", b"")?;
    let one = directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    let other = directory.open("file", OpenFlags::empty(), DescriptorFlags::WRITE)?;
    holds("it is the same", one.is_same_object(&other) && other.is_same_object(&one))
}

fn by_a_hard_link(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"")?;
    directory.link_at(NO_FOLLOW, "file", directory, "other")?;
    holds("it is the same", file.is_same_object(&directory.file("other")?))
}

fn by_a_symlink(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"")?;
    directory.symlink_at("file", "link")?;
    let other = directory.open_at(FOLLOW, "link", OpenFlags::empty(), DescriptorFlags::READ)?;
    holds("it is the same", file.is_same_object(&other))
}

fn after_a_rename(directory: &Directory) -> Outcome {
    let file = directory.put("old", b"")?;
    directory.rename_at("old", directory, "new")?;
    holds("it is the same", file.is_same_object(&directory.file("new")?))
}

fn not_another_file(directory: &Directory) -> Outcome {
    holds("they differ", !directory.put("one", b"")?.is_same_object(&directory.put("other", b"")?))
}

fn not_a_copy(directory: &Directory) -> Outcome {
    let old = directory.put("file", b"bytes")?;
    directory.unlink_file_at("file")?;
    holds("they differ", !old.is_same_object(&directory.put("file", b"bytes")?))
}

fn not_file_and_directory(directory: &Directory) -> Outcome {
    holds("they differ", !directory.put("file", b"")?.is_same_object(directory))
}

fn directories_by_different_ways(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.create_directory_at("b")?;
    let (one, other) = (directory.directory("a")?, directory.directory("b/../a")?);
    holds("it is the same", one.is_same_object(&other))
}

fn at(seconds: u64, nanoseconds: u32) -> NewTimestamp {
    NewTimestamp::Timestamp(Datetime { seconds, nanoseconds })
}

fn pair(time: Datetime) -> (u64, u32) {
    (time.seconds, time.nanoseconds)
}

fn modified(descriptor: &Descriptor) -> Outcome<Datetime> {
    descriptor.stat()?.data_modification_timestamp.ok_or_else(|| Failure::new("no modification time"))
}

fn accessed(descriptor: &Descriptor) -> Outcome<(u64, u32)> {
    descriptor.stat()?.data_access_timestamp.map(pair).ok_or_else(|| Failure::new("no access time"))
}

fn set_modified(descriptor: &Descriptor, time: Datetime) -> Outcome {
    Ok(descriptor.set_times(NewTimestamp::NoChange, NewTimestamp::Timestamp(time))?)
}

fn hash(descriptor: &Descriptor) -> Outcome<(u64, u64)> {
    let hash = descriptor.metadata_hash()?;
    Ok((hash.lower, hash.upper))
}

fn hash_at(directory: &Directory, path: &str) -> Outcome<(u64, u64)> {
    let hash = directory.metadata_hash_at(NO_FOLLOW, path)?;
    Ok((hash.lower, hash.upper))
}

/// 2001-09-09.
const LONG_AGO: Datetime = Datetime { seconds: 1_000_000_000, nanoseconds: 0 };
