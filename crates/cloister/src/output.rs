//! What commands print, as text for people or JSON for programs.

use crate::arguments::{Color, Format, GlobalArguments};
use crate::failure::Failure;
use crate::quantity::{Size, elapsed, grouped};
use cloister_api::{
    AppDescription, AppList, CallResponse, ExportDescription, FreshnessSetting, FunctionCounters, Removal,
    StorageUsage, VolumeStatistics,
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

/// Everything about one app.
pub(crate) fn description(app: &AppDescription, paint: Paint) -> String {
    let limits = &app.limits;
    let mut text = format!("{}\n", paint.bold(app.summary.name.as_str()));
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<12} {}", printable(value));
    };
    field("code hash", &app.summary.code_hash);
    field("size", &Size(app.summary.size).to_string());
    field("owner", &app.summary.owner);
    field(
        "native code",
        &format!("{}, compiled in {}", Size(app.code_bytes), elapsed(app.compile_ms.saturating_mul(1000))),
    );
    field(
        "limits",
        &format!(
            "fuel {}, memory {}, time {}, result {}, log {}, storage {}, files {}",
            grouped(limits.fuel),
            Size(limits.memory),
            elapsed(limits.wall_time_ms.saturating_mul(1000)),
            Size(limits.result),
            Size(limits.log),
            Size(limits.storage),
            grouped(limits.files)
        ),
    );
    field("storage", &stored(&app.storage));
    if !app.environment.is_empty() {
        field("environment", &format!("{} (values are secret)", app.environment.join(", ")));
    }
    if !app.imports.is_empty() {
        field("imports", &app.imports.join("\n               "));
    }
    text.push_str("functions\n");
    for export in &app.exports {
        let _ = writeln!(text, "  {}", printable(&signature(export)));
        if let Some(reason) = &export.not_callable {
            let _ = writeln!(text, "      cannot be called: {}", printable(reason));
        }
        if let Some(counters) = app.functions.get(&export.name) {
            let _ = writeln!(text, "      {}", counted(counters));
        }
    }
    let _ = writeln!(text, "all calls\n  {}", counted(&app.total));
    text
}

/// What deploying an app led to.
pub(crate) fn deployed(app: &AppDescription, verb: &str, paint: Paint) -> String {
    let mut text = format!(
        "{} {} ({}, compiled in {})\n  code hash {}\n",
        paint.green(verb),
        paint.bold(app.summary.name.as_str()),
        Size(app.summary.size),
        elapsed(app.compile_ms.saturating_mul(1000)),
        printable(&app.summary.code_hash)
    );
    for export in app.exports.iter().filter(|export| export.not_callable.is_none()) {
        let _ = writeln!(text, "  {}", printable(&signature(export)));
    }
    text
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

fn stored(usage: &StorageUsage) -> String {
    let StorageUsage { bytes, files, keys, key_bytes } = *usage;
    format!("{} ({}) and {} ({})", counted_files(files), Size(bytes), counted_keys(keys), Size(key_bytes))
}

fn counted_files(files: u64) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{} files", grouped(files)) }
}

fn counted_keys(keys: u64) -> String {
    if keys == 1 { "1 key".to_owned() } else { format!("{} keys", grouped(keys)) }
}

fn signature(export: &ExportDescription) -> String {
    let parameters: Vec<String> = export.parameters.iter().map(|p| format!("{}: {}", p.name, p.ty)).collect();
    let result = export.result.as_deref().map(|ty| format!(" -> {ty}")).unwrap_or_default();
    format!("{}({}){result}", export.name, parameters.join(", "))
}

fn counted(counters: &FunctionCounters) -> String {
    if counters.calls == 0 {
        return "none yet".to_owned();
    }
    let mean = |total: u64| total / counters.calls;
    format!(
        "{} calls, {} errors; fuel {} to {}, mean {}; time {} to {}, mean {}",
        grouped(counters.calls),
        grouped(counters.errors),
        grouped(counters.fuel_min),
        grouped(counters.fuel_max),
        grouped(mean(counters.fuel_total)),
        elapsed(counters.wall_us_min),
        elapsed(counters.wall_us_max),
        elapsed(mean(counters.wall_us_total))
    )
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
mod tests {
    use super::*;
    use cloister_api::{AppSummary, Limits, ParameterDescription};
    use std::collections::BTreeMap;

    fn summary(name: &str, size: u64) -> AppSummary {
        AppSummary { name: name.parse().unwrap(), code_hash: "ab".repeat(32), size, owner: "cd".repeat(32) }
    }

    fn app() -> AppDescription {
        let counters = FunctionCounters {
            calls: 2,
            errors: 1,
            fuel_min: 1_000,
            fuel_max: 3_000,
            fuel_total: 4_000,
            wall_us_min: 10,
            wall_us_max: 2_000,
            wall_us_total: 2_010,
        };
        AppDescription {
            summary: summary("hello", 2_048),
            wit: "package a:b;".into(),
            limits: Limits::default(),
            environment: vec!["KEY".into()],
            imports: vec!["wasi:random/random@0.2.0".into()],
            exports: vec![
                ExportDescription {
                    name: "greet".into(),
                    parameters: vec![ParameterDescription { name: "name".into(), ty: "string".into() }],
                    result: Some("string".into()),
                    not_callable: None,
                },
                ExportDescription {
                    name: "ping".into(),
                    parameters: vec![],
                    result: None,
                    not_callable: None,
                },
                ExportDescription {
                    name: "open".into(),
                    parameters: vec![],
                    result: Some("own<file>".into()),
                    not_callable: Some("it returns a resource".into()),
                },
            ],
            code_bytes: 65_536,
            compile_ms: 20,
            storage: StorageUsage { bytes: 8_192, files: 1, keys: 1_200, key_bytes: 30_720 },
            total: counters.clone(),
            functions: BTreeMap::from([("greet".to_owned(), counters)]),
        }
    }

    #[test]
    fn apps_are_a_table() {
        let list = AppList { apps: vec![summary("hello", 2_048), summary("a", 12 << 20)] };
        let hash = "ab".repeat(32);
        assert_eq!(
            apps(&list),
            format!(
                "NAME   SIZE    CODE HASH{}OWNER\nhello  2 KiB   {hash}  cdcdcdcdcdcdcdcd\n\
                 a      12 MiB  {hash}  cdcdcdcdcdcdcdcd\n",
                " ".repeat(57)
            )
        );
        assert_eq!(apps(&AppList { apps: vec![] }), "no apps; `cloister deploy FILE` makes one\n");
    }

    #[test]
    fn a_description_shows_functions_limits_and_counters() {
        let expected = format!(
            "hello\n  code hash    {}\n  size         2 KiB\n  owner        {}\n  \
             native code  64 KiB, compiled in 20.0 ms\n  \
             limits       fuel 10,000,000, memory 64 MiB, time 30.00 s, result 1 MiB, log 64 KiB, storage 256 MiB, \
             files 10,000\n  storage      1 file (8 KiB) and 1,200 keys (30 KiB)\n  \
             environment  KEY (values are secret)\n  imports      wasi:random/random@0.2.0\n\
             functions\n  greet(name: string) -> string\n      \
             2 calls, 1 errors; fuel 1,000 to 3,000, mean 2,000; time 10 µs to 2.0 ms, mean 1.0 ms\n  ping()\n  open() -> own<file>\n      cannot be called: it returns a resource\n\
             all calls\n  2 calls, 1 errors; fuel 1,000 to 3,000, mean 2,000; time 10 µs to 2.0 ms, mean 1.0 ms\n",
            "ab".repeat(32),
            "cd".repeat(32)
        );
        assert_eq!(description(&app(), Paint::PLAIN), expected);
    }

    #[test]
    fn deploying_shows_the_hash_and_the_functions() {
        assert_eq!(
            deployed(&app(), "deployed", Paint::PLAIN),
            format!(
                "deployed hello (2 KiB, compiled in 20.0 ms)\n  code hash {}\n  greet(name: string) -> string\n  ping()\n",
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn results_are_wave_or_json() {
        let response = |result| CallResponse {
            result,
            fuel: 12_345,
            wall_us: 850,
            code_hash: "ab".repeat(32),
            epoch: None,
        };
        assert_eq!(result(&response(serde_json::json!("\"hi\""))), "\"hi\"\n");
        assert_eq!(result(&response(serde_json::json!(null))), "");
        assert_eq!(json_result(&response(serde_json::json!("hi"))), "\"hi\"\n");
        assert_eq!(json_result(&response(serde_json::json!({"a": 1}))), "{\n  \"a\": 1\n}\n");
        assert_eq!(json_result(&response(serde_json::json!(null))), "null\n");
        assert_eq!(
            cost(&response(serde_json::json!(1))),
            format!("fuel 12,345, 850 µs, code {}", "ab".repeat(32))
        );
        let stored = CallResponse { epoch: Some(1042), ..response(serde_json::json!(1)) };
        assert_eq!(cost(&stored), format!("fuel 12,345, 850 µs, epoch 1042, code {}", "ab".repeat(32)));
    }

    #[test]
    fn removing_says_what_went() {
        let removal = Removal { name: "hello".parse().unwrap(), files: 12, bytes: 1_536 << 10, keys: 1 };
        assert_eq!(removed(&removal), "removed hello, with 12 files (1.5 MiB) and 1 key\n");
    }

    #[test]
    fn the_volume_is_fields_and_a_table() {
        let usage = StorageUsage { bytes: 8_192, files: 3, keys: 2, key_bytes: 40 };
        let mut statistics = VolumeStatistics {
            epoch: 1042,
            root: "ab".repeat(32),
            freshness: FreshnessSetting::None,
            disk_bytes: 4 << 20,
            used_bytes: 3 << 20,
            free_bytes: 1 << 20,
            dirty_bytes: 0,
            commits: 1_200,
            cache_hits: 900,
            cache_misses: 100,
            apps: BTreeMap::from([("hello".parse().unwrap(), usage)]),
        };
        let expected = format!(
            "epoch      1042\nroot       {}\n\
             freshness  none: nothing keeps an older disk from being put back at a restart\n\
             disk       4 MiB, of which 3 MiB used and 1 MiB free\nunwritten  0 B\n\
             commits    1,200 since the enclave started\ncache      90 % of 1,000 blocks were in memory\n\n\
             APP    FILES  SIZE   KEYS  SIZE\nhello  3      8 KiB  2     40 B\n",
            "ab".repeat(32)
        );
        assert_eq!(volume(&statistics), expected);
        statistics.apps.clear();
        (statistics.cache_hits, statistics.cache_misses) = (0, 0);
        assert!(volume(&statistics).ends_with("cache      0 % of 0 blocks were in memory\n"));
    }

    #[test]
    fn text_from_outside_is_made_harmless() {
        assert_eq!(printable("a\tb\nc"), "a\tb\nc");
        assert_eq!(printable("\x1b]0;x\x07"), "\\u{1b}]0;x\\u{7}");
        assert_eq!(printable("a\u{202e}b\u{9b}"), "a\\u{202e}b\\u{9b}");
        assert_eq!(printable("äöü 漢字"), "äöü 漢字");
    }

    #[test]
    fn colour_is_for_terminals_unless_it_is_asked_for() {
        assert_eq!(Paint::choose(Color::Always, false).red("x"), "\x1b[1;31mx\x1b[0m");
        assert_eq!(Paint::choose(Color::Never, true).red("x"), "x");
        assert_eq!(Paint::choose(Color::Auto, false), Paint::PLAIN);
    }
}
