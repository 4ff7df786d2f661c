//! `verify`: what an enclave proves and what it does not.

use super::session::{Appraisal, Connection};
use crate::arguments::VerifyArguments;
use crate::failure::Failure;
use crate::output::{Paint, Printer, printable};
use crate::settings::Settings;
use cloister_client::{Outcome, Platform, VerificationReport};
use serde_json::json;
use std::fmt::Write as _;

/// Prints every check; a refused enclave is a failure.
pub(crate) async fn verify(
    arguments: &VerifyArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    if settings.pins_some_code() && arguments.app.is_none() {
        return Err(Failure::Usage {
            what: "--code-hash says which code, but not of which app".to_owned(),
            help: Some("name it with --app APP".to_owned()),
        });
    }
    let appraisal = Connection::appraise(settings, arguments.app.as_ref()).await?;
    let (report, volume, refusal) = match appraisal {
        Appraisal::Accepted(report, volume) => (report, volume, None),
        Appraisal::Refused(report, failure) => (report, None, Some(failure)),
    };
    let host = settings.host.to_string();
    let value = json!({ "host": host, "accepted": refusal.is_none(), "volume": volume, "report": report });
    printer.result(&value, || text(&host, &report, printer.paint))?;
    refusal.map_or(Ok(()), Err)
}

/// One line a check, between what was asked and the verdict.
fn text(host: &str, report: &VerificationReport, paint: Paint) -> String {
    let platform = printable(&report.platform.to_string()).into_owned();
    let platform = match report.platform {
        Platform::Hardware => platform,
        Platform::Simulated { .. } | Platform::Unknown => paint.yellow(&platform),
    };
    let mut text = format!("{host}\n{platform}\n\n");
    for result in &report.checks {
        let (mark, detail) = match &result.outcome {
            Outcome::Passed { detail } => (paint.green("passed   "), detail),
            Outcome::Failed { reason } => (paint.red("FAILED   "), reason),
            Outcome::NotAsked { why } => ("not asked".to_owned(), why),
        };
        let _ = writeln!(text, "{mark}  {}: {}", result.check, printable(detail));
    }
    let verdict = match (report.accepted(), report.platform) {
        (false, _) => paint.red("REFUSED: nothing would be sent to it"),
        (true, Platform::Simulated { .. }) => {
            paint.yellow("accepted, but SIMULATED: its operator can read everything")
        }
        (true, _) => paint.green("accepted"),
    };
    let _ = write!(text, "\n{verdict}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_client::{Check, CheckResult};

    fn report(platform: Platform, outcome: Outcome) -> VerificationReport {
        let debug = Outcome::Passed { detail: "off".into() };
        VerificationReport {
            platform,
            checks: vec![
                CheckResult { check: Check::Debug, outcome: debug },
                CheckResult { check: Check::MrEnclave, outcome },
            ],
        }
    }

    #[test]
    fn an_accepted_enclave() {
        let report = report(Platform::Hardware, Outcome::Passed { detail: "ab".into() });
        assert_eq!(
            text("h:1", &report, Paint::PLAIN),
            "h:1\nSGX hardware, certified by Intel\n\npassed     debug: off\npassed     MRENCLAVE: ab\n\naccepted\n"
        );
    }

    #[test]
    fn a_refused_enclave() {
        let report = report(Platform::Unknown, Outcome::Failed { reason: "it is ab\x1b[0m".into() });
        assert_eq!(
            text("h:1", &report, Paint::PLAIN),
            "h:1\nUNKNOWN: the evidence has no root that the policy accepts\n\npassed     debug: off\n\
             FAILED     MRENCLAVE: it is ab\\u{1b}[0m\n\nREFUSED: nothing would be sent to it\n"
        );
    }

    #[test]
    fn simulation_is_said_twice() {
        let report = report(Platform::Simulated { root: [1; 32] }, Outcome::NotAsked { why: "any".into() });
        let text = text("h:1", &report, Paint::PLAIN);
        assert_eq!(text.matches("SIMULATED").count(), 2, "{text}");
        assert!(text.contains("not asked  MRENCLAVE: any\n"), "{text}");
    }
}
