//! What `deploy` and `replace` send, made from their arguments.

use crate::arguments::{AppArguments, DeployArguments, EnvironmentArgument, IssuerArgument, LimitArguments};
use crate::failure::{Failure, FileAction};
use crate::quantity::Size;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_api::{
    AppName, CallerPolicy, DeploySettings, Endorsement, EnvironmentVariable, Limits, MAX_QUOTE_ROOTS,
    MAX_SETTINGS, NetworkPolicy, TokenIssuer, check_issuers,
};
use cloister_client::{Tree, TreeError};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Whether the app's name must be free or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Deploy,
    Replace,
}

/// A component, what comes with it, and what its deployer decides about it.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) name: AppName,
    pub(crate) contents: cloister_client::Upload,
    pub(crate) settings: DeploySettings,
    /// Of a replacement.
    pub(crate) endorsements: Vec<Endorsement>,
}

impl Upload {
    /// Reads the component, lists the directories, and settles name, limits and everything else.
    pub(crate) fn prepare(arguments: &DeployArguments) -> Result<Self, Failure> {
        let name = match &arguments.name {
            Some(name) => name.clone(),
            None => name_of(&arguments.file)?,
        };
        let files = &arguments.app.files;
        let settings = settings(&arguments.app)?;
        let encoded = serde_json::to_vec(&settings).map_err(|e| Failure::Internal(e.to_string()))?;
        if encoded.len() > MAX_SETTINGS {
            return Err(Failure::usage(format!(
                "limits, environment, network rules, certificates and the rest take {}, and {} is the most",
                Size(encoded.len() as u64),
                Size(MAX_SETTINGS as u64)
            )));
        }
        let contents = cloister_client::Upload {
            wasm: read(&arguments.file)?.into(),
            files: files.files.as_deref().map(tree).transpose()?,
            assets: files.assets.as_ref().map(|assets| tree(&assets.directory)).transpose()?,
        };
        Ok(Self { name, contents, settings, endorsements: Vec::new() })
    }
}

/// What the options decide about an app.
pub(crate) fn settings(arguments: &AppArguments) -> Result<DeploySettings, Failure> {
    let here = |name: &str| std::env::var(name).ok();
    let AppArguments { files, network, access, .. } = arguments;
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(error.to_string());
    let callers = match (access.public, access.callers.as_slice()) {
        (true, _) => CallerPolicy::public(),
        (false, []) => CallerPolicy::default(),
        (false, rules) => CallerPolicy::new(rules.to_vec()).map_err(|error| wrong(&error))?,
    };
    let issuers = issuers(&access.issuers)?;
    if let Some(unknown) = callers.issuers().into_iter().find(|name| !names(&issuers, name)) {
        return Err(Failure::Usage {
            what: format!("--caller names the issuer '{unknown}', and no --issuer has this name"),
            help: Some(format!("add --issuer {unknown}=URL,audience=AUD")),
        });
    }
    Ok(DeploySettings {
        limits: limits(&arguments.limits),
        environment: variables("--env", &arguments.environment, here)?,
        config: variables("--config-var", &arguments.config_var, here)?,
        directories: files.directories.iter().map(|argument| argument.0.clone()).collect(),
        network: NetworkPolicy::new(network.allow.clone()).map_err(|error| wrong(&error))?,
        roots: network.roots.as_deref().map(roots).transpose()?.unwrap_or_default(),
        quote_roots: quote_roots(&network.quote_roots)?,
        configure_with: arguments.configure_with.clone(),
        assets_at: files.assets.as_ref().and_then(|assets| assets.at.clone()),
        callers,
        issuers,
        upgrade: access.upgrade.clone().unwrap_or_default(),
    })
}

/// The issuers of these options, with their certificates.
pub(crate) fn issuers(arguments: &[IssuerArgument]) -> Result<Vec<TokenIssuer>, Failure> {
    let with_roots = |argument: &IssuerArgument| {
        let roots = argument.roots.as_deref().map(roots).transpose()?.unwrap_or_default();
        Ok(TokenIssuer { roots, ..argument.issuer.clone() })
    };
    let issuers = arguments.iter().map(with_roots).collect::<Result<Vec<_>, Failure>>()?;
    check_issuers(&issuers).map_err(|error| Failure::usage(format!("--issuer: {error}")))?;
    Ok(issuers)
}

fn names(issuers: &[TokenIssuer], name: &str) -> bool {
    issuers.iter().any(|issuer| issuer.name == name)
}

/// A valid name from the name of a file: lower case, and each run of other characters a single `-`.
fn name_of(file: &Path) -> Result<AppName, Failure> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let words = stem.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("-");
    name.truncate(MAX_NAME);
    name.trim_end_matches('-').parse().map_err(|_| Failure::Usage {
        what: format!("no app's name can be made from '{}'", file.display()),
        help: Some("give one with --name".to_owned()),
    })
}

fn limits(arguments: &LimitArguments) -> Limits {
    let default = Limits::default();
    Limits {
        fuel: arguments.fuel.map_or(default.fuel, |fuel| fuel.0),
        memory: arguments.memory.map_or(default.memory, |size| size.0),
        table_elements: arguments.table_elements.unwrap_or(default.table_elements),
        instances: arguments.instances.unwrap_or(default.instances),
        handles: arguments.handles.unwrap_or(default.handles),
        result: arguments.result_size.map_or(default.result, |size| size.0),
        log: arguments.log_size.map_or(default.log, |size| size.0),
        wall_time_ms: arguments.timeout.map_or(default.wall_time_ms, |span| span.milliseconds()),
        storage: arguments.storage.map_or(default.storage, |size| size.0),
        files: arguments.files.unwrap_or(default.files),
    }
}

/// The variables of this option, each once; those without a value as they are `here`.
pub(crate) fn variables(
    option: &str,
    arguments: &[EnvironmentArgument],
    here: impl Fn(&str) -> Option<String>,
) -> Result<Vec<EnvironmentVariable>, Failure> {
    let mut variables: Vec<EnvironmentVariable> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let variable = match argument {
            EnvironmentArgument::Set(variable) => variable.clone(),
            EnvironmentArgument::Inherit(name) => EnvironmentVariable {
                name: name.clone(),
                value: here(name).ok_or_else(|| Failure::Usage {
                    what: format!("{option} {name}: no such variable here, or it is not UTF-8"),
                    help: Some(format!("set it, or write {option} {name}=VALUE")),
                })?,
            },
        };
        if variables.iter().any(|other| other.name == variable.name) {
            return Err(Failure::usage(format!("{option} {} is given twice", variable.name)));
        }
        variables.push(variable);
    }
    Ok(variables)
}

/// The component in this file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut wasm = Vec::new();
    let file = File::open(path).map_err(unreadable(path))?;
    file.take(MAX_COMPONENT + 1).read_to_end(&mut wasm).map_err(unreadable(path))?;
    if wasm.len() as u64 > MAX_COMPONENT {
        return Err(Failure::usage(format!(
            "{} is larger than {}, and no image takes such a component",
            path.display(),
            Size(MAX_COMPONENT)
        )));
    }
    Ok(wasm)
}

/// A directory whose files are uploaded. An empty one is a mistake: a bundle cannot tell it from none.
pub(crate) fn tree(directory: &Path) -> Result<Tree, Failure> {
    let tree = Tree::list(directory).map_err(failed)?;
    if tree.files() == 0 {
        return Err(Failure::usage(format!("there are no files in {}", directory.display())));
    }
    Ok(tree)
}

/// The failure of a directory that cannot be uploaded.
pub(crate) fn failed(error: TreeError) -> Failure {
    match error {
        TreeError::Unreadable { path, source } => Failure::File { action: FileAction::Read, path, source },
        other => Failure::usage(other.to_string()),
    }
}

/// The certificates in a PEM file, DER in base64.
fn roots(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read(path).map_err(unreadable(path))?;
    pem_certificates(path, &text)
}

/// The certificates in these files, each PEM or one in DER; DER in base64.
fn quote_roots(paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let mut roots = Vec::new();
    for path in paths {
        let contents = std::fs::read(path).map_err(unreadable(path))?;
        match contents.first() {
            Some(&DER_SEQUENCE) => roots.push(BASE64_STANDARD.encode(&contents)),
            _ => roots.extend(pem_certificates(path, &contents)?),
        }
    }
    if roots.len() > MAX_QUOTE_ROOTS {
        let (given, most) = (roots.len(), MAX_QUOTE_ROOTS);
        return Err(Failure::usage(format!(
            "--quote-root names {given} certificates, and {most} is the most"
        )));
    }
    Ok(roots)
}

fn pem_certificates(path: &Path, text: &[u8]) -> Result<Vec<String>, Failure> {
    let not_one = |why: String| Failure::usage(format!("{} has no certificates: {why}", path.display()));
    let blocks = pem::parse_many(text).map_err(|error| not_one(error.to_string()))?;
    let certificates = blocks.iter().filter(|block| block.tag() == "CERTIFICATE");
    let certificates: Vec<_> = certificates.map(|block| BASE64_STANDARD.encode(block.contents())).collect();
    if certificates.is_empty() {
        return Err(not_one("a PEM file of certificates is wanted".to_owned()));
    }
    Ok(certificates)
}

pub(crate) fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    |source| Failure::File { action: FileAction::Read, path: path.to_owned(), source }
}

/// Longest DNS label (RFC 1035, section 2.3.4), which an app's name is.
const MAX_NAME: usize = 63;
/// Bytes of the largest file that is read; an image's own bound is far lower.
const MAX_COMPONENT: u64 = 256 << 20;
/// What a certificate in DER begins with (X.690, section 8.9).
const DER_SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::AccessArguments;
    use crate::quantity::{Fuel, Span};

    #[test]
    fn names_come_from_files() {
        for (file, name) in [
            ("hello.wasm", "hello"),
            ("/a/b/My_App.component.wasm", "my-app-component"),
            ("--x--y--.wasm", "x-y"),
            ("grüße.wasm", "gr-e"),
            ("noextension", "noextension"),
            ("7.wasm", "7"),
        ] {
            assert_eq!(name_of(Path::new(file)).unwrap().as_str(), name, "{file}");
        }
        let long = format!("{}_b.wasm", "a".repeat(62));
        assert_eq!(name_of(Path::new(&long)).unwrap().as_str(), "a".repeat(62));
        for bad in ["", "_.wasm", "漢字.wasm", "/", ".."] {
            assert!(name_of(Path::new(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_that_are_not_given_are_the_defaults() {
        assert_eq!(limits(&LimitArguments::default()), Limits::default());
        let given = LimitArguments {
            fuel: Some(Fuel(5)),
            memory: Some(Size(6)),
            timeout: Some(Span(std::time::Duration::from_secs(7))),
            result_size: Some(Size(8)),
            log_size: Some(Size(9)),
            table_elements: Some(10),
            instances: Some(11),
            handles: Some(12),
            storage: Some(Size(13)),
            files: Some(14),
        };
        let expected = Limits {
            fuel: 5,
            memory: 6,
            wall_time_ms: 7_000,
            result: 8,
            log: 9,
            table_elements: 10,
            instances: 11,
            handles: 12,
            storage: 13,
            files: 14,
        };
        assert_eq!(limits(&given), expected);
    }

    #[test]
    fn the_environment_is_given_or_inherited_once() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let here = |name: &str| (name == "HERE").then(|| "value".to_owned());
        let found = variables("--env", &parse(&["A=1", "HERE", "B="]), here).unwrap();
        let pairs: Vec<_> = found.iter().map(|v| (v.name.as_str(), v.value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("HERE", "value"), ("B", "")]);
        assert!(variables("--env", &parse(&["GONE"]), here).unwrap_err().to_string().contains("GONE"));
        assert!(variables("--env", &parse(&["A=1", "A=2"]), here).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn issuers_have_their_certificates_and_are_named_by_rules() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, pem::encode(&pem::Pem::new("CERTIFICATE", vec![1, 2, 3]))).unwrap();
        let issuer = |name: &str| -> IssuerArgument {
            format!("{name}=https://i,audience=x,roots={}", path.display()).parse().unwrap()
        };
        let with = |callers: &[&str], issuers: Vec<IssuerArgument>| {
            let callers = callers.iter().map(|rule| rule.parse().unwrap()).collect();
            let access = AccessArguments { callers, issuers, ..AccessArguments::default() };
            settings(&AppArguments { access, ..AppArguments::default() })
        };
        let made = with(&["*=token:staff/nurse", "@web=public"], vec![issuer("staff")]).unwrap();
        assert_eq!(
            (made.issuers[0].roots.as_slice(), made.callers.rules().len()),
            (&["AQID".to_owned()][..], 2)
        );
        assert!(with(&[], Vec::new()).unwrap().callers.is_owner_alone());
        let access = AccessArguments { public: true, ..AccessArguments::default() };
        let public = settings(&AppArguments { access, ..AppArguments::default() }).unwrap();
        assert_eq!(public.callers, CallerPolicy::public());
        let failure = with(&["*=token:staff"], vec![issuer("other")]).unwrap_err().to_string();
        assert!(failure.contains("the issuer 'staff'"), "{failure}");
        let failure = with(&[], vec![issuer("a"), issuer("a")]).unwrap_err().to_string();
        assert!(failure.contains("two issuers have the name 'a'"), "{failure}");
    }

    #[test]
    fn certificates_come_from_pem() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let certificate = pem::encode(&pem::Pem::new("CERTIFICATE", vec![1, 2, 3]));
        let key = pem::encode(&pem::Pem::new("PRIVATE KEY", vec![4]));
        std::fs::write(&path, format!("{certificate}{key}{certificate}")).unwrap();
        assert_eq!(roots(&path).unwrap(), ["AQID", "AQID"]);
        std::fs::write(&path, key).unwrap();
        assert!(roots(&path).unwrap_err().to_string().contains("no certificates"));
        assert!(roots(Path::new("/nonexistent/ca.pem")).unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn roots_of_quotes_are_pem_or_der_and_few() {
        let folder = tempfile::tempdir().unwrap();
        let (der, both) = (folder.path().join("root.der"), folder.path().join("roots.pem"));
        std::fs::write(&der, [0x30, 1, 0]).unwrap();
        let certificate = pem::encode(&pem::Pem::new("CERTIFICATE", vec![1, 2, 3]));
        std::fs::write(&both, certificate.repeat(2)).unwrap();
        assert_eq!(quote_roots(&[der.clone(), both]).unwrap(), ["MAEA", "AQID", "AQID"]);
        assert_eq!(quote_roots(&[]).unwrap(), [""; 0]);
        assert_eq!(quote_roots(&vec![der.clone(); 8]).unwrap().len(), 8);
        assert!(quote_roots(&vec![der.clone(); 9]).unwrap_err().to_string().contains("8 is the most"));
        std::fs::write(&der, "").unwrap();
        assert!(quote_roots(&[der]).unwrap_err().to_string().contains("no certificates"));
    }

    #[test]
    fn directories_need_files() {
        let folder = tempfile::tempdir().unwrap();
        assert!(tree(folder.path()).unwrap_err().to_string().contains("no files in"));
        std::fs::write(folder.path().join("a"), "x").unwrap();
        assert_eq!(tree(folder.path()).unwrap().files(), 1);
        let failure = tree(Path::new("/nonexistent/d")).unwrap_err();
        assert!(failure.to_string().starts_with("cannot read /nonexistent/d: "), "{failure}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let failure = read(Path::new("/nonexistent/x.wasm")).unwrap_err();
        assert!(failure.to_string().starts_with("cannot read /nonexistent/x.wasm: "), "{failure}");
    }
}
