//! `endorse`: what an app is to become, signed, and the endorsements that `replace` sends.

use super::upload::{self, unreadable};
use super::{build, keys};
use crate::arguments::{AppArguments, EndorseArguments};
use crate::failure::{Failure, FileAction};
use crate::output::{Printer, access};
use crate::quantity::Digest;
use crate::settings::{Settings, default_key_path};
use cloister_api::{CallerPolicy, CallerRule, Endorsement, EntryPattern, MAX_ENDORSEMENTS, Upgrade};
use cloister_client::{AppClaims, Deployment, Identity, deployed_claims};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Signs what the replacement with these options will be claimed to be, and says in words what that is.
pub(crate) fn endorse(
    arguments: &EndorseArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let identity = endorser(settings)?;
    let claims = claims(arguments)?;
    let endorsement = identity.endorse(&claims).map_err(|error| Failure::usage(error.to_string()))?;
    let text =
        format!("{}\n", serde_json::to_string(&endorsement).map_err(|e| Failure::Internal(e.to_string()))?);
    keys::write_new(&arguments.out, text.as_bytes()).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(format!(
            "{} exists, and an endorsement is never overwritten",
            arguments.out.display()
        )),
        _ => Failure::File { action: FileAction::Create, path: arguments.out.clone(), source },
    })?;
    let hash = claims.endorsement_hash().map_err(|error| Failure::usage(error.to_string()))?;
    let value = json!({
        "app": claims.name,
        "code_hash": Digest(claims.code_hash),
        "owner": Digest(claims.owner),
        "callers": claims.callers,
        "upgrade": Upgrade::from(&claims.upgrade),
        "endorsement_hash": Digest(hash),
        "endorser": identity.fingerprint(),
        "endorsement": endorsement,
        "file": arguments.out.display().to_string(),
    });
    printer.result(&value, || words(&claims, hash, &identity, &arguments.out))
}

/// The endorsements in these files.
pub(crate) fn endorsements(paths: &[PathBuf]) -> Result<Vec<Endorsement>, Failure> {
    let mut endorsements = Vec::with_capacity(paths.len());
    for path in paths {
        let mut text = Vec::new();
        let file = std::fs::File::open(path).map_err(unreadable(path))?;
        file.take(MAX_FILE).read_to_end(&mut text).map_err(unreadable(path))?;
        let endorsement = serde_json::from_slice(&text).map_err(|error| Failure::Usage {
            what: format!("{} is not an endorsement: {error}", path.display()),
            help: Some("`cloister endorse` makes one".to_owned()),
        })?;
        endorsements.push(endorsement);
    }
    if endorsements.len() > MAX_ENDORSEMENTS {
        let given = endorsements.len();
        return Err(Failure::usage(format!(
            "--endorsement is given {given} times, and {MAX_ENDORSEMENTS} is the most"
        )));
    }
    Ok(endorsements)
}

fn endorser(settings: &Settings) -> Result<Identity, Failure> {
    match &settings.key {
        Some(key) => keys::identity(key),
        None => {
            let usual = default_key_path()?;
            if !usual.is_file() {
                return Err(Failure::Usage {
                    what: "an endorsement needs the endorser's key".to_owned(),
                    help: Some("name it with --key FILE; `cloister keygen` makes one".to_owned()),
                });
            }
            keys::identity(&usual)
        }
    }
}

fn claims(arguments: &EndorseArguments) -> Result<AppClaims, Failure> {
    let AppArguments { files, .. } = &arguments.app;
    if files.files.is_some() {
        return Err(Failure::usage("--files is for new apps: a replacement keeps the files that are there"));
    }
    let wasm = upload::read(&arguments.file)?;
    let mut settings = upload::settings(&arguments.app)?;
    settings.callers = in_full(settings.callers, &arguments.file, &wasm)?;
    let assets = match &files.assets {
        Some(assets) => upload::tree(&assets.directory)?.assets_hash().map_err(upload::failed)?,
        None => None,
    };
    let deployment = Deployment {
        name: arguments.name.clone(),
        owner: *keys::named("--owner", &arguments.owner)?.as_bytes(),
        code_hash: Sha256::digest(&wasm).into(),
        assets,
        settings,
    };
    deployed_claims(&deployment).map_err(|error| Failure::usage(error.to_string()))
}

/// The rules with exports by their full names, as the enclave keeps them.
fn in_full(callers: CallerPolicy, file: &Path, wasm: &[u8]) -> Result<CallerPolicy, Failure> {
    if !callers.rules().iter().any(|rule| matches!(rule.entry, EntryPattern::Export(_))) {
        return Ok(callers);
    }
    let exports = build::export_names(file, wasm)?;
    let full = |rule: CallerRule| match rule.entry {
        EntryPattern::Export(name) => {
            let entry = EntryPattern::Export(full_name(&exports, &name)?);
            Ok(CallerRule { entry, who: rule.who })
        }
        _ => Ok(rule),
    };
    let rules = Vec::from(callers).into_iter().map(full).collect::<Result<Vec<_>, Failure>>()?;
    CallerPolicy::new(rules).map_err(|error| Failure::usage(error.to_string()))
}

/// As calls name exports: in full, or without version, package or interface where that means a single one.
fn full_name(exports: &[String], name: &str) -> Result<String, Failure> {
    if exports.iter().any(|export| export == name) {
        return Ok(name.to_owned());
    }
    let meant: Vec<&String> =
        exports.iter().filter(|export| short_names(export).iter().any(|short| short == name)).collect();
    match meant[..] {
        [one] => Ok(one.clone()),
        [] => Err(Failure::usage(format!(
            "--caller names the export '{name}', and the component has none such"
        ))),
        _ => Err(Failure::usage(format!("--caller names the export '{name}', which may be one of several"))),
    }
}

/// `ns:pkg/iface@1.0.0#f` is also `ns:pkg/iface#f`, `iface#f` and `f`.
fn short_names(full: &str) -> Vec<String> {
    let Some((interface, function)) = full.split_once('#') else { return Vec::new() };
    let unversioned = interface.split_once('@').map_or(interface, |(name, _)| name);
    let bare = unversioned.rsplit_once('/').map_or(unversioned, |(_, name)| name);
    vec![format!("{unversioned}#{function}"), format!("{bare}#{function}"), function.to_owned()]
}

fn words(claims: &AppClaims, hash: [u8; 32], identity: &Identity, out: &Path) -> String {
    let mut text = format!("{} signs that {} may become\n", identity.fingerprint(), claims.name);
    let _ = writeln!(
        text,
        "  code hash    {}\n  of its owner {}",
        Digest(claims.code_hash),
        Digest(claims.owner)
    );
    if let Some(assets) = &claims.assets {
        let _ = writeln!(text, "  assets       {} at {}", Digest(assets.hash), assets.at);
    }
    text.push_str(&access(&claims.callers, &Upgrade::from(&claims.upgrade)));
    let rules: Vec<String> = claims.network.rules().iter().map(ToString::to_string).collect();
    let _ = writeln!(
        text,
        "  network      {}",
        if rules.is_empty() {
            "none: it opens no connections".to_owned()
        } else {
            rules.join("\n               ")
        }
    );
    let _ = writeln!(
        text,
        "with the limits, environment names and the rest that the options say, and nothing else.\n\n\
         endorsement hash  {}\nwritten to        {}",
        Digest(hash),
        out.display()
    );
    text
}

/// Bytes of a file with an endorsement: far more than one has.
const MAX_FILE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Cli, Command, GlobalArguments};
    use crate::profile::Profile;
    use clap::Parser;

    const WAT: &str = r#"(component
        (core module $m (func (export "add") (result i32) i32.const 1))
        (core instance $i (instantiate $m))
        (func $add (result u32) (canon lift (core func $i "add")))
        (instance $calc (export "add" (func $add)))
        (export "acme:calc/calc@1.2.0" (instance $calc))
        (export "greet" (func $add)))"#;

    fn arguments(options: &[&str], folder: &Path) -> EndorseArguments {
        let file = folder.join("app.wasm");
        std::fs::write(&file, wat::parse_str(WAT).unwrap()).unwrap();
        let (out, owner) = (folder.join("e.json"), "0a".repeat(32));
        let line = [
            "cloister",
            "endorse",
            "hello",
            file.to_str().unwrap(),
            "--owner",
            &owner,
            "-o",
            out.to_str().unwrap(),
        ];
        let Command::Endorse(arguments) = Cli::try_parse_from([&line, options].concat()).unwrap().command
        else {
            panic!("not endorse")
        };
        arguments
    }

    #[test]
    fn rules_are_signed_with_the_full_names_of_exports() {
        let folder = tempfile::tempdir().unwrap();
        let made = claims(&arguments(&["--caller", "add=owner", "--caller", "greet=public"], folder.path()))
            .unwrap();
        let rules: Vec<String> = made.callers.rules().iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["acme:calc/calc@1.2.0#add=owner", "greet=public"]);
        assert_eq!((made.owner, made.name.as_str()), ([0x0a; 32], "hello"));
        let failure = claims(&arguments(&["--caller", "sub=owner"], folder.path())).unwrap_err().to_string();
        assert!(failure.contains("'sub'"), "{failure}");
        let failure = claims(&arguments(&["--files", "."], folder.path())).unwrap_err().to_string();
        assert!(failure.contains("--files"), "{failure}");
    }

    #[test]
    fn names_mean_what_they_mean_to_calls() {
        let exports = ["a:b/c@1.0.0#f", "a:b/d@1.0.0#f", "a:b/d@1.0.0#g", "g"].map(str::to_owned);
        for (name, full) in
            [("c#f", "a:b/c@1.0.0#f"), ("a:b/d#f", "a:b/d@1.0.0#f"), ("g", "g"), ("d#g", "a:b/d@1.0.0#g")]
        {
            assert_eq!(full_name(&exports, name).unwrap(), full);
        }
        assert!(full_name(&exports, "f").unwrap_err().to_string().contains("several"));
        assert!(full_name(&exports, "h").unwrap_err().to_string().contains("none such"));
    }

    #[test]
    fn an_endorsement_is_written_once_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        Identity::generate().unwrap().save_new(&key).unwrap();
        let global = GlobalArguments { key: Some(key), ..GlobalArguments::default() };
        let settings = Settings::merge(&global, Profile::default()).unwrap();
        let arguments = arguments(&[], folder.path());
        let printer = Printer::new(&GlobalArguments { quiet: true, ..GlobalArguments::default() });
        endorse(&arguments, &settings, &printer).unwrap();
        let read = endorsements(&[arguments.out.clone(), arguments.out.clone()]).unwrap();
        assert_eq!((read.len(), &read[0]), (2, &read[1]));
        let failure = endorse(&arguments, &settings, &printer).unwrap_err().to_string();
        assert!(failure.contains("never overwritten"), "{failure}");
        let failure = endorsements(&[folder.path().join("app.wasm")]).unwrap_err().to_string();
        assert!(failure.contains("is not an endorsement"), "{failure}");
        assert!(endorsements(&vec![arguments.out; 17]).unwrap_err().to_string().contains("17 times"));
    }

    #[test]
    fn what_is_signed_is_said_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let made =
            claims(&arguments(&["--upgrade", "frozen", "--caller", "@run=owner"], folder.path())).unwrap();
        let text = words(&made, [0xee; 32], &Identity::generate().unwrap(), Path::new("e.json"));
        for part in ["signs that hello may become", "@run=owner", "frozen", &"ee".repeat(32), "e.json"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
