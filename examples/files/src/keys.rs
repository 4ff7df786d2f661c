//! The app's keys.

use crate::wasi::keyvalue::{atomics, batch, store};

pub fn set(key: &str, value: &str) -> Result<(), String> {
    bucket()?.set(key, value.as_bytes()).map_err(text)
}

pub fn get(key: &str) -> Result<Option<String>, String> {
    match bucket()?.get(key).map_err(text)? {
        Some(value) => String::from_utf8(value).map(Some).map_err(|_| format!("{key}: not text")),
        None => Ok(None),
    }
}

pub fn delete(key: &str) -> Result<(), String> {
    bucket()?.delete(key).map_err(text)
}

/// All keys, page by page.
pub fn list() -> Result<Vec<String>, String> {
    let bucket = bucket()?;
    let mut keys = Vec::new();
    let mut cursor = None;
    loop {
        let page = bucket.list_keys(cursor).map_err(text)?;
        keys.extend(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(keys);
        }
    }
}

pub fn increment(key: &str, by: u64) -> Result<u64, String> {
    atomics::increment(&bucket()?, key, by).map_err(text)
}

pub fn set_many(pairs: Vec<(String, String)>) -> Result<(), String> {
    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
    batch::set_many(&bucket()?, &pairs).map_err(text)
}

fn bucket() -> Result<store::Bucket, String> {
    store::open("").map_err(text)
}

fn text(error: store::Error) -> String {
    match error {
        store::Error::NoSuchStore => "there is no such store".to_owned(),
        store::Error::AccessDenied => "access denied".to_owned(),
        store::Error::Other(why) => why,
    }
}
