//! The audit log: a file, sealed on the host's disk before the call is answered. Who asked when, for which record, and what was said.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Write as _};

use crate::Diagnosis;
use crate::privasys::enclave_os::auth;
use crate::statement::hex;

/// Adds a line. No name is in it: the record's hash finds the record with whoever has it.
pub fn add(diagnosis: &Diagnosis) -> Result<(), String> {
    let caller = auth::get_caller_id().unwrap_or_else(|_| "somebody without a key".to_owned());
    let Diagnosis { at, probability, record_hash, .. } = diagnosis;
    let entry = format!("at {at}, {caller}: record {} is {probability} ppm\n", hex(record_hash));
    let append = || OpenOptions::new().append(true).create(true).open(PATH)?.write_all(entry.as_bytes());
    append().map_err(unwritable)
}

/// The last lines, oldest first.
pub fn last(count: usize) -> Result<Vec<String>, String> {
    let file = match File::open(PATH) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unwritable(error)),
    };
    let mut lines = BufReader::new(file).lines().collect::<io::Result<Vec<_>>>().map_err(unwritable)?;
    Ok(lines.split_off(lines.len().saturating_sub(count)))
}

/// The enclave knows callers by the key that they proved to have in their TLS session.
pub fn is_for_the_owner() -> Result<(), String> {
    match auth::get_my_roles()?.iter().any(|role| role == "owner") {
        true => Ok(()),
        false => Err("the audit log is for the app's owner".to_owned()),
    }
}

fn unwritable(error: io::Error) -> String {
    format!("the audit log: {error}")
}

const PATH: &str = "/audit.log";
