//! `symlink-at`, `readlink-at`, and how far links lead.

use crate::scratch::{Directory, FOLLOW, NO_FOLLOW, add, contents};
use crate::wasi::filesystem::types::{DescriptorFlags, DescriptorType, ErrorCode, OpenFlags};
use conformance_suite::{Cases, Outcome, fails, fails_with_one_of, functions, same};

pub(crate) fn add_to(cases: &mut Cases) {
    add(
        cases,
        "symlink-at",
        functions![
            to_a_file,
            to_a_directory,
            to_nothing_yet,
            to_itself,
            to_an_absolute_path,
            to_an_empty_path,
            to_a_path_of_any_text,
            over_a_file,
            over_a_directory,
            over_another,
            in_a_missing_directory,
            with_a_trailing_slash,
            is_relative_to_its_own_directory,
        ],
    );
    add(
        cases,
        "readlink-at",
        functions![
            gives_what_was_written,
            gives_any_text,
            gives_a_long_path,
            of_a_file,
            of_a_directory,
            of_a_missing_link,
            of_a_link_that_leads_out,
            does_not_follow_the_last,
            follows_those_on_the_way,
        ],
    );
    add(
        cases,
        "following",
        functions![
            a_chain_of_links,
            a_chain_that_is_too_long,
            dots_in_a_link,
            out_of_the_directory_by_dots,
            out_of_the_directory_and_back,
            out_of_the_preopen,
            out_in_the_middle_of_a_path,
            create_through_a_dangling_link,
            truncate_through_a_link,
        ],
    );
}

fn to_a_file(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    same(directory.kind("link")?, DescriptorType::SymbolicLink)?;
    directory.holds("link", b"bytes")
}

fn to_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"bytes")?;
    directory.symlink_at("a", "link")?;
    directory.holds("link/file", b"bytes")
}

fn to_nothing_yet(directory: &Directory) -> Outcome {
    directory.symlink_at("later", "link")?;
    directory.put("later", b"bytes")?;
    directory.holds("link", b"bytes")
}

fn to_itself(directory: &Directory) -> Outcome {
    directory.symlink_at("link", "link")?;
    same(directory.readlink_at("link")?, "link")
}

fn to_an_absolute_path(directory: &Directory) -> Outcome {
    for target in ["/", "/file", "//file", "/../x"] {
        fails(directory.symlink_at(target, "link"), ErrorCode::NotPermitted)?;
    }
    directory.is_missing("link")
}

fn to_an_empty_path(directory: &Directory) -> Outcome {
    fails_with_one_of(directory.symlink_at("", "link"), &[ErrorCode::NoEntry, ErrorCode::Invalid])
}

fn to_a_path_of_any_text(directory: &Directory) -> Outcome {
    for (number, target) in ["grüße", "a b\n", "..", "...", "🔑/🗝"].into_iter().enumerate() {
        let link = format!("link-{number}");
        directory.symlink_at(target, &link)?;
        same(directory.readlink_at(&link)?, target)?;
    }
    Ok(())
}

fn over_a_file(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.symlink_at("target", "file"), ErrorCode::Exist)
}

fn over_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    fails(directory.symlink_at("target", "a"), ErrorCode::Exist)
}

fn over_another(directory: &Directory) -> Outcome {
    directory.symlink_at("one", "link")?;
    fails(directory.symlink_at("other", "link"), ErrorCode::Exist)?;
    same(directory.readlink_at("link")?, "one")
}

fn in_a_missing_directory(directory: &Directory) -> Outcome {
    fails(directory.symlink_at("target", "missing/link"), ErrorCode::NoEntry)
}

fn with_a_trailing_slash(directory: &Directory) -> Outcome {
    let codes = [ErrorCode::NoEntry, ErrorCode::NotDirectory, ErrorCode::IsDirectory];
    fails_with_one_of(directory.symlink_at("target", "link/"), &codes)?;
    directory.is_missing("link")
}

fn is_relative_to_its_own_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("a/file", b"in a")?;
    directory.put("file", b"outside")?;
    directory.symlink_at("file", "a/link")?;
    directory.holds("a/link", b"in a")
}

fn gives_what_was_written(directory: &Directory) -> Outcome {
    for (number, target) in ["file", "./file", "a//b/", "../x", "."].into_iter().enumerate() {
        let link = format!("link-{number}");
        directory.symlink_at(target, &link)?;
        same(directory.readlink_at(&link)?, target)?;
    }
    Ok(())
}

fn gives_any_text(directory: &Directory) -> Outcome {
    directory.symlink_at("世界/🔑", "link")?;
    same(directory.readlink_at("link")?, "世界/🔑")
}

fn gives_a_long_path(directory: &Directory) -> Outcome {
    let target = "directory/".repeat(100);
    directory.symlink_at(&target, "link")?;
    same(directory.readlink_at("link")?, target)
}

fn of_a_file(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    fails(directory.readlink_at("file"), ErrorCode::Invalid)
}

fn of_a_directory(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    fails(directory.readlink_at("a"), ErrorCode::Invalid)
}

fn of_a_missing_link(directory: &Directory) -> Outcome {
    fails(directory.readlink_at("missing"), ErrorCode::NoEntry)
}

fn of_a_link_that_leads_out(directory: &Directory) -> Outcome {
    directory.symlink_at("../../../../x", "link")?;
    same(directory.readlink_at("link")?, "../../../../x")
}

fn does_not_follow_the_last(directory: &Directory) -> Outcome {
    directory.symlink_at("two", "one")?;
    directory.symlink_at("three", "two")?;
    same(directory.readlink_at("one")?, "two")
}

fn follows_those_on_the_way(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.symlink_at("target", "a/link")?;
    directory.symlink_at("a", "b")?;
    same(directory.readlink_at("b/link")?, "target")
}

fn a_chain_of_links(directory: &Directory) -> Outcome {
    directory.put("link-0", b"bytes")?;
    for number in 1..=20 {
        directory.symlink_at(&format!("link-{}", number - 1), &format!("link-{number}"))?;
    }
    directory.holds("link-20", b"bytes")
}

fn a_chain_that_is_too_long(directory: &Directory) -> Outcome {
    directory.put("link-0", b"bytes")?;
    for number in 1..=200 {
        directory.symlink_at(&format!("link-{}", number - 1), &format!("link-{number}"))?;
    }
    fails(directory.stat_at(FOLLOW, "link-200").map(drop), ErrorCode::Loop)
}

fn dots_in_a_link(directory: &Directory) -> Outcome {
    directory.create_directory_at("a")?;
    directory.put("file", b"bytes")?;
    directory.symlink_at("../file", "a/link")?;
    directory.holds("a/link", b"bytes")
}

/// The descriptor's own directory is the limit, not the preopen.
fn out_of_the_directory_by_dots(directory: &Directory) -> Outcome {
    directory.put("file", b"bytes")?;
    let inner = Directory::new_in(directory, "inner")?;
    inner.symlink_at("../file", "link")?;
    let opened = inner.open_at(FOLLOW, "link", OpenFlags::empty(), DescriptorFlags::READ);
    fails(opened, ErrorCode::NotPermitted)
}

fn out_of_the_directory_and_back(directory: &Directory) -> Outcome {
    let inner = Directory::new_in(directory, "inner")?;
    inner.put("file", b"bytes")?;
    inner.symlink_at("../inner/file", "link")?;
    fails(inner.stat_at(FOLLOW, "link").map(drop), ErrorCode::NotPermitted)?;
    directory.holds("inner/link", b"bytes")
}

fn out_of_the_preopen(directory: &Directory) -> Outcome {
    directory.symlink_at("../../../../../etc/passwd", "link")?;
    fails(directory.stat_at(FOLLOW, "link").map(drop), ErrorCode::NotPermitted)
}

fn out_in_the_middle_of_a_path(directory: &Directory) -> Outcome {
    directory.symlink_at("..", "link")?;
    fails(directory.stat_at(NO_FOLLOW, "link/file").map(drop), ErrorCode::NotPermitted)
}

fn create_through_a_dangling_link(directory: &Directory) -> Outcome {
    directory.symlink_at("target", "link")?;
    let made = directory.open_at(FOLLOW, "link", OpenFlags::CREATE, DescriptorFlags::WRITE)?;
    made.write(b"bytes", 0)?;
    directory.holds("target", b"bytes")
}

fn truncate_through_a_link(directory: &Directory) -> Outcome {
    let file = directory.put("file", b"bytes")?;
    directory.symlink_at("file", "link")?;
    directory.open_at(FOLLOW, "link", OpenFlags::TRUNCATE, DescriptorFlags::WRITE)?;
    same(contents(&file)?, b"")
}
