//! Volumes that fail under the database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use zeroize::Zeroizing;

use super::pages::MemoryPages;
use super::{app, complete};
use crate::VolumeError;
use crate::kv::{KeyUsage, KeyValue, KvError, Removal};

/// Two apps with so many keys that each has pages of its own.
fn two_apps(pages: &MemoryPages) -> KeyValue {
    let store = pages.store();
    for name in ["app:a", "app:b"] {
        let pairs: Vec<_> = (0..500).map(|n| (format!("{name}-{n:03}"), [1; 100])).collect();
        app(&store, name).set_many(&pairs).unwrap();
    }
    store
}

#[test]
fn a_damaged_page_fails_its_keys_and_no_others() {
    let pages = MemoryPages::default();
    two_apps(&pages);
    let store = pages.store();
    let (a, b) = (app(&store, "app:a"), app(&store, "app:b"));
    pages.damage(Some(b"app:a-250"));
    for round in 0..3_u8 {
        for _ in 0..2 {
            assert!(matches!(a.get(b"app:a-250"), Err(KvError::Volume(VolumeError::Damaged(_)))));
        }
        assert!(matches!(a.set(b"app:a-250", b""), Err(KvError::Volume(VolumeError::Damaged(_)))));
        assert!(matches!(a.list(None, 1000), Err(KvError::Volume(VolumeError::Damaged(_)))));
        assert_eq!(b.list(None, 1000).unwrap().keys.len(), 500 + usize::from(round));
        b.set(&[round], &[round]).unwrap();
        assert_eq!(b.get(&[round]).unwrap().unwrap(), [round]);
        assert_eq!(a.get(b"app:a-499").unwrap().unwrap(), [1; 100]);
    }
    pages.damage(None);
    assert_eq!(a.get(b"app:a-250").unwrap().unwrap(), [1; 100]);
}

#[test]
fn it_opens_with_a_damaged_page() {
    let pages = MemoryPages::default();
    two_apps(&pages);
    pages.damage(Some(b"app:a-250"));
    let store = pages.store();
    assert!(app(&store, "app:a").get(b"app:a-250").is_err());
    assert!(app(&store, "app:b").get(b"app:b-250").unwrap().is_some());
}

#[test]
fn a_removal_leaves_what_is_damaged_and_the_next_incarnation_does_not_see_it() {
    for key in ["app:a-000", "app:a-250", "app:a-499"] {
        let pages = MemoryPages::default();
        two_apps(&pages);
        pages.damage(Some(key.as_bytes()));
        let store = pages.store();
        let old = app(&store, "app:a");
        let Removal { keys, is_complete } = store.remove_namespace("app:a").unwrap();
        assert!(!is_complete && (300..500).contains(&keys), "{key}: {keys}");
        assert!(matches!(old.get(b"app:a-499"), Err(KvError::Removed)));

        let incarnation = store.incarnation("app:a").unwrap();
        let new = store.namespace("app:a", &incarnation, Zeroizing::new([1; 32]), u64::MAX).unwrap();
        assert_eq!(new.usage().unwrap(), KeyUsage::default());
        let pairs: Vec<_> = (0..500).map(|n| (format!("new-{n:03}"), [2; 100])).collect();
        pairs.iter().for_each(|(name, value)| new.set(name.as_bytes(), value).unwrap());
        assert_eq!(new.get(b"new-250").unwrap().unwrap(), [2; 100]);
        assert_eq!(new.get(key.as_bytes()).unwrap(), None);
        assert_eq!(new.usage().unwrap().keys, 500);
        assert_eq!(app(&store, "app:b").get(b"app:b-250").unwrap().unwrap(), [1; 100]);

        pages.damage(None);
        assert_eq!(new.list(None, 1000).unwrap().keys.len(), 500);
        assert_eq!(store.remove_namespace("app:a").unwrap(), complete(500 - keys + 500));
    }
}

#[test]
fn where_nothing_can_be_read_a_removal_and_a_draw_go_on() {
    let pages = MemoryPages::default();
    let store = pages.store();
    app(&store, "app:a").set(b"only-key", b"v").unwrap();
    drop(store);
    pages.damage(Some(b"only-key"));
    let store = pages.store();
    assert!(!store.is_open());
    assert!(app(&store, "app:b").set(b"k", b"v").unwrap_err().is_damage());
    assert_eq!(store.remove_namespace("app:a").unwrap(), Removal { keys: 0, is_complete: false });
    store.incarnation("app:a").unwrap();
    pages.damage(None);
    assert_eq!(store.remove_namespace("app:a").unwrap(), complete(1));
    assert!(store.is_open());
    pages.fail_after(Some(0));
    assert!(matches!(store.remove_namespace("app:a"), Err(KvError::Volume(VolumeError::Full))));
}

#[test]
fn a_write_that_the_volume_refuses_changes_nothing() {
    let pages = MemoryPages::default();
    let store = two_apps(&pages);
    let (a, b) = (app(&store, "app:a"), app(&store, "app:b"));
    let before = a.usage().unwrap();
    for changes in 0.. {
        pages.fail_after(Some(changes));
        let done = a.set_many(&[("x", [2; 5000]), ("y", [2; 5000])]);
        pages.fail_after(None);
        if done.is_ok() {
            assert!(changes > 3, "{changes}");
            break;
        }
        assert!(matches!(done, Err(KvError::Volume(VolumeError::Full))), "{done:?}");
        assert_eq!(a.usage().unwrap(), before);
        assert_eq!(a.get(b"x").unwrap(), None);
        b.increment(b"n", 1).unwrap();
    }
    assert_eq!(a.usage().unwrap().keys, before.keys + 2);
    assert_eq!(a.get(b"y").unwrap().unwrap(), [2; 5000]);
}

#[test]
fn where_it_cannot_be_opened_again_it_says_so_until_it_can() {
    let pages = MemoryPages::default();
    let store = two_apps(&pages);
    let a = app(&store, "app:a");
    pages.fail_after(Some(2));
    assert!(a.set(b"x", &[2; 5000]).is_err());
    for _ in 0..3 {
        assert!(a.set(b"x", b"").is_err());
    }
    pages.fail_after(None);
    assert_eq!(a.get(b"x").unwrap(), None);
    a.set(b"x", b"v").unwrap();
    assert_eq!(a.get(b"x").unwrap().unwrap(), b"v");
}

#[test]
fn an_operation_survives_the_failures_of_others() {
    let pages = MemoryPages::default();
    two_apps(&pages);
    let store = pages.store();
    pages.damage(Some(b"app:a-250"));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let failing = scope.spawn(|| {
            let a = app(&store, "app:a");
            while !stop.load(Ordering::Relaxed) {
                assert!(a.get(b"app:a-250").is_err());
            }
        });
        let b = app(&store, "app:b");
        let mut done = 0;
        for _ in 0..300 {
            match b.increment(b"n", 1) {
                Ok(sum) => {
                    done += 1;
                    assert_eq!(sum, done);
                }
                Err(error) => assert!(matches!(error, KvError::Interrupted), "{error:?}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
        failing.join().unwrap();
        assert!(done > 200, "{done}");
    });
}
