//! The profile file: what need not be typed each time.

use crate::arguments::FreshnessArgument;
use crate::quantity::Digest;
use cloister_api::AppName;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};
use toml_edit::{Array, DocumentMut, Item, Table, value};

/// The name of the profile that is used when none is asked for.
pub(crate) const DEFAULT: &str = "default";

/// The parsed file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, DeriveDeserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileFile {
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

/// Defaults for the options of the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, DeriveDeserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// Relative to the folder of the profile file; `~/` is the home folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    /// As `key`: the file with the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<PathBuf>,
    /// As `key`: the policy file that says all of what is accepted. No pins stand beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<PathBuf>,
    /// One measurement or a list.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub(crate) mrenclave: Vec<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) simulated_root: Option<Digest>,
    /// As `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) collateral: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) min_epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) volume_root: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) freshness: Option<FreshnessArgument>,
    /// By app: the only code that is accepted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) code_hashes: BTreeMap<AppName, Digest>,
}

impl ProfileFile {
    /// Reads the file at `path`; one that does not exist has no profiles.
    pub(crate) fn load(path: &Path) -> Result<Self, ProfileError> {
        Self::parse(&read(path)?, path)
    }

    /// The profile called `name`, or without a name the default one, if there is one. Paths in it are absolute or
    /// relative to the working folder.
    pub(crate) fn select(self, name: Option<&str>, path: &Path) -> Result<Profile, ProfileError> {
        let mut profiles = self.profiles;
        let Some(profile) = profiles.remove(name.unwrap_or(DEFAULT)) else {
            return match name {
                None => Ok(Profile::default()),
                Some(name) => Err(ProfileError::Unknown {
                    name: name.to_owned(),
                    path: path.to_owned(),
                    suggestions: crate::failure::near(name, profiles.keys().map(String::as_str)),
                }),
            };
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Profile {
            key: profile.key.map(|key| resolve(folder, &key)),
            token: profile.token.map(|token| resolve(folder, &token)),
            policy: profile.policy.map(|file| resolve(folder, &file)),
            collateral: profile.collateral.map(|file| resolve(folder, &file)),
            ..profile
        })
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ProfileError> {
        toml_edit::de::from_str(text).map_err(|source| {
            let start = source.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes().iter().take(start).filter(|b| **b == b'\n').count() + 1;
            ProfileError::Malformed { path: path.to_owned(), line, reason: source.message().to_owned() }
        })
    }
}

/// Writes what `change` sets into the profile `name` of the file at `path`, and makes both where they are absent.
/// Comments and everything else in the file stay as they are.
pub(crate) fn set(path: &Path, name: &str, change: &Profile) -> Result<(), ProfileError> {
    if name.is_empty() {
        return Err(ProfileError::EmptyName);
    }
    let text = read(path)?;
    ProfileFile::parse(&text, path)?;
    let mut document: DocumentMut = text.parse().map_err(|source: toml_edit::TomlError| {
        ProfileError::Malformed { path: path.to_owned(), line: 1, reason: source.message().to_owned() }
    })?;
    let not_a_table = || ProfileError::Malformed {
        path: path.to_owned(),
        line: 1,
        reason: format!("'profiles.{name}' is not a table"),
    };
    let profiles = document.entry("profiles").or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let profiles = profiles.as_table_like_mut().ok_or_else(not_a_table)?;
    let profile = profiles.entry(name).or_insert_with(toml_edit::table);
    apply(profile.as_table_like_mut().ok_or_else(not_a_table)?, change);

    let written = document.to_string();
    ProfileFile::parse(&written, path)?;
    write(path, &written).map_err(|source| ProfileError::Write { path: path.to_owned(), source })
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    #[error("cannot read the profile file {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the profile file {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{}:{line}: {reason}", path.display())]
    Malformed { path: PathBuf, line: usize, reason: String },
    #[error("no profile '{name}' in {}", path.display())]
    Unknown { name: String, path: PathBuf, suggestions: Vec<String> },
    #[error("a profile's name is not empty")]
    EmptyName,
}

fn apply(profile: &mut dyn toml_edit::TableLike, change: &Profile) {
    let mut put = |key: &str, item: Option<toml_edit::Value>| {
        if let Some(new) = item {
            profile.insert(key, value(new));
        }
    };
    let path_text = |path: &PathBuf| path.display().to_string().into();
    put("host", change.host.as_deref().map(Into::into));
    put("key", change.key.as_ref().map(path_text));
    put("token", change.token.as_ref().map(path_text));
    put("policy", change.policy.as_ref().map(path_text));
    put("collateral", change.collateral.as_ref().map(path_text));
    put("simulated_root", change.simulated_root.map(|root| root.to_string().into()));
    put("identity", change.identity.map(|identity| identity.to_string().into()));
    put("volume_root", change.volume_root.map(|root| root.to_string().into()));
    put("freshness", change.freshness.map(|demand| demand.to_string().into()));
    // An epoch that TOML cannot hold (a number of 63 bits) is not reached by counting.
    put("min_epoch", change.min_epoch.map(|epoch| i64::try_from(epoch).unwrap_or(i64::MAX).into()));
    if !change.mrenclave.is_empty() {
        put("mrenclave", Some(change.mrenclave.iter().map(Digest::to_string).collect::<Array>().into()));
    }
    if change.code_hashes.is_empty() {
        return;
    }
    let hashes = profile.entry("code_hashes").or_insert_with(toml_edit::table);
    if let Some(hashes) = hashes.as_table_like_mut() {
        for (app, hash) in &change.code_hashes {
            hashes.insert(app.as_str(), value(hash.to_string()));
        }
    }
}

fn read(path: &Path) -> Result<String, ProfileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ProfileError::Read { path: path.to_owned(), source }),
    }
}

/// Leaves the old file or the new one whole, whatever happens.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let partial = path.with_extension("toml.part");
    fs::write(&partial, text)?;
    fs::rename(&partial, path)
}

fn resolve(folder: &Path, path: &Path) -> PathBuf {
    match path.strip_prefix("~") {
        Ok(rest) => std::env::home_dir().unwrap_or_default().join(rest),
        Err(_) => folder.join(path),
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Digest>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<Digest>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("64 hex digits or a list of them")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Digest>, E> {
            text.parse().map(|digest| vec![digest]).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Vec<Digest>, A::Error> {
            Vec::deserialize(de::value::SeqAccessDeserializer::new(items))
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/cloister/config.toml";

    fn parse(text: &str) -> Result<ProfileFile, ProfileError> {
        ProfileFile::parse(text, Path::new(FILE))
    }

    fn digest(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    #[test]
    fn a_profile_has_every_option() {
        let file = parse(&format!(
            "[profiles.prod]\nhost = 'e.example.com'\nkey = 'k.pem'\ntoken = 't.jwt'\nmrenclave = ['{}', '{}']\nsimulated_root = '{}'\n\
             collateral = '/c.json'\nmin_epoch = 9\nidentity = '{}'\nvolume_root = '{}'\nfreshness = 'tpm'\n[profiles.prod.code_hashes]\nhello = '{}'\n",
            digest(1),
            digest(2),
            digest(3),
            digest(6),
            digest(5),
            digest(4)
        ))
        .unwrap();
        let profile = file.select(Some("prod"), Path::new(FILE)).unwrap();
        assert_eq!(profile.host.as_deref(), Some("e.example.com"));
        assert_eq!(profile.key.as_deref(), Some(Path::new("/etc/cloister/k.pem")));
        assert_eq!(profile.token.as_deref(), Some(Path::new("/etc/cloister/t.jwt")));
        assert_eq!(profile.mrenclave, [digest(1), digest(2)]);
        assert_eq!(profile.simulated_root, Some(digest(3)));
        assert_eq!(profile.identity, Some(digest(6)));
        assert_eq!(profile.collateral.as_deref(), Some(Path::new("/c.json")));
        assert_eq!((profile.min_epoch, profile.volume_root), (Some(9), Some(digest(5))));
        assert_eq!(profile.freshness, Some("tpm".parse().unwrap()));
        assert_eq!(profile.code_hashes[&"hello".parse().unwrap()], digest(4));
    }

    #[test]
    fn one_mrenclave_needs_no_list() {
        let file = parse(&format!("[profiles.a]\nmrenclave = '{}'", digest(7))).unwrap();
        assert_eq!(file.profiles["a"].mrenclave, [digest(7)]);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_file_and_line() {
        let error = parse("[profiles.a]\nhost = 'x'\nmrenclaves = 'y'\n").unwrap_err().to_string();
        assert!(error.starts_with("/etc/cloister/config.toml:3: unknown field `mrenclaves`"), "{error}");
        let error = parse("\n[profile.a]\nhost = 'x'\n").unwrap_err().to_string();
        assert!(error.starts_with("/etc/cloister/config.toml:2: unknown field `profile`"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        for (text, line) in [
            ("[profiles.a]\nmrenclave = 'abc'", 2),
            ("[profiles.a]\nhost = 'h'\nmrenclave = ['abc']", 3),
            ("[profiles.a]\n\n\nhost = 5", 4),
            ("[profiles.a]\nhost = ", 2),
            ("[profiles.a]\nmin_epoch = -1", 2),
            ("[profiles.a]\nfreshness = 'fresh'", 2),
            ("[profiles.a.code_hashes]\nHELLO = 'x'", 2),
        ] {
            match parse(text) {
                Err(ProfileError::Malformed { line: at, .. }) => assert_eq!(at, line, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_default_profile_may_be_absent_but_a_named_one_may_not() {
        let file = parse("[profiles.production]\nhost = 'p'").unwrap();
        assert_eq!(file.clone().select(None, Path::new(FILE)).unwrap(), Profile::default());
        match file.select(Some("prodution"), Path::new(FILE)) {
            Err(ProfileError::Unknown { suggestions, .. }) => assert_eq!(suggestions, ["production"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn set_makes_the_file_and_keeps_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/config.toml");
        let change = Profile { host: Some("a:1".into()), mrenclave: vec![digest(1)], ..Profile::default() };
        set(&path, "local", &change).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("[profiles.local]\nhost = \"a:1\"\n"), "{text}");

        fs::write(&path, format!("# mine\n{text}# end\n")).unwrap();
        let pin = BTreeMap::from([("hello".parse().unwrap(), digest(9))]);
        set(&path, "local", &Profile { code_hashes: pin, ..Profile::default() }).unwrap();
        let volume = Profile {
            min_epoch: Some(7),
            volume_root: Some(digest(8)),
            identity: Some(digest(7)),
            freshness: Some("tpm".parse().unwrap()),
            ..Profile::default()
        };
        set(&path, "volume", &volume).unwrap();
        set(&path, "other.name", &Profile { host: Some("b".into()), ..Profile::default() }).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("# mine\n") && text.contains("# end"), "{text}");
        let file = ProfileFile::load(&path).unwrap();
        assert_eq!(file.profiles["local"].host.as_deref(), Some("a:1"));
        assert_eq!(file.profiles["local"].mrenclave, [digest(1)]);
        assert_eq!(file.profiles["local"].code_hashes.len(), 1);
        assert_eq!(file.profiles["other.name"].host.as_deref(), Some("b"));
        assert_eq!(file.profiles["volume"], volume);
    }

    #[test]
    fn set_does_not_touch_a_file_it_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "[profiles.a]\nhots = 'x'\n").unwrap();
        assert!(set(&path, "a", &Profile::default()).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[profiles.a]\nhots = 'x'\n");
        assert!(matches!(set(&path, "", &Profile::default()), Err(ProfileError::EmptyName)));
    }
}
