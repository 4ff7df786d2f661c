//! Directories, assets and network demands, as people write them.

use crate::quantity::Digest;
use cloister_api::{DEFAULT_ASSETS_AT, Directory, NetworkRule};
use std::path::PathBuf;
use std::str::FromStr;

/// `PATH[::GUEST][:ro]`: a directory of the app's tree, and the guest's name of it. Without one it is the path as it is
/// written, so that `.` is the whole tree under that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryArgument(pub(crate) Directory);

impl FromStr for DirectoryArgument {
    type Err = InvalidDirectory;

    fn from_str(text: &str) -> Result<Self, InvalidDirectory> {
        let (names, read_only) = match text.strip_suffix(":ro") {
            Some(names) => (names, true),
            None => (text, false),
        };
        let (path, guest) = names.split_once("::").unwrap_or((names, names));
        if path.is_empty() || guest.is_empty() {
            return Err(InvalidDirectory);
        }
        let steps = path.split('/').filter(|step| !step.is_empty() && *step != ".");
        let path = format!("/{}", Vec::from_iter(steps).join("/"));
        Ok(Self(Directory { path, guest: guest.to_owned(), read_only }))
    }
}

/// The text names no directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write PATH, PATH::GUEST, or either with :ro, such as /data::/var/data:ro")]
pub(crate) struct InvalidDirectory;

/// `DIR[::GUEST]`: a directory on this machine, and where the guest finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AssetsArgument {
    pub(crate) directory: PathBuf,
    pub(crate) at: Option<String>,
}

impl FromStr for AssetsArgument {
    type Err = InvalidAssets;

    fn from_str(text: &str) -> Result<Self, InvalidAssets> {
        let (directory, at) = located(text).ok_or(InvalidAssets)?;
        Ok(Self { directory: directory.into(), at: at.map(str::to_owned) })
    }
}

/// The text names no assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write DIR, or DIR::GUEST, such as ./site::/www")]
pub(crate) struct InvalidAssets;

/// `HEX[::GUEST]`: the only assets that are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AssetsPin {
    pub(crate) hash: Digest,
    pub(crate) at: String,
}

impl FromStr for AssetsPin {
    type Err = InvalidAssetsPin;

    fn from_str(text: &str) -> Result<Self, InvalidAssetsPin> {
        let (hash, at) = located(text).ok_or(InvalidAssetsPin)?;
        let hash = hash.parse().map_err(|_| InvalidAssetsPin)?;
        Ok(Self { hash, at: at.unwrap_or(DEFAULT_ASSETS_AT).to_owned() })
    }
}

/// The text pins no assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write HEX or HEX::GUEST, with the 64 hex digits that `cloister assets-hash DIR` prints")]
pub(crate) struct InvalidAssetsPin;

/// A rule that an app may have at most, or `none` for an app that may have no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AllowArgument {
    None,
    Rule(NetworkRule),
}

impl FromStr for AllowArgument {
    type Err = cloister_api::InvalidNetworkRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::Rule) }
    }
}

/// What stands before and after `::`, neither of it empty.
fn located(text: &str) -> Option<(&str, Option<&str>)> {
    let (what, at) = match text.split_once("::") {
        Some((what, at)) => (what, Some(at)),
        None => (text, None),
    };
    if what.is_empty() || at == Some("") { None } else { Some((what, at)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_written_as_for_wasmtime() {
        for (text, path, guest, read_only) in [
            (".", "/", ".", false),
            ("/", "/", "/", false),
            ("/data", "/data", "/data", false),
            ("data/x", "/data/x", "data/x", false),
            ("./data:ro", "/data", "./data", true),
            ("/data::/d", "/data", "/d", false),
            (".::/:ro", "/", "/", true),
        ] {
            let DirectoryArgument(directory) = text.parse().unwrap();
            let expected = Directory { path: path.into(), guest: guest.into(), read_only };
            assert_eq!(directory, expected, "{text}");
        }
        for bad in ["", ":ro", "::/a", "/a::", "/a:::ro"] {
            assert_eq!(bad.parse::<DirectoryArgument>(), Err(InvalidDirectory), "{bad}");
        }
    }

    #[test]
    fn assets_are_a_directory_or_a_hash_and_a_place() {
        let assets: AssetsArgument = "./site::/www".parse().unwrap();
        assert_eq!((assets.directory.to_str(), assets.at.as_deref()), (Some("./site"), Some("/www")));
        assert_eq!("site".parse::<AssetsArgument>().unwrap().at, None);
        assert!("::/www".parse::<AssetsArgument>().is_err() && "site::".parse::<AssetsArgument>().is_err());
        let hash = "ab".repeat(32);
        let pin: AssetsPin = hash.parse().unwrap();
        assert_eq!((pin.hash, pin.at.as_str()), (Digest([0xab; 32]), "/assets"));
        assert_eq!(format!("{hash}::/www").parse::<AssetsPin>().unwrap().at, "/www");
        assert!("ab".parse::<AssetsPin>().is_err() && format!("{hash}::").parse::<AssetsPin>().is_err());
    }

    #[test]
    fn none_is_a_demand() {
        assert_eq!("none".parse::<AllowArgument>().unwrap(), AllowArgument::None);
        assert!(matches!("https://a.com".parse::<AllowArgument>(), Ok(AllowArgument::Rule(_))));
        assert!("nothing".parse::<AllowArgument>().is_err());
    }
}
