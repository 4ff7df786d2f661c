//! `verify`: what an enclave proves and what it does not.

use super::session::{Appraisal, Connection, Shown};
use crate::arguments::{AllowArgument, AssetsPin, ExpectedValue, ExtensionPin, VerifyArguments};
use crate::failure::{Failure, FileAction};
use crate::output::{Paint, Printer, network, printable};
use crate::quantity::Digest;
use crate::settings::Settings;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_api::NetworkPolicy;
use cloister_client::{
    AppClaims, AppExpectation, AssetsClaim, ConfigurationClaim, ConfigurationDemand, Outcome, Platform,
    VerificationReport, extension_oid,
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
    if settings.pins_some_code() && arguments.app.is_none() {
        return Err(Failure::Usage {
            what: "--code-hash says which code, but not of which app".to_owned(),
            help: Some("name it with --app APP".to_owned()),
        });
    }
    let expected = expectation(arguments)?;
    let app = arguments.app.as_ref().map(|app| (app, expected));
    let (report, shown, refusal) = match Connection::appraise(settings, app).await? {
        Appraisal::Accepted(report, shown) => (report, shown, None),
        Appraisal::Refused(report, failure) => (report, Shown::default(), Some(failure)),
    };
    if let (Some(path), None) = (&arguments.certificate, &refusal) {
        write_certificate(path, &shown.certificate)?;
    }
    let host = settings.host.to_string();
    let values = |app: &AppClaims| (arguments.app.as_ref() == Some(&app.name)).then_some(&shown.values);
    let value = json!({
        "host": host,
        "accepted": refusal.is_none(),
        "volume": shown.volume,
        "apps": shown.apps.iter().map(|app| app_value(app, values(app))).collect::<Vec<_>>(),
        "report": report,
    });
    printer.result(&value, || text(&host, &report, &shown.apps, printer.paint))?;
    refusal.map_or(Ok(()), Err)
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
        code_hash: None,
        network: (!arguments.allow.is_empty()).then_some(network),
        assets: arguments.assets.as_ref().map(pin),
        extensions: extensions(&arguments.extensions)?,
        configuration: if arguments.allow_unconfigured {
            ConfigurationDemand::Any
        } else {
            ConfigurationDemand::Settled
        },
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

fn write_certificate(path: &Path, certificate: &[u8]) -> Result<(), Failure> {
    let text = pem::encode(&pem::Pem::new("CERTIFICATE", certificate));
    let unwritable = |source| Failure::File { action: FileAction::Write, path: path.to_owned(), source };
    fs::write(path, text).map_err(unwritable)
}

/// What the evidence says of an app that its code does not; with the values that it shows, where they were seen.
fn app_value(app: &AppClaims, values: Option<&BTreeMap<u32, Vec<u8>>>) -> serde_json::Value {
    let assets = app.assets.as_ref().map(|assets| json!({ "hash": Digest(assets.hash), "at": assets.at }));
    let extension = |(suffix, hash): &(u32, [u8; 32])| {
        let (oid, hash) = (extension_oid(*suffix), Digest(*hash));
        let value = values.and_then(|values| values.get(suffix)).map(|value| BASE64_STANDARD.encode(value));
        json!({ "suffix": suffix, "oid": oid, "hash": hash, "value": value })
    };
    json!({
        "name": app.name,
        "code_hash": Digest(app.code_hash),
        "owner": Digest(app.owner),
        "network": app.network,
        "sends_plaintext": app.network.is_plaintext(),
        "roots": app.roots.map(Digest),
        "quote_roots": app.quote_roots.map(Digest),
        "assets": assets,
        "configuration": cloister_api::ConfigurationState::from(app.configuration),
        "extensions": app.extensions.iter().map(extension).collect::<Vec<_>>(),
    })
}

/// One line a check, between what was asked and the verdict.
fn text(host: &str, report: &VerificationReport, apps: &[AppClaims], paint: Paint) -> String {
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
    for app in apps {
        let _ = write!(text, "\n{}\n{}", paint.bold(app.name.as_str()), app_text(app, paint));
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

fn app_text(app: &AppClaims, paint: Paint) -> String {
    let mut text = format!("  code hash    {}\n", Digest(app.code_hash));
    match app.configuration {
        ConfigurationClaim::NotNeeded => {}
        ConfigurationClaim::Complete => text.push_str("  configured   yes, as it says\n"),
        ConfigurationClaim::Awaited => {
            let _ = writeln!(
                text,
                "  configured   {}",
                paint.yellow("NO: it answers its owner's configuration alone")
            );
        }
    }
    text.push_str(&network(&app.network, paint));
    if let Some(roots) = app.roots {
        let _ = writeln!(text, "  roots        {} (its own certificates for https)", Digest(roots));
    }
    if let Some(roots) = app.quote_roots {
        let _ = writeln!(text, "  quote roots  {} (beside Intel's)", Digest(roots));
    }
    if let Some(assets) = &app.assets {
        let _ = writeln!(text, "  assets       {} at {}", Digest(assets.hash), printable(&assets.at));
    }
    for (suffix, hash) in &app.extensions {
        let _ = writeln!(text, "  extension    {suffix}: {}", Digest(*hash));
    }
    text
}

/// Longest value that an app can show, in bytes.
const MAX_VALUE: u64 = cloister_client::MAX_EXTENSION_VALUE as u64;

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
            text("h:1", &report, &[], Paint::PLAIN),
            "h:1\nSGX hardware, certified by Intel\n\npassed     debug: off\npassed     MRENCLAVE: ab\n\naccepted\n"
        );
    }

    #[test]
    fn a_refused_enclave() {
        let report = report(Platform::Unknown, Outcome::Failed { reason: "it is ab\x1b[0m".into() });
        assert_eq!(
            text("h:1", &report, &[], Paint::PLAIN),
            "h:1\nUNKNOWN: the evidence has no root that the policy accepts\n\npassed     debug: off\n\
             FAILED     MRENCLAVE: it is ab\\u{1b}[0m\n\nREFUSED: nothing would be sent to it\n"
        );
    }

    #[test]
    fn apps_are_shown_with_their_rules_and_plaintext_is_called_that() {
        let claims = |name: &str, rules: &[&str]| AppClaims {
            name: name.parse().unwrap(),
            code_hash: [0xc0; 32],
            owner: [1; 32],
            limits: Default::default(),
            environment: [0; 32],
            upgrade: cloister_attestation::UpgradePolicy::Owner,
            network: NetworkPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap(),
            roots: None,
            assets: Some(AssetsClaim { at: "/www".into(), hash: [0xa5; 32] }),
            config: [0; 32],
            extensions: Vec::new(),
            configuration: ConfigurationClaim::NotNeeded,
            quote_roots: None,
        };
        let report = report(Platform::Hardware, Outcome::Passed { detail: "ab".into() });
        let loud = AppClaims {
            extensions: vec![(7, [0xee; 32])],
            configuration: ConfigurationClaim::Awaited,
            quote_roots: Some([0x20; 32]),
            ..claims("loud", &["https://a.com", "http://b.com"])
        };
        let apps = [claims("quiet", &[]), loud];
        let text = text("h:1", &report, &apps, Paint::PLAIN);
        let (hash, assets) = ("c0".repeat(32), "a5".repeat(32));
        let (roots, value) = ("20".repeat(32), "ee".repeat(32));
        let expected = format!(
            "\nquiet\n  code hash    {hash}\n  network      none: it opens no connections\n  assets       {assets} at /www\n\
             \nloud\n  code hash    {hash}\n  configured   NO: it answers its owner's configuration alone\n  \
             network      http://b.com\n               https://a.com\n               \
             MAY SEND PLAINTEXT THROUGH THE HOST\n  quote roots  {roots} (beside Intel's)\n  \
             assets       {assets} at /www\n  extension    7: {value}\n\naccepted\n"
        );
        assert!(text.ends_with(&expected), "{text}");
        assert_eq!(app_value(&apps[1], None)["sends_plaintext"], true);
        assert_eq!(app_value(&apps[0], None)["assets"]["at"], "/www");
        assert_eq!(app_value(&apps[0], None)["configuration"], "not-needed");
        assert_eq!(app_value(&apps[1], None)["configuration"], "awaited");
        let extension = &app_value(&apps[1], None)["extensions"][0];
        let oid = "1.3.6.1.4.1.65230.3.5.7";
        assert_eq!(extension, &json!({ "suffix": 7, "oid": oid, "hash": value, "value": null }));
        let values = BTreeMap::from([(7, b"abc".to_vec())]);
        assert_eq!(app_value(&apps[1], Some(&values))["extensions"][0]["value"], "YWJj");
    }

    #[test]
    fn simulation_is_said_twice() {
        let report = report(Platform::Simulated { root: [1; 32] }, Outcome::NotAsked { why: "any".into() });
        let text = text("h:1", &report, &[], Paint::PLAIN);
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
