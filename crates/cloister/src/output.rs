//! What commands print, as text for people or JSON for programs.

mod app;
mod egress;

pub(crate) use app::{ShownIssuer, access, deployed, description, issuers, network};
pub(crate) use egress::egress;

use crate::arguments::{Color, Format, GlobalArguments};
use crate::failure::Failure;
use crate::quantity::{Size, elapsed, grouped};
use cloister_api::{
    AppList, CallResponse, FreshnessSetting, Removal, RunEnd, StorageUsage, VolumeStatistics,
};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

/// Where and how a command prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    /// Of standard output.
    pub(crate) paint: Paint,
    /// Of standard error.
    pub(crate) error_paint: Paint,
}

impl Printer {
    /// The printer that the options and the terminal ask for.
    pub(crate) fn new(global: &GlobalArguments) -> Self {
        Self {
            format: global.format,
            quiet: global.quiet,
            paint: Paint::choose(global.color, io::stdout().is_terminal()),
            error_paint: Paint::choose(global.color, io::stderr().is_terminal()),
        }
    }

    /// Prints a result on standard output: `value` as one JSON text, or `text` for people.
    pub(crate) fn result(
        &self,
        value: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                let json = serde_json::to_string(value).map_err(|e| Failure::Internal(e.to_string()))?;
                self.raw(&format!("{json}\n"))
            }
            Format::Text => self.raw(&text()),
        }
    }

    /// Prints `text` on standard output as it is. A reader that has gone away is no failure.
    pub(crate) fn raw(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::Internal(format!("cannot write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Prints a hint on standard error; not under `--quiet` and not in JSON.
    pub(crate) fn hint(&self, text: &str) {
        if !self.quiet && self.format == Format::Text {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Prints why a command failed on standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        let text = match self.format {
            Format::Json => format!("{}\n", failure.json()),
            Format::Text => failure.text(self.error_paint),
        };
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    coloured: bool,
}

impl Paint {
    /// No colours.
    pub(crate) const PLAIN: Self = Self { coloured: false };

    /// Honours NO_COLOR (no-color.org) where the user did not say.
    pub(crate) fn choose(color: Color, terminal: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let coloured = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        };
        Self { coloured }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("1;33", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `text` without control characters, other than newline and tab, and without characters that reorder what is shown:
/// text from outside must not drive the terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(drives_terminal) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if drives_terminal(c) {
            let _ = write!(safe, "{}", c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Apps, one a line.
pub(crate) fn apps(list: &AppList) -> String {
    if list.apps.is_empty() {
        return "no apps; `cloister deploy FILE` makes one\n".to_owned();
    }
    let rows = list.apps.iter().map(|app| {
        [
            app.name.to_string(),
            Size(app.size).to_string(),
            app.code_hash.clone(),
            app.owner.chars().take(16).collect(),
        ]
    });
    table(["NAME", "SIZE", "CODE HASH", "OWNER"], rows)
}

/// A call's result: WAVE as it is, JSON indented; nothing where the function returns nothing.
pub(crate) fn result(response: &CallResponse) -> String {
    match &response.result {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(wave) => format!("{}\n", printable(wave)),
        json => format!("{json:#}\n"),
    }
}

/// A call's JSON result: unlike [`result`], a string keeps its quotes and nothing is `null`.
pub(crate) fn json_result(response: &CallResponse) -> String {
    printable(&format!("{:#}\n", response.result)).into_owned()
}

/// What a call cost, on one line without its end, and in which epoch its writes are durable.
pub(crate) fn cost(response: &CallResponse) -> String {
    let epoch = response.epoch.map(|epoch| format!(", epoch {epoch}")).unwrap_or_default();
    format!(
        "fuel {}, {}{epoch}, code {}",
        grouped(response.fuel),
        elapsed(response.wall_us),
        printable(&response.code_hash)
    )
}

/// What a run cost, as [`cost`].
pub(crate) fn run_cost(end: &RunEnd) -> String {
    let epoch = end.epoch.map(|epoch| format!(", epoch {epoch}")).unwrap_or_default();
    let (fuel, wall) = (grouped(end.fuel), elapsed(end.wall_us));
    format!("exit code {}, fuel {fuel}, {wall}{epoch}, code {}", end.exit_code, printable(&end.code_hash))
}

/// Bytes that come in pieces, as text: what is no UTF-8 is replaced, and characters are whole.
#[derive(Debug, Default)]
pub(crate) struct TextPieces(Vec<u8>);

impl TextPieces {
    /// The text that is complete with this piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> String {
        self.0.extend_from_slice(piece);
        let whole = match self.0.utf8_chunks().last() {
            // At most three bytes that may become a character.
            Some(last)
                if std::str::from_utf8(last.invalid()).is_err_and(|error| error.error_len().is_none()) =>
            {
                self.0.len() - last.invalid().len()
            }
            _ => self.0.len(),
        };
        let rest = self.0.split_off(whole);
        String::from_utf8_lossy(&std::mem::replace(&mut self.0, rest)).into_owned()
    }
}

/// What went with an app.
pub(crate) fn removed(removal: &Removal) -> String {
    let Removal { name, files, bytes, keys } = removal;
    format!("removed {name}, with {} ({}) and {}\n", counted_files(*files), Size(*bytes), counted_keys(*keys))
}

/// The volume in numbers, and what each app keeps in it.
pub(crate) fn volume(statistics: &VolumeStatistics) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {}", printable(value));
    };
    let VolumeStatistics { epoch, root, disk_bytes, used_bytes, free_bytes, dirty_bytes, .. } = statistics;
    field("epoch", &epoch.to_string());
    field("root", root);
    field(
        "freshness",
        match statistics.freshness {
            FreshnessSetting::None => "none: nothing keeps an older disk from being put back at a restart",
            FreshnessSetting::Tpm => "a TPM's counter: older disks are refused",
        },
    );
    field(
        "disk",
        &format!("{}, of which {} used and {} free", Size(*disk_bytes), Size(*used_bytes), Size(*free_bytes)),
    );
    field("unwritten", &Size(*dirty_bytes).to_string());
    field("commits", &format!("{} since the enclave started", grouped(statistics.commits)));
    let blocks = statistics.cache_hits.saturating_add(statistics.cache_misses);
    let share = statistics.cache_hits.saturating_mul(100).checked_div(blocks).unwrap_or(0);
    field("cache", &format!("{share} % of {} blocks were in memory", grouped(blocks)));
    if statistics.apps.is_empty() {
        return text;
    }
    let rows = statistics.apps.iter().map(|(name, usage)| {
        let StorageUsage { bytes, files, keys, key_bytes } = *usage;
        [
            name.to_string(),
            grouped(files),
            Size(bytes).to_string(),
            grouped(keys),
            Size(key_bytes).to_string(),
        ]
    });
    text.push('\n');
    text.push_str(&table(["APP", "FILES", "SIZE", "KEYS", "SIZE"], rows));
    text
}

fn counted_files(files: u64) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{} files", grouped(files)) }
}

fn counted_keys(keys: u64) -> String {
    if keys == 1 { "1 key".to_owned() } else { format!("{} keys", grouped(keys)) }
}

fn table<const N: usize>(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned))
        .chain(rows.map(|row| row.map(|cell| printable(&cell).into_owned())))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (i, cell) in row.iter().enumerate() {
            let width =
                rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0);
            let _ = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn drives_terminal(c: char) -> bool {
    // Unicode Technical Standard 55, section 5.1: characters that reorder text.
    let reorders =
        matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || reorders
}

#[cfg(test)]
mod tests;
