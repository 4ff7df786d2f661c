//! `verify`: what an enclave proves and what it does not.

mod shown;

use super::quoting;
use super::session::{Appraisal, Connection};
use crate::arguments::{AllowArgument, AssetsPin, ExpectedValue, ExtensionPin, VerifyArguments};
use crate::failure::{Failure, FileAction};
use crate::output::{Paint, Printer, printable};
use crate::settings::Settings;
use cloister_api::NetworkPolicy;
use cloister_client::{
    AppClaims, AppExpectation, AssetsClaim, Claims, ConfigurationDemand, Outcome, Platform,
    VerificationReport,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Prints every check; a refused enclave is a failure.
pub(crate) async fn verify(
    arguments: &VerifyArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    settings.check_pinned_app(arguments.app.as_ref())?;
    if let (Some(named), Some(option)) = (&settings.policy, demand(arguments)) {
        return Err(Failure::Usage {
            what: format!("{option} is given beside the policy file {}", named.path.display()),
            help: Some("the file decides that: change it there, or leave out the file".to_owned()),
        });
    }
    let expected = expectation(arguments)?;
    let app = arguments.app.as_ref().map(|app| (app, expected));
    let pccs = quoting::server(&arguments.pccs)?;
    let (report, shown, refusal) = match Connection::appraise(settings, app, pccs).await? {
        Appraisal::Accepted(report, shown) => (report, shown, None),
        Appraisal::Refused(report, failure) => (report, Box::default(), Some(failure)),
    };
    if refusal.is_none() {
        if let Some(path) = &arguments.certificate {
            write(path, pem::encode(&pem::Pem::new("CERTIFICATE", shown.certificate.as_slice())).as_bytes())?;
        }
        if let Some(path) = &arguments.evidence {
            write(path, &shown.evidence)?;
        }
    }
    let host = settings.host.to_string();
    let values = |app: &AppClaims| (arguments.app.as_ref() == Some(&app.name)).then_some(&shown.values);
    let apps = shown.claims.as_ref().map(|claims| claims.apps.as_slice()).unwrap_or_default();
    let value = json!({
        "host": host,
        "accepted": refusal.is_none(),
        "volume": shown.volume,
        "enclave": shown.claims.as_ref().map(shown::enclave_value),
        "apps": apps.iter().map(|app| shown::app_value(app, values(app))).collect::<Vec<_>>(),
        "report": report,
    });
    printer.result(&value, || text(&host, &report, shown.claims.as_ref(), printer.paint))?;
    refusal.map_or(Ok(()), Err)
}

/// An option that decides what a policy file does: about the app, or where collateral comes from.
fn demand(arguments: &VerifyArguments) -> Option<&'static str> {
    let given = [
        ("--allow", !arguments.allow.is_empty()),
        ("--assets", arguments.assets.is_some()),
        ("--extension", !arguments.extensions.is_empty()),
        ("--allow-unconfigured", arguments.allow_unconfigured),
        ("--pccs", arguments.pccs.pccs.is_some()),
    ];
    given.into_iter().find_map(|(name, given)| given.then_some(name))
}

/// What the options demand of the app, beside its code.
fn expectation(arguments: &VerifyArguments) -> Result<AppExpectation, Failure> {
    let rules = arguments.allow.iter().filter_map(|allow| match allow {
        AllowArgument::None => None,
        AllowArgument::Rule(rule) => Some(rule.clone()),
    });
    let network = NetworkPolicy::new(rules.collect()).map_err(|error| Failure::usage(error.to_string()))?;
    if arguments.allow.contains(&AllowArgument::None) && !network.is_empty() {
        return Err(Failure::usage("--allow none stands alone"));
    }
    let pin = |pin: &AssetsPin| AssetsClaim { at: pin.at.clone(), hash: pin.hash.0 };
    Ok(AppExpectation {
        network: (!arguments.allow.is_empty()).then_some(network),
        assets: arguments.assets.as_ref().map(pin),
        extensions: extensions(&arguments.extensions)?,
        configuration: if arguments.allow_unconfigured {
            ConfigurationDemand::Any
        } else {
            ConfigurationDemand::Settled
        },
        ..AppExpectation::default()
    })
}

fn extensions(pins: &[ExtensionPin]) -> Result<BTreeMap<u32, [u8; 32]>, Failure> {
    let mut expected = BTreeMap::new();
    for ExtensionPin { suffix, value } in pins {
        let hash = match value {
            ExpectedValue::Hash(hash) => hash.0,
            ExpectedValue::File(path) => hash_of_value(path)?,
        };
        if expected.insert(*suffix, hash).is_some() {
            return Err(Failure::usage(format!("--extension {suffix} is given twice")));
        }
    }
    Ok(expected)
}

fn hash_of_value(path: &Path) -> Result<[u8; 32], Failure> {
    let unreadable = |source| Failure::File { action: FileAction::Read, path: path.to_owned(), source };
    let mut value = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_VALUE + 1).read_to_end(&mut value).map_err(unreadable)?;
    if value.len() as u64 > MAX_VALUE {
        let path = path.display();
        return Err(Failure::usage(format!(
            "{path} is longer than {MAX_VALUE} bytes, and no app shows such a value"
        )));
    }
    Ok(Sha256::digest(&value).into())
}

fn write(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    let unwritable = |source| Failure::File { action: FileAction::Write, path: path.to_owned(), source };
    fs::write(path, contents).map_err(unwritable)
}

/// One line a check, between what was asked and the verdict.
fn text(host: &str, report: &VerificationReport, claims: Option<&Claims>, paint: Paint) -> String {
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
    if let Some(claims) = claims {
        let _ = write!(text, "\n{}\n{}", paint.bold("enclave"), shown::enclave_text(claims));
        for app in &claims.apps {
            let _ = write!(text, "\n{}\n{}", paint.bold(app.name.as_str()), shown::app_text(app, paint));
        }
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

/// Longest value that an app can show, in bytes.
const MAX_VALUE: u64 = cloister_client::MAX_EXTENSION_VALUE as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Digest;
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
            text("h:1", &report, None, Paint::PLAIN),
            "h:1\nSGX hardware, certified by Intel\n\npassed     debug: off\npassed     MRENCLAVE: ab\n\naccepted\n"
        );
    }

    #[test]
    fn a_refused_enclave() {
        let report = report(Platform::Unknown, Outcome::Failed { reason: "it is ab\x1b[0m".into() });
        assert_eq!(
            text("h:1", &report, None, Paint::PLAIN),
            "h:1\nUNKNOWN: the evidence has no root that the policy accepts\n\npassed     debug: off\n\
             FAILED     MRENCLAVE: it is ab\\u{1b}[0m\n\nREFUSED: nothing would be sent to it\n"
        );
    }

    #[test]
    fn simulation_is_said_twice() {
        let report = report(Platform::Simulated { root: [1; 32] }, Outcome::NotAsked { why: "any".into() });
        let text = text("h:1", &report, None, Paint::PLAIN);
        assert_eq!(text.matches("SIMULATED").count(), 2, "{text}");
        assert!(text.contains("not asked  MRENCLAVE: any\n"), "{text}");
    }

    #[test]
    fn extensions_are_expected_by_hash_or_value_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        fs::write(&path, "abc").unwrap();
        let pin = |suffix, value| ExtensionPin { suffix, value };
        let file = || ExpectedValue::File(path.clone());
        let hash = || ExpectedValue::Hash(Digest([1; 32]));
        let found = extensions(&[pin(2, file()), pin(1, hash())]).unwrap();
        assert_eq!(found, BTreeMap::from([(1, [1; 32]), (2, Sha256::digest("abc").into())]));
        assert!(extensions(&[pin(1, file()), pin(1, hash())]).unwrap_err().to_string().contains("twice"));
        fs::write(&path, [0; 4097]).unwrap();
        assert!(extensions(&[pin(1, file())]).unwrap_err().to_string().contains("4096 bytes"));
        let gone = ExpectedValue::File("/nonexistent/v".into());
        assert!(extensions(&[pin(1, gone)]).unwrap_err().to_string().contains("cannot read"));
    }
}
