//! `wasi:logging`: lines for the app's log, among what it writes to standard error.

use std::fmt::Write;

use crate::bindings::wasi::logging::logging as unversioned;
use crate::bindings::wasi::logging0_1_0_draft::logging as draft;
use crate::log::Stdio;
use crate::output::Output;
use crate::{BYTE_FUEL, WasiCtxView};

impl draft::Host for WasiCtxView<'_> {
    async fn log(&mut self, level: draft::Level, context: String, message: String) -> wasmtime::Result<()> {
        let level = match level {
            draft::Level::Trace => "TRACE",
            draft::Level::Debug => "DEBUG",
            draft::Level::Info => "INFO",
            draft::Level::Warn => "WARN",
            draft::Level::Error => "ERROR",
            draft::Level::Critical => "CRITICAL",
        };
        self.log_line(level, &context, &message).await
    }
}

impl unversioned::Host for WasiCtxView<'_> {
    async fn log(
        &mut self,
        level: unversioned::Level,
        context: String,
        message: String,
    ) -> wasmtime::Result<()> {
        let level = match level {
            unversioned::Level::Trace => draft::Level::Trace,
            unversioned::Level::Debug => draft::Level::Debug,
            unversioned::Level::Info => draft::Level::Info,
            unversioned::Level::Warn => draft::Level::Warn,
            unversioned::Level::Error => draft::Level::Error,
            unversioned::Level::Critical => draft::Level::Critical,
        };
        draft::Host::log(self, level, context, message).await
    }
}

impl WasiCtxView<'_> {
    async fn log_line(&mut self, level: &str, context: &str, message: &str) -> wasmtime::Result<()> {
        self.charge(LINE_FUEL.saturating_add((context.len() as u64).saturating_add(message.len() as u64)))
            .await?;
        if let Output::Log(log) = &self.ctx.log {
            log.write(Stdio::Stderr, line(level, context, message).as_bytes());
        }
        Ok(())
    }
}

/// One line, whatever the guest wrote.
fn line(level: &str, context: &str, message: &str) -> String {
    let mut line = String::new();
    line.push_str(level);
    line.push_str(" [");
    push_escaped(&mut line, context, MAX_CONTEXT_BYTES);
    line.push_str("] ");
    push_escaped(&mut line, message, MAX_MESSAGE_BYTES);
    line.push('\n');
    line
}

/// Adds at most `most` bytes and an ellipsis. What would move the cursor, or show text in another order than it has, is
/// written as Rust writes it: `\n`, `\u{1b}`.
fn push_escaped(line: &mut String, text: &str, most: usize) {
    let end = line.len().saturating_add(most);
    for character in text.chars() {
        let before = line.len();
        match character {
            _ if moves(character) => {
                // Writing to a String does not fail.
                let _ = write!(line, "{}", character.escape_default());
            }
            _ => line.push(character),
        }
        if line.len() > end {
            line.truncate(before);
            line.push('…');
            return;
        }
    }
}

/// Control characters, line and paragraph separators, and those of Unicode's bidirectional algorithm (UAX #9, table 1).
fn moves(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Bytes of a context that are kept.
const MAX_CONTEXT_BYTES: usize = 256;
/// Bytes of a message that are kept.
const MAX_MESSAGE_BYTES: usize = 8 << 10;
/// A line as such is as dear as moving this many bytes.
const LINE_FUEL: u64 = 100 / BYTE_FUEL;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("INFO", "shop", "3 größer sold"), "INFO [shop] 3 größer sold\n");
        assert_eq!(line("WARN", "", ""), "WARN [] \n");
        let forged = line("INFO", "a\n", "b\r\nERROR [x] \u{1b}[2J\u{202e}\u{85}\u{2028}");
        assert_eq!(forged, "INFO [a\\n] b\\r\\nERROR [x] \\u{1b}[2J\\u{202e}\\u{85}\\u{2028}\n");
    }

    #[test]
    fn a_line_is_bounded() {
        let long = line("INFO", &"ü".repeat(1_000), &"x".repeat(100_000));
        assert_eq!(long.matches('…').count(), 2);
        assert!(long.len() < MAX_CONTEXT_BYTES + MAX_MESSAGE_BYTES + 30, "{}", long.len());
        let escaped = line("INFO", "", &"\n".repeat(100_000));
        assert!(escaped.len() < MAX_MESSAGE_BYTES + 30);
        assert!(escaped.ends_with("\\n…\n"), "no escape is cut in two");
        let exact = line("INFO", "", &"x".repeat(MAX_MESSAGE_BYTES));
        assert!(!exact.contains('…'));
    }
}
