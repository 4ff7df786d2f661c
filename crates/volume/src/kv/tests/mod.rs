mod failure;
mod model;
mod operations;
mod pages;
mod power;
mod sealed;

use zeroize::Zeroizing;

use super::{Incarnation, KeyValue, Namespace, Removal};

/// A namespace of one app, under that app's key.
fn app(store: &KeyValue, name: &str) -> Namespace {
    app_within(store, name, u64::MAX)
}

fn app_within(store: &KeyValue, name: &str, quota: u64) -> Namespace {
    let mut key = [0; 32];
    key[..name.len()].copy_from_slice(name.as_bytes());
    store.namespace(name, &INCARNATION, Zeroizing::new(key), quota).unwrap()
}

fn complete(keys: u64) -> Removal {
    Removal { keys, is_complete: true }
}

const INCARNATION: Incarnation = *b"incarnat";
