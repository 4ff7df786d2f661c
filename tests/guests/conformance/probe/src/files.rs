//! Files by whole paths.

use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

pub(crate) fn name(error: ErrorCode) -> String {
    error.name().to_owned()
}

pub(crate) fn preopens() -> Vec<String> {
    get_directories().into_iter().map(|(_, name)| name).collect()
}

pub(crate) fn write(path: &str, text: &str) -> Result<(), ErrorCode> {
    let (directory, path) = place(path)?;
    write_all(&open(&directory, path, OpenFlags::CREATE | OpenFlags::TRUNCATE)?, text.as_bytes())
}

pub(crate) fn read(path: &str) -> Result<String, ErrorCode> {
    let (directory, path) = place(path)?;
    let file = directory.open_at(PathFlags::empty(), path, OpenFlags::empty(), DescriptorFlags::READ)?;
    let mut contents = Vec::new();
    loop {
        let (bytes, at_end) = file.read(1 << 16, contents.len() as u64)?;
        contents.extend(bytes);
        if at_end {
            return Ok(String::from_utf8_lossy(&contents).into_owned());
        }
    }
}

pub(crate) fn remove(path: &str) -> Result<(), ErrorCode> {
    let (directory, path) = place(path)?;
    directory.unlink_file_at(path)
}

pub(crate) fn list(path: &str) -> Result<Vec<String>, ErrorCode> {
    let (directory, path) = place(path)?;
    let directory =
        directory.open_at(PathFlags::empty(), path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
    let entries = directory.read_directory()?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry()? {
        names.push(entry.name);
    }
    names.sort();
    Ok(names)
}

pub(crate) fn make_temporary(prefix: &str, text: &str) -> Result<String, ErrorCode> {
    let (root, path) = place(TEMPORARY)?;
    match root.create_directory_at(path) {
        Ok(()) | Err(ErrorCode::Exist) => {}
        Err(error) => return Err(error),
    }
    let mut number = 0;
    loop {
        let name = format!("{prefix}-{number}");
        match open(&root, &format!("{path}/{name}"), OpenFlags::CREATE | OpenFlags::EXCLUSIVE) {
            Ok(file) => {
                write_all(&file, text.as_bytes())?;
                return Ok(name);
            }
            Err(ErrorCode::Exist) => number += 1,
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn temporary_names() -> Result<Vec<String>, ErrorCode> {
    match list(TEMPORARY) {
        Err(ErrorCode::NoEntry) => Ok(Vec::new()),
        names => names,
    }
}

/// The preopened directory with the longest name that the path begins with, and the rest of the path.
fn place(path: &str) -> Result<(Descriptor, &str), ErrorCode> {
    let rest = |name: &str| match path.strip_prefix(name) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') || name.ends_with('/') => {
            Some(rest.trim_start_matches('/').len())
        }
        Some(_) | None => None,
    };
    let candidates = get_directories().into_iter();
    let (directory, length) = candidates
        .filter_map(|(directory, name)| Some((directory, rest(&name)?)))
        .min_by_key(|(_, length)| *length)
        .ok_or(ErrorCode::NoEntry)?;
    let path = &path[path.len() - length..];
    Ok((directory, if path.is_empty() { "." } else { path }))
}

fn open(directory: &Descriptor, path: &str, how: OpenFlags) -> Result<Descriptor, ErrorCode> {
    directory.open_at(PathFlags::empty(), path, how, DescriptorFlags::READ | DescriptorFlags::WRITE)
}

fn write_all(file: &Descriptor, bytes: &[u8]) -> Result<(), ErrorCode> {
    let mut written = 0;
    while written < bytes.len() {
        written += file.write(&bytes[written..], written as u64)? as usize;
    }
    Ok(())
}

const TEMPORARY: &str = "/tmp";
