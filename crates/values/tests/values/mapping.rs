use crate::fixture::{from_json, from_wave, to_json, to_wave, ty, value_types};
use cloister_values::{
    EncodeError, Parameter, arguments_from_json, arguments_from_wave, result_to_json, result_to_wave,
};
use std::collections::BTreeSet;
use wasmtime::component::Val;

/// Function, JSON and WAVE of one value. The JSON is what the encoder writes.
const EXAMPLES: &[(&str, &str, &str)] = &[
    ("t-bool", "true", "true"),
    ("t-bool", "false", "false"),
    ("t-s8", "-128", "-128"),
    ("t-u8", "255", "255"),
    ("t-s16", "-32768", "-32768"),
    ("t-u16", "65535", "65535"),
    ("t-s32", "-2147483648", "-2147483648"),
    ("t-u32", "4294967295", "4294967295"),
    ("t-s64", "-9223372036854775808", "-9223372036854775808"),
    ("t-s64", "9223372036854775807", "9223372036854775807"),
    ("t-u64", "18446744073709551615", "18446744073709551615"),
    ("t-f32", "0.1", "0.1"),
    ("t-f32", "-0.0", "-0"),
    ("t-f32", "\"nan\"", "nan"),
    ("t-f64", "1.5", "1.5"),
    ("t-f64", "5e-324", "5e-324"),
    ("t-f64", "-0.0", "-0"),
    ("t-f64", "\"inf\"", "inf"),
    ("t-f64", "\"-inf\"", "-inf"),
    ("t-char", "\"☃\"", "'☃'"),
    ("t-string", r#""a\"\n\u0000\\☃""#, r#""a\"\n\u{0}\\☃""#),
    ("t-string", "\"\"", "\"\""),
    ("t-bytes", "[0,1,255]", "[0, 1, 255]"),
    ("t-bytes", "[]", "[]"),
    ("t-numbers", "[-1,2]", "[-1, 2]"),
    ("t-digest", "[1,2,3,4]", "[1, 2, 3, 4]"),
    ("t-point", "[0.5,1.5]", "[0.5, 1.5]"),
    ("t-map", r#"{"a":[1],"b":[]}"#, r#"[("a", [1]), ("b", [])]"#),
    ("t-codes", r#"[[404,"not found"]]"#, r#"[(404, "not found")]"#),
    ("t-codes", "{}", "[]"),
    ("t-tuple", r#"[7,"x",true]"#, r#"(7, "x", true)"#),
    (
        "t-person",
        r#"{"name":"Ann","age":30,"tags":["a","b"],"nickname":null}"#,
        r#"{name: "Ann", age: 30, tags: ["a", "b"]}"#,
    ),
    (
        "t-person",
        r#"{"name":"","age":0,"tags":[],"nickname":"A"}"#,
        r#"{name: "", age: 0, tags: [], nickname: "A"}"#,
    ),
    ("t-color", "\"green\"", "green"),
    ("t-color", "\"true\"", "%true"),
    ("t-permissions", r#"["read","run-as-root"]"#, "{read, run-as-root}"),
    ("t-permissions", "[]", "{}"),
    ("t-shape", "\"empty\"", "empty"),
    ("t-shape", "\"none\"", "%none"),
    ("t-shape", r#"{"circle":2.5}"#, "circle(2.5)"),
    ("t-shape", r#"{"box":[1,2]}"#, "box((1, 2))"),
    ("t-shape", r#"{"named":null}"#, "named(none)"),
    ("t-shape", r#"{"named":"x"}"#, "named(some(\"x\"))"),
    ("t-option", "null", "none"),
    ("t-option", "1", "some(1)"),
    ("t-option-option", "null", "none"),
    ("t-option-option", r#"{"some":null}"#, "some(none)"),
    ("t-option-option", r#"{"some":5}"#, "some(some(5))"),
    ("t-option-3", r#"{"some":{"some":null}}"#, "some(some(none))"),
    ("t-option-3", r#"{"some":{"some":"x"}}"#, "some(some(some(\"x\")))"),
    ("t-option-result", r#"{"ok":null}"#, "some(ok(none))"),
    ("t-option-result", r#"{"err":3}"#, "some(err(3))"),
    ("t-option-list", "[null,true]", "some([none, some(true)])"),
    ("t-result", r#"{"ok":1}"#, "ok(1)"),
    ("t-result", r#"{"err":"no"}"#, "err(\"no\")"),
    ("t-result-ok", r#"{"err":null}"#, "err"),
    ("t-result-err", r#"{"ok":null}"#, "ok"),
    ("t-result-none", r#"{"ok":null}"#, "ok"),
    ("t-result-none", r#"{"err":null}"#, "err"),
    ("t-result-result", r#"{"ok":{"ok":1}}"#, "ok(ok(1))"),
    ("t-result-result", r#"{"err":null}"#, "err(none)"),
];

#[test]
fn json_and_wave_mean_the_same_value_and_come_back() {
    for (function, json, wave) in EXAMPLES {
        let value = from_json(ty(function), json).unwrap_or_else(|e| panic!("{function} {json}: {e}"));
        let same = from_wave(ty(function), wave).unwrap_or_else(|e| panic!("{function} {wave}: {e}"));
        assert_eq!(value, same, "{function}: {json} and {wave}");
        assert_eq!(to_json(&value), *json, "{function}");
        let written = to_wave(&value);
        assert_eq!(from_wave(ty(function), &written).as_ref(), Ok(&value), "{function}: {written}");
    }
}

#[test]
fn wave_is_written_in_full() {
    for (function, json, wave) in [
        ("t-option", "1", "some(1)"),
        ("t-result", r#"{"ok":1}"#, "ok(1)"),
        ("t-shape", r#"{"box":[1,2]}"#, "box((1, 2))"),
        ("t-color", "\"true\"", "%true"),
        ("t-map", r#"{"a":[1]}"#, r#"[("a", [1])]"#),
    ] {
        assert_eq!(to_wave(&from_json(ty(function), json).unwrap()), wave);
    }
}

#[test]
fn every_type_of_the_fixture_has_an_example() {
    let examples: BTreeSet<&str> = EXAMPLES.iter().map(|(function, ..)| *function).collect();
    let only_in_properties = ["t-sparse", "t-many-sparse", "t-tree"];
    for (function, _) in value_types() {
        assert!(examples.contains(function) || only_in_properties.contains(&function), "{function}");
    }
}

#[test]
fn more_than_one_json_is_understood() {
    for (function, json, same) in [
        ("t-u64", "\"18446744073709551615\"", "18446744073709551615"),
        ("t-s64", "\"-5\"", "-5"),
        ("t-u32", "7.0", "7"),
        ("t-u32", "1e3", "1000"),
        ("t-s32", "-0", "0"),
        ("t-f64", "3", "3.0"),
        ("t-f64", "-3", "-3.0"),
        ("t-f32", "16777217", "16777216.0"),
        ("t-char", r#""\ud83d\ude00""#, "\"😀\""),
        ("t-bytes", "\"AAH/\"", "[0,1,255]"),
        ("t-bytes", "\"AAE=\"", "[0,1]"),
        ("t-bytes", "\"AAE\"", "[0,1]"),
        ("t-bytes", "\"\"", "[]"),
        ("t-digest", "\"AQIDBA==\"", "[1,2,3,4]"),
        ("t-person", r#"{"name":"","age":0,"tags":[]}"#, r#"{"name":"","age":0,"tags":[],"nickname":null}"#),
        ("t-permissions", r#"["write","read"]"#, r#"["read","write"]"#),
        ("t-shape", r#"{"empty":null}"#, "\"empty\""),
        ("t-codes", "[]", "{}"),
    ] {
        let value = from_json(ty(function), json).unwrap_or_else(|e| panic!("{function} {json}: {e}"));
        assert_eq!(to_json(&value), same, "{function} {json}");
    }
}

#[test]
fn more_than_one_wave_is_understood() {
    for (function, wave, same) in [
        ("t-option", "7", "some(7)"),
        ("t-option-list", "[true, none]", "some([some(true), none])"),
        ("t-result", "7", "ok(7)"),
        ("t-string", "\"\"\"\n  a\n  b\n  \"\"\"", "\"a\\nb\""),
        ("t-permissions", "{write, %read}", "{read, write}"),
        ("t-numbers", "[1, 2,] // two", "[1, 2]"),
        ("t-person", r#"{tags: [], age: 1, name: "x"}"#, r#"{name: "x", age: 1, tags: []}"#),
    ] {
        let value = from_wave(ty(function), wave).unwrap_or_else(|e| panic!("{function} {wave}: {e}"));
        assert_eq!(to_wave(&value), same, "{function} {wave}");
    }
}

#[test]
fn arguments_go_by_name_or_by_position() {
    let params = [
        Parameter { name: "count", ty: ty("t-u32") },
        Parameter { name: "label", ty: ty("t-string") },
        Parameter { name: "note", ty: ty("t-option") },
    ];
    let expected = Ok(vec![Val::U32(1), Val::String("x".into()), Val::Option(None)]);
    for body in [
        r#"{"count":1,"label":"x","note":null}"#,
        r#"{"label":"x","count":1}"#,
        r#"[1,"x",null]"#,
        "[1,\"x\"]\n",
    ] {
        assert_eq!(arguments_from_json(body.as_bytes(), &params), expected, "{body}");
    }
    assert_eq!(arguments_from_wave(&["1".into(), "\"x\"".into()], &params), expected);
}

#[test]
fn a_call_without_arguments_has_an_empty_body() {
    for body in ["", " \n", "{}", "[]"] {
        assert_eq!(arguments_from_json(body.as_bytes(), &[]), Ok(vec![]), "{body:?}");
        let note = Parameter { name: "note", ty: ty("t-option") };
        assert_eq!(arguments_from_json(body.as_bytes(), &[note]), Ok(vec![Val::Option(None)]), "{body:?}");
    }
    assert_eq!(arguments_from_wave(&[], &[]), Ok(vec![]));
}

#[test]
fn no_result_is_null() {
    assert_eq!(result_to_json(None, 4), Ok(serde_json::Value::Null));
    assert_eq!(result_to_json(None, 3), Err(EncodeError::TooLarge { limit: 3 }));
    assert_eq!(result_to_wave(None, 0), Ok(String::new()));
}

#[test]
fn of_equal_map_keys_the_last_counts() {
    let entry = |byte| (Val::String("k".into()), Val::U8(byte));
    assert_eq!(to_json(&Val::Map(vec![entry(1), entry(2)])), r#"{"k":2}"#);
}
