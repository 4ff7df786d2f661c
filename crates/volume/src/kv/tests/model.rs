//! Random operations against a map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::app;
use super::pages::MemoryPages;
use crate::kv::{KEY_COST, Swap};

#[derive(Clone, Debug)]
enum Operation {
    Set(u8, usize),
    Delete(u8),
    Increment(u8, u32),
    Swap(u8, u8, Option<usize>),
    SetMany(Vec<(u8, usize)>),
    DeleteMany(Vec<u8>),
    List(Option<u8>, usize),
    OpenAgain,
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || 0..24_u8;
    let length = || prop_oneof![0..200_usize, 3_000..9_000_usize];
    prop_oneof![
        4 => (key(), length()).prop_map(|(key, length)| Operation::Set(key, length)),
        2 => key().prop_map(Operation::Delete),
        2 => (key(), any::<u32>()).prop_map(|(key, delta)| Operation::Increment(key, delta)),
        2 => (key(), key(), proptest::option::of(length())).prop_map(|(a, b, new)| Operation::Swap(a, b, new)),
        2 => prop::collection::vec((key(), length()), 0..20).prop_map(Operation::SetMany),
        1 => prop::collection::vec(key(), 0..20).prop_map(Operation::DeleteMany),
        2 => (proptest::option::of(key()), 0..30_usize).prop_map(|(after, limit)| Operation::List(after, limit)),
        1 => Just(Operation::OpenAgain),
    ]
}

fn value(key: u8, length: usize) -> Vec<u8> {
    vec![key ^ length as u8; length]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_namespace_is_a_map(operations in prop::collection::vec(operation(), 1..50)) {
        let pages = MemoryPages::default();
        let mut store = pages.store();
        let mut keys = app(&store, "app:a");
        app(&store, "app:b").set(b"k", b"v").unwrap();
        let mut model = BTreeMap::<u8, Vec<u8>>::new();
        for operation in operations {
            match operation {
                Operation::Set(key, length) => {
                    keys.set(&[key], &value(key, length)).unwrap();
                    model.insert(key, value(key, length));
                }
                Operation::Delete(key) => {
                    prop_assert_eq!(keys.delete(&[key]).unwrap(), model.remove(&key).is_some());
                }
                Operation::Increment(key, delta) => {
                    let number = match model.get(&key) {
                        None => Some(0),
                        Some(text) => str::from_utf8(text).ok().and_then(|text| text.parse::<u64>().ok()),
                    };
                    let sum = number.and_then(|number| number.checked_add(delta.into()));
                    prop_assert_eq!(keys.increment(&[key], delta.into()).ok(), sum);
                    if let Some(sum) = sum {
                        model.insert(key, sum.to_string().into_bytes());
                    }
                }
                Operation::Swap(key, like, new) => {
                    let (expected, found) = (model.get(&like).cloned(), model.get(&key).cloned());
                    let new = new.map(|length| value(key, length));
                    let swap = keys.compare_and_swap(&[key], expected.as_deref(), new.as_deref()).unwrap();
                    if found == expected {
                        prop_assert_eq!(swap, Swap::Swapped);
                        match new {
                            Some(new) => model.insert(key, new),
                            None => model.remove(&key),
                        };
                    } else {
                        prop_assert_eq!(swap, Swap::Found(found));
                    }
                }
                Operation::SetMany(pairs) => {
                    let pairs: Vec<_> = pairs.into_iter().map(|(key, length)| ([key], value(key, length))).collect();
                    keys.set_many(&pairs).unwrap();
                    model.extend(pairs.into_iter().map(|([key], value)| (key, value)));
                }
                Operation::DeleteMany(names) => {
                    let deleted = names.iter().filter(|key| model.remove(key).is_some()).count();
                    let names: Vec<_> = names.into_iter().map(|key| [key]).collect();
                    prop_assert_eq!(keys.delete_many(&names).unwrap(), deleted as u64);
                }
                Operation::List(after, limit) => {
                    let listed = keys.list(after.as_ref().map(std::slice::from_ref), limit).unwrap();
                    let mut expected = model.keys().filter(|key| after.is_none_or(|after| **key > after));
                    let names: Vec<_> = expected.by_ref().take(limit).map(|key| vec![*key]).collect();
                    prop_assert_eq!(listed.keys, names);
                    prop_assert_eq!(listed.more, expected.next().is_some());
                }
                Operation::OpenAgain => {
                    drop(keys);
                    store = pages.fork().store();
                    drop(store);
                    store = pages.store();
                    keys = app(&store, "app:a");
                }
            }
            let usage = keys.usage().unwrap();
            prop_assert_eq!(usage.keys, model.len() as u64);
            prop_assert_eq!(usage.bytes, model.values().map(|value| KEY_COST + 1 + value.len() as u64).sum::<u64>());
        }
        let names: Vec<_> = model.keys().map(|key| [*key]).collect();
        let values: Vec<_> = model.into_values().map(Some).collect();
        prop_assert_eq!(keys.get_many(&names).unwrap(), values);
        prop_assert_eq!(app(&store, "app:b").get(b"k").unwrap().unwrap(), b"v");
    }
}
