//! Files through `std::fs`, keys through `wasi:keyvalue`: a guest in Rust.
//!
//! Nothing here knows that the files are sealed: `std` reaches the app's own directory, `/`, through WASI.

mod exercise;
mod keys;
mod large;

use std::fmt::Display;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::UNIX_EPOCH;

wit_bindgen::generate!({ path: "wit", world: "notes", generate_all });

use exports::cloister::files_example::files::{self, Entry, Kind, Metadata};
use exports::cloister::files_example::keys as exported_keys;

struct Component;

export!(Component);

impl files::Guest for Component {
    fn put(path: String, text: String) -> Result<(), String> {
        if let Some(parent) = Path::new(&path).parent() {
            fs::create_dir_all(parent).map_err(at(&path))?;
        }
        fs::write(&path, text).map_err(at(&path))
    }

    fn get(path: String) -> Result<String, String> {
        fs::read_to_string(&path).map_err(at(&path))
    }

    fn append(path: String, text: String) -> Result<(), String> {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&path).map_err(at(&path))?;
        file.write_all(text.as_bytes()).map_err(at(&path))
    }

    fn names(path: String) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            names.push(entry.map_err(at(&path))?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn walk(path: String) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        walk(Path::new(&path), &mut entries)?;
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }

    fn remove(path: String) -> Result<(), String> {
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        match metadata.is_dir() {
            true => fs::remove_dir_all(&path).map_err(at(&path)),
            false => fs::remove_file(&path).map_err(at(&path)),
        }
    }

    fn rename(from: String, to: String) -> Result<(), String> {
        fs::rename(&from, &to).map_err(at(&from))
    }

    fn stat(path: String) -> Result<Metadata, String> {
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        let modified = metadata.modified().map_err(at(&path))?;
        Ok(Metadata {
            kind: Kind::of(&metadata),
            size: metadata.len(),
            modified: modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        })
    }

    fn link(original: String, path: String) -> Result<(), String> {
        fs::hard_link(&original, &path).map_err(at(&path))
    }

    fn symlink(target: String, path: String) -> Result<(), String> {
        symlink(Path::new(&target), Path::new(&path)).map_err(at(&path))
    }

    fn read_link(path: String) -> Result<String, String> {
        Ok(fs::read_link(&path).map_err(at(&path))?.to_string_lossy().into_owned())
    }

    fn write_large(path: String, bytes: u64, seed: u64) -> Result<(), String> {
        large::write(Path::new(&path), bytes, seed).map_err(at(&path))
    }

    fn check_large(path: String, bytes: u64, seed: u64) -> Result<bool, String> {
        large::check(Path::new(&path), bytes, seed).map_err(at(&path))
    }

    fn exercise() -> Result<Vec<String>, String> {
        exercise::run()
    }
}

impl exported_keys::Guest for Component {
    fn set_key(key: String, value: String) -> Result<(), String> {
        keys::set(&key, &value)
    }

    fn get_key(key: String) -> Result<Option<String>, String> {
        keys::get(&key)
    }

    fn delete_key(key: String) -> Result<(), String> {
        keys::delete(&key)
    }

    fn list_keys() -> Result<Vec<String>, String> {
        keys::list()
    }

    fn count(key: String, by: u64) -> Result<u64, String> {
        keys::increment(&key, by)
    }

    fn set_keys(pairs: Vec<(String, String)>) -> Result<(), String> {
        keys::set_many(pairs)
    }
}

impl Kind {
    fn of(metadata: &fs::Metadata) -> Self {
        match metadata.file_type() {
            kind if kind.is_dir() => Self::Directory,
            kind if kind.is_symlink() => Self::Symlink,
            _ => Self::File,
        }
    }
}

fn walk(directory: &Path, entries: &mut Vec<Entry>) -> Result<(), String> {
    let here = directory.to_string_lossy();
    for entry in fs::read_dir(directory).map_err(at(&here))? {
        let entry = entry.map_err(at(&here))?;
        let metadata = fs::symlink_metadata(entry.path()).map_err(at(&here))?;
        let (path, kind) = (entry.path(), Kind::of(&metadata));
        entries.push(Entry { path: path.to_string_lossy().into_owned(), kind, size: metadata.len() });
        if kind == Kind::Directory {
            walk(&path, entries)?;
        }
    }
    Ok(())
}

/// `std::os::wasi` has it only in nightly toolchains.
#[expect(deprecated, reason = "the platform's own function is not stable")]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    fs::soft_link(target, link)
}

/// Says where an error happened.
fn at<E: Display>(path: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{path}: {error}")
}
