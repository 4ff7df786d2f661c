use crate::wasi::keyvalue::batch::{delete_many, get_many, set_many};
use crate::{all_keys, bucket};
use conformance_suite::{Cases, Outcome, functions, holds, same};

pub(crate) fn cases(cases: Cases) -> Cases {
    cases
        .with(
            "batch.get-many",
            functions![
                get_nothing,
                get_some,
                get_in_the_order_asked,
                get_missing_keys,
                get_the_same_key_twice
            ],
        )
        .with("batch.set-many", functions![set_nothing, set_some, set_over_others, set_many_hundreds])
        .with(
            "batch.delete-many",
            functions![delete_nothing, delete_some, delete_missing_keys, delete_the_same_key_twice],
        )
}

fn get_nothing() -> Outcome {
    same(get_many(&bucket()?, &[])?, [])
}

fn get_some() -> Outcome {
    let bucket = bucket()?;
    bucket.set("one", b"1")?;
    bucket.set("two", b"2")?;
    same(get_many(&bucket, &keys(["one", "two"]))?, [pair("one", b"1"), pair("two", b"2")])
}

fn get_in_the_order_asked() -> Outcome {
    let bucket = bucket()?;
    bucket.set("a", b"1")?;
    bucket.set("b", b"2")?;
    same(get_many(&bucket, &keys(["b", "a"]))?, [pair("b", b"2"), pair("a", b"1")])
}

fn get_missing_keys() -> Outcome {
    let bucket = bucket()?;
    bucket.set("one", b"1")?;
    same(get_many(&bucket, &keys(["missing", "one", "missing too"]))?, [None, pair("one", b"1"), None])
}

fn get_the_same_key_twice() -> Outcome {
    let bucket = bucket()?;
    bucket.set("one", b"1")?;
    same(get_many(&bucket, &keys(["one", "one"]))?, [pair("one", b"1"), pair("one", b"1")])
}

fn set_nothing() -> Outcome {
    let bucket = bucket()?;
    set_many(&bucket, &[])?;
    same(all_keys(&bucket)?, Vec::<String>::new())
}

fn set_some() -> Outcome {
    let bucket = bucket()?;
    set_many(&bucket, &[("one".into(), b"1".to_vec()), ("two".into(), Vec::new())])?;
    same(bucket.get("one")?, Some(b"1".to_vec()))?;
    same(bucket.get("two")?, Some(Vec::new()))
}

fn set_over_others() -> Outcome {
    let bucket = bucket()?;
    bucket.set("one", b"old")?;
    bucket.set("other", b"stays")?;
    set_many(&bucket, &[("one".into(), b"new".to_vec())])?;
    same(bucket.get("one")?, Some(b"new".to_vec()))?;
    same(bucket.get("other")?, Some(b"stays".to_vec()))
}

fn set_many_hundreds() -> Outcome {
    let bucket = bucket()?;
    let pairs: Vec<_> = (0..300).map(|number| (format!("key-{number:03}"), vec![number as u8; 10])).collect();
    set_many(&bucket, &pairs)?;
    let names: Vec<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
    let values = get_many(&bucket, &names)?;
    holds("all come back", values.into_iter().eq(pairs.into_iter().map(Some)))
}

fn delete_nothing() -> Outcome {
    let bucket = bucket()?;
    bucket.set("one", b"1")?;
    delete_many(&bucket, &[])?;
    same(all_keys(&bucket)?, ["one"])
}

fn delete_some() -> Outcome {
    let bucket = bucket()?;
    for key in ["one", "two", "three"] {
        bucket.set(key, b"")?;
    }
    delete_many(&bucket, &keys(["one", "three"]))?;
    same(all_keys(&bucket)?, ["two"])
}

fn delete_missing_keys() -> Outcome {
    let bucket = bucket()?;
    bucket.set("one", b"")?;
    delete_many(&bucket, &keys(["missing", "one", "missing too"]))?;
    same(all_keys(&bucket)?, Vec::<String>::new())
}

fn delete_the_same_key_twice() -> Outcome {
    let bucket = bucket()?;
    bucket.set("one", b"")?;
    delete_many(&bucket, &keys(["one", "one"]))?;
    same(bucket.exists("one")?, false)
}

fn keys<const N: usize>(keys: [&str; N]) -> [String; N] {
    keys.map(str::to_owned)
}

fn pair(key: &str, value: &[u8]) -> Option<(String, Vec<u8>)> {
    Some((key.into(), value.to_vec()))
}
