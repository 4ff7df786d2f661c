//! `wasi:keyvalue`: store, atomics and batch, on the bucket that the name `""` opens.

mod atomics;
mod batch;
mod store;

use conformance_suite::{Cases, Failure, Outcome};
use wasi::keyvalue::store::{Bucket, Error, open};

wit_bindgen::generate!({
    path: "../wit",
    world: "cloister:conformance/keyvalue",
    generate_all,
    additional_derives: [PartialEq],
});

conformance_suite::component!(cases);

fn cases() -> Cases {
    let cases = store::cases(Cases::default());
    let cases = atomics::cases(cases);
    batch::cases(cases)
}

/// The bucket, without keys.
fn bucket() -> Outcome<Bucket> {
    let bucket = open("")?;
    for key in all_keys(&bucket)? {
        bucket.delete(&key)?;
    }
    Ok(bucket)
}

/// All keys in ascending order, over all pages.
fn all_keys(bucket: &Bucket) -> Outcome<Vec<String>> {
    let mut keys = Vec::new();
    let mut cursor = None;
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

/// Passes where a function fails with some error of the implementation's own.
#[track_caller]
fn refuses<T>(result: Result<T, Error>) -> Outcome {
    match result {
        Err(Error::Other(text)) if !text.is_empty() => Ok(()),
        Err(error) => Err(Failure::new(format!("{error:?} instead of another error"))),
        Ok(_) => Err(Failure::new("success instead of an error")),
    }
}
