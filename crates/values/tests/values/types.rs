use crate::fixture::{all_types, ty, value_types};
use cloister_values::{MAX_TYPE_NAME, check_type, type_name};

#[test]
fn names_are_wit_with_the_whole_structure() {
    for (function, name) in [
        ("t-bool", "bool"),
        ("t-s8", "s8"),
        ("t-u8", "u8"),
        ("t-s16", "s16"),
        ("t-u16", "u16"),
        ("t-s32", "s32"),
        ("t-u32", "u32"),
        ("t-s64", "s64"),
        ("t-u64", "u64"),
        ("t-f32", "f32"),
        ("t-f64", "f64"),
        ("t-char", "char"),
        ("t-string", "string"),
        ("t-bytes", "list<u8>"),
        ("t-digest", "list<u8, 4>"),
        ("t-map", "map<string, list<u8>>"),
        ("t-tuple", "tuple<u8, string, bool>"),
        ("t-person", "record { name: string, age: u8, tags: list<string>, nickname: option<string> }"),
        ("t-color", "enum { red, green, blue, true }"),
        ("t-permissions", "flags { read, write, run-as-root }"),
        ("t-shape", "variant { empty, circle(f64), box(tuple<u32, u32>), named(option<string>), none }"),
        ("t-option-option", "option<option<u32>>"),
        ("t-result", "result<u8, string>"),
        ("t-result-ok", "result<u8>"),
        ("t-result-err", "result<_, string>"),
        ("t-result-none", "result"),
        ("take", "resource"),
        ("lend", "record { name: string, inputs: list<tuple<u8, borrow<resource>>> }"),
    ] {
        assert_eq!(type_name(ty(function)), name, "{function}");
    }
}

#[test]
fn names_are_bounded() {
    for ty in all_types().values() {
        assert!(type_name(ty).len() <= MAX_TYPE_NAME + '…'.len_utf8());
    }
}

#[test]
fn every_value_type_can_be_carried() {
    for (function, ty) in value_types() {
        assert_eq!(check_type(ty), Ok(()), "{function}");
    }
}

#[test]
fn handles_are_refused_at_their_place() {
    for (function, path, text) in [
        ("take", "", "a call cannot carry a resource"),
        ("lend", ".inputs[][1]", "a call cannot carry a resource, which stands at `.inputs[][1]`"),
        ("finish", ".done.ok[]", "a call cannot carry a resource, which stands at `.done.ok[]`"),
    ] {
        let refusal = check_type(ty(function)).expect_err(function);
        assert_eq!((refusal.path.as_str(), refusal.kind), (path, "resource"));
        assert_eq!(refusal.to_string(), text);
    }
}
