//! `wasi:logging`. What a case logs names the case, so that whoever reads the app's log can find it.

use conformance_suite::{Cases, Outcome, functions};
use wasi::logging::logging::{Level, log};

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/logging", generate_all });

conformance_suite::component!(cases);

fn cases() -> Cases {
    let mut cases = Cases::default().with(
        "log",
        functions![
            an_empty_message,
            an_empty_context,
            any_text,
            several_lines,
            control_characters,
            a_long_message,
            a_long_context,
            a_thousand_messages,
        ],
    );
    for (name, level) in LEVELS {
        cases.add("level", name, move || {
            log(level, "conformance", &format!("a message at level {name}"));
            Ok(())
        });
    }
    cases
}

fn an_empty_message() -> Outcome {
    logs("an-empty-message", "")
}

fn an_empty_context() -> Outcome {
    logs("", "a message without context")
}

fn any_text() -> Outcome {
    logs("grüße", "世界 🔑")
}

fn several_lines() -> Outcome {
    logs("several-lines", "one\ntwo\r\nthree\n")
}

fn control_characters() -> Outcome {
    logs("control\u{1b}[31m", "\u{1b}[31mred\0\u{7}\u{202e}")
}

fn a_long_message() -> Outcome {
    logs("a-long-message", &"m".repeat(200_000))
}

fn a_long_context() -> Outcome {
    logs(&"c".repeat(200_000), "a long context")
}

fn a_thousand_messages() -> Outcome {
    (0..1_000).try_for_each(|number| logs("a-thousand-messages", &number.to_string()))
}

fn logs(context: &str, message: &str) -> Outcome {
    log(Level::Info, context, message);
    Ok(())
}

const LEVELS: [(&str, Level); 6] = [
    ("trace", Level::Trace),
    ("debug", Level::Debug),
    ("info", Level::Info),
    ("warn", Level::Warn),
    ("error", Level::Error),
    ("critical", Level::Critical),
];
