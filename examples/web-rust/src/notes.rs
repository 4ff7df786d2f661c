//! Notes in files, through `std::fs`.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasip2::random::random::get_random_u64;

use crate::answer::{Body, text};

/// All names, one a line.
pub fn list(answer: ResponseOutparam) {
    match names() {
        Ok(names) => text(answer, 200, &names.iter().map(|name| format!("{name}\n")).collect::<String>()),
        Err(error) => refuse(answer, &error),
    }
}

/// What was kept.
pub fn read(name: &str, answer: ResponseOutparam) {
    let (mut file, length) = match open(name) {
        Ok(opened) => opened,
        Err(error) => return refuse(answer, &error),
    };
    let length = length.to_string();
    let headers = [("content-type", &b"application/octet-stream"[..]), ("content-length", length.as_bytes())];
    let mut body = Body::begin(answer, 200, &headers);
    if io::copy(&mut file, &mut body).is_ok() {
        body.finish(None);
    }
}

/// Keeps the request's body.
pub fn write(name: &str, request: &IncomingRequest, answer: ResponseOutparam) {
    match keep(name, request) {
        Ok(bytes) => text(answer, 200, &format!("{bytes} bytes kept\n")),
        Err(error) => refuse(answer, &error),
    }
}

/// Keeps the request's body under a name that cannot be guessed.
pub fn create(request: &IncomingRequest, answer: ResponseOutparam) {
    let name = random_name();
    match keep(&name, request) {
        Ok(_) => text(answer, 201, &format!("{name}\n")),
        Err(error) => refuse(answer, &error),
    }
}

/// Forgets.
pub fn remove(name: &str, answer: ResponseOutparam) {
    match path_of(name).and_then(fs::remove_file) {
        Ok(()) => text(answer, 200, "forgotten\n"),
        Err(error) => refuse(answer, &error),
    }
}

fn names() -> io::Result<Vec<String>> {
    fs::create_dir_all(FOLDER)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(FOLDER)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    Ok(names)
}

fn open(name: &str) -> io::Result<(File, u64)> {
    let file = File::open(path_of(name)?)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Takes the old note's place only once the new one is whole.
fn keep(name: &str, request: &IncomingRequest) -> io::Result<u64> {
    let path = path_of(name)?;
    fs::create_dir_all(FOLDER)?;
    let unfinished = Path::new(FOLDER).join(format!(".{}", random_name()));
    let kept = write_to(&unfinished, request).and_then(|bytes| fs::rename(&unfinished, path).map(|()| bytes));
    if kept.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    kept
}

fn write_to(path: &Path, request: &IncomingRequest) -> io::Result<u64> {
    let body = request.consume().expect("it is taken once");
    let mut stream = body.stream().expect("it is taken once");
    io::copy(&mut stream, &mut File::create(path)?)
}

fn path_of(name: &str) -> io::Result<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(plain) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a name is 1 to 64 letters, digits, '-', '_' or '.'"));
    }
    Ok(Path::new(FOLDER).join(name))
}

fn refuse(answer: ResponseOutparam, error: &io::Error) {
    let status = match error.kind() {
        ErrorKind::NotFound => 404,
        ErrorKind::InvalidInput => 400,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => 507,
        _ => 500,
    };
    text(answer, status, &format!("{error}\n"));
}

fn random_name() -> String {
    format!("{:016x}{:016x}", get_random_u64(), get_random_u64())
}

const FOLDER: &str = "/notes";
