//! The client's errors in this program's words.

use crate::failure::{Failure, HOW_TO_PIN};
use crate::settings::{NamedPolicy, Settings};
use cloister_client::{Check, ClientError, Outcome, VerificationReport};

/// How far the session was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connecting,
    Request,
}

/// A failure before the session was verified.
pub(super) fn unconnected(error: ClientError, settings: &Settings) -> Failure {
    let pinned = !settings.accepts_nothing();
    match failure(error, &settings.host.to_string(), Phase::Connecting) {
        Failure::Refused { host, reasons, .. } if settings.policy.is_some() => {
            Failure::Refused { host, reasons, help: settings.policy.as_ref().map(by_file) }
        }
        Failure::Refused { host, reasons, .. } if !pinned => {
            Failure::Refused { host, reasons, help: Some(HOW_TO_PIN.to_owned()) }
        }
        other => other,
    }
}

fn by_file(named: &NamedPolicy) -> String {
    let path = named.path.display();
    format!("{path} decides what is accepted; `cloister policy explain {path}` says it in words")
}

/// The failure of what the client reports.
pub(super) fn failure(error: ClientError, host: &str, phase: Phase) -> Failure {
    let host = || host.to_owned();
    match error {
        ClientError::Refused(refused) => Failure::Refused {
            host: host(),
            reasons: reasons(&refused.report),
            help: advice(&refused.report).map(str::to_owned),
        },
        ClientError::NotAnEnclave { reason, .. } => Failure::Refused {
            host: host(),
            reasons: vec![format!("it does not answer as an enclave does: {reason}")],
            help: Some("is it a Cloister enclave? --host or the profile says where to connect".to_owned()),
        },
        ClientError::CodeHash { .. } | ClientError::Assets { .. } => {
            Failure::OtherCode { reason: error.to_string() }
        }
        ClientError::Tree(error) => crate::commands::upload::failed(error),
        ClientError::Problem(problem) => Failure::problem(*problem),
        ClientError::Unreachable { source, .. } => {
            Failure::Connect { host: host(), reason: source.to_string() }
        }
        ClientError::Tls { source, .. } => {
            Failure::Connect { host: host(), reason: format!("no TLS session: {source}") }
        }
        ClientError::NotTls { .. } => Failure::Connect {
            host: host(),
            reason: "it does not speak TLS; perhaps it is a plain HTTP server".to_owned(),
        },
        ClientError::TimedOut { .. } | ClientError::ConnectionLost(_) => match phase {
            Phase::Connecting => Failure::Connect { host: host(), reason: error.to_string() },
            Phase::Request => Failure::Lost { host: host(), reason: error.to_string() },
        },
        ClientError::UnexpectedResponse(_) | ClientError::ResponseTooLarge { .. } => {
            Failure::Protocol { host: host(), reason: error.to_string() }
        }
        ClientError::Token => Failure::Usage {
            what: error.to_string(),
            help: Some(
                "--token FILE, or the profile, names a file with the token and nothing else".to_owned(),
            ),
        },
        ClientError::RequestTooLarge { .. } | ClientError::ServerName(_) | ClientError::Identity(_) => {
            Failure::usage(error.to_string())
        }
        ClientError::Randomness => Failure::Internal(error.to_string()),
    }
}

fn reasons(report: &VerificationReport) -> Vec<String> {
    let failed = report.checks.iter().filter_map(|result| match &result.outcome {
        Outcome::Failed { reason } => Some(format!("{}: {reason}", result.check)),
        _ => None,
    });
    failed.collect()
}

/// What to do about the check that failed first.
fn advice(report: &VerificationReport) -> Option<&'static str> {
    report.failed().find_map(|check| match check {
        Check::RootOfTrust => {
            Some("--allow-simulated ROOT_FINGERPRINT accepts a soft platform, which is for trying things out")
        }
        Check::MrEnclave => Some("if that is an image that you built or reviewed, accept it with --mrenclave HEX"),
        Check::Identity => Some(
            "ask its operator whether the volume was lost or replaced: the enclave that you pinned kept its data under \
             another key, and --identity, or the profile, says which is accepted",
        ),
        Check::CodeHash { .. } => {
            Some("`cloister hash FILE` prints the hash of a .wasm; --code-hash or the profile says which is accepted")
        }
        Check::NetworkRules { .. } => {
            Some("its owner allowed it more than you accept: --allow says what is fine, each rule by itself")
        }
        Check::Assets { .. } => Some("`cloister assets-hash DIR` prints the hash of a directory; --assets says which is accepted"),
        Check::Configuration { .. } => Some(
            "its owner configures it with `cloister call`; --allow-unconfigured accepts it as it is",
        ),
        Check::Extension { .. } => {
            Some("the app shows another value than you expect: --extension says which SHA-256 is accepted")
        }
        Check::MinimumEpoch => Some(
            "ask its operator whether a backup was restored, and which; a lower --min-epoch accepts the older state, in \
             which later writes never happened",
        ),
        Check::VolumeRoot => Some(
            "every write makes a new root: pin an epoch with --min-epoch, unless nothing may have been written since",
        ),
        Check::Freshness => {
            Some("its operator decides on the anchor with `cloister serve --tpm`; --freshness says what you demand")
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;
    use cloister_client::{CheckResult, Platform};
    use std::io;
    use std::time::Duration;

    #[test]
    fn client_errors_have_exit_codes() {
        let text = || "x".to_owned();
        let late = || ClientError::TimedOut { doing: "x", after: Duration::from_secs(1) };
        let other = || io::Error::other("x");
        let report = VerificationReport { platform: Platform::Unknown, checks: vec![] };
        let refused = cloister_client::Refused { report: Box::new(report) };
        for (error, phase, exit) in [
            (ClientError::Unreachable { address: text(), source: other() }, Phase::Connecting, Exit::Connect),
            (ClientError::Tls { address: text(), source: other() }, Phase::Connecting, Exit::Connect),
            (ClientError::NotTls { address: text() }, Phase::Connecting, Exit::Connect),
            (late(), Phase::Connecting, Exit::Connect),
            (late(), Phase::Request, Exit::Server),
            (ClientError::ConnectionLost(text()), Phase::Request, Exit::Server),
            (ClientError::UnexpectedResponse(text()), Phase::Request, Exit::Server),
            (ClientError::ResponseTooLarge { limit: 1 }, Phase::Request, Exit::Server),
            (ClientError::Refused(refused), Phase::Connecting, Exit::Refused),
            (ClientError::NotAnEnclave { address: text(), reason: text() }, Phase::Connecting, Exit::Refused),
            (
                ClientError::CodeHash { app: text(), expected: text(), answered: text() },
                Phase::Request,
                Exit::Refused,
            ),
            (ClientError::RequestTooLarge { what: "x", length: 2, limit: 1 }, Phase::Request, Exit::Usage),
            (ClientError::ServerName(text()), Phase::Connecting, Exit::Usage),
            (ClientError::Identity(text()), Phase::Connecting, Exit::Usage),
            (ClientError::Token, Phase::Connecting, Exit::Usage),
            (ClientError::Randomness, Phase::Connecting, Exit::Internal),
        ] {
            let shown = error.to_string();
            assert_eq!(failure(error, "h:1", phase).exit(), exit, "{shown}");
        }
    }

    #[test]
    fn a_refusal_lists_what_failed_and_says_what_to_do() {
        let check = |check, outcome| CheckResult { check, outcome };
        let report = VerificationReport {
            platform: Platform::Unknown,
            checks: vec![
                check(Check::Debug, Outcome::Passed { detail: "off".into() }),
                check(Check::MrEnclave, Outcome::Failed { reason: "it is aa".into() }),
            ],
        };
        assert_eq!(reasons(&report), ["MRENCLAVE: it is aa"]);
        assert!(advice(&report).unwrap().contains("--mrenclave"));
    }

    #[test]
    fn what_is_refused_has_its_own_advice() {
        for (refused, expected) in [
            (Check::Identity, "--identity"),
            (Check::MinimumEpoch, "--min-epoch"),
            (Check::VolumeRoot, "--min-epoch"),
            (Check::Freshness, "--tpm"),
            (Check::Configuration { app: "a".parse().unwrap() }, "--allow-unconfigured"),
            (Check::Extension { app: "a".parse().unwrap(), suffix: 1 }, "--extension"),
        ] {
            let outcome = Outcome::Failed { reason: "x".into() };
            let checks = vec![CheckResult { check: refused, outcome }];
            let report = VerificationReport { platform: Platform::Hardware, checks };
            assert!(advice(&report).unwrap().contains(expected));
        }
    }
}
