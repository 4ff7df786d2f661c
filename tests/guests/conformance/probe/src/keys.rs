//! Keys and values.

use crate::wasi::keyvalue::atomics;
use crate::wasi::keyvalue::store::{Error, open};

pub(crate) fn name(error: Error) -> String {
    match error {
        Error::NoSuchStore => "no-such-store".to_owned(),
        Error::AccessDenied => "access-denied".to_owned(),
        Error::Other(text) => format!("other: {text}"),
    }
}

pub(crate) fn set(bucket: &str, key: &str, value: &str) -> Result<(), Error> {
    open(bucket)?.set(key, value.as_bytes())
}

pub(crate) fn get(bucket: &str, key: &str) -> Result<Option<String>, Error> {
    let value = open(bucket)?.get(key)?;
    Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
}

pub(crate) fn list(bucket: &str) -> Result<Vec<String>, Error> {
    let bucket = open(bucket)?;
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let page = bucket.list_keys(cursor)?;
        keys.extend(page.keys);
        match page.cursor {
            None => break,
            next => cursor = next,
        }
    }
    keys.sort();
    Ok(keys)
}

pub(crate) fn increment(bucket: &str, key: &str, by: u64) -> Result<u64, Error> {
    atomics::increment(&open(bucket)?, key, by)
}
