use crate::wasi::keyvalue::store::{Error, open};
use crate::{all_keys, bucket};
use conformance_suite::{Cases, Outcome, fails, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    let mut cases = cases
        .with(
            "store.open",
            functions![the_bucket, the_bucket_many_times, no_such_bucket, no_bucket_of_a_strange_name],
        )
        .with(
            "store.get",
            functions![
                a_missing_key,
                what_was_set,
                what_another_handle_set,
                after_the_bucket_is_opened_again
            ],
        )
        .with(
            "store.set",
            functions![
                an_empty_value,
                over_another_value,
                a_shorter_value,
                a_large_value,
                many_keys,
                sets_one_key_alone
            ],
        )
        .with("store.delete", functions![a_key, a_missing_key_is_deleted, twice, and_set_again])
        .with("store.exists", functions![is_true, is_false, is_true_of_an_empty_value, is_false_after_delete])
        .with(
            "store.list-keys",
            functions![
                of_an_empty_bucket,
                of_some_keys,
                of_many_keys,
                again_is_the_same,
                without_deleted_keys,
                with_a_key_once
            ],
        );
    for (name, key) in KEYS {
        cases.add("store.keys", name, move || any_key(key));
    }
    cases.add("store.keys", "two_hundred_bytes", || any_key(&"k".repeat(200)));
    cases
}

fn the_bucket() -> Outcome {
    open("")?;
    Ok(())
}

fn the_bucket_many_times() -> Outcome {
    let buckets = (0..100).map(|_| open("")).collect::<Result<Vec<_>, _>>()?;
    same(buckets.len(), 100)
}

fn no_such_bucket() -> Outcome {
    fails(open("no-such-bucket").map(drop), Error::NoSuchStore)
}

fn no_bucket_of_a_strange_name() -> Outcome {
    for name in ["/", "..", "a/b", "\0", " ", "世界", &"x".repeat(10_000)] {
        fails(open(name).map(drop), Error::NoSuchStore)?;
    }
    Ok(())
}

fn a_missing_key() -> Outcome {
    same(bucket()?.get("missing")?, None)
}

fn what_was_set() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"value")?;
    same(bucket.get("key")?, Some(b"value".to_vec()))
}

/// Wasmtime gives each handle a copy of its own; the standard promises that a client reads what it wrote.
fn what_another_handle_set() -> Outcome {
    let (one, other) = (bucket()?, open("")?);
    one.set("key", b"value")?;
    same(other.get("key")?, Some(b"value".to_vec()))
}

fn after_the_bucket_is_opened_again() -> Outcome {
    bucket()?.set("key", b"value")?;
    same(open("")?.get("key")?, Some(b"value".to_vec()))
}

fn an_empty_value() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"")?;
    same(bucket.get("key")?, Some(Vec::new()))
}

fn over_another_value() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"one")?;
    bucket.set("key", b"other")?;
    same(bucket.get("key")?, Some(b"other".to_vec()))
}

fn a_shorter_value() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"longer")?;
    bucket.set("key", b"x")?;
    same(bucket.get("key")?, Some(b"x".to_vec()))
}

fn a_large_value() -> Outcome {
    let bucket = bucket()?;
    let value: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    bucket.set("key", &value)?;
    holds("it comes back", bucket.get("key")? == Some(value))
}

fn many_keys() -> Outcome {
    let bucket = bucket()?;
    for number in 0..500_u32 {
        bucket.set(&format!("key-{number}"), &number.to_le_bytes())?;
    }
    for number in 0..500_u32 {
        same(bucket.get(&format!("key-{number}"))?, Some(number.to_le_bytes().to_vec()))?;
    }
    Ok(())
}

fn sets_one_key_alone() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"one")?;
    bucket.set("key2", b"two")?;
    bucket.set("KEY", b"three")?;
    same(bucket.get("key")?, Some(b"one".to_vec()))?;
    same(bucket.get("ke")?, None)
}

fn a_key() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"value")?;
    bucket.delete("key")?;
    same(bucket.get("key")?, None)
}

fn a_missing_key_is_deleted() -> Outcome {
    Ok(bucket()?.delete("missing")?)
}

fn twice() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"value")?;
    bucket.delete("key")?;
    Ok(bucket.delete("key")?)
}

fn and_set_again() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"one")?;
    bucket.delete("key")?;
    bucket.set("key", b"other")?;
    same(bucket.get("key")?, Some(b"other".to_vec()))
}

fn is_true() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"value")?;
    same(bucket.exists("key")?, true)
}

fn is_false() -> Outcome {
    same(bucket()?.exists("missing")?, false)
}

fn is_true_of_an_empty_value() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"")?;
    same(bucket.exists("key")?, true)
}

fn is_false_after_delete() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"value")?;
    bucket.delete("key")?;
    same(bucket.exists("key")?, false)
}

fn of_an_empty_bucket() -> Outcome {
    let page = bucket()?.list_keys(None)?;
    same((page.keys, page.cursor), (Vec::<String>::new(), None))
}

fn of_some_keys() -> Outcome {
    let bucket = bucket()?;
    for key in ["one", "two", "three"] {
        bucket.set(key, b"value")?;
    }
    same(all_keys(&bucket)?, ["one", "three", "two"])
}

fn of_many_keys() -> Outcome {
    let bucket = bucket()?;
    let mut keys: Vec<_> = (0..1_500).map(|number| format!("key-{number:04}")).collect();
    for key in &keys {
        bucket.set(key, b"")?;
    }
    keys.sort();
    holds("every key is listed once", all_keys(&bucket)? == keys)
}

fn again_is_the_same() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"value")?;
    same(all_keys(&bucket)?, all_keys(&bucket)?)
}

fn without_deleted_keys() -> Outcome {
    let bucket = bucket()?;
    bucket.set("one", b"")?;
    bucket.set("other", b"")?;
    bucket.delete("one")?;
    same(all_keys(&bucket)?, ["other"])
}

fn with_a_key_once() -> Outcome {
    let bucket = bucket()?;
    bucket.set("key", b"one")?;
    bucket.set("key", b"other")?;
    same(all_keys(&bucket)?, ["key"])
}

/// A key of any text works in every function.
fn any_key(key: &str) -> Outcome {
    let bucket = bucket()?;
    bucket.set(key, b"value")?;
    same(bucket.get(key)?, Some(b"value".to_vec()))?;
    same(bucket.exists(key)?, true)?;
    same(all_keys(&bucket)?, [key])?;
    bucket.delete(key)?;
    same(bucket.exists(key)?, false)
}

const KEYS: [(&str, &str); 7] = [
    ("one_letter", "k"),
    ("a_space", "a key"),
    ("slashes", "/a/../b/"),
    ("a_newline", "a\nb"),
    ("a_nul", "a\0b"),
    ("unicode", "schlüssel-鍵-🔑"),
    ("a_right_to_left_mark", "\u{200f}a"),
];
