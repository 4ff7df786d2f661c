//! `create-directory-at`, `remove-directory-at`, `read-directory`.

use crate::scratch::{Directory, READ_WRITE, add};
use crate::wasi::filesystem::types::{DescriptorType, ErrorCode, OpenFlags};
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "create-directory-at",
        functions![
            makes_a_directory,
            makes_one_in_another,
            with_a_trailing_slash,
            where_a_directory_is,
            where_a_file_is,
            where_a_symlink_is,
            where_a_dangling_symlink_is,
            in_a_missing_directory,
            itself,
            sixty_four_levels,
        ],
    );
    add(
        cases,
        "remove-directory-at",
        functions![
            removes_an_empty_directory,
            removes_with_a_trailing_slash,
            not_one_with_a_file,
            not_one_with_a_directory,
            not_a_file,
            not_a_symlink_to_a_directory,
            not_a_missing_one,
            not_itself,
            not_by_dots,
            an_open_directory_stays_open,
            and_makes_it_again,
        ],
    );
    add(
        cases,
        "read-directory",
        functions![
            of_an_empty_directory,
            names_and_types,
            leaves_out_the_dots,
            begins_anew_each_time,
            two_streams_do_not_disturb_each_other,
            after_the_end_nothing_more,
            of_a_thousand_files,
            does_not_enter_directories,
            after_a_rename,
            after_an_unlink,
            while_files_are_removed,
            outlives_its_descriptor,
            of_a_file,
        ],
    );
}

fn makes_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("new")?;
    same(directory.kind("new")?, DescriptorType::Directory)?;
    same(directory.directory("new")?.names()?, Vec::<String>::new())
}

fn makes_one_in_another(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.create_directory_at("a/b")?;
    directory.directory("a")?.create_directory_at("b/c")?;
    same(directory.kind("a/b/c")?, DescriptorType::Directory)
}

fn with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.create_directory_at("new/")?;
    same(directory.names()?, ["new"])
}

fn where_a_directory_is(directory: &Directory) -> Outcome {
    directory.create_directory_at("there")?;
    fails(directory.create_directory_at("there"), ErrorCode::Exist)
}

fn where_a_file_is(directory: &Directory) -> Outcome {
    directory.put("there", b"bytes")?;
    fails(directory.create_directory_at("there"), ErrorCode::Exist)?;
    directory.holds("there", b"bytes")
}

fn where_a_symlink_is(directory: &Directory) -> Outcome {
    directory.create_directory_at("target")?;
    directory.symlink_at("target", "there")?;
    fails(directory.create_directory_at("there"), ErrorCode::Exist)
}

fn where_a_dangling_symlink_is(directory: &Directory) -> Outcome {
    directory.symlink_at("target", "there")?;
    fails(directory.create_directory_at("there"), ErrorCode::Exist)?;
    directory.is_missing("target")
}

fn in_a_missing_directory(directory: &Directory) -> Outcome {
    fails(directory.create_directory_at("missing/new"), ErrorCode::NoEntry)
}

fn itself(directory: &Directory) -> Outcome {
    fails(directory.create_directory_at("."), ErrorCode::Exist)
}

fn sixty_four_levels(directory: &Directory) -> Outcome {
    let mut path = String::from("d");
    for _ in 0..64 {
        directory.create_directory_at(&path)?;
        path.push_str("/d");
    }
    directory.put(&path, b"deep")?;
    directory.holds(&path, b"deep")
}

fn removes_an_empty_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("old")?;
    directory.remove_directory_at("old")?;
    directory.is_missing("old")
}

fn removes_with_a_trailing_slash(directory: &Directory) -> Outcome {
    directory.create_directory_at("old")?;
    directory.remove_directory_at("old/")?;
    directory.is_missing("old")
}

fn not_one_with_a_file(directory: &Directory) -> Outcome {
    directory.create_directory_at("full")?;
    directory.put("full/file", b"")?;
    fails(directory.remove_directory_at("full"), ErrorCode::NotEmpty)
}

fn not_one_with_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("full")?;
    directory.create_directory_at("full/empty")?;
    fails(directory.remove_directory_at("full"), ErrorCode::NotEmpty)
}

fn not_a_file(directory: &Directory) -> Outcome {
    directory.put("file", b"")?;
    fails(directory.remove_directory_at("file"), ErrorCode::NotDirectory)
}

fn not_a_symlink_to_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("target")?;
    directory.symlink_at("target", "link")?;
    fails(directory.remove_directory_at("link"), ErrorCode::NotDirectory)?;
    same(directory.names()?, ["link", "target"])
}

fn not_a_missing_one(directory: &Directory) -> Outcome {
    fails(directory.remove_directory_at("missing"), ErrorCode::NoEntry)
}

fn not_itself(directory: &Directory) -> Outcome {
    fails_with_one_of(directory.remove_directory_at("."), &[ErrorCode::Invalid, ErrorCode::Busy])
}

fn not_by_dots(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    let codes = [ErrorCode::Invalid, ErrorCode::NotEmpty, ErrorCode::Busy];
    fails_with_one_of(directory.remove_directory_at("a/."), &codes)?;
    same(directory.kind("a")?, DescriptorType::Directory)
}

/// A directory that is gone is empty and takes nothing new.
fn an_open_directory_stays_open(directory: &Directory) -> Outcome {
    let gone = Directory::new_in(directory, "gone")?;
    directory.remove_directory_at("gone")?;
    same(gone.get_type()?, DescriptorType::Directory)?;
    same(gone.names()?, Vec::<String>::new())?;
    fails(gone.open("file", OpenFlags::CREATE, READ_WRITE), ErrorCode::NoEntry)?;
    fails(gone.create_directory_at("directory"), ErrorCode::NoEntry)
}

fn and_makes_it_again(directory: &Directory) -> Outcome {
    let old = Directory::new_in(directory, "same-name")?;
    directory.remove_directory_at("same-name")?;
    let new = Directory::new_in(directory, "same-name")?;
    holds("it is another directory", !new.is_same_object(&old))
}

fn of_an_empty_directory(directory: &Directory) -> Outcome {
    holds("there is nothing", directory.read_directory()?.read_directory_entry()?.is_none())
}

fn names_and_types(directory: &Directory) -> Outcome {
    directory.create_directory_at("directory")?;
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    let entries: Vec<_> = directory.entries()?.into_iter().map(|entry| (entry.name, entry.type_)).collect();
    same(
        entries,
        [
            ("directory".to_owned(), DescriptorType::Directory),
            ("file".to_owned(), DescriptorType::RegularFile),
            ("link".to_owned(), DescriptorType::SymbolicLink),
        ],
    )
}

fn leaves_out_the_dots(directory: &Directory) -> Outcome {
    directory.put(".hidden", b"")?;
    same(directory.names()?, [".hidden"])
}

fn begins_anew_each_time(directory: &Directory) -> Outcome {
    directory.put("file", b"")?;
    same(directory.names()?, ["file"])?;
    same(directory.names()?, ["file"])
}

fn two_streams_do_not_disturb_each_other(directory: &Directory) -> Outcome {
    directory.put("a", b"")?;
    directory.put("b", b"")?;
    let (one, other) = (directory.read_directory()?, directory.read_directory()?);
    for _ in 0..2 {
        let names =
            [one.read_directory_entry()?, other.read_directory_entry()?].map(|entry| entry.map(|e| e.name));
        holds("both give an entry", names.iter().all(Option::is_some))?;
    }
    holds("one ends", one.read_directory_entry()?.is_none())?;
    holds("the other ends", other.read_directory_entry()?.is_none())
}

fn after_the_end_nothing_more(directory: &Directory) -> Outcome {
    directory.put("file", b"")?;
    let stream = directory.read_directory()?;
    holds("there is an entry", stream.read_directory_entry()?.is_some())?;
    for _ in 0..3 {
        holds("there is no other", stream.read_directory_entry()?.is_none())?;
    }
    Ok(())
}

fn of_a_thousand_files(directory: &Directory) -> Outcome {
    let names: Vec<_> = (0..1_000).map(|number| format!("file-{number:04}")).collect();
    for name in &names {
        directory.put(name, b"")?;
    }
    holds("each is listed once", directory.names()? == names)
}

fn does_not_enter_directories(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"")?;
    same(directory.names()?, ["a"])
}

fn after_a_rename(directory: &Directory) -> Outcome {
    directory.put("old", b"")?;
    directory.rename_at("old", directory, "new")?;
    same(directory.names()?, ["new"])
}

fn after_an_unlink(directory: &Directory) -> Outcome {
    directory.put("a", b"")?;
    directory.put("b", b"")?;
    directory.unlink_file_at("a")?;
    same(directory.names()?, ["b"])
}

/// Whether what comes and goes meanwhile is listed is open; what stays is listed once.
fn while_files_are_removed(directory: &Directory) -> Outcome {
    for number in 0..100 {
        directory.put(&format!("file-{number:02}"), b"")?;
    }
    directory.put("stays", b"")?;
    let stream = directory.read_directory()?;
    let mut stays = 0;
    let mut removed = 0;
    while let Some(entry) = stream.read_directory_entry()? {
        stays += usize::from(entry.name == "stays");
        if entry.name != "stays" && removed < 50 {
            directory.unlink_file_at(&entry.name)?;
            removed += 1;
        }
    }
    same(stays, 1)
}

fn outlives_its_descriptor(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"")?;
    let stream = directory.directory("a")?.read_directory()?;
    let entry = stream.read_directory_entry()?;
    same(entry.map(|entry| entry.name).as_deref(), Some("file"))
}

fn of_a_file(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"")?;
    fails(file.read_directory(), ErrorCode::NotDirectory)
}
