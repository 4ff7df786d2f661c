//! What the options, the environment and the profile together say about the enclave.

mod policy;

pub(crate) use policy::NamedPolicy;

use crate::arguments::{FreshnessArgument, GlobalArguments};
use crate::failure::Failure;
use crate::profile::{Profile, ProfileFile};
use crate::quantity::Digest;
use cloister_api::AppName;
use directories::ProjectDirs;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the enclave is, who asks, and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) host: Host,
    pub(crate) key: Option<PathBuf>,
    /// A file, or `-` for standard input.
    pub(crate) token: Option<PathBuf>,
    /// The file that says all of what is accepted; then nothing else here does.
    pub(crate) policy: Option<NamedPolicy>,
    pub(crate) mrenclave: Vec<Digest>,
    pub(crate) identity: Option<Digest>,
    pub(crate) simulated_root: Option<Digest>,
    pub(crate) collateral: Option<PathBuf>,
    pub(crate) min_epoch: Option<u64>,
    pub(crate) volume_root: Option<Digest>,
    pub(crate) freshness: FreshnessArgument,
    code_hash: Option<Digest>,
    code_hashes: BTreeMap<AppName, Digest>,
}

impl Settings {
    /// Reads the profile file and lets the options win over it.
    pub(crate) fn load(global: &GlobalArguments) -> Result<Self, Failure> {
        let path = profile_path(global)?;
        let profile = ProfileFile::load(&path)?.select(global.profile.as_deref(), &path)?;
        Self::merge(global, profile)
    }

    /// Options (and the environment, which clap has put in their place) before the profile.
    pub(crate) fn merge(global: &GlobalArguments, mut profile: Profile) -> Result<Self, Failure> {
        let policy = policy::chosen(global, &mut profile)?;
        let host = global.host.clone().or(profile.host).unwrap_or_else(|| DEFAULT_HOST.to_owned());
        Ok(Self {
            host: host.parse()?,
            key: global.key.clone().or(profile.key),
            token: global.token.clone().or(profile.token),
            policy,
            mrenclave: if global.mrenclave.is_empty() { profile.mrenclave } else { global.mrenclave.clone() },
            identity: global.identity.or(profile.identity),
            simulated_root: global.allow_simulated.or(profile.simulated_root),
            collateral: global.collateral.clone().or(profile.collateral),
            min_epoch: global.min_epoch.or(profile.min_epoch),
            volume_root: global.volume_root.or(profile.volume_root),
            freshness: global.freshness.or(profile.freshness).unwrap_or_default(),
            code_hash: global.code_hash,
            code_hashes: profile.code_hashes,
        })
    }

    /// The only code that is accepted for `app`, where the user said so.
    pub(crate) fn code_hash(&self, app: &AppName) -> Option<Digest> {
        self.code_hash.or_else(|| self.code_hashes.get(app).copied())
    }

    /// Whether nobody said which image is accepted.
    pub(crate) fn accepts_nothing(&self) -> bool {
        self.mrenclave.is_empty() && self.policy.is_none()
    }

    /// The file with collateral that is used in the place of what the enclave's machine offers.
    pub(crate) fn collateral(&self) -> Option<&Path> {
        let named = self.policy.as_ref().and_then(NamedPolicy::collateral);
        named.or(self.collateral.as_deref())
    }

    /// # Errors
    /// A code hash was given, and the app that has to have it was not.
    pub(crate) fn check_pinned_app(&self, app: Option<&AppName>) -> Result<(), Failure> {
        if self.code_hash.is_none() || app.is_some() {
            return Ok(());
        }
        Err(Failure::Usage {
            what: "--code-hash says which code, but not of which app".to_owned(),
            help: Some("name it with --app APP".to_owned()),
        })
    }
}

/// `host`, `host:port`, `[v6]:port` or `https://host:port/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// A DNS name or an IP address without brackets.
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl std::str::FromStr for Host {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let bad = || Failure::Usage {
            what: format!("'{text}' is not the address of an enclave"),
            help: Some(
                "write HOST or HOST:PORT, such as 127.0.0.1:8443, [::1]:8443, enclave.example.com".to_owned(),
            ),
        };
        if text.starts_with("http://") {
            return Err(Failure::Usage {
                what: format!("'{text}': an enclave is never spoken to without TLS"),
                help: Some("write https:// or leave it out".to_owned()),
            });
        }
        let rest = text.strip_prefix("https://").unwrap_or(text);
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (name, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let (address, tail) = bracketed.split_once(']').ok_or_else(bad)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
            (address, tail)
        } else if rest.parse::<std::net::Ipv6Addr>().is_ok() {
            (rest, "")
        } else {
            let end = rest.find(':').unwrap_or(rest.len());
            rest.split_at(end)
        };
        let port = match port.strip_prefix(':') {
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().map_err(|_| bad())?,
            Some(_) => return Err(bad()),
            None if port.is_empty() => DEFAULT_PORT,
            None => return Err(bad()),
        };
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        if port == 0 || name.is_empty() || !name.bytes().all(allowed) {
            return Err(bad());
        }
        Ok(Self { name: name.to_owned(), port })
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// The profile file that the options name, or the usual one.
pub(crate) fn profile_path(global: &GlobalArguments) -> Result<PathBuf, Failure> {
    match &global.config {
        Some(path) => Ok(path.clone()),
        None => Ok(folders()?.config_dir().join("config.toml")),
    }
}

/// The key that is used where no option names one and it exists.
pub(crate) fn default_key_path() -> Result<PathBuf, Failure> {
    Ok(folders()?.config_dir().join("key.pem"))
}

/// Where `serve` keeps its state: `$XDG_STATE_HOME/cloister`.
pub(crate) fn default_state_path() -> Result<PathBuf, Failure> {
    let folders = folders()?;
    Ok(folders.state_dir().unwrap_or_else(|| folders.data_local_dir()).to_owned())
}

fn folders() -> Result<ProjectDirs, Failure> {
    ProjectDirs::from("", "", "cloister").ok_or_else(|| Failure::Usage {
        what: "this user has no home folder".to_owned(),
        help: Some("set HOME, or name the files yourself: --config, --key, --state".to_owned()),
    })
}

const DEFAULT_PORT: u16 = 8443;
const DEFAULT_HOST: &str = "127.0.0.1:8443";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Cli;
    use clap::Parser;
    use std::path::Path;

    fn global(line: &[&str]) -> GlobalArguments {
        let line = ["cloister", "apps"].iter().chain(line);
        Cli::try_parse_from(line).unwrap().global
    }

    fn digest(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    fn profile() -> Profile {
        Profile {
            host: Some("profile.example".into()),
            key: Some("profile.pem".into()),
            token: Some("profile.jwt".into()),
            policy: None,
            mrenclave: vec![digest(1), digest(2)],
            identity: Some(digest(0xd)),
            simulated_root: Some(digest(3)),
            collateral: Some("profile.json".into()),
            min_epoch: Some(5),
            volume_root: Some(digest(6)),
            freshness: Some("tpm".parse().unwrap()),
            code_hashes: BTreeMap::from([("hello".parse().unwrap(), digest(4))]),
        }
    }

    #[test]
    fn the_profile_fills_what_no_option_says() {
        let settings = Settings::merge(&global(&[]), profile()).unwrap();
        assert_eq!(settings.host.to_string(), "profile.example:8443");
        assert_eq!(settings.key.as_deref(), Some(Path::new("profile.pem")));
        assert_eq!(settings.token.as_deref(), Some(Path::new("profile.jwt")));
        assert_eq!(settings.mrenclave, [digest(1), digest(2)]);
        assert_eq!(settings.identity, Some(digest(0xd)));
        assert_eq!(settings.simulated_root, Some(digest(3)));
        assert_eq!(settings.code_hash(&"hello".parse().unwrap()), Some(digest(4)));
        assert_eq!(settings.code_hash(&"other".parse().unwrap()), None);
        assert_eq!((settings.min_epoch, settings.volume_root), (Some(5), Some(digest(6))));
        assert_eq!(settings.freshness.to_string(), "tpm");
    }

    #[test]
    fn options_win_over_the_profile() {
        let (m, r, c) = (digest(7).to_string(), digest(8).to_string(), digest(9).to_string());
        let line = [
            "--host",
            "h:1",
            "--key",
            "k",
            "--mrenclave",
            &m,
            "--identity",
            &c,
            "--allow-simulated",
            &r,
            "--code-hash",
            &c,
            "--collateral",
            "c",
            "--min-epoch",
            "4",
            "--volume-root",
            &m,
            "--freshness",
            "any",
        ];
        let settings = Settings::merge(&global(&line), profile()).unwrap();
        assert_eq!(settings.host, Host { name: "h".into(), port: 1 });
        assert_eq!(settings.key.as_deref(), Some(Path::new("k")));
        assert_eq!(settings.mrenclave, [digest(7)], "the profile's measurements are not accepted too");
        assert_eq!(settings.identity, Some(digest(9)));
        assert_eq!(settings.simulated_root, Some(digest(8)));
        assert_eq!(settings.collateral.as_deref(), Some(Path::new("c")));
        assert_eq!(settings.code_hash(&"hello".parse().unwrap()), Some(digest(9)));
        assert_eq!((settings.min_epoch, settings.volume_root), (Some(4), Some(digest(7))));
        assert_eq!(settings.freshness.to_string(), "any");
    }

    #[test]
    fn without_option_and_profile_nothing_is_accepted() {
        let settings = Settings::merge(&global(&[]), Profile::default()).unwrap();
        assert_eq!(settings.host.to_string(), "127.0.0.1:8443");
        assert!(settings.mrenclave.is_empty() && settings.simulated_root.is_none() && settings.key.is_none());
        assert!(settings.min_epoch.is_none() && settings.volume_root.is_none());
        assert_eq!(settings.identity, None);
        assert_eq!(settings.freshness, FreshnessArgument::default());
    }

    #[test]
    fn hosts_have_many_spellings() {
        for (text, name, port) in [
            ("localhost", "localhost", 8443),
            ("localhost:1", "localhost", 1),
            ("https://e.example.com", "e.example.com", 8443),
            ("https://e.example.com:444/", "e.example.com", 444),
            ("127.0.0.1:65535", "127.0.0.1", 65535),
            ("::1", "::1", 8443),
            ("[::1]", "::1", 8443),
            ("[::1]:9", "::1", 9),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.name.as_str(), host.port), (name, port), "{text}");
        }
        assert_eq!("[::1]:9".parse::<Host>().unwrap().to_string(), "[::1]:9");
        for bad in [
            "", ":1", "h:", "h:0", "h:65536", "h:+1", "h:x", "h/p", "a b", "[::1", "[h]:1", "[::1]x",
            "http://h", "u@h",
        ] {
            assert!(bad.parse::<Host>().is_err(), "{bad:?}");
        }
    }
}
