//! What programs do with files, each answer checked.

use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::{large, symlink};

/// Does each step in a directory of its own.
pub fn run() -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    for (name, step) in STEPS {
        let folder = PathBuf::from(FOLDER).join(name.replace(' ', "-"));
        fs::create_dir_all(&folder).map_err(|error| format!("{name}: {error}"))?;
        step(&folder).map_err(|error| format!("{name}: {error}"))?;
        done.push((*name).to_owned());
    }
    fs::remove_dir_all(FOLDER).map_err(|error| format!("removing everything: {error}"))?;
    ensure(!Path::new(FOLDER).exists(), "it is gone").map_err(|error| error.to_string())?;
    Ok(done)
}

type Step = fn(&Path) -> io::Result<()>;

const STEPS: &[(&str, Step)] = &[
    ("create read and write", create_read_and_write),
    ("create new and truncate", create_new_and_truncate),
    ("append", append),
    ("seek", seek),
    ("holes", holes),
    ("set length", set_length),
    ("rename", rename),
    ("directories", directories),
    ("many entries", many_entries),
    ("metadata and times", metadata_and_times),
    ("hard links", hard_links),
    ("symbolic links", symbolic_links),
    ("unlink while open", unlink_while_open),
    ("errors", errors),
    ("paths stay inside", paths_stay_inside),
    ("copy", copy),
    ("sync", sync),
    ("a large file", a_large_file),
];

fn create_read_and_write(folder: &Path) -> io::Result<()> {
    let path = folder.join("a");
    fs::write(&path, "hello")?;
    ensure(fs::read_to_string(&path)? == "hello", "what was written is read")?;
    fs::write(&path, "hi")?;
    ensure(fs::read(&path)? == b"hi", "it was replaced")?;
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    file.write_all(b"HI there")?;
    file.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    ensure(text == "HI there", "one handle writes and reads")?;
    fs::remove_file(&path)?;
    ensure(!path.exists(), "it was removed")
}

fn create_new_and_truncate(folder: &Path) -> io::Result<()> {
    let path = folder.join("a");
    File::create_new(&path)?.write_all(b"hello")?;
    fails(ErrorKind::AlreadyExists, File::create_new(&path))?;
    let file = OpenOptions::new().write(true).truncate(true).open(&path)?;
    ensure(file.metadata()?.len() == 0, "it was emptied")
}

fn append(folder: &Path) -> io::Result<()> {
    let path = folder.join("log");
    for line in ["one\n", "two\n", "three\n"] {
        OpenOptions::new().append(true).create(true).open(&path)?.write_all(line.as_bytes())?;
    }
    let mut one = OpenOptions::new().append(true).open(&path)?;
    let mut other = OpenOptions::new().append(true).open(&path)?;
    one.write_all(b"four\n")?;
    other.write_all(b"five\n")?;
    one.write_all(b"six\n")?;
    ensure(fs::read_to_string(&path)? == "one\ntwo\nthree\nfour\nfive\nsix\n", "all lines, in order")
}

fn seek(folder: &Path) -> io::Result<()> {
    let path = folder.join("a");
    fs::write(&path, "0123456789")?;
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    let mut three = [0; 3];
    ensure(file.seek(SeekFrom::End(-3))? == 7, "three before the end")?;
    file.read_exact(&mut three)?;
    ensure(&three == b"789", "the last three")?;
    ensure(file.seek(SeekFrom::Current(-8))? == 2, "eight back")?;
    file.write_all(b"xy")?;
    ensure(file.stream_position()? == 4, "where the write ended")?;
    file.read_exact(&mut three)?;
    ensure(&three == b"456", "what comes after it")?;
    ensure(file.seek(SeekFrom::Current(-100)).is_err(), "nothing lies before the beginning")?;
    ensure(fs::read(&path)? == b"01xy456789", "the rest is as it was")
}

fn holes(folder: &Path) -> io::Result<()> {
    let path = folder.join("a");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    file.seek(SeekFrom::Start(1 << 30))?;
    file.write_all(b"far")?;
    ensure(file.metadata()?.len() == (1 << 30) + 3, "as long as its last byte's place")?;
    file.seek(SeekFrom::Start((1 << 30) - 5))?;
    let mut bytes = [1; 8];
    file.read_exact(&mut bytes)?;
    ensure(&bytes == b"\0\0\0\0\0far", "a hole reads as zeros")
}

fn set_length(folder: &Path) -> io::Result<()> {
    let path = folder.join("a");
    fs::write(&path, vec![7; 10_000])?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(5_000)?;
    file.set_len(6_000)?;
    let bytes = fs::read(&path)?;
    ensure(bytes.len() == 6_000, "its new length")?;
    ensure(bytes[..5_000].iter().all(|&byte| byte == 7), "what was left")?;
    ensure(bytes[5_000..].iter().all(|&byte| byte == 0), "what was cut off does not come back")
}

fn rename(folder: &Path) -> io::Result<()> {
    let (a, b) = (folder.join("a"), folder.join("b"));
    fs::write(&a, "a")?;
    fs::write(&b, "b")?;
    fs::rename(&a, &b)?;
    ensure(!a.exists() && fs::read(&b)? == b"a", "one took the other's place")?;
    fs::create_dir(folder.join("d"))?;
    fs::rename(&b, folder.join("d/c"))?;
    fs::rename(folder.join("d"), folder.join("e"))?;
    ensure(fs::read(folder.join("e/c"))? == b"a", "a directory moves with what is in it")?;
    ensure(fs::rename(folder.join("e"), folder.join("e/below")).is_err(), "not into itself")
}

fn directories(folder: &Path) -> io::Result<()> {
    let deep = folder.join("a/b/c/d");
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("f"), "x")?;
    fails(ErrorKind::AlreadyExists, fs::create_dir(&deep))?;
    ensure(fs::remove_dir(&deep).is_err(), "only an empty directory is removed")?;
    ensure(deep.is_dir() && !deep.is_file(), "a directory")?;
    fs::remove_file(deep.join("f"))?;
    fs::remove_dir(&deep)?;
    fs::remove_dir_all(folder.join("a"))?;
    ensure(fs::read_dir(folder)?.next().is_none(), "nothing is left")
}

fn many_entries(folder: &Path) -> io::Result<()> {
    let expected: Vec<String> = (0..300).map(|number| format!("entry {number:03}")).collect();
    for name in &expected {
        fs::write(folder.join(name), name)?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        ensure(entry.file_type()?.is_file(), "a file")?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    ensure(names == expected, "every entry once, and no `.` or `..`")?;
    for entry in fs::read_dir(folder)? {
        fs::remove_file(entry?.path())?;
    }
    ensure(fs::read_dir(folder)?.next().is_none(), "removed while listed")
}

fn metadata_and_times(folder: &Path) -> io::Result<()> {
    let path = folder.join("a");
    fs::write(&path, "12345")?;
    let metadata = fs::metadata(&path)?;
    ensure(metadata.is_file() && metadata.len() == 5, "five bytes")?;
    ensure(fs::metadata(folder)?.is_dir(), "a directory")?;
    let first = metadata.modified()?;
    let then = UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_times(FileTimes::new().set_modified(then).set_accessed(UNIX_EPOCH))?;
    ensure(fs::metadata(&path)?.modified()? == then, "what was set")?;
    ensure(fs::metadata(&path)?.accessed()? == UNIX_EPOCH, "what was set")?;
    (&file).write_all(b"x")?;
    ensure(fs::metadata(&path)?.modified()? >= first, "a write is a modification")
}

fn hard_links(folder: &Path) -> io::Result<()> {
    let (a, b) = (folder.join("a"), folder.join("b"));
    fs::write(&a, "x")?;
    fs::hard_link(&a, &b)?;
    fails(ErrorKind::AlreadyExists, fs::hard_link(&a, &b))?;
    OpenOptions::new().append(true).open(&b)?.write_all(b"y")?;
    fs::remove_file(&a)?;
    ensure(fs::read(&b)? == b"xy", "the other name is left")
}

fn symbolic_links(folder: &Path) -> io::Result<()> {
    let link = folder.join("link");
    fs::write(folder.join("file"), "x")?;
    symlink(Path::new("file"), &link)?;
    ensure(fs::read_link(&link)? == Path::new("file"), "its target")?;
    ensure(fs::read(&link)? == b"x", "it is followed")?;
    ensure(fs::symlink_metadata(&link)?.is_symlink() && fs::metadata(&link)?.is_file(), "both are seen")?;
    fs::create_dir(folder.join("d"))?;
    symlink(Path::new("../file"), &folder.join("d/up"))?;
    ensure(fs::read(folder.join("d/up"))? == b"x", "up and inside is allowed")?;
    fs::remove_file(&link)?;
    ensure(folder.join("file").exists(), "only the link was removed")?;
    symlink(Path::new("two"), &folder.join("one"))?;
    symlink(Path::new("one"), &folder.join("two"))?;
    ensure(fs::read(folder.join("one")).is_err(), "a circle ends")
}

fn unlink_while_open(folder: &Path) -> io::Result<()> {
    let path = folder.join("a");
    fs::write(&path, "still here")?;
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    fs::remove_file(&path)?;
    fs::write(&path, "another")?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(b"!")?;
    file.seek(SeekFrom::Start(0))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    ensure(text == "still here!", "an open file outlives its name")?;
    ensure(fs::read(&path)? == b"another", "and its name is free")
}

fn errors(folder: &Path) -> io::Result<()> {
    let file = folder.join("file");
    fs::write(&file, "x")?;
    fails(ErrorKind::NotFound, File::open(folder.join("none")))?;
    fails(ErrorKind::NotFound, fs::write(folder.join("none/a"), "x"))?;
    ensure(fs::read(file.join("a")).is_err(), "a file is no directory")?;
    ensure(fs::read_dir(&file).is_err(), "a file has no entries")?;
    ensure(fs::write(folder, "x").is_err(), "a directory is not written")?;
    ensure(File::open(&file)?.write_all(b"y").is_err(), "what is open for reading is not written")?;
    ensure(fs::write(folder.join("x".repeat(256)), "x").is_err(), "names have an end")?;
    fs::write(folder.join("x".repeat(255)), "x")
}

fn paths_stay_inside(folder: &Path) -> io::Result<()> {
    let outside = "../".repeat(20) + "etc/passwd";
    ensure(fs::read(folder.join(&outside)).is_err(), "nothing lies above the root")?;
    let link = folder.join("link");
    symlink(Path::new(&outside), &link)?;
    ensure(fs::read(&link).is_err(), "a link does not lead there either")?;
    let absolute = symlink(Path::new("/etc/passwd"), &folder.join("absolute"));
    ensure(absolute.is_err() || fs::read(folder.join("absolute")).is_err(), "nor an absolute one")
}

fn copy(folder: &Path) -> io::Result<()> {
    let bytes: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    fs::write(folder.join("a"), &bytes)?;
    ensure(fs::copy(folder.join("a"), folder.join("b"))? == 300_000, "all bytes")?;
    ensure(fs::read(folder.join("b"))? == bytes, "the same bytes")
}

fn sync(folder: &Path) -> io::Result<()> {
    let mut file = File::create(folder.join("a"))?;
    file.write_all(b"durable")?;
    file.sync_all()?;
    file.write_all(b" again")?;
    file.sync_data()
}

fn a_large_file(folder: &Path) -> io::Result<()> {
    let path = folder.join("a");
    large::write(&path, LARGE, 1)?;
    ensure(large::check(&path, LARGE, 1)?, "every byte in its place")?;
    ensure(!large::check(&path, LARGE, 2)?, "and another file is told apart")?;
    fs::remove_file(&path)
}

fn ensure(is_so: bool, what: &str) -> io::Result<()> {
    if is_so { Ok(()) } else { Err(io::Error::other(format!("not so: {what}"))) }
}

fn fails<T>(kind: ErrorKind, result: io::Result<T>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(io::Error::other(format!("expected {kind}, and it was: {error}"))),
        Ok(_) => Err(io::Error::other(format!("expected {kind}, and it went well"))),
    }
}

const FOLDER: &str = "/exercise";
/// 64 MiB.
const LARGE: u64 = 64 << 20;
