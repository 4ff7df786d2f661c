//! Every function that takes a path, with every kind of path that is none: each pair is a case.

use crate::scratch::{Directory, NO_FOLLOW, READ_WRITE, add_one};
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags};
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of};

pub(crate) fn add_to(cases: &mut Cases) {
    for (function, call) in FUNCTIONS {
        for (kind, path, expected) in paths() {
            let name = format!("{function}.{kind}");
            add_one(cases, "paths", &name, move |directory| {
                prepare(directory)?;
                fails_with_one_of(call(directory, &path), expected)
            });
        }
        let name = format!("{function}.relative_to_a_file");
        add_one(cases, "paths", &name, move |directory| {
            prepare(directory)?;
            fails(call(&directory.file("file")?, "path"), ErrorCode::NotDirectory)
        });
    }
}

/// Kinds of paths, with a path of each, and the codes that it may fail with.
fn paths() -> Vec<(&'static str, String, &'static [ErrorCode])> {
    use ErrorCode as E;
    let path = |kind, path: &str, expected: &'static [E]| (kind, path.to_owned(), expected);
    vec![
        path("absolute", "/file", &[E::NotPermitted]),
        path("absolute_root", "/", &[E::NotPermitted]),
        path("parent", "../file", &[E::NotPermitted]),
        path("out_by_many_dots", "a/../../file", &[E::NotPermitted]),
        path("out_and_back", "../paths/file", &[E::NotPermitted]),
        path("out_by_a_symlink", "out/file", &[E::NotPermitted]),
        path("empty", "", &[E::NoEntry, E::Invalid]),
        path("a_nul", "fi\0le", &[E::Invalid, E::IllegalByteSequence]),
        ("a_long_name", "n".repeat(256), &[E::NameTooLong]),
        ("a_long_path", "a/../".repeat(2_000) + "file", &[E::NameTooLong]),
        path("below_a_file", "file/path", &[E::NotDirectory]),
        path("below_a_missing_directory", "missing/path", &[E::NoEntry]),
        path("below_a_circle_of_symlinks", "circle/path", &[E::Loop]),
        path("below_a_dangling_symlink", "dangling/path", &[E::NoEntry]),
    ]
}

/// What the paths speak of.
fn prepare(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.create_directory_at("a")?;
    directory.symlink_at("..", "out")?;
    directory.symlink_at("circle", "circle")?;
    directory.symlink_at("missing", "dangling")?;
    Ok(())
}

type Call = fn(&Descriptor, &str) -> Result<(), ErrorCode>;

const FUNCTIONS: [(&str, Call); 13] = [
    ("open-at", |base, path| {
        base.open_at(NO_FOLLOW, path, OpenFlags::empty(), DescriptorFlags::READ).map(drop)
    }),
    ("open-at-create", |base, path| base.open_at(NO_FOLLOW, path, OpenFlags::CREATE, READ_WRITE).map(drop)),
    ("stat-at", |base, path| base.stat_at(NO_FOLLOW, path).map(drop)),
    ("set-times-at", |base, path| base.set_times_at(NO_FOLLOW, path, NewTimestamp::Now, NewTimestamp::Now)),
    ("metadata-hash-at", |base, path| base.metadata_hash_at(NO_FOLLOW, path).map(drop)),
    ("create-directory-at", |base, path| base.create_directory_at(path)),
    ("remove-directory-at", |base, path| base.remove_directory_at(path)),
    ("unlink-file-at", |base, path| base.unlink_file_at(path)),
    ("readlink-at", |base, path| base.readlink_at(path).map(drop)),
    ("symlink-at", |base, path| base.symlink_at("target", path)),
    ("link-at-old", |base, path| base.link_at(NO_FOLLOW, path, base, "new")),
    ("rename-at-old", |base, path| base.rename_at(path, base, "new")),
    ("rename-at-new", |base, path| base.rename_at("file", base, path)),
];
