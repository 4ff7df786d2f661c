use wasmtime::component::Resource;

use super::call::{Call, again};
use crate::bindings::wasi::http::types::{HeaderError, HostFields};
use crate::error::HeaderFailure;
use crate::fields::Fields;
use crate::{Error, MAX_FIELDS_BYTES};

fn refused<T: std::fmt::Debug>(result: Result<T, HeaderFailure>) -> HeaderError {
    match result.unwrap_err() {
        HeaderFailure::Error(error) => error,
        HeaderFailure::Trap(error) => panic!("{error:?}"),
    }
}

fn trapped<T: std::fmt::Debug>(result: Result<T, HeaderFailure>) -> Error {
    match result.unwrap_err() {
        HeaderFailure::Trap(error) => error.downcast().unwrap(),
        HeaderFailure::Error(error) => panic!("{error:?}"),
    }
}

async fn append(
    call: &mut Call,
    fields: &Resource<Fields>,
    name: &str,
    value: &str,
) -> Result<(), HeaderFailure> {
    HostFields::append(&mut call.view(), again(fields), name.to_owned(), value.as_bytes().to_vec()).await
}

async fn set(
    call: &mut Call,
    fields: &Resource<Fields>,
    name: &str,
    values: &[&str],
) -> Result<(), HeaderFailure> {
    let values = values.iter().map(|value| value.as_bytes().to_vec()).collect();
    HostFields::set(&mut call.view(), again(fields), name.to_owned(), values).await
}

async fn get(call: &mut Call, fields: &Resource<Fields>, name: &str) -> Vec<String> {
    let values = HostFields::get(&mut call.view(), again(fields), name.to_owned()).await.unwrap();
    values.into_iter().map(|value| String::from_utf8(value).unwrap()).collect()
}

#[tokio::test]
async fn names_are_equal_whatever_their_case_and_values_keep_their_order() {
    let mut call = Call::offline();
    let fields = call.fields(&[("X-One", "a"), ("two", ""), ("x-one", "b")]).await;
    assert_eq!(get(&mut call, &fields, "x-oNE").await, ["a", "b"]);
    assert_eq!(get(&mut call, &fields, "two").await, [""]);
    for (name, there) in [("X-ONE", true), ("two", true), ("three", false), ("no name", false), ("", false)] {
        let has = HostFields::has(&mut call.view(), again(&fields), name.to_owned()).await.unwrap();
        assert_eq!(has, there, "{name:?}");
        assert_eq!(get(&mut call, &fields, name).await.is_empty(), !there, "{name:?}");
    }
    append(&mut call, &fields, "X-one", "c").await.unwrap();
    set(&mut call, &fields, "Two", &["x", "y"]).await.unwrap();
    let entries = call.entries(fields).await;
    let expected = [("x-one", "a"), ("x-one", "b"), ("x-one", "c"), ("two", "x"), ("two", "y")];
    assert_eq!(entries, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert!(call.table.is_empty());
}

#[tokio::test]
async fn what_is_deleted_or_set_to_nothing_is_gone() {
    let mut call = Call::offline();
    let fields = call.fields(&[("a", "1"), ("a", "2"), ("b", "3")]).await;
    HostFields::delete(&mut call.view(), again(&fields), "A".to_owned()).await.unwrap();
    set(&mut call, &fields, "b", &[]).await.unwrap();
    HostFields::delete(&mut call.view(), again(&fields), "never".to_owned()).await.unwrap();
    assert_eq!(call.table.get(&fields).unwrap().size(), 0);
    assert!(call.entries(fields).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_sent_is_invalid_syntax() {
    let mut call = Call::offline();
    let fields = call.fields(&[("a", "1")]).await;
    let cases = [
        ("", "v"),
        ("a b", "v"),
        ("a:", "v"),
        ("ä", "v"),
        ("a\r\n", "v"),
        ("a", "v\n"),
        ("a", "\r"),
        ("a", "\0"),
        ("content-length", ""),
        ("content-length", "+5"),
        ("content-length", "-1"),
        ("content-length", " 5"),
        ("content-length", "5, 5"),
        ("content-length", "99999999999999999999"),
    ];
    for (name, value) in cases {
        let appended = append(&mut call, &fields, name, value).await;
        assert!(matches!(refused(appended), HeaderError::InvalidSyntax), "{name:?}: {value:?}");
        let set = set(&mut call, &fields, name, &[value]).await;
        assert!(matches!(refused(set), HeaderError::InvalidSyntax), "{name:?}: {value:?}");
        let entries = vec![(name.to_owned(), value.as_bytes().to_vec())];
        let made = HostFields::from_list(&mut call.view(), entries).await;
        assert!(matches!(refused(made), HeaderError::InvalidSyntax), "{name:?}: {value:?}");
    }
    let deleted = HostFields::delete(&mut call.view(), again(&fields), "a b".to_owned()).await;
    assert!(matches!(refused(deleted), HeaderError::InvalidSyntax));
    append(&mut call, &fields, "a", "obs-text \u{e4} and \t tabs").await.unwrap();
}

#[tokio::test]
async fn there_is_one_length() {
    let mut call = Call::offline();
    let fields = call.fields(&[("content-length", "007")]).await;
    assert_eq!(call.table.get(&fields).unwrap().content_length(), Some(7));
    assert!(matches!(
        refused(append(&mut call, &fields, "Content-Length", "7").await),
        HeaderError::InvalidSyntax
    ));
    assert!(matches!(
        refused(set(&mut call, &fields, "content-length", &["7", "7"]).await),
        HeaderError::InvalidSyntax
    ));
    set(&mut call, &fields, "content-length", &["8"]).await.unwrap();
    assert_eq!(get(&mut call, &fields, "content-length").await, ["8"]);
}

#[tokio::test]
async fn fields_of_the_connection_are_forbidden() {
    let mut call = Call::offline();
    let fields = call.fields(&[]).await;
    let names = [
        "Connection",
        "host",
        "HTTP2-Settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    ];
    for name in names {
        assert!(
            matches!(refused(append(&mut call, &fields, name, "v").await), HeaderError::Forbidden),
            "{name}"
        );
        assert!(
            matches!(refused(set(&mut call, &fields, name, &["v"]).await), HeaderError::Forbidden),
            "{name}"
        );
        let deleted = HostFields::delete(&mut call.view(), again(&fields), name.to_owned()).await;
        assert!(matches!(refused(deleted), HeaderError::Forbidden), "{name}");
    }
    for name in ["te", "trailer", "authorization", "cookie", "user-agent"] {
        append(&mut call, &fields, name, "trailers").await.unwrap();
    }
}

#[tokio::test]
async fn received_fields_do_not_change_and_their_copies_do() {
    let mut call = Call::offline();
    let mut map = http::HeaderMap::new();
    for (name, value) in [("a", "1"), ("connection", "close"), ("host", "h"), ("upgrade", "x")] {
        map.insert(name, value.parse().unwrap());
    }
    let received = Fields::received(map, &call.ctx.fields).unwrap();
    let received = call.table.push(received).unwrap();
    assert!(matches!(refused(append(&mut call, &received, "b", "2").await), HeaderError::Immutable));
    assert!(matches!(refused(set(&mut call, &received, "a", &["2"]).await), HeaderError::Immutable));
    let deleted = HostFields::delete(&mut call.view(), again(&received), "a".to_owned()).await;
    assert!(matches!(refused(deleted), HeaderError::Immutable));

    let copy = HostFields::clone(&mut call.view(), again(&received)).await.unwrap();
    append(&mut call, &copy, "b", "2").await.unwrap();
    assert_eq!(call.entries(copy).await.len(), 2);
    assert_eq!(call.entries(received).await, [("a".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn one_set_of_fields_is_bounded() {
    let mut call = Call::offline();
    let fields = call.fields(&[]).await;
    let value = "v".repeat(1_000);
    let fit = MAX_FIELDS_BYTES / (1 + 1_000 + 32);
    for _ in 0..fit {
        append(&mut call, &fields, "n", &value).await.unwrap();
    }
    assert_eq!(trapped(append(&mut call, &fields, "n", &value).await), Error::FieldsTooLarge);
    let empty = vec![(String::from("n"), Vec::new()); 5_000];
    let made = HostFields::from_list(&mut call.view(), empty).await;
    assert_eq!(trapped(made), Error::FieldsTooLarge);
}

#[tokio::test]
async fn all_fields_of_a_call_are_bounded_and_copies_cost_when_they_change() {
    let mut call = Call::offline();
    let value = "v".repeat(100 << 10);
    let fields = call.fields(&[("n", &value)]).await;
    let mut copies = Vec::new();
    for _ in 0..100 {
        copies.push(HostFields::clone(&mut call.view(), again(&fields)).await.unwrap());
    }
    let mut changed = 0;
    let error = loop {
        match append(&mut call, &copies[changed], "m", "").await {
            Ok(()) => changed += 1,
            Err(HeaderFailure::Trap(error)) => break error,
            Err(HeaderFailure::Error(error)) => panic!("{error:?}"),
        }
    };
    assert_eq!(error.downcast::<Error>().unwrap(), Error::TooManyFields);
    assert_eq!(changed, 39);
    for copy in copies {
        HostFields::drop(&mut call.view(), copy).await.unwrap();
    }
    let other = HostFields::clone(&mut call.view(), again(&fields)).await.unwrap();
    append(&mut call, &other, "m", "").await.unwrap();
}
