//! `open-at`, and what a descriptor's rights allow.

use crate::scratch::{Directory, FOLLOW, NO_FOLLOW, READ_DIRECTORY, READ_WRITE, add, add_one, contents};
use crate::wasi::filesystem::types::{DescriptorFlags, DescriptorType, ErrorCode, OpenFlags};
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "open-at",
        functions![
            an_existing_file,
            a_missing_file,
            create_makes_a_file,
            create_opens_what_is_there,
            create_in_a_missing_directory,
            create_below_a_file,
            create_of_a_directory_that_is_there,
            create_with_directory,
            exclusive_makes_a_file,
            exclusive_of_what_is_there,
            exclusive_of_a_directory,
            exclusive_of_a_symlink,
            exclusive_without_create,
            truncate_empties,
            truncate_of_a_missing_file,
            truncate_with_create,
            truncate_of_a_directory,
            directory_opens_a_directory,
            directory_of_a_file,
            directory_of_a_missing_one,
            a_directory_without_saying_so,
            a_directory_for_writing,
            itself,
            itself_by_a_longer_way,
            below_a_directory,
            out_of_a_directory_and_back,
            a_file_with_a_trailing_slash,
            a_directory_with_a_trailing_slash,
            create_with_a_trailing_slash,
            slashes_in_a_row,
            dots_on_the_way,
            a_symlink_is_followed,
            a_symlink_is_not_followed,
            a_symlink_on_the_way_is_followed,
            a_symlink_to_a_directory,
            a_dangling_symlink,
            a_symlink_to_itself,
            symlinks_in_a_circle,
            the_same_file_many_times,
            a_file_and_unlink_it,
        ],
    );
    add(
        cases,
        "rights",
        functions![
            flags_of_a_file_opened_for_reading,
            flags_of_a_file_opened_for_writing,
            flags_of_a_file_opened_for_both,
            flags_of_a_directory,
            write_without_the_right,
            set_size_without_the_right,
            write_stream_without_the_right,
            append_stream_without_the_right,
            read_without_the_right,
            stat_needs_no_right,
            synchronous_writes,
        ],
    );
    for (name, file) in NAMES {
        add_one(cases, "names", name, move |directory| any_name(directory, file));
    }
    add_one(cases, "names", "of_255_bytes", |directory| any_name(directory, &"n".repeat(255)));
}

fn an_existing_file(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    same(contents(&directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?)?, b"bytes")
}

fn a_missing_file(directory: &Directory) -> Outcome {
    fails(directory.open("file", OpenFlags::empty(), DescriptorFlags::READ), ErrorCode::NoEntry)
}

fn create_makes_a_file(directory: &Directory) -> Outcome {
    let file = directory.open("file", OpenFlags::CREATE, READ_WRITE)?;
    same(file.stat()?.type_, DescriptorType::RegularFile)?;
    same(file.stat()?.size, 0)?;
    same(directory.names()?, ["file"])
}

fn create_opens_what_is_there(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    same(contents(&directory.open("file", OpenFlags::CREATE, READ_WRITE)?)?, b"bytes")
}

fn create_in_a_missing_directory(directory: &Directory) -> Outcome {
    fails(directory.open("missing/file", OpenFlags::CREATE, READ_WRITE), ErrorCode::NoEntry)
}

fn create_below_a_file(directory: &Directory) -> Outcome {
    directory.put("file", b"")?;
    fails(directory.open("file/file", OpenFlags::CREATE, READ_WRITE), ErrorCode::NotDirectory)
}

fn create_of_a_directory_that_is_there(directory: &Directory) -> Outcome {
    directory.create_directory_at("directory")?;
    fails(directory.open("directory", OpenFlags::CREATE, READ_WRITE), ErrorCode::IsDirectory)
}

fn create_with_directory(directory: &Directory) -> Outcome {
    let how = OpenFlags::CREATE | OpenFlags::DIRECTORY;
    fails(directory.open("new", how, DescriptorFlags::READ), ErrorCode::Invalid)?;
    directory.is_missing("new")
}

fn exclusive_makes_a_file(directory: &Directory) -> Outcome {
    directory.open("file", EXCLUSIVE, READ_WRITE)?;
    same(directory.names()?, ["file"])
}

fn exclusive_of_what_is_there(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.open("file", EXCLUSIVE, READ_WRITE), ErrorCode::Exist)?;
    directory.holds("file", b"bytes")
}

fn exclusive_of_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("directory")?;
    fails(directory.open("directory", EXCLUSIVE, READ_WRITE), ErrorCode::Exist)
}

fn exclusive_of_a_symlink(directory: &Directory) -> Outcome {
    directory.symlink_at("missing", "link")?;
    fails(directory.open("link", EXCLUSIVE, READ_WRITE), ErrorCode::Exist)?;
    directory.is_missing("missing")
}

/// As `open` in POSIX, where it means nothing by itself.
fn exclusive_without_create(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    same(contents(&directory.open("file", OpenFlags::EXCLUSIVE, READ_WRITE)?)?, b"bytes")
}

fn truncate_empties(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    same(directory.open("file", OpenFlags::TRUNCATE, READ_WRITE)?.stat()?.size, 0)?;
    directory.holds("file", b"")
}

fn truncate_of_a_missing_file(directory: &Directory) -> Outcome {
    fails(directory.open("file", OpenFlags::TRUNCATE, READ_WRITE), ErrorCode::NoEntry)
}

fn truncate_with_create(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.open("file", OpenFlags::TRUNCATE | OpenFlags::CREATE, READ_WRITE)?;
    directory.holds("file", b"")
}

fn truncate_of_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("directory")?;
    fails(directory.open("directory", OpenFlags::TRUNCATE, READ_WRITE), ErrorCode::IsDirectory)
}

fn directory_opens_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("directory")?;
    let opened = directory.open("directory", OpenFlags::DIRECTORY, READ_DIRECTORY)?;
    same(opened.get_type()?, DescriptorType::Directory)
}

fn directory_of_a_file(directory: &Directory) -> Outcome {
    directory.put("file", b"")?;
    fails(directory.open("file", OpenFlags::DIRECTORY, DescriptorFlags::READ), ErrorCode::NotDirectory)
}

fn directory_of_a_missing_one(directory: &Directory) -> Outcome {
    fails(directory.open("missing", OpenFlags::DIRECTORY, DescriptorFlags::READ), ErrorCode::NoEntry)
}

fn a_directory_without_saying_so(directory: &Directory) -> Outcome {
    directory.create_directory_at("directory")?;
    let opened = directory.open("directory", OpenFlags::empty(), DescriptorFlags::READ)?;
    same(opened.get_type()?, DescriptorType::Directory)
}

fn a_directory_for_writing(directory: &Directory) -> Outcome {
    directory.create_directory_at("directory")?;
    fails(directory.open("directory", OpenFlags::empty(), READ_WRITE), ErrorCode::IsDirectory)
}

fn itself(directory: &Directory) -> Outcome {
    let again = directory.open(".", OpenFlags::DIRECTORY, READ_DIRECTORY)?;
    holds("it is the same directory", again.is_same_object(directory))
}

fn itself_by_a_longer_way(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    for way in ["./.", "a/..", "./a/../.", "a/./.."] {
        let again = directory.open(way, OpenFlags::DIRECTORY, READ_DIRECTORY)?;
        holds("it is the same directory", again.is_same_object(directory))?;
    }
    Ok(())
}

fn below_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.create_directory_at("a/b")?;
    directory.put("a/b/file", b"bytes")?;
    directory.directory("a")?.holds("b/file", b"bytes")
}

fn out_of_a_directory_and_back(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.create_directory_at("b")?;
    directory.put("b/file", b"bytes")?;
    directory.holds("a/../b/file", b"bytes")
}

fn a_file_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.put("file", b"")?;
    fails(directory.open("file/", OpenFlags::empty(), DescriptorFlags::READ), ErrorCode::NotDirectory)
}

fn a_directory_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.create_directory_at("directory")?;
    directory.directory("directory/")?;
    directory.directory("directory//")?;
    Ok(())
}

fn create_with_a_trailing_slash(directory: &Directory) -> Outcome {
    let opened = directory.open("new/", OpenFlags::CREATE, READ_WRITE);
    fails_with_one_of(opened, &[ErrorCode::IsDirectory, ErrorCode::NoEntry, ErrorCode::NotDirectory])?;
    directory.is_missing("new")
}

fn slashes_in_a_row(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"bytes")?;
    directory.holds("a///file", b"bytes")
}

fn dots_on_the_way(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"bytes")?;
    directory.holds("./a/./file", b"bytes")
}

fn a_symlink_is_followed(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    let opened = directory.open_at(FOLLOW, "link", OpenFlags::empty(), DescriptorFlags::READ)?;
    same(contents(&opened)?, b"bytes")
}

fn a_symlink_is_not_followed(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    let opened = directory.open_at(NO_FOLLOW, "link", OpenFlags::empty(), DescriptorFlags::READ);
    fails(opened, ErrorCode::Loop)
}

fn a_symlink_on_the_way_is_followed(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"bytes")?;
    directory.symlink_at("a", "link")?;
    same(contents(&directory.open("link/file", OpenFlags::empty(), DescriptorFlags::READ)?)?, b"bytes")
}

fn a_symlink_to_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.symlink_at("a", "link")?;
    let opened = directory.open_at(FOLLOW, "link", OpenFlags::DIRECTORY, READ_DIRECTORY)?;
    holds("it is the directory", opened.is_same_object(&*directory.directory("a")?))
}

fn a_dangling_symlink(directory: &Directory) -> Outcome {
    directory.symlink_at("missing", "link")?;
    let opened = directory.open_at(FOLLOW, "link", OpenFlags::empty(), DescriptorFlags::READ);
    fails(opened, ErrorCode::NoEntry)
}

fn a_symlink_to_itself(directory: &Directory) -> Outcome {
    directory.symlink_at("link", "link")?;
    let opened = directory.open_at(FOLLOW, "link", OpenFlags::empty(), DescriptorFlags::READ);
    fails(opened, ErrorCode::Loop)
}

fn symlinks_in_a_circle(directory: &Directory) -> Outcome {
    directory.symlink_at("b", "a")?;
    directory.symlink_at("c", "b")?;
    directory.symlink_at("a", "c")?;
    let opened = directory.open_at(FOLLOW, "a", OpenFlags::empty(), DescriptorFlags::READ);
    fails(opened, ErrorCode::Loop)
}

fn the_same_file_many_times(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let files = (0..200).map(|_| directory.file("file")).collect::<Outcome<Vec<_>>>()?;
    files.iter().try_for_each(|file| same(contents(file)?, b"bytes"))
}

fn a_file_and_unlink_it(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    directory.unlink_file_at("file")?;
    same(contents(&file)?, b"bytes")?;
    file.write(b"more", 5)?;
    same(contents(&file)?, b"bytesmore")?;
    same(file.stat()?.link_count, 0)
}

fn flags_of_a_file_opened_for_reading(directory: &Directory) -> Outcome {
    flags_are(directory, DescriptorFlags::READ)
}

fn flags_of_a_file_opened_for_writing(directory: &Directory) -> Outcome {
    flags_are(directory, DescriptorFlags::WRITE)
}

fn flags_of_a_file_opened_for_both(directory: &Directory) -> Outcome {
    flags_are(directory, READ_WRITE)
}

fn flags_of_a_directory(directory: &Directory) -> Outcome {
    let flags = directory.get_flags()?;
    holds("it can be read", flags.contains(DescriptorFlags::READ))?;
    holds("it can be changed", flags.contains(DescriptorFlags::MUTATE_DIRECTORY))?;
    holds("it cannot be written as a file", !flags.contains(DescriptorFlags::WRITE))
}

fn write_without_the_right(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let file = directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    fails_with_one_of(file.write(b"x", 0), NO_RIGHT)?;
    directory.holds("file", b"bytes")
}

/// `ftruncate` of POSIX fails with `EINVAL` for it.
fn set_size_without_the_right(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let file = directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    let no_right = [NO_RIGHT, &[ErrorCode::Invalid]].concat();
    fails_with_one_of(file.set_size(0), &no_right)?;
    directory.holds("file", b"bytes")
}

fn write_stream_without_the_right(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let file = directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    match file.write_via_stream(0) {
        Ok(stream) => holds("writing fails", stream.blocking_write_and_flush(b"x").is_err())?,
        refused => fails_with_one_of(refused, NO_RIGHT)?,
    }
    directory.holds("file", b"bytes")
}

fn append_stream_without_the_right(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let file = directory.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    match file.append_via_stream() {
        Ok(stream) => holds("writing fails", stream.blocking_write_and_flush(b"x").is_err())?,
        refused => fails_with_one_of(refused, NO_RIGHT)?,
    }
    directory.holds("file", b"bytes")
}

fn read_without_the_right(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let file = directory.open("file", OpenFlags::empty(), DescriptorFlags::WRITE)?;
    fails_with_one_of(file.read(1, 0), NO_RIGHT)?;
    match file.read_via_stream(0) {
        Ok(stream) => holds("reading fails", stream.blocking_read(1).is_err()),
        refused => fails_with_one_of(refused, NO_RIGHT),
    }
}

fn stat_needs_no_right(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    for rights in [DescriptorFlags::READ, DescriptorFlags::WRITE] {
        same(directory.open("file", OpenFlags::empty(), rights)?.stat()?.size, 5)?;
    }
    Ok(())
}

fn synchronous_writes(directory: &Directory) -> Outcome {
    for flag in [DescriptorFlags::FILE_INTEGRITY_SYNC, DescriptorFlags::DATA_INTEGRITY_SYNC] {
        let opened = directory.open("file", OpenFlags::CREATE, READ_WRITE | flag);
        match opened {
            Ok(file) => {
                file.write(b"bytes", 0)?;
                same(contents(&file)?, b"bytes")?;
            }
            refused => fails(refused, ErrorCode::Unsupported)?,
        }
    }
    Ok(())
}

/// A file of any name can be made, found and removed.
fn any_name(directory: &Directory, name: &str) -> Outcome {
    directory.put(name, b"bytes")?;
    directory.holds(name, b"bytes")?;
    same(directory.names()?, [name])?;
    directory.rename_at(name, directory, "other")?;
    directory.rename_at("other", directory, name)?;
    directory.unlink_file_at(name)?;
    directory.is_missing(name)
}

#[track_caller]
fn flags_are(directory: &Directory, rights: DescriptorFlags) -> Outcome {
    directory.put("file", b"")?;
    let flags = directory.open("file", OpenFlags::empty(), rights)?.get_flags()?;
    same(flags & READ_WRITE, rights)
}

const EXCLUSIVE: OpenFlags = OpenFlags::CREATE.union(OpenFlags::EXCLUSIVE);
/// `EBADF` of POSIX, and what implementations with rights of their own say.
const NO_RIGHT: &[ErrorCode] = &[ErrorCode::BadDescriptor, ErrorCode::NotPermitted];

const NAMES: [(&str, &str); 13] = [
    ("one_letter", "f"),
    ("a_space", " a file "),
    ("a_newline", "a\nb"),
    ("a_backslash", "a\\b"),
    ("a_colon", "c:file"),
    ("a_star", "*"),
    ("a_dash", "-rf"),
    ("three_dots", "..."),
    ("a_leading_dot", ".hidden"),
    ("an_extension", "file.tar.gz"),
    ("umlauts", "grüße"),
    ("characters_of_four_bytes", "🔑🗝"),
    ("right_to_left", "שלום"),
];
