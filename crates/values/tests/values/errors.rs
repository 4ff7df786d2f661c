use crate::fixture::{from_json, from_wave, ty};
use cloister_values::{
    ArgumentError, EncodeError, Parameter, arguments_from_json, arguments_from_wave, result_to_json,
    result_to_wave,
};
use wasmtime::component::{Resource, Val};

#[test]
fn json_that_does_not_fit_is_refused_with_place_expected_and_given() {
    for (function, json, text) in [
        ("t-u8", "300", "argument `v`: expected u8 (0 to 255), given the number 300"),
        ("t-u8", "-1", "argument `v`: expected u8 (0 to 255), given the number -1"),
        ("t-u8", "1.5", "argument `v`: expected u8 (0 to 255), given the number 1.5"),
        ("t-s8", "\"nan\"", "argument `v`: expected s8 (-128 to 127), given the string \"nan\""),
        ("t-u32", "\"5\"", "argument `v`: expected u32 (0 to 4294967295), given the string \"5\""),
        ("t-u32", "null", "argument `v`: expected u32 (0 to 4294967295), given null"),
        (
            "t-u64",
            "18446744073709551616",
            "argument `v`: expected u64 (0 to 18446744073709551615), given the number 1.8446744073709552e19",
        ),
        (
            "t-u64",
            "\"18446744073709551616\"",
            "argument `v`: expected u64 (0 to 18446744073709551615), given the string \"18446744073709551616\"",
        ),
        (
            "t-s64",
            "\"+5\"",
            "argument `v`: expected s64 (-9223372036854775808 to 9223372036854775807), given the string \"+5\"",
        ),
        (
            "t-f32",
            "1e39",
            "argument `v`: expected f32 (a finite number up to ±3.4028235e38, or nan, inf, -inf), given the number 1e39",
        ),
        (
            "t-f64",
            "\"NaN\"",
            "argument `v`: expected f64 (a finite number, or nan, inf, -inf), given the string \"NaN\"",
        ),
        ("t-bool", "1", "argument `v`: expected bool, given the number 1"),
        ("t-string", "true", "argument `v`: expected string, given true"),
        ("t-string", "[]", "argument `v`: expected string, given an array"),
        ("t-bytes", "{}", "argument `v`: expected list<u8>, given an object"),
        ("t-bytes", "[1,2,256]", "argument `v[2]`: expected u8 (0 to 255), given the number 256"),
        ("t-bytes", "\"*\"", "argument `v`: expected list<u8>, given the string \"*\", which is not base64"),
        ("t-digest", "[1]", "argument `v`: expected list<u8, 4>, given an array of 1"),
        ("t-digest", "[1,2,3,4,\"x\"]", "argument `v`: expected list<u8, 4>, given an array of 5"),
        ("t-digest", "\"AAE=\"", "argument `v`: expected list<u8, 4>, given base64 of 2"),
        (
            "t-char",
            "\"ab\"",
            "argument `v`: expected char (exactly one Unicode scalar value), given the string \"ab\"",
        ),
        (
            "t-char",
            "\"\"",
            "argument `v`: expected char (exactly one Unicode scalar value), given the string \"\"",
        ),
        ("t-tuple", "[1]", "argument `v`: expected tuple<u8, string, bool>, given an array of 1"),
        (
            "t-tuple",
            r#"[1,"",true,4,5]"#,
            "argument `v`: expected tuple<u8, string, bool>, given an array of 5",
        ),
        ("t-tuple", "[1,2]", "argument `v[1]`: expected string, given the number 2"),
        (
            "t-person",
            r#"{"name":"","age":1,"tags":["a",2]}"#,
            "argument `v.tags[1]`: expected string, given the number 2",
        ),
        ("t-person", r#"{"name":"","age":1}"#, "argument `v.tags`: expected list<string>, given nothing"),
        (
            "t-person",
            r#"{"nmae":""}"#,
            "argument `v`: expected record { name: string, age: u8, tags: list<string>, nickname: option<string> }, \
             given the unknown field \"nmae\"; did you mean `name`?",
        ),
        (
            "t-person",
            r#"{"age":1,"age":2}"#,
            "argument `v.age`: expected u8 (0 to 255), given the field twice",
        ),
        (
            "t-color",
            "\"gren\"",
            "argument `v`: expected enum { red, green, blue, true }, given the string \"gren\"; did you mean `green`?",
        ),
        ("t-color", "2", "argument `v`: expected enum { red, green, blue, true }, given the number 2"),
        (
            "t-permissions",
            r#"["read","rite"]"#,
            "argument `v`: expected flags { read, write, run-as-root }, given the unknown flag \"rite\"; \
             did you mean `write`?",
        ),
        (
            "t-permissions",
            r#"["read","read"]"#,
            "argument `v`: expected flags { read, write, run-as-root }, given the flag \"read\" twice",
        ),
        ("t-permissions", "[1]", "argument `v[0]`: expected string, given the number 1"),
        (
            "t-shape",
            "\"circle\"",
            "argument `v.circle`: expected f64 (a finite number, or nan, inf, -inf), given the string \"circle\" alone",
        ),
        (
            "t-shape",
            r#"{"circle":"big"}"#,
            "argument `v.circle`: expected f64 (a finite number, or nan, inf, -inf), given the string \"big\"",
        ),
        (
            "t-shape",
            r#"{"empty":1}"#,
            "argument `v`: expected variant { empty, circle(f64), box(tuple<u32, u32>), named(option<string>), none }, \
             given a payload for \"empty\", which has none",
        ),
        (
            "t-shape",
            r#"{"circel":1}"#,
            "argument `v`: expected variant { empty, circle(f64), box(tuple<u32, u32>), named(option<string>), none }, \
             given the unknown case \"circel\"; did you mean `circle`?",
        ),
        ("t-result", "{}", "argument `v`: expected result<u8, string>, given an empty object"),
        (
            "t-result",
            r#"{"ok":1,"err":""}"#,
            "argument `v`: expected result<u8, string>, given an object of more than one key",
        ),
        (
            "t-result",
            r#"{"okay":1}"#,
            "argument `v`: expected result<u8, string>, given the unknown case \"okay\"; did you mean `ok`?",
        ),
        ("t-result", "1", "argument `v`: expected result<u8, string>, given the number 1"),
        ("t-option-option", "5", "argument `v`: expected option<option<u32>>, given the number 5"),
        (
            "t-option-option",
            r#"{"some":"x"}"#,
            "argument `v.some`: expected u32 (0 to 4294967295), given the string \"x\"",
        ),
        (
            "t-map",
            r#"{"a":[],"a":[]}"#,
            "argument `v`: expected map<string, list<u8>>, given the key \"a\" twice",
        ),
        ("t-map", r#"{"a":[1],"b":[-1]}"#, "argument `v[1][0]`: expected u8 (0 to 255), given the number -1"),
        ("t-codes", "[[1]]", "argument `v[0][1]`: expected string, given nothing"),
        ("t-codes", "[[1,2,3]]", "argument `v[0][1]`: expected string, given the number 2"),
        ("t-codes", "[[1,\"\",3]]", "argument `v[0]`: expected map<u16, string>, given an entry of 3"),
        ("t-codes", "[5]", "argument `v[0]`: expected map<u16, string>, given a number"),
        ("t-codes", "{\"a\":1}", "argument `v`: expected map<u16, string>, given an object"),
    ] {
        let error = from_json(ty(function), json).expect_err(json);
        assert_eq!(error.to_string(), text, "{function} {json}");
        assert!(!error.is_malformed());
        assert_eq!(error.parameter(), Some("v"));
    }
}

#[test]
fn malformed_json_has_its_position() {
    let params = [Parameter { name: "v", ty: ty("t-bytes") }];
    for (body, line, column, detail) in [
        ("{\"v\":", 1, 5, "EOF while parsing a value"),
        ("{\n \"v\": [1,\n}", 3, 1, "expected value"),
        ("[[1]] x", 1, 7, "trailing characters"),
        ("{v: 1}", 1, 2, "key must be a string"),
        ("[[1e400]]", 1, 7, "number out of range"),
        ("[\"\\ud800\"]", 1, 9, "unexpected end of hex escape"),
        ("[NaN]", 1, 2, "expected value"),
        ("[\"\t\"]", 1, 3, "control character (\\u0000-\\u001F) found while parsing a string"),
        ("5", 1, 1, "expected an object by parameter name or an array by position, given a number"),
        ("null", 1, 4, "expected an object by parameter name or an array by position, given null"),
        ("\"x\"", 1, 3, "expected an object by parameter name or an array by position, given a string"),
    ] {
        let error = arguments_from_json(body.as_bytes(), &params).expect_err(body);
        assert_eq!(error, ArgumentError::Malformed { line, column, detail: detail.into() }, "{body}");
        assert!(error.is_malformed());
        let text = format!("the arguments are malformed at line {line}, column {column}: {detail}");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn parameters_are_named_when_missing_unknown_or_too_many() {
    let params =
        [Parameter { name: "first-name", ty: ty("t-string") }, Parameter { name: "age", ty: ty("t-u8") }];
    for (body, text) in [
        ("", "argument `first-name` is missing; expected string"),
        (r#"{"first-name":"x"}"#, "argument `age` is missing; expected u8 (0 to 255)"),
        (r#"["x"]"#, "argument `age` is missing; expected u8 (0 to 255)"),
        (r#"{"first_name":"x"}"#, "there is no parameter \"first_name\"; did you mean `first-name`?"),
        (r#"{"zebra":"x"}"#, "there is no parameter \"zebra\""),
        (r#"["x",1,2,3]"#, "too many arguments: the function takes 2, given 4"),
        (r#"{"age":1,"age":1}"#, "argument `age`: expected u8 (0 to 255), given the argument twice"),
        (r#"{"first-name":"x","age":256}"#, "argument `age`: expected u8 (0 to 255), given the number 256"),
    ] {
        let error = arguments_from_json(body.as_bytes(), &params).expect_err(body);
        assert_eq!(error.to_string(), text, "{body}");
        assert!(!error.is_malformed());
    }
    let unknown = arguments_from_json(br#"{"agee":1}"#, &params).unwrap_err();
    assert_eq!(unknown.suggestions(), ["age"]);

    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let missing = arguments_from_wave(&texts(&["\"x\""]), &params).unwrap_err();
    assert_eq!(missing.to_string(), "argument `age` is missing; expected u8 (0 to 255)");
    let many = arguments_from_wave(&texts(&["\"x\"", "1", "2"]), &params).unwrap_err();
    assert_eq!(many, ArgumentError::TooMany { expected_count: 2, given_count: 3 });
}

#[test]
fn what_was_given_is_cut_at_60_characters() {
    let long = "é".repeat(1000);
    let given = |error: ArgumentError| match error {
        ArgumentError::Wrong { given, .. } => given,
        other => panic!("{other}"),
    };
    let json = given(from_json(ty("t-u8"), &format!("\"{long}\"")).unwrap_err());
    assert_eq!(json, format!("the string \"{}\"…", "é".repeat(60)));
    let wave = given(from_wave(ty("t-u8"), &format!("\"{long}\"")).unwrap_err());
    assert_eq!(wave, format!("the string `\"{}…`", "é".repeat(59)));
    let unknown = arguments_from_json(format!("{{\"{long}\":1}}").as_bytes(), &[]).unwrap_err();
    assert_eq!(unknown, ArgumentError::Unknown { name: "é".repeat(60), suggestions: vec![] });
}

#[test]
fn handles_in_results_are_refused() {
    let engine = wasmtime::Engine::default();
    let mut store = wasmtime::Store::new(&engine, ());
    let handle = Resource::<u32>::new_own(7).try_into_resource_any(&mut store).unwrap();
    let result = Val::Option(Some(Box::new(Val::Tuple(vec![Val::U8(1), Val::Resource(handle)]))));
    let refused = EncodeError::Unsupported { kind: "resource" };
    assert_eq!(result_to_json(Some(&result), 100), Err(refused));
    assert_eq!(result_to_wave(Some(&result), 100), Err(refused));
}

#[test]
fn encode_errors_say_the_limit_and_the_kind() {
    assert_eq!(EncodeError::TooLarge { limit: 9 }.to_string(), "the result is larger than 9 bytes");
    assert_eq!(
        EncodeError::Unsupported { kind: "resource" }.to_string(),
        "the result holds a resource, which a call cannot carry"
    );
}
