use crate::fixture::{from_wave, ty};

#[test]
fn wave_that_does_not_fit_is_refused_with_place_expected_and_given() {
    for (function, wave, text) in [
        ("t-u8", "300", "argument `v`: expected u8 (0 to 255), given the number `300`"),
        ("t-u8", "1.0", "argument `v`: expected u8 (0 to 255), given the number `1.0`"),
        ("t-u8", "\"1\"", "argument `v`: expected u8 (0 to 255), given the string `\"1\"`"),
        (
            "t-f64",
            "1e400",
            "argument `v`: expected f64 (a finite number, or nan, inf, -inf), given the number `1e400`",
        ),
        (
            "t-f32",
            "1e39",
            "argument `v`: expected f32 (a finite number up to ±3.4028235e38, or nan, inf, -inf), \
             given the number `1e39`",
        ),
        ("t-bool", "yes", "argument `v`: expected bool, given the label `yes`"),
        ("t-bytes", "[1, 2, 256]", "argument `v[2]`: expected u8 (0 to 255), given the number `256`"),
        ("t-digest", "[1]", "argument `v`: expected list<u8, 4>, given the list `[1]`"),
        (
            "t-tuple",
            "(1, \"\")",
            "argument `v`: expected tuple<u8, string, bool>, given the tuple `(1, \"\")`",
        ),
        (
            "t-person",
            r#"{name: "", age: 1, tags: [1]}"#,
            "argument `v.tags[0]`: expected string, given the number `1`",
        ),
        ("t-person", r#"{name: "", age: 1}"#, "argument `v.tags`: expected list<string>, given nothing"),
        (
            "t-color",
            "gren",
            "argument `v`: expected enum { red, green, blue, true }, given the unknown case \"gren\"; did you mean `green`?",
        ),
        (
            "t-color",
            "true",
            "argument `v`: expected enum { red, green, blue, true }, given the boolean `true`",
        ),
        (
            "t-permissions",
            "{rite}",
            "argument `v`: expected flags { read, write, run-as-root }, given the unknown flag \"rite\"; \
             did you mean `write`?",
        ),
        ("t-shape", "box", "argument `v.box`: expected tuple<u32, u32>, given nothing"),
        (
            "t-shape",
            "empty(1)",
            "argument `v`: expected variant { empty, circle(f64), box(tuple<u32, u32>), named(option<string>), none }, \
             given a payload for `empty`, which has none",
        ),
        ("t-result-none", "ok(1)", "argument `v`: expected result, given a payload for `ok`, which has none"),
        ("t-result", "err", "argument `v.err`: expected string, given nothing"),
        ("t-option", "\"x\"", "argument `v`: expected u32 (0 to 4294967295), given the string `\"x\"`"),
        ("t-option-option", "5", "argument `v`: expected option<option<u32>>, given the number `5`"),
        (
            "t-option-option",
            "some(\"x\")",
            "argument `v.some`: expected u32 (0 to 4294967295), given the string `\"x\"`",
        ),
        ("t-codes", "[5]", "argument `v[0]`: expected map<u16, string>, given the number `5`"),
    ] {
        let error = from_wave(ty(function), wave).expect_err(wave);
        assert_eq!(error.to_string(), text, "{function} {wave}");
        assert!(!error.is_malformed());
        assert_eq!(error.parameter(), Some("v"));
    }
}

#[test]
fn malformed_wave_has_parameter_type_and_position() {
    for (wave, text) in [
        (
            "[1, 2",
            "argument `v` is malformed at line 1, column 6: unexpected end of input; expected list<u8> in WAVE",
        ),
        (
            "[1,\n  2 $]",
            "argument `v` is malformed at line 2, column 5: invalid token `$`; expected list<u8> in WAVE",
        ),
        (
            "",
            "argument `v` is malformed at line 1, column 1: unexpected end of input; expected list<u8> in WAVE",
        ),
        (
            "[☃]",
            "argument `v` is malformed at line 1, column 2: invalid token `☃`; expected list<u8> in WAVE",
        ),
        (
            "[1] [2]",
            "argument `v` is malformed at line 1, column 5: trailing characters after value `[`; \
             expected list<u8> in WAVE",
        ),
        (
            "{a: 1, a: 2}",
            "argument `v` is malformed at line 1, column 8: duplicate field `a`; expected list<u8> in WAVE",
        ),
    ] {
        let error = from_wave(ty("t-bytes"), wave).expect_err(wave);
        assert_eq!(error.to_string(), text);
        assert!(error.is_malformed());
        assert_eq!(error.parameter(), Some("v"));
    }
}
