//! Which imports the image serves, and what to say of the others.

use crate::inspect::{Import, Needs};
use crate::nearest::nearest;

/// An import that nothing in the image serves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the component imports `{name}`, which this image does not serve{hint}")]
pub struct UnsupportedImport {
    /// The import's full WIT name.
    pub name: String,
    /// Supported interfaces of a similar name, the nearest first.
    pub nearest: Vec<String>,
    /// Why, and what to do, as the end of a sentence.
    pub(crate) hint: String,
}

/// Refuses the first of `imports` that is not among `supported`.
///
/// Versions are compared as Wasmtime's linker does: the same major version, or with major version 0 the same minor one,
/// since WIT interfaces follow Semantic Versioning.
pub(crate) fn check_imports(imports: &[Import], supported: &[&str]) -> Result<(), UnsupportedImport> {
    imports.iter().try_for_each(|import| match import.needs {
        Needs::Nothing => Ok(()),
        Needs::Interface if supported.iter().any(|name| serves(name, &import.name)) => Ok(()),
        Needs::Interface => Err(unsupported_interface(&import.name, supported)),
        Needs::LooseItem => Err(UnsupportedImport {
            name: import.name.clone(),
            nearest: Vec::new(),
            hint: ": it stands outside any interface, and the image serves interfaces only".to_owned(),
        }),
    })
}

/// Whether the interface `supported` answers an import of `wanted`.
fn serves(supported: &str, wanted: &str) -> bool {
    let (name, version) = split(supported);
    let (wanted_name, wanted_version) = split(wanted);
    name == wanted_name
        && (version == wanted_version
            || matches!((compatible(version), compatible(wanted_version)), (Some(a), Some(b)) if a == b))
}

fn unsupported_interface(wanted: &str, supported: &[&str]) -> UnsupportedImport {
    let (wanted_name, wanted_version) = split(wanted);
    let same_name: Vec<String> =
        supported.iter().filter(|name| split(name).0 == wanted_name).map(|name| (*name).to_owned()).collect();
    if let Some(served) = same_name.first() {
        let version = wanted_version.map_or("no version".to_owned(), |version| format!("version {version}"));
        let hint = format!(" in {version}; it serves `{served}` and what is compatible with that");
        return UnsupportedImport { name: wanted.to_owned(), nearest: same_name, hint };
    }
    let near = nearest(wanted_name, supported.iter().map(|name| split(name).0));
    let nearest: Vec<String> = near
        .iter()
        .filter_map(|name| supported.iter().find(|full| split(full).0 == name).map(|full| (*full).to_owned()))
        .collect();
    let hint =
        nearest.first().map(|name| format!("; the nearest that it serves is `{name}`")).unwrap_or_default();
    UnsupportedImport { name: wanted.to_owned(), nearest, hint }
}

fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (name, None),
    }
}

/// The part of a version that compatible ones share: major, or `0.minor`. Pre-releases and `0.0.x` share nothing.
fn compatible(version: Option<&str>) -> Option<(u64, u64)> {
    let version = version?;
    let release = version.split_once('+').map_or(version, |(release, _)| release);
    let mut parts = release.splitn(3, '.').map(|part| part.parse::<u64>().ok());
    match (parts.next()??, parts.next()??, parts.next()??) {
        (0, 0, _) => None,
        (0, minor, _) => Some((0, minor)),
        (major, ..) => Some((major, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPPORTED: &[&str] =
        &["wasi:cli/stdout@0.2.12", "wasi:random/random@0.2.12", "acme:kv/store@1.4.0"];

    fn check(name: &str, needs: Needs) -> Result<(), UnsupportedImport> {
        check_imports(&[Import { name: name.to_owned(), needs }], SUPPORTED)
    }

    #[test]
    fn compatible_versions_are_served() {
        for name in [
            "wasi:cli/stdout@0.2.0",
            "wasi:cli/stdout@0.2.6",
            "wasi:cli/stdout@0.2.12",
            "wasi:cli/stdout@0.2.99",
            "acme:kv/store@1.0.0",
        ] {
            assert_eq!(check(name, Needs::Interface), Ok(()), "{name}");
        }
    }

    #[test]
    fn other_versions_are_refused_with_the_one_that_is_served() {
        for name in [
            "wasi:cli/stdout@0.3.0",
            "wasi:cli/stdout@0.2.0-rc-2023-11-10",
            "wasi:cli/stdout",
            "acme:kv/store@2.0.0",
        ] {
            let refused = check(name, Needs::Interface).unwrap_err();
            assert_eq!(refused.name, name);
            assert_eq!(refused.nearest.len(), 1, "{refused}");
            assert!(refused.to_string().contains("it serves `"), "{refused}");
        }
    }

    #[test]
    fn the_nearest_is_named_where_there_is_one() {
        let refused = check("wasi:random/randum@0.2.0", Needs::Interface).unwrap_err();
        assert_eq!(refused.nearest, ["wasi:random/random@0.2.12"]);
        assert_eq!(
            refused.to_string(),
            "the component imports `wasi:random/randum@0.2.0`, which this image does not serve; \
             the nearest that it serves is `wasi:random/random@0.2.12`"
        );
        assert_eq!(check("zzz:q/unlike@1.0.0", Needs::Interface).unwrap_err().nearest, Vec::<String>::new());
    }

    #[test]
    fn types_need_nobody_and_loose_items_are_refused() {
        assert_eq!(check("my:own/types", Needs::Nothing), Ok(()));
        assert!(check("print", Needs::LooseItem).unwrap_err().to_string().contains("outside any interface"));
    }
}
