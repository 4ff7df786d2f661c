//! `fields`.

use crate::exchange::{header_error, headers, is_header_error};
use crate::wasi::http::types::{Fields, HeaderError, OutgoingRequest, OutgoingResponse};
use conformance_suite::{Cases, Failure, Outcome, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    for name in FORBIDDEN {
        cases.add("fields.forbidden", name, move || is_forbidden(name));
    }
    for (what, name) in INVALID_NAMES {
        cases.add("fields.invalid-name", what, move || is_no_name(name));
    }
    for (what, value) in INVALID_VALUES {
        cases.add("fields.invalid-value", what, move || is_no_value(value));
    }
    for (what, value) in VALID_VALUES {
        cases.add("fields.valid-value", what, move || is_a_value(value));
    }
    cases
        .with("fields.new", functions![is_empty, is_mutable])
        .with(
            "fields.from-list",
            functions![
                of_nothing,
                of_some,
                of_one_name_twice,
                of_one_name_in_two_cases,
                of_what_is_forbidden,
                of_an_invalid_name,
                of_an_invalid_value,
                gives_what_is_mutable,
                of_many,
            ],
        )
        .with(
            "fields.get",
            functions![
                what_is_there,
                what_is_not_there,
                in_another_case,
                all_of_several,
                an_empty_value,
                of_no_name
            ],
        )
        .with("fields.has", functions![has_what_is_there, has_no_invalid_name, has_an_empty_value])
        .with(
            "fields.set",
            functions![
                what_was_not_there,
                replaces,
                replaces_in_another_case,
                several_values,
                no_values,
                that_fails_changes_nothing,
            ],
        )
        .with("fields.append", functions![adds, adds_in_another_case, that_fails_adds_nothing])
        .with(
            "fields.delete",
            functions![deletes, deletes_in_another_case, deletes_nothing, deletes_all_values],
        )
        .with("fields.entries", functions![are_all, keep_the_order_of_values, have_names_of_any_case])
        .with("fields.clone", functions![is_the_same, is_deep, is_independent_of_its_original])
        .with(
            "fields.immutable",
            functions![
                headers_of_a_request,
                headers_of_a_response,
                a_clone_of_them_is_mutable,
                reading_them_works,
                they_are_given_again,
            ],
        )
}

/// What is about the connection, and who is asked, is the host's.
const FORBIDDEN: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "host",
    "http2-settings",
];

/// RFC 9110, section 5.1: a name is a token.
const INVALID_NAMES: [(&str, &str); 12] = [
    ("empty", ""),
    ("a-space", " "),
    ("a-space-inside", "na me"),
    ("a-space-at-its-end", "name "),
    ("a-colon", "na:me"),
    ("a-line-feed", "na\nme"),
    ("a-carriage-return", "name\r"),
    ("a-nul", "na\0me"),
    ("a-tab", "na\tme"),
    ("a-slash", "na/me"),
    ("brackets", "(name)"),
    ("an-umlaut", "näme"),
];

/// RFC 9110, section 5.5.
const INVALID_VALUES: [(&str, &[u8]); 6] = [
    ("a-line-feed", b"va\nlue"),
    ("a-carriage-return", b"va\rlue"),
    ("another-field", b"value\r\nanother: field"),
    ("a-nul", b"va\0lue"),
    ("a-control-character", b"va\x01lue"),
    ("delete", b"va\x7flue"),
];

const VALID_VALUES: [(&str, &[u8]); 6] = [
    ("empty", b""),
    ("a-space-inside", b"va lue"),
    ("a-tab-inside", b"va\tlue"),
    ("all-visible-characters", b"!\"#$%&'()*+,-./0123456789:;<=>?@AZ[\\]^_`az{|}~"),
    ("utf-8", "größe".as_bytes()),
    ("bytes-above-127", &[0x80, 0xff, 0xc0]),
];

fn is_forbidden(name: &str) -> Outcome {
    let fields = Fields::new();
    is_header_error(fields.append(name, b"x"), &HeaderError::Forbidden)?;
    is_header_error(fields.set(name, &[b"x".to_vec()]), &HeaderError::Forbidden)?;
    is_header_error(fields.append(&name.to_ascii_uppercase(), b"x"), &HeaderError::Forbidden)?;
    let list = Fields::from_list(&[(name.to_owned(), b"x".to_vec())]);
    is_header_error(list.map(drop), &HeaderError::Forbidden)?;
    holds("it is not there", !fields.has(name))?;
    same(fields.get(name).len(), 0)
}

fn is_no_name(name: &str) -> Outcome {
    let fields = Fields::new();
    is_header_error(fields.append(name, b"x"), &HeaderError::InvalidSyntax)?;
    is_header_error(fields.set(name, &[b"x".to_vec()]), &HeaderError::InvalidSyntax)?;
    is_header_error(fields.delete(name), &HeaderError::InvalidSyntax)?;
    let list = Fields::from_list(&[(name.to_owned(), b"x".to_vec())]);
    is_header_error(list.map(drop), &HeaderError::InvalidSyntax)?;
    holds("it is not there", !fields.has(name))?;
    same(fields.get(name).len(), 0)?;
    same(fields.entries().len(), 0)
}

fn is_no_value(value: &[u8]) -> Outcome {
    let fields = Fields::new();
    is_header_error(fields.append("name", value), &HeaderError::InvalidSyntax)?;
    is_header_error(fields.set("name", &[value.to_vec()]), &HeaderError::InvalidSyntax)?;
    is_header_error(fields.set("name", &[b"fine".to_vec(), value.to_vec()]), &HeaderError::InvalidSyntax)?;
    let list = Fields::from_list(&[("name".to_owned(), value.to_vec())]);
    is_header_error(list.map(drop), &HeaderError::InvalidSyntax)?;
    same(fields.entries().len(), 0)
}

fn is_a_value(value: &[u8]) -> Outcome {
    let fields = headers(&[])?;
    header_error(fields.append("name", value))?;
    same(fields.get("name"), [value.to_vec()])?;
    header_error(fields.set("name", &[value.to_vec(), value.to_vec()]))?;
    same(fields.get("name"), [value.to_vec(), value.to_vec()])
}

fn is_empty() -> Outcome {
    same(Fields::new().entries().len(), 0)
}

fn is_mutable() -> Outcome {
    let fields = Fields::new();
    header_error(fields.append("name", b"value"))?;
    header_error(fields.set("name", &[]))?;
    header_error(fields.delete("name"))
}

fn of_nothing() -> Outcome {
    same(headers(&[])?.entries().len(), 0)
}

fn of_some() -> Outcome {
    let fields = headers(&[("one", "1"), ("two", "2")])?;
    same(fields.get("one"), [b"1"])?;
    same(fields.get("two"), [b"2"])?;
    same(fields.entries().len(), 2)
}

fn of_one_name_twice() -> Outcome {
    same(headers(&[("name", "b"), ("name", "a")])?.get("name"), [b"b", b"a"])
}

fn of_one_name_in_two_cases() -> Outcome {
    same(headers(&[("Name", "b"), ("nAME", "a")])?.get("name"), [b"b", b"a"])
}

fn of_what_is_forbidden() -> Outcome {
    let list = [("fine".to_owned(), b"x".to_vec()), ("Host".to_owned(), b"x".to_vec())];
    is_header_error(Fields::from_list(&list).map(drop), &HeaderError::Forbidden)
}

fn of_an_invalid_name() -> Outcome {
    let list = [("fine".to_owned(), b"x".to_vec()), ("not fine".to_owned(), b"x".to_vec())];
    is_header_error(Fields::from_list(&list).map(drop), &HeaderError::InvalidSyntax)
}

fn of_an_invalid_value() -> Outcome {
    let list = [("fine".to_owned(), b"x".to_vec()), ("fine".to_owned(), b"\n".to_vec())];
    is_header_error(Fields::from_list(&list).map(drop), &HeaderError::InvalidSyntax)
}

fn gives_what_is_mutable() -> Outcome {
    let fields = headers(&[("name", "value")])?;
    header_error(fields.append("name", b"another"))?;
    same(fields.get("name").len(), 2)
}

fn of_many() -> Outcome {
    let list: Vec<_> =
        (0..300).map(|number| (format!("name-{number}"), number.to_string().into_bytes())).collect();
    let fields = header_error(Fields::from_list(&list))?;
    same(fields.entries().len(), 300)?;
    same(fields.get("name-299"), [b"299"])
}

fn what_is_there() -> Outcome {
    same(headers(&[("name", "value")])?.get("name"), [b"value"])
}

fn what_is_not_there() -> Outcome {
    same(headers(&[("name", "value")])?.get("other").len(), 0)
}

fn in_another_case() -> Outcome {
    let fields = headers(&[("Content-Type", "text/plain")])?;
    same(fields.get("content-type"), [b"text/plain"])?;
    same(fields.get("CONTENT-TYPE"), [b"text/plain"])
}

fn all_of_several() -> Outcome {
    same(headers(&[("name", "1"), ("other", "x"), ("name", "2")])?.get("name"), [b"1", b"2"])
}

/// "If the name is present but empty, this is represented by a list with one or more empty field-values present."
fn an_empty_value() -> Outcome {
    same(headers(&[("name", "")])?.get("name"), [b""])
}

fn of_no_name() -> Outcome {
    same(headers(&[("name", "")])?.get("na me").len(), 0)
}

fn has_what_is_there() -> Outcome {
    let fields = headers(&[("Name", "value")])?;
    holds("it is there", fields.has("Name") && fields.has("name") && fields.has("NAME"))?;
    holds("another is not", !fields.has("other"))
}

fn has_no_invalid_name() -> Outcome {
    holds("it is not there", !headers(&[("name", "value")])?.has("na me"))
}

fn has_an_empty_value() -> Outcome {
    holds("it is there", headers(&[("name", "")])?.has("name"))
}

fn what_was_not_there() -> Outcome {
    let fields = headers(&[])?;
    header_error(fields.set("name", &[b"value".to_vec()]))?;
    same(fields.get("name"), [b"value"])
}

fn replaces() -> Outcome {
    let fields = headers(&[("name", "1"), ("name", "2"), ("other", "x")])?;
    header_error(fields.set("name", &[b"3".to_vec()]))?;
    same(fields.get("name"), [b"3"])?;
    same(fields.get("other"), [b"x"])
}

fn replaces_in_another_case() -> Outcome {
    let fields = headers(&[("Name", "1")])?;
    header_error(fields.set("nAME", &[b"2".to_vec()]))?;
    same(fields.get("name"), [b"2"])
}

fn several_values() -> Outcome {
    let fields = headers(&[])?;
    header_error(fields.set("name", &[b"1".to_vec(), b"2".to_vec(), b"1".to_vec()]))?;
    same(fields.get("name"), [b"1", b"2", b"1"])
}

fn no_values() -> Outcome {
    let fields = headers(&[("name", "value")])?;
    header_error(fields.set("name", &[]))?;
    holds("it is gone", !fields.has("name"))?;
    same(fields.entries().len(), 0)
}

fn that_fails_changes_nothing() -> Outcome {
    let fields = headers(&[("name", "before")])?;
    is_header_error(fields.set("name", &[b"fine".to_vec(), b"\0".to_vec()]), &HeaderError::InvalidSyntax)?;
    same(fields.get("name"), [b"before"])
}

fn adds() -> Outcome {
    let fields = headers(&[("name", "1")])?;
    header_error(fields.append("name", b"2"))?;
    header_error(fields.append("other", b"3"))?;
    same(fields.get("name"), [b"1", b"2"])?;
    same(fields.get("other"), [b"3"])
}

fn adds_in_another_case() -> Outcome {
    let fields = headers(&[("Name", "1")])?;
    header_error(fields.append("nAME", b"2"))?;
    same(fields.get("name"), [b"1", b"2"])
}

fn that_fails_adds_nothing() -> Outcome {
    let fields = headers(&[("name", "1")])?;
    is_header_error(fields.append("name", b"\r"), &HeaderError::InvalidSyntax)?;
    same(fields.get("name"), [b"1"])
}

fn deletes() -> Outcome {
    let fields = headers(&[("name", "1"), ("other", "2")])?;
    header_error(fields.delete("name"))?;
    holds("it is gone", !fields.has("name"))?;
    same(fields.entries().len(), 1)
}

fn deletes_in_another_case() -> Outcome {
    let fields = headers(&[("Name", "1")])?;
    header_error(fields.delete("nAME"))?;
    holds("it is gone", !fields.has("name"))
}

fn deletes_nothing() -> Outcome {
    let fields = headers(&[("name", "1")])?;
    header_error(fields.delete("other"))?;
    same(fields.entries().len(), 1)
}

fn deletes_all_values() -> Outcome {
    let fields = headers(&[("name", "1"), ("name", "2")])?;
    header_error(fields.delete("name"))?;
    same(fields.get("name").len(), 0)
}

fn are_all() -> Outcome {
    let mut entries = headers(&[("b", "1"), ("a", "2"), ("b", "3")])?.entries();
    entries.sort();
    let expected = [("a", "2"), ("b", "1"), ("b", "3")];
    same(entries, expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())))
}

fn keep_the_order_of_values() -> Outcome {
    let entries = headers(&[("name", "3"), ("name", "1"), ("name", "2")])?.entries();
    same(entries.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), [b"3", b"1", b"2"])
}

/// The standard wants the original casing, which HTTP/2 has not.
fn have_names_of_any_case() -> Outcome {
    let entries = headers(&[("X-Name", "value")])?.entries();
    holds("the name is the same", entries[0].0.eq_ignore_ascii_case("x-name"))
}

fn is_the_same() -> Outcome {
    let fields = headers(&[("name", "1"), ("name", "2"), ("other", "")])?;
    same(fields.clone().entries(), fields.entries())
}

fn is_deep() -> Outcome {
    let fields = headers(&[("name", "1")])?;
    let clone = fields.clone();
    header_error(clone.append("name", b"2"))?;
    header_error(clone.append("other", b"3"))?;
    same(fields.get("name"), [b"1"])?;
    holds("the original has no other", !fields.has("other"))
}

fn is_independent_of_its_original() -> Outcome {
    let fields = headers(&[("name", "1")])?;
    let clone = fields.clone();
    header_error(fields.delete("name"))?;
    drop(fields);
    same(clone.get("name"), [b"1"])
}

fn is_immutable(fields: &Fields) -> Outcome {
    is_header_error(fields.append("name", b"x"), &HeaderError::Immutable)?;
    is_header_error(fields.set("name", &[b"x".to_vec()]), &HeaderError::Immutable)?;
    is_header_error(fields.set("name", &[]), &HeaderError::Immutable)?;
    is_header_error(fields.delete("name"), &HeaderError::Immutable)?;
    is_header_error(fields.delete("other"), &HeaderError::Immutable)?;
    same(fields.get("name"), [b"value"])
}

fn headers_of_a_request() -> Outcome {
    let request = OutgoingRequest::new(headers(&[("name", "value")])?);
    is_immutable(&request.headers())
}

fn headers_of_a_response() -> Outcome {
    let response = OutgoingResponse::new(headers(&[("name", "value")])?);
    is_immutable(&response.headers())
}

fn a_clone_of_them_is_mutable() -> Outcome {
    let request = OutgoingRequest::new(headers(&[("name", "value")])?);
    let clone = request.headers().clone();
    header_error(clone.set("name", &[b"another".to_vec()]))?;
    same(clone.get("name"), [b"another"])?;
    same(request.headers().get("name"), [b"value"])
}

fn reading_them_works() -> Outcome {
    let request = OutgoingRequest::new(headers(&[("name", "value")])?);
    let headers = request.headers();
    holds("it has it", headers.has("name") && !headers.has("other"))?;
    same(headers.entries().len(), 1)
}

fn they_are_given_again() -> Outcome {
    let request = OutgoingRequest::new(headers(&[("name", "value")])?);
    let (one, other) = (request.headers(), request.headers());
    if one.entries() == other.entries() { Ok(()) } else { Err(Failure::new("they differ")) }
}
