//! `verify`: what an enclave proves and what it does not.

use super::session::{Appraisal, Connection, Demands};
use crate::arguments::{AllowArgument, AssetsPin, VerifyArguments};
use crate::failure::Failure;
use crate::output::{Paint, Printer, network, printable};
use crate::quantity::Digest;
use crate::settings::Settings;
use cloister_api::NetworkPolicy;
use cloister_client::{AppClaims, AssetsClaim, Outcome, Platform, VerificationReport};
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
    let appraisal = Connection::appraise(settings, arguments.app.as_ref(), demands(arguments)?).await?;
    let (report, volume, apps, refusal) = match appraisal {
        Appraisal::Accepted(report, volume, apps) => (report, volume, apps, None),
        Appraisal::Refused(report, failure) => (report, None, Vec::new(), Some(failure)),
    };
    let host = settings.host.to_string();
    let value = json!({
        "host": host,
        "accepted": refusal.is_none(),
        "volume": volume,
        "apps": apps.iter().map(app_value).collect::<Vec<_>>(),
        "report": report,
    });
    printer.result(&value, || text(&host, &report, &apps, printer.paint))?;
    refusal.map_or(Ok(()), Err)
}

fn demands(arguments: &VerifyArguments) -> Result<Demands, Failure> {
    let rules = arguments.allow.iter().filter_map(|allow| match allow {
        AllowArgument::None => None,
        AllowArgument::Rule(rule) => Some(rule.clone()),
    });
    let network = NetworkPolicy::new(rules.collect()).map_err(|error| Failure::usage(error.to_string()))?;
    if arguments.allow.contains(&AllowArgument::None) && !network.is_empty() {
        return Err(Failure::usage("--allow none stands alone"));
    }
    let pin = |pin: &AssetsPin| AssetsClaim { at: pin.at.clone(), hash: pin.hash.0 };
    Ok(Demands {
        network: (!arguments.allow.is_empty()).then_some(network),
        assets: arguments.assets.as_ref().map(pin),
    })
}

/// What the evidence says of an app that its code does not.
fn app_value(app: &AppClaims) -> serde_json::Value {
    let assets = app.assets.as_ref().map(|assets| json!({ "hash": Digest(assets.hash), "at": assets.at }));
    json!({
        "name": app.name,
        "code_hash": Digest(app.code_hash),
        "owner": Digest(app.owner),
        "network": app.network,
        "sends_plaintext": app.network.is_plaintext(),
        "roots": app.roots.map(Digest),
        "assets": assets,
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
        let _ =
            writeln!(text, "\n{}\n  code hash    {}", paint.bold(app.name.as_str()), Digest(app.code_hash));
        text.push_str(&network(&app.network, paint));
        if let Some(roots) = app.roots {
            let _ = writeln!(text, "  roots        {} (its own certificates for https)", Digest(roots));
        }
        if let Some(assets) = &app.assets {
            let _ = writeln!(text, "  assets       {} at {}", Digest(assets.hash), printable(&assets.at));
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
        };
        let report = report(Platform::Hardware, Outcome::Passed { detail: "ab".into() });
        let apps = [claims("quiet", &[]), claims("loud", &["https://a.com", "http://b.com"])];
        let text = text("h:1", &report, &apps, Paint::PLAIN);
        let (hash, assets) = ("c0".repeat(32), "a5".repeat(32));
        let expected = format!(
            "\nquiet\n  code hash    {hash}\n  network      none: it opens no connections\n  assets       {assets} at /www\n\
             \nloud\n  code hash    {hash}\n  network      http://b.com\n               https://a.com\n               \
             MAY SEND PLAINTEXT THROUGH THE HOST\n  assets       {assets} at /www\n\naccepted\n"
        );
        assert!(text.ends_with(&expected), "{text}");
        assert_eq!(app_value(&apps[1])["sends_plaintext"], true);
        assert_eq!(app_value(&apps[0])["assets"]["at"], "/www");
    }

    #[test]
    fn simulation_is_said_twice() {
        let report = report(Platform::Simulated { root: [1; 32] }, Outcome::NotAsked { why: "any".into() });
        let text = text("h:1", &report, &[], Paint::PLAIN);
        assert_eq!(text.matches("SIMULATED").count(), 2, "{text}");
        assert!(text.contains("not asked  MRENCLAVE: any\n"), "{text}");
    }
}
