//! How a command fails: the exit code, the words for people, the JSON for programs.

use crate::commands::BuildError;
use crate::output::{Paint, printable};
use crate::profile::ProfileError;
use crate::quantity::grouped;
use cloister_api::{Code, Problem, Trap};
use serde::Serialize;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments fit the grammar but not each other or this machine.
    #[error("{what}")]
    Usage { what: String, help: Option<String> },
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The app of a project cannot be built, or an enclave would not take it.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A file that is named as a policy says too little, too much, or something else.
    #[error("{} cannot be used as a policy: {}", path.display(), faults.join("; "))]
    Policy { path: PathBuf, faults: Vec<String> },
    #[error("cannot {action} {}: {source}", path.display())]
    File { action: FileAction, path: PathBuf, source: io::Error },
    #[error("cannot connect to {host}: {reason}")]
    Connect { host: String, reason: String },
    /// The user has not said which enclave to accept, so nothing was sent.
    #[error("no enclave image is pinned, so {host} was not asked")]
    Unpinned { host: String },
    /// The enclave, its code or its hardware is not what the user accepts, so nothing was sent.
    #[error("{host} is refused, and nothing was sent to it: {}", reasons.join("; "))]
    Refused { host: String, reasons: Vec<String>, help: Option<String> },
    /// The enclave refused the request, or the call failed.
    #[error("{}", problem.detail)]
    Problem { problem: Box<Problem>, help: Option<String> },
    /// A command that ran ended otherwise than by itself.
    #[error("{}", problem.detail)]
    Ended { problem: Box<Problem>, help: Option<String> },
    #[error("{host} answered what is not the protocol: {reason}")]
    Protocol { host: String, reason: String },
    /// Other code answered than the one that is pinned; its answer was dropped.
    #[error("{reason}")]
    OtherCode { reason: String },
    #[error("the session with {host} ended: {reason}")]
    Lost { host: String, reason: String },
    /// A check of the volume found damage; the result lists it.
    #[error("the volume is damaged in {}", counted_places(*.places))]
    Damaged { places: u64 },
    /// The enclave ended or could not be started.
    #[error("{what}")]
    Enclave { what: String, help: Option<String> },
    #[error("{0}")]
    Internal(String),
}

/// What was to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileAction {
    Read,
    Write,
    Create,
}

impl std::fmt::Display for FileAction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Create => "create",
        })
    }
}

/// The exit codes that scripts may rely on; `docs/cli.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(u8)]
pub(crate) enum Exit {
    Internal = 1,
    Usage = 2,
    Connect = 3,
    Refused = 4,
    Request = 5,
    Guest = 6,
    Server = 7,
    /// Of `run` alone: what shells say of a program that SIGABRT ended, as other Wasm runtimes do for a trap.
    Trapped = 134,
}

impl Failure {
    /// A failure of the arguments.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), help: None }
    }

    /// A failure that the enclave reported, with the advice that fits its code.
    pub(crate) fn problem(problem: Problem) -> Self {
        let help = advice(problem.code).map(str::to_owned);
        Self::Problem { problem: Box::new(problem), help }
    }

    /// The end of a command that ran: [`Ended`](Self::Ended) where the guest is the reason.
    pub(crate) fn ended(problem: Box<Problem>, help: Option<String>) -> Self {
        match of_problem(&problem) {
            Exit::Guest => Self::Ended { problem, help },
            _ => Self::Problem { problem, help },
        }
    }

    /// The code with which the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. }
            | Self::Profile(_)
            | Self::File { .. }
            | Self::Build(_)
            | Self::Policy { .. } => Exit::Usage,
            Self::Connect { .. } => Exit::Connect,
            Self::Unpinned { .. } | Self::Refused { .. } | Self::OtherCode { .. } => Exit::Refused,
            Self::Problem { problem, .. } => of_problem(problem),
            Self::Ended { .. } => Exit::Trapped,
            Self::Protocol { .. } | Self::Lost { .. } | Self::Damaged { .. } => Exit::Server,
            Self::Enclave { .. } | Self::Internal(_) => Exit::Internal,
        }
    }

    /// For people: what happened, to what, and what to do; ends with a newline.
    pub(crate) fn text(&self, paint: Paint) -> String {
        let mut text = format!("{}[{}]: ", paint.red("error"), self.code());
        match self {
            Self::Refused { host, reasons, .. } => {
                let _ = write!(text, "{host} is refused, and nothing was sent to it");
                for reason in reasons {
                    let _ = write!(text, "\n  {} {}", paint.red("✗"), printable(reason));
                }
            }
            Self::Policy { path, faults } => {
                let path = path.display().to_string();
                let _ = write!(text, "{} cannot be used as a policy", printable(&path));
                for fault in faults {
                    let _ = write!(text, "\n  {} {}", paint.red("✗"), printable(fault));
                }
            }
            Self::Problem { problem, .. } | Self::Ended { problem, .. } if problem.detail.is_empty() => {
                text.push_str(&printable(&problem.title))
            }
            other => text.push_str(&printable(&other.to_string())),
        }
        text.push('\n');
        if let Some(trap) = self.trap() {
            text.push_str(&trap_text(trap));
        }
        if !self.suggestions().is_empty() {
            let _ = writeln!(text, "  did you mean: {}", printable(&self.suggestions().join(", ")));
        }
        if let Some(help) = self.help() {
            for (i, line) in help.lines().enumerate() {
                let lead = if i == 0 { "help:" } else { "     " };
                let _ = writeln!(text, "  {} {line}", paint.bold(lead));
            }
        }
        text
    }

    /// For programs: RFC 9457 problem details, with the exit code; one line.
    pub(crate) fn json(&self) -> String {
        let report = Report {
            uri: format!("urn:cloister:problem:{}", self.code()),
            title: self.title(),
            status: match self {
                Self::Problem { problem, .. } | Self::Ended { problem, .. } => Some(problem.status),
                _ => None,
            },
            detail: self.to_string(),
            code: self.code(),
            exit_code: self.exit() as u8,
            suggestions: self.suggestions(),
            reasons: match self {
                Self::Refused { reasons, .. } => reasons,
                Self::Policy { faults, .. } => faults,
                _ => &[],
            },
            trap: self.trap(),
            help: self.help(),
        };
        serde_json::to_string(&report).unwrap_or_else(|_| format!("{{\"code\":\"{}\"}}", self.code()))
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Usage { .. } => "usage",
            Self::Profile(_) => "profile",
            Self::Build(_) => "build",
            Self::Policy { .. } => "policy",
            Self::File { .. } => "file",
            Self::Connect { .. } => "cannot-connect",
            Self::Unpinned { .. } | Self::Refused { .. } | Self::OtherCode { .. } => "verification-refused",
            Self::Problem { problem, .. } | Self::Ended { problem, .. } => problem.code.as_str(),
            Self::Protocol { .. } => "protocol",
            Self::Lost { .. } => "connection-lost",
            Self::Damaged { .. } => "volume-damaged",
            Self::Enclave { .. } => "enclave",
            Self::Internal(_) => "internal-cli",
        }
    }

    fn title(&self) -> &str {
        match self {
            Self::Usage { .. } => "Wrong usage",
            Self::Profile(_) => "The profile file cannot be used",
            Self::Build(_) => "The app cannot be built",
            Self::Policy { .. } => "The policy file cannot be used",
            Self::File { .. } => "A file cannot be used",
            Self::Connect { .. } => "Cannot connect",
            Self::Unpinned { .. } | Self::Refused { .. } | Self::OtherCode { .. } => "Verification refused",
            Self::Problem { problem, .. } | Self::Ended { problem, .. } => &problem.title,
            Self::Protocol { .. } => "Not the protocol",
            Self::Lost { .. } => "Connection lost",
            Self::Damaged { .. } => "The volume is damaged",
            Self::Enclave { .. } => "The enclave cannot run",
            Self::Internal(_) => "Internal error of the command line",
        }
    }

    fn suggestions(&self) -> &[String] {
        match self {
            Self::Problem { problem, .. } | Self::Ended { problem, .. } => &problem.suggestions,
            Self::Profile(ProfileError::Unknown { suggestions, .. }) => suggestions,
            Self::Build(error) => error.suggestions(),
            _ => &[],
        }
    }

    fn trap(&self) -> Option<&Trap> {
        match self {
            Self::Problem { problem, .. } | Self::Ended { problem, .. } => problem.trap.as_ref(),
            _ => None,
        }
    }

    fn help(&self) -> Option<&str> {
        match self {
            Self::Usage { help, .. }
            | Self::Refused { help, .. }
            | Self::Problem { help, .. }
            | Self::Ended { help, .. }
            | Self::Enclave { help, .. } => help.as_deref(),
            Self::Unpinned { .. } => Some(HOW_TO_PIN),
            Self::Connect { .. } => {
                Some("is `cloister serve` running there? --host or the profile says where to connect")
            }
            Self::Damaged { .. } => Some(
                "what is intact stays usable; the operator can put back a backup with `cloister volume restore`",
            ),
            Self::Profile(ProfileError::Unknown { .. }) => Some("`cloister profile show` lists the profiles"),
            Self::Build(error) => error.help(),
            Self::Policy { .. } => Some(
                "`cloister policy init` writes one with every decision in it; docs/policy.md says what each is",
            ),
            _ => None,
        }
    }
}

/// The names in `known` that `name` was perhaps meant to be, nearest first.
pub(crate) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(usize, &str)> = known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.chars().count() / 3))
        .collect();
    scored.sort();
    scored.into_iter().take(MAX_SUGGESTIONS).map(|(_, candidate)| candidate.to_owned()).collect()
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(rename = "type")]
    uri: String,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    detail: String,
    code: &'a str,
    exit_code: u8,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    suggestions: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reasons: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    trap: Option<&'a Trap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

fn of_problem(problem: &Problem) -> Exit {
    match problem.code {
        Code::GuestTrapped
        | Code::OutOfFuel
        | Code::LimitExceeded
        | Code::ResultTooLarge
        | Code::TimedOut
        | Code::GuestExited => Exit::Guest,
        Code::CodeChanged => Exit::Refused,
        Code::NotConfigured => Exit::Request,
        _ if (400..500).contains(&problem.status) => Exit::Request,
        _ => Exit::Server,
    }
}

fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Unauthenticated => {
            "name your key with --key FILE, which `cloister keygen` makes, or your token with --token FILE; \
             `cloister verify` shows what the app accepts"
        }
        Code::InvalidToken => {
            "get a new token from its issuer; `cloister verify` shows which issuers and audiences are accepted"
        }
        Code::IssuerUnavailable => {
            "whether the token is good was not found out: try again when the enclave can reach its issuer"
        }
        Code::Forbidden => {
            "an enclave obeys the owners that `cloister serve` was given, an app the owner that deployed it and the callers \
             that `cloister verify` shows"
        }
        Code::UpgradeFrozen => {
            "its data stays with this code; `cloister deploy --name` puts the new one beside it, `cloister remove` ends it"
        }
        Code::EndorsementMissing => {
            "each endorser runs `cloister endorse` with this component and these options; name the files with --endorsement"
        }
        Code::UpgradeRefused => {
            "the volume's first start fixed which images may follow (`cloister serve --image-upgrade`); `cloister verify` shows it"
        }
        Code::AppExists => "`cloister replace` puts new code in its place; --name deploys under another name",
        Code::UnknownApp => "`cloister apps` lists what is deployed",
        Code::UnknownExport => "`cloister describe APP` lists the functions",
        Code::MalformedArguments | Code::WrongArguments => {
            "`cloister describe APP` shows the types; in WAVE a string keeps its quotes: '\"text\"'"
        }
        Code::NotConfigured => {
            "its owner configures it first: `cloister describe APP` names the function, `cloister call` calls it"
        }
        Code::NotACommand => "`cloister describe APP` lists what it has; `cloister call` calls a function",
        Code::InvalidBundle => "--files is for new apps, --max-storage and --max-files bound them",
        Code::OutOfFuel => "deploy it with more: --fuel",
        Code::ResultTooLarge => "deploy it with more: --result-size",
        Code::TimedOut => "deploy it with more: --timeout",
        Code::LimitExceeded => "deploy it with more: --memory, --table-elements, --instances, --handles",
        Code::CodePoolFull => {
            "`cloister remove` an app that is not needed, or serve an image with a larger code pool"
        }
        Code::CodeChanged => {
            "`cloister verify` shows what answers now; its owner replaced it since you connected"
        }
        Code::Busy => "try again in a moment",
        Code::StorageUnavailable => {
            "the call may not have happened; try again, and ask the operator to look at the log of `cloister serve`"
        }
        Code::StorageFull => {
            "remove what is not needed, or ask the operator for more: `cloister serve --volume-size`"
        }
        Code::AppDamaged => {
            "`cloister volume check` lists the damage; the operator can put back a backup with `cloister volume restore`"
        }
        _ => return None,
    })
}

fn counted_places(places: u64) -> String {
    if places == 1 { "1 place".to_owned() } else { format!("{} places", grouped(places)) }
}

fn trap_text(trap: &Trap) -> String {
    let mut text = format!("  reason: {}\n  fuel: {}\n", printable(&trap.reason), grouped(trap.fuel));
    if !trap.backtrace.is_empty() {
        text.push_str("  backtrace, innermost first:\n");
    }
    for (i, frame) in trap.backtrace.iter().enumerate() {
        let name = frame.function.as_deref().unwrap_or("<unnamed>");
        let _ = write!(text, "  {i:>4}: {}  (function {}", printable(name), frame.index);
        if let Some(offset) = frame.offset {
            let _ = write!(text, ", offset {offset:#x}");
        }
        text.push_str(")\n");
    }
    text
}

/// What to do where no image is pinned.
pub(crate) const HOW_TO_PIN: &str = "\
pin the image that you built or reviewed: --mrenclave HEX, once and for all with
`cloister profile set default --mrenclave HEX`; `cloister serve` and `cargo xtask image` print it,
`cloister verify` shows what the enclave says of itself (which alone proves nothing)";

/// More names than these do not help.
const MAX_SUGGESTIONS: usize = 3;

#[cfg(test)]
mod tests;
