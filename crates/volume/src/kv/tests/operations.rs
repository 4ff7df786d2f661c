use std::sync::{Arc, mpsc};
use std::thread;

use zeroize::Zeroizing;

use super::pages::MemoryPages;
use super::{INCARNATION, app, app_within, complete};
use crate::kv::{
    KEY_COST, KeyUsage, KeyValue, KvError, MAX_BATCH, MAX_BATCH_BYTES, MAX_KEY, MAX_VALUE, Swap,
};

fn store() -> KeyValue {
    MemoryPages::default().store()
}

#[test]
fn a_key_has_the_value_that_it_was_given_last() {
    let keys = app(&store(), "app:a");
    assert_eq!(keys.get(b"k").unwrap(), None);
    assert!(!keys.exists(b"k").unwrap());
    for value in [&b"one"[..], b"", b"three"] {
        keys.set(b"k", value).unwrap();
        assert_eq!(keys.get(b"k").unwrap().unwrap(), value);
    }
    assert!(keys.exists(b"k").unwrap());
    assert!(keys.delete(b"k").unwrap());
    assert!(!keys.delete(b"k").unwrap());
    assert_eq!(keys.get(b"k").unwrap(), None);
}

#[test]
fn any_bytes_make_a_key() {
    let keys = app(&store(), "app:a");
    for key in [&b"/"[..], b"//", b"\0", b"\xff\xff", b"a/b", &[7; MAX_KEY]] {
        keys.set(key, key).unwrap();
    }
    assert_eq!(keys.list(None, 10).unwrap().keys.len(), 6);
    assert_eq!(keys.get(b"\xff\xff").unwrap().unwrap(), b"\xff\xff");
}

#[test]
fn lengths_are_bounded() {
    let keys = app(&store(), "app:a");
    assert!(matches!(keys.set(b"", b""), Err(KvError::KeyLength { length: 0 })));
    assert!(matches!(keys.get(&[0; MAX_KEY + 1]), Err(KvError::KeyLength { length: 1025 })));
    keys.set(b"k", &vec![3; MAX_VALUE]).unwrap();
    assert_eq!(keys.get(b"k").unwrap().unwrap(), vec![3; MAX_VALUE]);
    let long = vec![3; MAX_VALUE + 1];
    assert!(matches!(keys.set(b"k", &long), Err(KvError::ValueLength { .. })));
    assert!(matches!(keys.compare_and_swap(b"k", None, Some(&long)), Err(KvError::ValueLength { .. })));
    assert_eq!(keys.usage().unwrap().keys, 1);
}

#[test]
fn batches_are_bounded_and_whole() {
    let keys = app(&store(), "app:a");
    let many: Vec<_> = (0..=MAX_BATCH).map(|n| (n.to_string(), "v")).collect();
    let names: Vec<_> = many.iter().map(|(name, _)| name).collect();
    assert!(matches!(keys.set_many(&many), Err(KvError::BatchKeys { .. })));
    assert!(matches!(keys.get_many(&names), Err(KvError::BatchKeys { .. })));
    assert!(matches!(keys.delete_many(&names), Err(KvError::BatchKeys { .. })));
    assert!(matches!(keys.set_many(&[("a", ""), ("", "")]), Err(KvError::KeyLength { .. })));
    assert_eq!(keys.usage().unwrap(), KeyUsage::default());

    keys.set_many(&many[..MAX_BATCH]).unwrap();
    assert_eq!(keys.usage().unwrap().keys, MAX_BATCH as u64);
    assert_eq!(keys.get_many(&["5", "none", "7"]).unwrap(), [Some(b"v".to_vec()), None, Some(b"v".to_vec())]);
    assert_eq!(keys.delete_many(&["5", "none", "5", "7"]).unwrap(), 2);

    let large = vec![0; MAX_VALUE];
    for n in 0..9 {
        keys.set(format!("large{n}").as_bytes(), &large).unwrap();
    }
    let names: Vec<_> = (0..9).map(|n| format!("large{n}")).collect();
    assert!(matches!(keys.get_many(&names), Err(KvError::BatchBytes)));
    assert_eq!(keys.get_many(&names[..7]).unwrap().len(), 7);
    let pairs: Vec<_> = names.iter().map(|name| (name, &large[..MAX_BATCH_BYTES / 8 - 10])).collect();
    assert!(matches!(keys.set_many(&pairs), Err(KvError::BatchBytes)));
}

#[test]
fn the_later_of_two_values_in_a_batch_stays() {
    let keys = app(&store(), "app:a");
    keys.set_many(&[("k", "long value"), ("k", "v")]).unwrap();
    assert_eq!(keys.get(b"k").unwrap().unwrap(), b"v");
    assert_eq!(keys.usage().unwrap(), KeyUsage { keys: 1, bytes: KEY_COST + 2 });
}

#[test]
fn listing_shows_what_is_there_throughout_exactly_once() {
    let keys = app(&store(), "app:a");
    let name = |n: usize| format!("{n:04}").into_bytes();
    for n in (0..200).rev() {
        keys.set(&name(n), b"").unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    for round in 0.. {
        let listed = keys.list(after.as_deref(), 7).unwrap();
        // What is listed already comes and goes, and so does the key to go on from.
        keys.delete(&listed.keys[0]).unwrap();
        keys.delete(listed.keys.last().unwrap()).unwrap();
        keys.set(format!("0000{round}").as_bytes(), b"").unwrap();
        after = listed.keys.last().cloned();
        seen.extend(listed.keys);
        if !listed.more {
            break;
        }
    }
    seen.retain(|key| key.len() == 4);
    assert_eq!(seen, (0..200).map(name).collect::<Vec<_>>());
    assert_eq!(keys.list(Some(b"zzz"), 5).unwrap().keys, Vec::<Vec<u8>>::new());
    assert!(keys.list(None, 0).unwrap().more);
}

#[test]
fn numbers_are_incremented() {
    let keys = app(&store(), "app:a");
    assert_eq!(keys.increment(b"n", 0).unwrap(), 0);
    assert_eq!(keys.increment(b"n", 5).unwrap(), 5);
    assert_eq!(keys.get(b"n").unwrap().unwrap(), b"5");
    assert_eq!(keys.increment(b"n", u64::MAX - 5).unwrap(), u64::MAX);
    assert!(matches!(keys.increment(b"n", 1), Err(KvError::NumberTooLarge)));
    for text in ["", "-1", "+1", " 1", "1.0", "x", "\u{0663}"] {
        keys.set(b"t", text.as_bytes()).unwrap();
        assert!(matches!(keys.increment(b"t", 1), Err(KvError::NotANumber)), "{text:?}");
    }
}

#[test]
fn a_swap_compares_first() {
    let keys = app(&store(), "app:a");
    let swap = |expected: Option<&str>, new: Option<&str>| {
        keys.compare_and_swap(b"k", expected.map(str::as_bytes), new.map(str::as_bytes)).unwrap()
    };
    assert_eq!(swap(Some("x"), Some("y")), Swap::Found(None));
    assert_eq!(swap(None, Some("a")), Swap::Swapped);
    assert_eq!(swap(None, Some("b")), Swap::Found(Some(b"a".to_vec())));
    assert_eq!(swap(Some("a"), Some("b")), Swap::Swapped);
    assert_eq!(swap(Some("b"), None), Swap::Swapped);
    assert_eq!(keys.usage().unwrap(), KeyUsage::default());
}

#[test]
fn namespaces_never_meet() {
    let store = store();
    let names = ["app:a", "app:b", "app:a0", "app:", "app", "a"];
    let apps = names.map(|name| app(&store, name));
    for (name, keys) in names.iter().zip(&apps) {
        keys.set(b"k", name.as_bytes()).unwrap();
        keys.set(b"a/k", b"").unwrap();
    }
    for (name, keys) in names.iter().zip(&apps) {
        assert_eq!(keys.get(b"k").unwrap().unwrap(), name.as_bytes());
        assert_eq!(keys.list(None, 100).unwrap().keys, [&b"a/k"[..], b"k"]);
    }
    assert_eq!(store.remove_namespace("app:a").unwrap(), complete(2));
    for keys in &apps[1..] {
        assert_eq!(keys.list(None, 100).unwrap().keys.len(), 2);
    }
    for name in ["", "app/a", "/", &"n".repeat(81)] {
        assert!(matches!(
            store.namespace(name, &INCARNATION, Zeroizing::new([0; 32]), 0),
            Err(KvError::NamespaceName { .. })
        ));
        assert!(matches!(store.remove_namespace(name), Err(KvError::NamespaceName { .. })));
    }
}

#[test]
fn incarnations_never_meet_and_are_removed_together() {
    let store = store();
    let of = |incarnation: &[u8; 8]| {
        store.namespace("app:a", incarnation, Zeroizing::new([1; 32]), u64::MAX).unwrap()
    };
    let incarnations =
        [[0; 8], [0xff; 8], *b"\xff\xff\xff\xff\xff\xff\xff\xfe", *b"12345678"].map(|i| of(&i));
    for (number, keys) in incarnations.iter().enumerate() {
        keys.set(&[number as u8], b"v").unwrap();
        keys.set(b"\xff\xff", b"v").unwrap();
    }
    for (number, keys) in incarnations.iter().enumerate() {
        assert_eq!(keys.list(None, 100).unwrap().keys, [&[number as u8][..], b"\xff\xff"]);
        assert_eq!(keys.usage().unwrap().keys, 2);
    }
    let drawn = store.incarnation("app:a").unwrap();
    assert_ne!(store.incarnation("app:a").unwrap(), drawn);
    assert_eq!(of(&drawn).usage().unwrap(), KeyUsage::default());
    assert_eq!(store.remove_namespace("app:a").unwrap(), complete(8));
    assert_eq!(of(&[0; 8]).list(None, 1).unwrap().keys.len(), 0);
}

#[test]
fn another_apps_key_opens_nothing() {
    let store = store();
    app(&store, "app:a").set(b"k", b"v").unwrap();
    let other = store.namespace("app:a", &INCARNATION, Zeroizing::new([9; 32]), u64::MAX).unwrap();
    assert!(matches!(other.get(b"k"), Err(KvError::Unsealed)));
    assert!(matches!(other.increment(b"k", 1), Err(KvError::Unsealed)));
    assert!(other.exists(b"k").unwrap());
}

#[test]
fn values_are_not_in_the_pages_as_they_are() {
    let pages = MemoryPages::default();
    app(&pages.store(), "app:a").set(b"plain-key", b"sealed-value").unwrap();
    assert!(pages.contain(b"plain-key"));
    assert!(!pages.contain(b"sealed-value"));
}

#[test]
fn usage_counts_bytes_and_the_quota_bounds_them() {
    let store = store();
    let quota = 3 * KEY_COST + 30;
    let keys = app_within(&store, "app:a", quota);
    keys.set(b"abc", b"1234567").unwrap();
    assert_eq!(keys.usage().unwrap(), KeyUsage { keys: 1, bytes: KEY_COST + 10 });
    keys.set(b"abc", b"1234").unwrap();
    assert_eq!(keys.usage().unwrap().bytes, KEY_COST + 7);
    keys.set_many(&[("b", "123456789"), ("c", "123456789")]).unwrap();
    let full = keys.usage().unwrap();

    let refused = keys.set(b"d", b"").unwrap_err();
    assert!(
        matches!(refused, KvError::QuotaExceeded { wanted, allowed } if wanted > allowed && allowed == quota)
    );
    assert!(matches!(keys.set_many(&[("b", ""), ("e", "123456789012")]), Err(KvError::QuotaExceeded { .. })));
    assert!(matches!(keys.increment(b"n", 1), Err(KvError::QuotaExceeded { .. })));
    assert_eq!(keys.usage().unwrap(), full);
    assert_eq!(keys.get(b"b").unwrap().unwrap(), b"123456789");

    let narrower = app_within(&store, "app:a", 10);
    narrower.set(b"b", b"12345678").unwrap();
    assert!(narrower.delete(b"c").unwrap());
    assert!(narrower.set(b"b", b"123456789").is_err());
}

#[test]
fn everything_is_there_after_opening_again() {
    let pages = MemoryPages::default();
    let usage = {
        let keys = app(&pages.store(), "app:a");
        for n in 0..100 {
            keys.set(n.to_string().as_bytes(), &vec![n; usize::from(n) * 100]).unwrap();
        }
        keys.usage().unwrap()
    };
    let keys = app(&pages.store(), "app:a");
    assert_eq!(keys.usage().unwrap(), usage);
    for n in 0..100 {
        assert_eq!(keys.get(n.to_string().as_bytes()).unwrap().unwrap(), vec![n; usize::from(n) * 100]);
    }
}

#[test]
fn a_removed_namespace_is_gone_and_its_handles_know() {
    let store = store();
    let keys = app(&store, "app:a");
    for start in (0..2000).step_by(1000) {
        let pairs: Vec<_> = (start..start + 1000).map(|n: u32| (n.to_string(), "value")).collect();
        keys.set_many(&pairs).unwrap();
    }
    app(&store, "app:b").set(b"k", b"v").unwrap();
    assert_eq!(store.remove_namespace("app:a").unwrap(), complete(2000));
    assert_eq!(store.remove_namespace("app:a").unwrap(), complete(0));
    assert!(matches!(keys.get(b"1"), Err(KvError::Removed)));
    assert!(matches!(keys.set(b"1", b""), Err(KvError::Removed)));
    assert!(matches!(keys.usage(), Err(KvError::Removed)));
    let again = app(&store, "app:a");
    assert_eq!(again.usage().unwrap(), KeyUsage::default());
    again.set(b"k", b"v").unwrap();
    assert_eq!(app(&store, "app:b").get(b"k").unwrap().unwrap(), b"v");
}

#[test]
fn concurrent_increments_all_count() {
    let store = store();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let keys = app(&store, "app:a");
                for _ in 0..50 {
                    keys.increment(b"n", 1).unwrap();
                }
            });
        }
    });
    assert_eq!(app(&store, "app:a").increment(b"n", 0).unwrap(), 200);
}

#[test]
fn readers_wait_for_no_writer() {
    let store = store();
    let keys = Arc::new(app(&store, "app:a"));
    keys.set(b"k", b"old").unwrap();
    let (inside, is_inside) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let prefix = crate::kv::Name::new("app:a").unwrap().prefix(&INCARNATION);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (inside, may_go_on) = (inside, may_go_on);
            store.engine().write(&prefix, |change| {
                change.put(b"app:a/incarnatk", &[0; 40])?;
                inside.send(()).unwrap();
                may_go_on.recv().unwrap();
                Ok(())
            })
        });
        is_inside.recv().unwrap();
        assert_eq!(keys.get(b"k").unwrap().unwrap(), b"old");
        assert_eq!(keys.list(None, 10).unwrap().keys.len(), 1);
        go_on.send(()).unwrap();
    });
    assert!(matches!(keys.get(b"k"), Err(KvError::Unsealed)));
}
