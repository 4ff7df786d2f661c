//! `doctor`: what this machine has and lacks for an enclave.
//!
//! Each check is one line: what was looked at, what was found, and what to do about it. A check that is *lacking* keeps `serve` from
//! working in the mode that was asked for; *advice* does not.

mod files;
mod hardware;
mod image;
mod system;

use super::{quoting, serve};
use crate::arguments::{DeviceChoice, DoctorArguments};
use crate::failure::Failure;
use crate::output::{Paint, Printer, printable};
use crate::settings::default_state_path;
use cloister_host::{DeviceKind, PROVIDER_CONFIGURATION, Processor, QuotingSettings, TpmPath};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Looks at everything, prints it, and ends with 0 where the machine can serve in the mode that was asked for.
pub(crate) fn doctor(arguments: &DoctorArguments, printer: &Printer) -> Result<ExitCode, Failure> {
    let machine = Machine::this(arguments)?;
    let report = Report::of(&machine);
    printer.result(&report, || report.text(printer.paint))?;
    Ok(if report.can_serve { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is looked at.
#[derive(Debug)]
struct Machine {
    /// In place of `/`, for tests.
    root: PathBuf,
    processor: Processor,
    device: DeviceKind,
    /// `Err` says why the options or the quote provider's configuration are wrong.
    quoting: Result<QuotingSettings, String>,
    /// The image and its signature, or where they were looked for.
    image: Result<(PathBuf, PathBuf), String>,
    state: PathBuf,
    tpm: Option<TpmPath>,
}

impl Machine {
    fn this(arguments: &DoctorArguments) -> Result<Self, Failure> {
        let device = match arguments.device {
            DeviceChoice::Auto => DeviceKind::detect(),
            DeviceChoice::Soft => DeviceKind::Soft,
            DeviceChoice::Sgx => DeviceKind::Hardware,
        };
        let quoting = quoting::settings(&arguments.quoting, device, Path::new(PROVIDER_CONFIGURATION))
            .map(|settings| QuotingSettings { patience: PATIENCE, ..settings })
            .map_err(|error| error.to_string());
        let image = serve::image(arguments.image.as_deref(), &serve::image_places())
            .map(|image| {
                let beside = image.with_extension("sigstruct");
                (image, arguments.sigstruct.clone().unwrap_or(beside))
            })
            .map_err(|error| error.to_string());
        let state = match &arguments.state {
            Some(state) => state.clone(),
            None => default_state_path()?,
        };
        let (root, processor) = (PathBuf::from("/"), Processor::read());
        Ok(Self { root, processor, device, quoting, image, state, tpm: arguments.tpm.clone() })
    }

    /// A path of the system: `dev/sgx_enclave`.
    fn system(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn on_hardware(&self) -> bool {
        self.device == DeviceKind::Hardware
    }
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    device: &'static str,
    can_serve: bool,
    checks: Vec<Finding>,
}

impl Report {
    fn of(machine: &Machine) -> Self {
        let mut checks = hardware::processor(machine);
        checks.extend(hardware::driver(machine));
        checks.extend(system::findings(machine));
        checks.extend(hardware::quoting(machine));
        checks.extend(image::findings(machine));
        checks.extend(files::findings(machine));
        let can_serve = checks.iter().all(|finding| finding.state != State::Lacking);
        let device = if machine.on_hardware() { "sgx" } else { "soft" };
        Self { device, can_serve, checks }
    }

    fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for Finding { check, state, detail, remedy } in &self.checks {
            let mark = match state {
                State::Ok => paint.green("ok     "),
                State::Advice => paint.yellow("advice "),
                State::Lacking => paint.red("LACKING"),
            };
            let _ = writeln!(text, "{mark}  {check:<16} {}", printable(detail));
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "{:26}{}", "", printable(remedy));
            }
        }
        let verdict = match (self.can_serve, self.device) {
            (true, "soft") => {
                paint.yellow("This machine can serve with --device soft: SIMULATED, which protects nothing")
            }
            (true, _) => paint.green("This machine can serve with --device sgx"),
            (false, device) => paint.red(&format!("This machine cannot serve with --device {device}")),
        };
        let _ = writeln!(text, "\n{verdict}");
        text
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, state: State::Ok, detail: detail.into(), remedy: None }
    }

    fn advice(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Advice, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    fn lacking(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Lacking, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    /// Lacking on hardware; elsewhere it is not needed.
    fn for_hardware(machine: &Machine, found: Self) -> Self {
        match (machine.device, found.state) {
            (DeviceKind::Soft, State::Lacking | State::Advice) => Self {
                state: State::Ok,
                detail: format!("{}; not needed for --device soft", found.detail),
                remedy: None,
                ..found
            },
            _ => found,
        }
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Advice,
    Lacking,
}

/// For each answer of a quoting service: whoever asks is waiting.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
