//! What a preopen for reading alone refuses: `read-only`, by every function that would change something.

use crate::scratch::{Directory, NO_FOLLOW, READ_WRITE, contents, preopen};
use crate::wasi::filesystem::types::{DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags};
use conformance_suite::{Cases, Named, Outcome, fails, fails_with_one_of, functions, holds, same};

pub(crate) fn add_to(cases: &mut Cases) {
    for (name, run) in FUNCTIONS {
        cases.add("read-only", name, move || {
            let root = preopen("/")?;
            let through_root = root.directory("fixed")?;
            through_root.put("file", b"bytes")?;
            match through_root.create_directory_at("directory") {
                Ok(()) | Err(ErrorCode::Exist) => {}
                Err(error) => return Err(error.into()),
            }
            run(&preopen("/fixed")?, &root)?;
            same(through_root.names()?, ["directory", "file"])?;
            through_root.holds("file", b"bytes")
        });
    }
}

type Case = Named<fn(&Directory, &Directory) -> Outcome>;

const FUNCTIONS: &[Case] = functions![
    files_can_be_read,
    directories_can_be_read,
    flags_are_without_changes,
    open_for_writing,
    open_to_create,
    open_to_truncate,
    open_a_directory_for_changes,
    open_below_a_directory,
    create_a_directory,
    remove_a_directory,
    unlink_a_file,
    make_a_symlink,
    link_from_it,
    link_to_it,
    rename_within_it,
    rename_out_of_it,
    rename_into_it,
    set_times_by_path,
    set_times_of_a_file,
    set_times_of_a_directory,
    set_size_of_a_file,
    write_to_a_file,
    write_by_a_stream,
    append_by_a_stream,
    sync_does_nothing,
];

fn files_can_be_read(fixed: &Directory, _: &Directory) -> Outcome {
    fixed.holds("file", b"bytes")
}

fn directories_can_be_read(fixed: &Directory, _: &Directory) -> Outcome {
    same(fixed.names()?, ["directory", "file"])
}

fn flags_are_without_changes(fixed: &Directory, _: &Directory) -> Outcome {
    let flags = fixed.get_flags()?;
    holds("it can be read", flags.contains(DescriptorFlags::READ))?;
    holds("it cannot be changed", !flags.contains(DescriptorFlags::MUTATE_DIRECTORY))
}

fn open_for_writing(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.open("file", OpenFlags::empty(), READ_WRITE), ErrorCode::ReadOnly)
}

fn open_to_create(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.open("new", OpenFlags::CREATE, DescriptorFlags::READ), ErrorCode::ReadOnly)
}

fn open_to_truncate(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.open("file", OpenFlags::TRUNCATE, DescriptorFlags::READ), ErrorCode::ReadOnly)
}

fn open_a_directory_for_changes(fixed: &Directory, _: &Directory) -> Outcome {
    let rights = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    fails(fixed.open("directory", OpenFlags::DIRECTORY, rights), ErrorCode::ReadOnly)
}

/// What is opened through it has no more rights than it has.
fn open_below_a_directory(fixed: &Directory, _: &Directory) -> Outcome {
    let below = Directory(fixed.open("directory", OpenFlags::DIRECTORY, DescriptorFlags::READ)?);
    holds("it cannot be changed", !below.get_flags()?.contains(DescriptorFlags::MUTATE_DIRECTORY))?;
    fails(below.open("new", OpenFlags::CREATE, READ_WRITE), ErrorCode::ReadOnly)
}

fn create_a_directory(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.create_directory_at("new"), ErrorCode::ReadOnly)
}

fn remove_a_directory(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.remove_directory_at("directory"), ErrorCode::ReadOnly)
}

fn unlink_a_file(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.unlink_file_at("file"), ErrorCode::ReadOnly)
}

fn make_a_symlink(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.symlink_at("file", "new"), ErrorCode::ReadOnly)
}

/// A link would be a way to write to the file.
fn link_from_it(fixed: &Directory, root: &Directory) -> Outcome {
    fails(fixed.link_at(NO_FOLLOW, "file", root, "new"), ErrorCode::ReadOnly)
}

fn link_to_it(fixed: &Directory, root: &Directory) -> Outcome {
    root.put("read-only.outside", b"")?;
    let linked = root.link_at(NO_FOLLOW, "read-only.outside", fixed, "new");
    root.unlink_file_at("read-only.outside")?;
    fails(linked, ErrorCode::ReadOnly)
}

fn rename_within_it(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.rename_at("file", fixed, "new"), ErrorCode::ReadOnly)
}

fn rename_out_of_it(fixed: &Directory, root: &Directory) -> Outcome {
    fails(fixed.rename_at("file", root, "new"), ErrorCode::ReadOnly)
}

fn rename_into_it(fixed: &Directory, root: &Directory) -> Outcome {
    root.put("read-only.outside", b"")?;
    let renamed = root.rename_at("read-only.outside", fixed, "file");
    root.unlink_file_at("read-only.outside")?;
    fails(renamed, ErrorCode::ReadOnly)
}

fn set_times_by_path(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.set_times_at(NO_FOLLOW, "file", NewTimestamp::Now, NewTimestamp::Now), ErrorCode::ReadOnly)
}

fn set_times_of_a_file(fixed: &Directory, _: &Directory) -> Outcome {
    let file = fixed.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    fails(file.set_times(NewTimestamp::Now, NewTimestamp::Now), ErrorCode::ReadOnly)
}

fn set_times_of_a_directory(fixed: &Directory, _: &Directory) -> Outcome {
    fails(fixed.set_times(NewTimestamp::Now, NewTimestamp::Now), ErrorCode::ReadOnly)
}

fn set_size_of_a_file(fixed: &Directory, _: &Directory) -> Outcome {
    let file = fixed.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    fails_with_one_of(file.set_size(0), NOT_WRITABLE)
}

fn write_to_a_file(fixed: &Directory, _: &Directory) -> Outcome {
    let file = fixed.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    fails_with_one_of(file.write(b"x", 0), NOT_WRITABLE)
}

fn write_by_a_stream(fixed: &Directory, _: &Directory) -> Outcome {
    let file = fixed.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    fails_with_one_of(file.write_via_stream(0), NOT_WRITABLE)
}

fn append_by_a_stream(fixed: &Directory, _: &Directory) -> Outcome {
    let file = fixed.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    fails_with_one_of(file.append_via_stream(), NOT_WRITABLE)
}

fn sync_does_nothing(fixed: &Directory, _: &Directory) -> Outcome {
    fixed.sync()?;
    fixed.sync_data()?;
    let file = fixed.open("file", OpenFlags::empty(), DescriptorFlags::READ)?;
    file.sync()?;
    same(contents(&file)?, b"bytes")
}

/// The file was not opened for writing, and could not have been.
const NOT_WRITABLE: &[ErrorCode] =
    &[ErrorCode::ReadOnly, ErrorCode::BadDescriptor, ErrorCode::NotPermitted, ErrorCode::Invalid];
