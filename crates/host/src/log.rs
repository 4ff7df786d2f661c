//! Where the host's own lines and the enclave's standard output and error go. Nothing else is logged.

use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// Receives complete lines, without their end.
#[derive(Clone)]
pub struct LogSink(Arc<Write>);

impl LogSink {
    /// Calls `sink` with each line.
    pub fn new(sink: impl Fn(LogSource, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Lines go to the process's standard error, behind the name of their source.
    pub fn stderr() -> Self {
        Self::new(|source, line| {
            // Nowhere is left to say that standard error is closed.
            let _ = writeln!(std::io::stderr().lock(), "{source}: {line}");
        })
    }

    /// Lines are dropped.
    pub fn discard() -> Self {
        Self::new(|_, _| {})
    }

    pub(crate) fn line(&self, source: LogSource, line: &str) {
        (self.0)(source, line);
    }

    pub(crate) fn host(&self, line: &str) {
        self.line(LogSource::Host, line);
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

type Write = dyn Fn(LogSource, &str) + Send + Sync;

/// Who wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSource {
    Host,
    EnclaveOutput,
    EnclaveError,
}

impl fmt::Display for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::EnclaveOutput | Self::EnclaveError => "enclave",
        })
    }
}

/// Collects what the enclave writes into lines. Control characters are escaped, so that a line cannot steer a terminal.
#[derive(Debug)]
pub(crate) struct LogStream {
    source: LogSource,
    sink: LogSink,
    line: Mutex<Vec<u8>>,
}

impl LogStream {
    pub(crate) fn new(source: LogSource, sink: LogSink) -> Self {
        Self { source, sink, line: Mutex::default() }
    }

    /// Adds bytes, and logs the lines that they end. Lines longer than [`MAX_LINE`] are broken.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut line = lock(&self.line);
        for &byte in bytes {
            if byte == b'\n' {
                self.finish(&mut line);
                continue;
            }
            if line.len() == MAX_LINE {
                self.finish(&mut line);
            }
            line.push(byte);
        }
    }

    /// Logs a line that was begun.
    pub(crate) fn end(&self) {
        let mut line = lock(&self.line);
        if !line.is_empty() {
            self.finish(&mut line);
        }
    }

    fn finish(&self, line: &mut Vec<u8>) {
        let mut text = String::with_capacity(line.len());
        for character in String::from_utf8_lossy(line).chars() {
            match character {
                '\t' => text.push(' '),
                '\r' => {}
                control if control.is_control() => text.extend(control.escape_default()),
                plain => text.push(plain),
            }
        }
        line.clear();
        self.sink.line(self.source, &text);
    }
}

/// Longest line, in bytes.
const MAX_LINE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn collecting() -> (LogStream, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&lines);
        let sink = LogSink::new(move |source, line| lock(&theirs).push(format!("{source}: {line}")));
        (LogStream::new(LogSource::EnclaveError, sink), lines)
    }

    #[test]
    fn partial_writes_become_lines() {
        let (stream, lines) = collecting();
        stream.write(b"one\ntw");
        stream.write(b"o\n\nthree");
        assert_eq!(*lock(&lines), ["enclave: one", "enclave: two", "enclave: "]);
        stream.end();
        stream.end();
        assert_eq!(lock(&lines).len(), 4);
    }

    #[test]
    fn control_characters_and_invalid_text_are_made_harmless() {
        let (stream, lines) = collecting();
        stream.write(b"a\x1b[2Jb\tc\r\xff\n");
        assert_eq!(*lock(&lines), ["enclave: a\\u{1b}[2Jb c\u{fffd}"]);
    }

    #[test]
    fn long_lines_are_broken() {
        let (stream, lines) = collecting();
        stream.write(&[b'x'; 2 * MAX_LINE + 1]);
        assert_eq!(lock(&lines).len(), 2);
        stream.end();
        assert_eq!(lock(&lines).len(), 3);
    }
}
