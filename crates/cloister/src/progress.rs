//! What an upload and a compilation look like while they run, on standard error.

use crate::arguments::Format;
use crate::output::{Printer, printable};
use crate::quantity::{Size, grouped};
use cloister_api::DeployEvent;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Progress of one deploy: a bar on a terminal, plain lines in a log, nothing under `--quiet` and in JSON.
#[derive(Debug)]
pub(crate) enum Progress {
    Bar(ProgressBar),
    Lines(Lines),
    Silent,
}

impl Progress {
    /// The progress that fits the options and standard error.
    pub(crate) fn new(printer: &Printer) -> Self {
        if printer.quiet || printer.format == Format::Json {
            Self::Silent
        } else if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
            Self::Bar(bar)
        } else {
            Self::Lines(Lines::default())
        }
    }

    /// `sent` of `total` bytes are on their way.
    pub(crate) fn uploaded(&mut self, sent: u64, total: u64) {
        match self {
            Self::Bar(bar) => {
                if bar.length() != Some(total) {
                    bar.set_style(upload_style());
                    bar.set_length(total);
                    bar.set_message("uploading");
                }
                bar.set_position(sent);
            }
            Self::Lines(lines) => say(lines.uploaded(total)),
            Self::Silent => {}
        }
    }

    /// The enclave says how far it is.
    pub(crate) fn event(&mut self, event: &DeployEvent) {
        match self {
            Self::Bar(bar) => {
                if let Some(phase) = phase(event) {
                    bar.set_style(phase_style());
                    bar.set_message(phase);
                }
            }
            Self::Lines(lines) => say(lines.event(event)),
            Self::Silent => {}
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn finish(self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// How much of the volume was read or copied: a bar on a terminal, a line now and then in a log, nothing under `--quiet`
/// and in JSON.
#[derive(Debug)]
pub(crate) struct Meter {
    doing: &'static str,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    /// When the last line was said.
    Lines(Option<Instant>),
    Nothing,
}

impl Meter {
    /// The meter that fits the options and standard error. `doing` is what goes on, such as `checking`.
    pub(crate) fn new(doing: &'static str, printer: &Printer) -> Self {
        let shown = match Progress::new(printer) {
            Progress::Bar(bar) => {
                bar.set_message(doing);
                Shown::Bar(bar)
            }
            Progress::Lines(_) => Shown::Lines(None),
            Progress::Silent => Shown::Nothing,
        };
        Self { doing, shown }
    }

    /// So many bytes are done, of so many where that is known.
    pub(crate) fn reached(&mut self, done: u64, total: Option<u64>) {
        match &mut self.shown {
            Shown::Bar(bar) => {
                if total.is_some() && bar.length() != total {
                    bar.set_style(upload_style());
                    bar.set_length(total.unwrap_or_default());
                } else if total.is_none() {
                    bar.set_style(count_style());
                }
                bar.set_position(done);
            }
            Shown::Lines(said) => {
                if said.is_none_or(|said| said.elapsed() >= Duration::from_millis(LINE_EVERY_MS)) {
                    *said = Some(Instant::now());
                    say(Some(meter_line(self.doing, done, total)));
                }
            }
            Shown::Nothing => {}
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

fn meter_line(doing: &str, done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{doing}: {} of {}", Size(done), Size(total)),
        None => format!("{doing}: {}", Size(done)),
    }
}

/// Lines for a log: one for each phase, and one now and then while compiling.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    uploading: bool,
    said: Option<String>,
    said_at_ms: u64,
}

impl Lines {
    fn uploaded(&mut self, total: u64) -> Option<String> {
        let first = !self.uploading;
        self.uploading = true;
        first.then(|| format!("uploading {}", Size(total)))
    }

    fn event(&mut self, event: &DeployEvent) -> Option<String> {
        let phase = phase(event)?;
        let changed = self.said.as_ref() != Some(&phase);
        match event {
            DeployEvent::Compiling { elapsed_ms, .. } => {
                if !changed && elapsed_ms.saturating_sub(self.said_at_ms) < LINE_EVERY_MS {
                    return None;
                }
                self.said_at_ms = *elapsed_ms;
                self.said = Some(phase.clone());
                Some(format!("{phase} ({} s)", elapsed_ms / 1000))
            }
            _ if changed => {
                self.said = Some(phase.clone());
                Some(phase)
            }
            _ => None,
        }
    }
}

fn phase(event: &DeployEvent) -> Option<String> {
    Some(match event {
        DeployEvent::Received { bytes, code_hash } => {
            format!("received {}, SHA-256 {}", Size(*bytes), printable(code_hash))
        }
        DeployEvent::Queued => "waiting: another component is being compiled".to_owned(),
        DeployEvent::Compiling { functions: 0, .. } => "compiling".to_owned(),
        DeployEvent::Compiling { functions, .. } => format!("compiling {} functions", grouped(*functions)),
        DeployEvent::Deployed { .. } | DeployEvent::Failed { .. } => return None,
    })
}

fn say(line: Option<String>) {
    if let Some(line) = line {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

fn upload_style() -> ProgressStyle {
    let template = "{spinner} {msg} {bar:30} {bytes}/{total_bytes} {elapsed}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn phase_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn count_style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {bytes} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

const TICK: Duration = Duration::from_millis(100);
const LINE_EVERY_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn compiling(elapsed_ms: u64) -> DeployEvent {
        DeployEvent::Compiling { functions: 1234, elapsed_ms }
    }

    #[test]
    fn a_log_gets_one_line_a_phase_and_one_every_ten_seconds() {
        let mut lines = Lines::default();
        assert_eq!(lines.uploaded(2048), Some("uploading 2 KiB".into()));
        assert_eq!(lines.uploaded(2048), None);
        let received = DeployEvent::Received { bytes: 2048, code_hash: "ab".into() };
        assert_eq!(lines.event(&received), Some("received 2 KiB, SHA-256 ab".into()));
        assert!(lines.event(&DeployEvent::Queued).unwrap().starts_with("waiting"));
        assert_eq!(lines.event(&DeployEvent::Queued), None);
        assert_eq!(lines.event(&compiling(0)), Some("compiling 1,234 functions (0 s)".into()));
        assert_eq!(lines.event(&compiling(9_000)), None);
        assert_eq!(lines.event(&compiling(10_500)), Some("compiling 1,234 functions (10 s)".into()));
        assert_eq!(lines.event(&compiling(11_000)), None);
    }

    #[test]
    fn the_bar_takes_every_event() {
        let bar = ProgressBar::hidden();
        let mut progress = Progress::Bar(bar.clone());
        progress.uploaded(10, 100);
        assert_eq!((bar.position(), bar.length(), bar.message().as_str()), (10, Some(100), "uploading"));
        progress.event(&compiling(1));
        assert_eq!(bar.message(), "compiling 1,234 functions");
        progress.finish();
        assert!(bar.is_finished());
    }

    #[test]
    fn a_meter_knows_the_total_or_not() {
        assert_eq!(meter_line("checking", 4 << 20, Some(16 << 20)), "checking: 4 MiB of 16 MiB");
        assert_eq!(meter_line("copying", 4096, None), "copying: 4 KiB");
        let bar = ProgressBar::hidden();
        let mut meter = Meter { doing: "checking", shown: Shown::Bar(bar.clone()) };
        meter.reached(10, None);
        meter.reached(10, Some(100));
        assert_eq!((bar.position(), bar.length()), (10, Some(100)));
        meter.finish();
        assert!(bar.is_finished());
    }

    #[test]
    fn the_templates_are_valid() {
        assert!(
            ProgressStyle::with_template("{spinner} {msg} {bar:30} {bytes}/{total_bytes} {elapsed}").is_ok()
        );
        assert!(ProgressStyle::with_template("{spinner} {msg} {elapsed}").is_ok());
        assert!(ProgressStyle::with_template("{spinner} {msg} {bytes} {elapsed}").is_ok());
    }
}
