use crate::fixture::{from_json, from_wave, to_json, to_wave, ty};
use cloister_values::{ArgumentError, Parameter, arguments_from_json};
use std::thread;
use wasmtime::component::Val;

/// Runs on a stack as small as that of an enclave's thread.
fn on_a_small_stack(test: fn()) {
    thread::Builder::new().stack_size(STACK).spawn(test).unwrap().join().unwrap();
}

#[test]
fn deep_json_ends_at_a_bound_without_a_deep_stack() {
    // Loaded on a stack with room: compiling the fixture is not what is measured.
    ty("t-tree");
    on_a_small_stack(|| {
        for function in ["t-bytes", "t-tree", "t-option-3", "t-map"] {
            for (open, close) in [("[", "]"), ("{\"some\":", "}"), ("{\"v\":", "}"), ("[{\"a\":", "}]")] {
                let unclosed = open.repeat(DEEP);
                assert!(from_json(ty(function), &unclosed).is_err());
                let closed = format!("{}1{}", open.repeat(DEEP), close.repeat(DEEP));
                assert!(from_json(ty(function), &closed).is_err());
            }
        }
    });
}

#[test]
fn deep_json_that_nobody_asked_for_is_skipped_without_a_deep_stack() {
    ty("t-u8");
    on_a_small_stack(|| {
        let body = format!("[1, {}{}]", "[".repeat(DEEP), "]".repeat(DEEP));
        let params = [Parameter { name: "v", ty: ty("t-u8") }];
        let error = arguments_from_json(body.as_bytes(), &params).unwrap_err();
        assert_eq!(error, ArgumentError::TooMany { expected_count: 1, given_count: 2 });
    });
}

#[test]
fn deep_wave_ends_at_a_bound_without_a_deep_stack() {
    ty("t-tree");
    on_a_small_stack(|| {
        for open in ["[", "(", "some(", "ok(", "{a:", "a("] {
            let error = from_wave(ty("t-option-3"), &open.repeat(DEEP)).unwrap_err();
            let ArgumentError::MalformedWave { detail, .. } = error else { panic!("{open}: {error}") };
            assert!(detail.starts_with("value nesting too deep"), "{open}: {detail}");
        }
    });
}

#[test]
fn long_wave_tokens_need_no_deep_stack() {
    ty("t-string");
    on_a_small_stack(|| {
        let text = "x".repeat(LONG);
        assert_eq!(from_wave(ty("t-string"), &format!("\"{text}\"")), Ok(Val::String(text.clone())));
        let lines = format!("\"\"\"\n{text}\n\"\"\"");
        assert_eq!(from_wave(ty("t-string"), &lines), Ok(Val::String(text)));
        let escapes = "\\n".repeat(LONG);
        assert_eq!(from_wave(ty("t-string"), &format!("\"{escapes}\"")), Ok(Val::String("\n".repeat(LONG))));
        let spaces = " ".repeat(LONG);
        assert_eq!(from_wave(ty("t-u8"), &format!("{spaces}7")), Ok(Val::U8(7)));
        let comment = "-".repeat(LONG);
        assert_eq!(from_wave(ty("t-u8"), &format!("7 //{comment}")), Ok(Val::U8(7)));
        let digits = "1".repeat(LONG);
        assert!(from_wave(ty("t-u64"), &digits).is_err());
        let label = "a-".repeat(LONG);
        assert!(from_wave(ty("t-color"), &format!("{label}a")).is_err());
        for quote in ["\"", "\"\"\"", "'"] {
            assert!(from_wave(ty("t-string"), &format!("{quote}{}", "x".repeat(LONG))).is_err());
        }
    });
}

#[test]
fn invalid_utf_8_and_lone_surrogates_are_malformed() {
    let params = [Parameter { name: "v", ty: ty("t-string") }];
    for body in [
        b"[\"\xff\"]".as_slice(),
        b"[\"\xed\xa0\x80\"]",
        b"[\"\xc0\x80\"]",
        b"[\"\\ud800\"]",
        b"[\"\\ud800\\u0041\"]",
        b"[\"\\udc00\"]",
        b"[\"\\u12\"]",
        b"\xff\xfe",
        b"\xef\xbb\xbf[\"x\"]",
    ] {
        let error = arguments_from_json(body, &params).unwrap_err();
        assert!(error.is_malformed(), "{body:?}: {error}");
    }
    for wave in ["'\\u{d800}'", "'\\u{110000}'", "\"\\u{dfff}\"", "\"\\x\""] {
        assert!(from_wave(ty("t-string"), wave).is_err() && from_wave(ty("t-char"), wave).is_err(), "{wave}");
    }
}

#[test]
fn huge_numbers_are_refused_and_tiny_ones_are_zero() {
    let many = "9".repeat(1000);
    for json in ["1e400", "-1e400", many.as_str(), &format!("-{many}")] {
        for function in ["t-u64", "t-f64", "t-f32"] {
            assert!(from_json(ty(function), json).is_err(), "{function} {json}");
            assert!(from_wave(ty(function), json).is_err(), "{function} {json}");
        }
    }
    for (function, zero) in [("t-f64", Val::Float64(0.0)), ("t-f32", Val::Float32(0.0))] {
        assert_eq!(from_json(ty(function), "1e-400"), Ok(zero.clone()));
        assert_eq!(from_wave(ty(function), "1e-400"), Ok(zero));
    }
    assert_eq!(from_json(ty("t-u64"), "9007199254740993"), Ok(Val::U64(9_007_199_254_740_993)));
    assert!(from_json(ty("t-u64"), "9007199254740994.0").is_err());
}

#[test]
fn negative_zero_stays_negative_and_nan_is_one_value() {
    for (function, negative) in [("t-f64", Val::Float64(-0.0)), ("t-f32", Val::Float32(-0.0))] {
        for text in ["-0", "-0.0"] {
            assert_eq!(from_json(ty(function), text).as_ref(), Ok(&negative));
            assert_eq!(from_wave(ty(function), text).as_ref(), Ok(&negative));
        }
    }
    let nans = [f64::from_bits(0x7ff0_0000_0000_0001), f64::from_bits(0xffff_ffff_ffff_ffff)];
    for nan in nans {
        assert_eq!(to_json(&Val::Float64(nan)), "\"nan\"");
        assert_eq!(to_wave(&Val::Float64(nan)), "nan");
    }
    let Ok(Val::Float64(decoded)) = from_json(ty("t-f64"), "\"nan\"") else { panic!("nan") };
    assert_eq!(decoded.to_bits(), 0x7ff8_0000_0000_0000);
}

/// Nesting that no parser may follow.
const DEEP: usize = 100_000;
/// Bytes of a token.
const LONG: usize = 4 << 20;
/// Bytes of stack; these tests run without optimization, where frames are largest.
const STACK: usize = 512 << 10;
