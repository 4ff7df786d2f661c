//! `wasi:config`.
//!
//! The app has these settings, and no more: `greeting=hello`, `empty=`, `unicode=grüße-世界`.

use conformance_suite::{Cases, Outcome, functions, same};
use wasi::config::store::{get, get_all};

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/config", generate_all });

conformance_suite::component!(cases, observing observe);

fn cases() -> Cases {
    Cases::default()
        .with(
            "get",
            functions![
                a_value,
                an_empty_value,
                a_value_of_any_text,
                a_missing_key,
                a_key_in_another_case,
                a_part_of_a_key,
                an_empty_key,
                a_key_of_any_text,
                a_long_key,
                again_is_the_same,
            ],
        )
        .with("get-all", functions![all_values, all_again_are_the_same, all_agree_with_get])
}

fn observe() -> Vec<(String, String)> {
    get_all().unwrap_or_default()
}

fn a_value() -> Outcome {
    same(get("greeting")?.as_deref(), Some("hello"))
}

fn an_empty_value() -> Outcome {
    same(get("empty")?.as_deref(), Some(""))
}

fn a_value_of_any_text() -> Outcome {
    same(get("unicode")?.as_deref(), Some("grüße-世界"))
}

fn a_missing_key() -> Outcome {
    same(get("missing")?, None)
}

fn a_key_in_another_case() -> Outcome {
    same(get("GREETING")?, None)
}

fn a_part_of_a_key() -> Outcome {
    same(get("greet")?, None)?;
    same(get("greeting2")?, None)
}

fn an_empty_key() -> Outcome {
    same(get("")?, None)
}

fn a_key_of_any_text() -> Outcome {
    for key in ["\0", "a/b", "..", "世界", " greeting", "greeting "] {
        same(get(key)?, None)?;
    }
    Ok(())
}

fn a_long_key() -> Outcome {
    same(get(&"k".repeat(100_000))?, None)
}

fn again_is_the_same() -> Outcome {
    same(get("greeting")?, get("greeting")?)
}

fn all_values() -> Outcome {
    let mut all = get_all()?;
    all.sort();
    let expected = [("empty", ""), ("greeting", "hello"), ("unicode", "grüße-世界")];
    same(all, expected.map(|(key, value)| (key.to_owned(), value.to_owned())))
}

fn all_again_are_the_same() -> Outcome {
    let (mut one, mut other) = (get_all()?, get_all()?);
    one.sort();
    other.sort();
    same(one, other)
}

fn all_agree_with_get() -> Outcome {
    get_all()?.into_iter().try_for_each(|(key, value)| same(get(&key)?, Some(value)))
}
