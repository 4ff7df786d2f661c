//! The policy file that decides what is accepted, where one is named.

use crate::arguments::GlobalArguments;
use crate::failure::{Failure, FileAction};
use crate::profile::Profile;
use cloister_client::{CollateralError, CollateralServer, ServerTrust};
use cloister_policy::{CollateralSource, MAX_POLICY, PolicyFile};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A policy file and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedPolicy {
    pub(crate) path: PathBuf,
    pub(crate) file: PolicyFile,
}

impl NamedPolicy {
    /// Reads a policy file. The path of its collateral is relative to its own folder.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let unreadable = |source| Failure::File { action: FileAction::Read, path: path.to_owned(), source };
        let mut text = String::new();
        let opened = File::open(path).map_err(unreadable)?;
        opened.take(MAX_POLICY as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
        let mut file = PolicyFile::parse(&text).map_err(|error| Failure::Policy {
            path: path.to_owned(),
            faults: error.faults.iter().map(ToString::to_string).collect(),
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        match &mut file.collateral {
            CollateralSource::File(beside) | CollateralSource::Server { roots: Some(beside), .. } => {
                *beside = folder.join(&*beside);
            }
            CollateralSource::Enclave | CollateralSource::Server { roots: None, .. } => {}
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// The file with collateral that it names.
    pub(crate) fn collateral(&self) -> Option<&Path> {
        match &self.file.collateral {
            CollateralSource::Enclave | CollateralSource::Server { .. } => None,
            CollateralSource::File(path) => Some(path),
        }
    }

    /// The service that it names for collateral.
    pub(crate) fn collateral_server(&self) -> Result<Option<CollateralServer>, Failure> {
        let CollateralSource::Server { url, roots } = &self.file.collateral else { return Ok(None) };
        let unusable = |error: CollateralError| Failure::usage(error.to_string());
        let server = CollateralServer::new(url).map_err(unusable)?;
        let Some(path) = roots else { return Ok(Some(server)) };
        let unreadable = |source| Failure::File { action: FileAction::Read, path: path.clone(), source };
        let trust = ServerTrust::from_pem(&std::fs::read(path).map_err(unreadable)?).map_err(unusable)?;
        Ok(Some(server.with_trust(trust)))
    }
}

/// The policy file that an option or the profile names. It decides everything about trust, so that no other option may, nor
/// the profile that names it. A profile's pins give way to a file that an option names.
pub(super) fn chosen(
    global: &GlobalArguments,
    profile: &mut Profile,
) -> Result<Option<NamedPolicy>, Failure> {
    let path = match (&global.policy, &profile.policy) {
        (None, None) => return Ok(None),
        (Some(path), _) => {
            let path = path.clone();
            let Profile { host, key, token, .. } = std::mem::take(profile);
            *profile = Profile { host, key, token, ..Profile::default() };
            path
        }
        (None, Some(path)) => match pin(profile) {
            None => path.clone(),
            Some(pin) => {
                return Err(Failure::Usage {
                    what: format!("the profile has {pin} beside the policy file {}", path.display()),
                    help: Some("the file decides that: leave one of the two out of the profile".to_owned()),
                });
            }
        },
    };
    if let Some(option) = option(global) {
        return Err(Failure::Usage {
            what: format!("{option} is given beside the policy file {}", path.display()),
            help: Some("the file decides that: change it there, or leave out the file".to_owned()),
        });
    }
    NamedPolicy::load(&path).map(Some)
}

/// An option that decides what a policy file does.
fn option(global: &GlobalArguments) -> Option<&'static str> {
    let given = [
        ("--mrenclave", !global.mrenclave.is_empty()),
        ("--identity", global.identity.is_some()),
        ("--code-hash", global.code_hash.is_some()),
        ("--allow-simulated", global.allow_simulated.is_some()),
        ("--collateral", global.collateral.is_some()),
        ("--min-epoch", global.min_epoch.is_some()),
        ("--volume-root", global.volume_root.is_some()),
        ("--freshness", global.freshness.is_some()),
    ];
    given.into_iter().find_map(|(name, given)| given.then_some(name))
}

/// A key of a profile that decides what a policy file does.
fn pin(profile: &Profile) -> Option<&'static str> {
    let given = [
        ("mrenclave", !profile.mrenclave.is_empty()),
        ("identity", profile.identity.is_some()),
        ("simulated_root", profile.simulated_root.is_some()),
        ("collateral", profile.collateral.is_some()),
        ("min_epoch", profile.min_epoch.is_some()),
        ("volume_root", profile.volume_root.is_some()),
        ("freshness", profile.freshness.is_some()),
        ("code_hashes", !profile.code_hashes.is_empty()),
    ];
    given.into_iter().find_map(|(name, given)| given.then_some(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;
    use crate::quantity::Digest;
    use crate::settings::Settings;
    use cloister_client::Measurement;

    fn policy(folder: &Path) -> PathBuf {
        let path = folder.join("policy.toml");
        std::fs::write(&path, include_str!("../../../policy/tests/good/all.toml")).unwrap();
        path
    }

    #[test]
    fn a_policy_file_is_read_and_its_collateral_is_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = policy(folder.path());
        let global = GlobalArguments { policy: Some(path.clone()), ..GlobalArguments::default() };
        let settings = Settings::merge(&global, Profile::default()).unwrap();
        let named = settings.policy.unwrap();
        assert_eq!(named.file.policy.mrenclave, Measurement::Exactly(vec![[0xaa; 32]]));
        assert_eq!(named.collateral(), Some(folder.path().join("collateral.json").as_path()));
    }

    #[test]
    fn a_service_for_collateral_is_named_with_what_vouches_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let load = |value: &str| {
            let text = include_str!("../../../policy/tests/good/all.toml");
            let text = text.replace("{ file = \"collateral.json\" }", value);
            let path = folder.path().join("policy.toml");
            std::fs::write(&path, text).unwrap();
            NamedPolicy::load(&path).unwrap()
        };
        let named = load("{ pccs = \"https://pccs.example:8081/\" }");
        assert_eq!(named.collateral_server().unwrap().unwrap().url(), "https://pccs.example:8081");
        assert_eq!(named.collateral(), None);
        let open = load("{ pccs = \"http://pccs.example\" }").collateral_server().unwrap_err();
        assert!(open.to_string().contains("write https"), "{open}");
        let absent = load("{ pccs = \"https://a\", roots = \"ca.pem\" }").collateral_server().unwrap_err();
        let expected = format!("cannot read {}", folder.path().join("ca.pem").display());
        assert!(absent.to_string().starts_with(&expected), "{absent}");
        assert!(load("\"enclave\"").collateral_server().unwrap().is_none());
    }

    #[test]
    fn nothing_decides_beside_a_policy_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = policy(folder.path());
        let named = || GlobalArguments { policy: Some(path.clone()), ..GlobalArguments::default() };
        let digest = Some(Digest([1; 32]));
        for (option, global) in [
            ("--mrenclave", GlobalArguments { mrenclave: vec![Digest([1; 32])], ..named() }),
            ("--identity", GlobalArguments { identity: digest, ..named() }),
            ("--code-hash", GlobalArguments { code_hash: digest, ..named() }),
            ("--allow-simulated", GlobalArguments { allow_simulated: digest, ..named() }),
            ("--collateral", GlobalArguments { collateral: Some("c".into()), ..named() }),
            ("--min-epoch", GlobalArguments { min_epoch: Some(1), ..named() }),
            ("--volume-root", GlobalArguments { volume_root: digest, ..named() }),
            ("--freshness", GlobalArguments { freshness: Some("tpm".parse().unwrap()), ..named() }),
        ] {
            let failure = Settings::merge(&global, Profile::default()).unwrap_err();
            assert!(failure.to_string().starts_with(option), "{failure}");
            assert_eq!(failure.exit(), Exit::Usage);
            let by_profile = Profile { policy: Some(path.clone()), ..Profile::default() };
            let global = GlobalArguments { policy: None, ..global };
            assert!(Settings::merge(&global, by_profile).unwrap_err().to_string().starts_with(option));
        }
    }

    #[test]
    fn a_profile_has_pins_or_a_policy_and_an_option_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = policy(folder.path());
        let pinned = || Profile {
            host: Some("e.example.com".to_owned()),
            mrenclave: vec![Digest([1; 32])],
            min_epoch: Some(5),
            ..Profile::default()
        };
        let both = Profile { policy: Some(path.clone()), ..pinned() };
        let failure = Settings::merge(&GlobalArguments::default(), both).unwrap_err();
        assert!(failure.to_string().starts_with("the profile has mrenclave"), "{failure}");
        let identity = Some(Digest([1; 32]));
        let both = Profile { policy: Some(path.clone()), identity, ..Profile::default() };
        let failure = Settings::merge(&GlobalArguments::default(), both).unwrap_err();
        assert!(failure.to_string().starts_with("the profile has identity"), "{failure}");
        let global = GlobalArguments { policy: Some(path), ..GlobalArguments::default() };
        let settings = Settings::merge(&global, pinned()).unwrap();
        assert_eq!(settings.host.name, "e.example.com");
        assert!(settings.mrenclave.is_empty() && settings.min_epoch.is_none() && settings.policy.is_some());
    }

    #[test]
    fn a_file_that_is_no_policy_is_a_failure_with_every_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        std::fs::write(&path, "version = 1\nmrenclave = 'any'\n").unwrap();
        let failure = NamedPolicy::load(&path).unwrap_err();
        let text = failure.to_string();
        assert!(
            text.contains("line 2: mrenclave is nothing") && text.contains("platform.root is missing"),
            "{text}"
        );
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(
            NamedPolicy::load(Path::new("/nonexistent/p")).unwrap_err().to_string().contains("cannot read")
        );
    }
}
