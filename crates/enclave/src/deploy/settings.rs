//! What a deployer decides, from a header to types.

use crate::storage::AppSettings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloister_api::{
    CallerPolicy, CallerRule, Code, DEFAULT_ASSETS_AT, DeploySettings, Directory, EntryPattern,
    EnvironmentVariable, Limits, MAX_BUNDLE_PATH, MAX_QUOTE_ROOTS, MAX_SETTINGS, Problem, SETTINGS_HEADER,
    TokenIssuer, check_issuers, is_bundle_path,
};
use cloister_runtime::{Program, nearest};
use cloister_tokens::Issuers;
use http::HeaderMap;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeSet;

/// The settings in a request's header; defaults where it has none.
///
/// # Errors
/// [`Code::InvalidSettings`].
pub(super) fn parse(headers: &HeaderMap) -> Result<AppSettings, Problem> {
    let Some(value) = headers.get(SETTINGS_HEADER) else { return Ok(AppSettings::default()) };
    if value.len() > MAX_SETTINGS {
        return Err(invalid(format!("the settings are longer than {MAX_SETTINGS} bytes")));
    }
    let settings: DeploySettings = serde_json::from_slice(value.as_bytes())
        .map_err(|error| invalid(format!("{SETTINGS_HEADER}: {error}")))?;
    check(settings)
}

/// The settings in types.
///
/// # Errors
/// [`Code::InvalidSettings`].
pub(crate) fn check(settings: DeploySettings) -> Result<AppSettings, Problem> {
    check_limits(&settings.limits)?;
    check_directories(&settings.directories)?;
    let assets_at = settings.assets_at.unwrap_or_else(|| DEFAULT_ASSETS_AT.to_owned());
    if !is_guest_path(&assets_at) {
        return Err(not_a_guest_path(&assets_at));
    }
    check_tokens(&settings.callers, &settings.issuers)?;
    Ok(AppSettings {
        environment: pairs(settings.environment, "an environment variable", |name| {
            !name.is_empty() && !name.contains(['=', '\0'])
        })?,
        config: pairs(settings.config, "a key of the configuration", |name| {
            !name.is_empty() && !name.contains('\0')
        })?,
        roots: certificates(&settings.roots, MAX_ROOTS, "root certificate")?,
        quote_roots: certificates(&settings.quote_roots, MAX_QUOTE_ROOTS, "root certificate for quotes")?,
        configure_with: settings.configure_with,
        limits: settings.limits,
        directories: settings.directories,
        network: settings.network,
        assets_at,
        callers: settings.callers,
        issuers: settings.issuers,
        upgrade: settings.upgrade,
    })
}

/// Whether the assets can be where the settings say: what a guest finds below them has to be theirs alone.
///
/// # Errors
/// [`Code::InvalidSettings`] where another directory of the guest is there, or in it.
pub(super) fn check_assets(settings: &AppSettings) -> Result<(), Problem> {
    let assets = normal(&settings.assets_at);
    let root = Directory { path: "/".to_owned(), guest: "/".to_owned(), read_only: false };
    let usual = [root];
    let directories = if settings.directories.is_empty() { &usual[..] } else { &settings.directories };
    for directory in directories {
        let guest = normal(&directory.guest);
        let below = guest
            .strip_prefix(assets.as_str())
            .is_some_and(|rest| assets.is_empty() || rest.starts_with('/'));
        if guest == assets || below {
            return Err(invalid(format!(
                "the guest's directory '{}' would hide assets at '{}': put one of them elsewhere",
                directory.guest, settings.assets_at
            )));
        }
    }
    Ok(())
}

/// Finds the export that configures the app by its full name, so that no shorter one means another later.
///
/// # Errors
/// [`Code::InvalidSettings`] where calls cannot reach such an export.
pub(super) fn find_configuring(settings: &mut AppSettings, program: &Program) -> Result<(), Problem> {
    let Some(given) = &settings.configure_with else { return Ok(()) };
    let shown = shown(given);
    let unknown = |near| {
        invalid(format!("there is no export '{shown}' to configure the app with, or the name means several"))
            .with_suggestions(near)
    };
    let name = program.export_name(given).map_err(unknown)?.to_owned();
    if name.starts_with("wasi:") {
        return Err(invalid(format!(
            "'{shown}' is a function of WASI's, and an app is configured with one of its own"
        )));
    }
    let exports = program.exports();
    let export = exports.iter().find(|export| export.name == name);
    if let Some(why) = export.and_then(|export| export.not_callable.as_deref()) {
        return Err(invalid(format!(
            "the app cannot be configured with '{shown}', since calls cannot carry it: {why}"
        )));
    }
    settings.configure_with = Some(name);
    Ok(())
}

/// Finds the exports that rules for callers are about by their full names, so that no shorter one means another later.
///
/// # Errors
/// [`Code::InvalidSettings`] where the app has no such export, with near names.
pub(super) fn find_callers(settings: &mut AppSettings, program: &Program) -> Result<(), Problem> {
    let full = |rule: &CallerRule| {
        let EntryPattern::Export(given) = &rule.entry else { return Ok(rule.clone()) };
        let name = program.export_name(given).map_err(|near| {
            let shown = shown(given);
            invalid(format!(
                "there is no export '{shown}' for a rule about callers, or the name means several"
            ))
            .with_suggestions(near)
        })?;
        Ok(CallerRule { entry: EntryPattern::Export(name.to_owned()), who: rule.who.clone() })
    };
    let rules = settings.callers.rules().iter().map(full).collect::<Result<_, Problem>>()?;
    settings.callers = CallerPolicy::new(rules).map_err(|error| invalid(error.to_string()))?;
    Ok(())
}

/// Each issuer can be asked, and each that rules name is there.
fn check_tokens(callers: &CallerPolicy, issuers: &[TokenIssuer]) -> Result<(), Problem> {
    check_issuers(issuers).map_err(|error| invalid(error.to_string()))?;
    Issuers::new(issuers).map_err(|error| invalid(error.to_string()))?;
    let known = || issuers.iter().map(|issuer| issuer.name.as_str());
    match callers.issuers().into_iter().find(|name| known().all(|known| known != *name)) {
        None => Ok(()),
        Some(name) => {
            let why = format!("a rule names the issuer '{name}', and the settings have none of this name");
            Err(invalid(why).with_suggestions(nearest(name, known())))
        }
    }
}

/// As much of an export's name as a problem repeats.
fn shown(given: &str) -> String {
    given.chars().take(SHOWN).collect()
}

fn pairs(
    variables: Vec<EnvironmentVariable>,
    what: &str,
    is_name: impl Fn(&str) -> bool,
) -> Result<Vec<(String, String)>, Problem> {
    let mut names = BTreeSet::new();
    for EnvironmentVariable { name, value } in &variables {
        if !is_name(name) || value.contains('\0') {
            return Err(invalid(format!("'{}' cannot be {what}", name.escape_debug())));
        }
        if !names.insert(name) {
            return Err(invalid(format!("'{name}' is given twice; it is {what}")));
        }
    }
    Ok(variables.into_iter().map(|variable| (variable.name, variable.value)).collect())
}

fn check_directories(directories: &[Directory]) -> Result<(), Problem> {
    if directories.len() > MAX_DIRECTORIES {
        return Err(invalid(format!("a guest has at most {MAX_DIRECTORIES} directories")));
    }
    let mut guests = BTreeSet::new();
    for Directory { path, guest, .. } in directories {
        let own = path.strip_prefix('/').is_some_and(|path| path.is_empty() || is_bundle_path(path));
        if !own {
            return Err(invalid(format!(
                "'{}' is no directory of the app: it is absolute, without '.', '..', empty steps and NULs",
                path.escape_debug()
            )));
        }
        if !is_guest_path(guest) {
            return Err(not_a_guest_path(guest));
        }
        if !guests.insert(normal(guest)) {
            return Err(invalid(format!("the guest's directory '{guest}' is given twice")));
        }
    }
    Ok(())
}

/// Absolute, or relative such as `.`, and never up.
fn is_guest_path(guest: &str) -> bool {
    !guest.is_empty()
        && guest.len() <= MAX_BUNDLE_PATH
        && !guest.contains('\0')
        && guest.split('/').all(|step| step != "..")
}

fn not_a_guest_path(guest: &str) -> Problem {
    invalid(format!(
        "'{}' cannot be a directory of the guest: no '..', no NUL, not empty",
        guest.escape_debug()
    ))
}

/// Two names that libraries of guests take for one directory are equal: they look at no `.`, no `/` at the begin or
/// the end, and none twice.
fn normal(guest: &str) -> String {
    let steps = guest.split('/').filter(|step| !step.is_empty() && *step != ".");
    Vec::from_iter(steps).join("/")
}

/// Each is parsed, so that what the claims say is what is used. `what` names one of them.
fn certificates(encoded: &[String], most: usize, what: &str) -> Result<Vec<String>, Problem> {
    if encoded.len() > most {
        return Err(invalid(format!("an app has at most {most} of this: {what}")));
    }
    let mut roots = BTreeSet::new();
    for (number, text) in (1..).zip(encoded) {
        let not_one = |why: String| invalid(format!("{what} {number} of the settings: {why}"));
        let der = BASE64.decode(text).map_err(|error| not_one(format!("it is not base64: {error}")))?;
        RootCertStore::empty()
            .add(CertificateDer::from(der.as_slice()))
            .map_err(|error| not_one(error.to_string()))?;
        roots.insert(der);
    }
    Ok(roots.into_iter().map(|der| BASE64.encode(der)).collect())
}

fn check_limits(limits: &Limits) -> Result<(), Problem> {
    let checks = [
        ("fuel", limits.fuel, MAX_FUEL),
        ("memory", limits.memory, MAX_MEMORY),
        ("table_elements", limits.table_elements, MAX_TABLE_ELEMENTS),
        ("instances", limits.instances.into(), MAX_INSTANCES),
        ("handles", limits.handles.into(), MAX_HANDLES),
        ("result", limits.result, MAX_RESULT),
        ("log", limits.log, MAX_LOG),
        ("wall_time_ms", limits.wall_time_ms, MAX_WALL_TIME_MS),
        ("storage", limits.storage, MAX_STORAGE),
        ("files", limits.files, MAX_FILES),
    ];
    for (name, value, most) in checks {
        if value > most {
            return Err(invalid(format!(
                "the limit '{name}' is {value}, and this image allows at most {most}"
            )));
        }
    }
    Ok(())
}

fn invalid(why: String) -> Problem {
    Problem::new(Code::InvalidSettings, why)
}

/// What one call may be allowed at most; the image's heap is shared by all.
const MAX_FUEL: u64 = 1_000_000_000_000;
const MAX_MEMORY: u64 = 512 << 20;
const MAX_TABLE_ELEMENTS: u64 = 10_000_000;
const MAX_INSTANCES: u64 = 1_000;
const MAX_HANDLES: u64 = 1_000_000;
const MAX_RESULT: u64 = 16 << 20;
const MAX_LOG: u64 = 16 << 20;
const MAX_WALL_TIME_MS: u64 = 3_600_000;
/// What one app may keep at most; the disk is shared by all.
const MAX_STORAGE: u64 = 1 << 40;
const MAX_FILES: u64 = 100_000_000;
/// Each is opened at the start of each call.
const MAX_DIRECTORIES: usize = 32;
const MAX_ROOTS: usize = 64;
/// Letters of an export's name that a problem repeats.
const SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with_settings(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(SETTINGS_HEADER, HeaderValue::from_str(text).unwrap());
        headers
    }

    fn parsed(text: &str) -> AppSettings {
        parse(&with_settings(text)).unwrap_or_else(|problem| panic!("{problem}"))
    }

    #[test]
    fn settings_have_defaults() {
        for settings in [parse(&HeaderMap::new()).unwrap(), parsed("{}")] {
            assert_eq!(settings.limits, Limits::default());
            assert!(
                settings.network.is_empty() && settings.directories.is_empty() && settings.roots.is_empty()
            );
            assert_eq!(settings.assets_at, "/assets");
        }
        let given = parsed(r#"{"limits":{"fuel":5}}"#);
        assert_eq!(given.limits, Limits { fuel: 5, ..Limits::default() });
    }

    #[test]
    fn good_settings_become_types() {
        let settings = parsed(
            r#"{"environment":[{"name":"A","value":"1"}],"config":[{"name":"a=b","value":"2"}],
                "directories":[{"path":"/","guest":"."},{"path":"/data/x","guest":"/data","read_only":true}],
                "network":["https://b.example:443","https://a.example"],"assets_at":"/site"}"#
                .replace('\n', " ")
                .as_str(),
        );
        assert_eq!(settings.environment, [("A".to_owned(), "1".to_owned())]);
        assert_eq!(settings.config, [("a=b".to_owned(), "2".to_owned())]);
        assert_eq!((settings.directories.len(), settings.directories[1].read_only), (2, true));
        let rules: Vec<_> = settings.network.rules().iter().map(ToString::to_string).collect();
        assert_eq!(rules, ["https://a.example", "https://b.example"]);
        assert_eq!(settings.assets_at, "/site");
    }

    #[test]
    fn bad_settings_are_refused_with_their_reason() {
        for (text, reason) in [
            ("{", "EOF"),
            (r#"{"fuel":5}"#, "unknown field `fuel`"),
            (r#"{"limits":{"memory":1000000000000}}"#, "'memory' is 1000000000000"),
            (r#"{"environment":[{"name":"A=B","value":""}]}"#, "'A=B' cannot be"),
            (r#"{"environment":[{"name":"A","value":""},{"name":"A","value":""}]}"#, "'A' is given twice"),
            (r#"{"config":[{"name":"","value":""}]}"#, "'' cannot be a key"),
            (r#"{"config":[{"name":"A","value":""},{"name":"A","value":""}]}"#, "'A' is given twice"),
            (r#"{"network":["https://a/b"]}"#, "'https://a/b' is not a network rule"),
            (r#"{"network":["tcp://10.0.0.1/8:1"]}"#, "10.0.0.0/8"),
            (r#"{"directories":[{"path":"data","guest":"/d"}]}"#, "'data' is no directory of the app"),
            (r#"{"directories":[{"path":"/a/../b","guest":"/d"}]}"#, "'/a/../b' is no directory"),
            (r#"{"directories":[{"path":"/a/","guest":"/d"}]}"#, "'/a/' is no directory"),
            (r#"{"directories":[{"path":"/","guest":""}]}"#, "'' cannot be a directory of the guest"),
            (r#"{"directories":[{"path":"/","guest":"/a/.."}]}"#, "'/a/..' cannot be a directory"),
            (
                r#"{"directories":[{"path":"/","guest":"."},{"path":"/x","guest":"/"}]}"#,
                "the guest's directory '/' is given twice",
            ),
            (r#"{"assets_at":"/../x"}"#, "'/../x' cannot be a directory of the guest"),
            (r#"{"roots":["?"]}"#, "root certificate 1 of the settings: it is not base64"),
            (r#"{"roots":["MAA="]}"#, "root certificate 1 of the settings: "),
            (r#"{"quote_roots":["MAA="]}"#, "root certificate for quotes 1 of the settings: "),
            (r#"{"quote_roots":["","","","","","","","",""]}"#, "at most 8"),
            (r#"{"callers":["f=all"]}"#, "'f=all' is not a caller rule"),
            (r#"{"callers":["*=token:idp"]}"#, "a rule names the issuer 'idp'"),
            (r#"{"issuers":[{"name":"a","issuer":"http://a","audience":"b"}]}"#, "https URL"),
            (
                r#"{"issuers":[{"name":"a","issuer":"https://a","audience":"b","roots":["MAA="]}]}"#,
                "root 0 of token issuer 'a'",
            ),
            (
                r#"{"issuers":[{"name":"a","issuer":"https://a","audience":"b"},
                               {"name":"a","issuer":"https://c","audience":"b"}]}"#,
                "two issuers have the name 'a'",
            ),
            (r#"{"upgrade":"never"}"#, "unknown variant `never`"),
            (r#"{"upgrade":{"endorsed":{"threshold":1,"keys":[]}}}"#, "name 1 to 16 keys"),
        ] {
            let text = &text.replace('\n', " ");
            let problem = parse(&with_settings(text)).err().unwrap_or_else(|| panic!("{text}"));
            assert_eq!(problem.code, Code::InvalidSettings);
            assert!(problem.detail.contains(reason), "{text}: {}", problem.detail);
        }
        let long = format!("{:width$}", "{}", width = MAX_SETTINGS + 1);
        assert_eq!(parse(&with_settings(&long)).err().unwrap().code, Code::InvalidSettings);
    }

    #[test]
    fn roots_are_certificates_each_once() {
        let certificate = || {
            let key = cloister_attestation::TlsKey::generate().unwrap();
            cloister_attestation::client_certificate(&key).unwrap().to_vec()
        };
        let mut ders = [certificate(), certificate()];
        ders.sort();
        let [first, second] = ders.map(|der| BASE64.encode(der));
        let text = format!(r#"{{"roots":["{second}","{first}","{second}"]}}"#);
        assert_eq!(parsed(&text).roots, [first, second]);
    }

    #[test]
    fn nothing_lies_in_the_assets() {
        let assets = |at: &str, guests: &[&str]| {
            let directories = guests
                .iter()
                .map(|guest| Directory { path: "/".into(), guest: (*guest).into(), read_only: false })
                .collect();
            check_assets(&AppSettings { assets_at: at.into(), directories, ..AppSettings::default() })
        };
        assert!(assets("/assets", &[]).is_ok());
        assert!(assets("/assets", &["/", "/assets2", "/data/assets", "assets-x"]).is_ok());
        assert!(assets(".", &["/data"]).is_err_and(|problem| problem.detail.contains("'/data'")));
        for guest in ["/assets", "assets", "./assets/", "/assets/x", "//assets//x/y"] {
            assert!(assets("/assets", &[guest]).is_err(), "{guest}");
        }
        assert!(assets("/", &[]).is_err(), "the whole tree is there");
    }
}
