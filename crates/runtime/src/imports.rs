//! Which imports the image serves, and what to say of the others.

use crate::inspect::{Import, Needs};
use crate::nearest::nearest;
use cloister_api::serves;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use wit_parser::{Resolve, SourceMap, TypeDefKind, TypeId};

/// The files of one package: path, and WIT text.
pub(crate) type Package = &'static [(&'static str, &'static str)];

/// What the image serves: interfaces, and the functions and resources of each.
#[derive(Debug)]
pub(crate) struct Served(Vec<Interface>);

#[derive(Debug)]
struct Interface {
    name: &'static str,
    /// As the component model spells them, such as `[method]output-stream.flush`.
    items: BTreeSet<String>,
}

impl Served {
    /// The interfaces of `names`, with what the packages, each after those that it uses, say of them.
    ///
    /// # Errors
    /// A text is not WIT, or an interface is in none.
    pub(crate) fn new(
        names: impl Iterator<Item = &'static str>,
        packages: &[Package],
    ) -> Result<Self, String> {
        let mut resolve = Resolve { features: UNSTABLE.map(str::to_owned).into(), ..Resolve::default() };
        for package in packages {
            let mut files = SourceMap::default();
            package.iter().for_each(|(path, text)| files.push_str(path, *text));
            let wrong = |error: &dyn fmt::Display| {
                let paths: Vec<&str> = package.iter().map(|(path, _)| *path).collect();
                format!("{}: {error}", paths.join(", "))
            };
            let parsed = files.parse().map_err(|(_, error)| wrong(&error))?;
            resolve.push_group(parsed).map_err(|error| wrong(&error))?;
        }
        let known: BTreeMap<String, BTreeSet<String>> = resolve
            .interfaces
            .iter()
            .filter_map(|(id, interface)| {
                let is_resource = |id: &TypeId| resolve.types[*id].kind == TypeDefKind::Resource;
                let resources =
                    interface.types.iter().filter(|(_, id)| is_resource(id)).map(|(name, _)| name);
                let items = interface.functions.keys().chain(resources).cloned().collect();
                Some((resolve.id_of(id)?, items))
            })
            .collect();
        let interface = |name: &'static str| match known.get(name) {
            Some(items) => Ok(Interface { name, items: items.clone() }),
            None => Err(format!("no package has the interface {name}")),
        };
        Ok(Self(names.map(interface).collect::<Result<_, _>>()?))
    }

    fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.0.iter().map(|interface| interface.name)
    }
}

/// Imports that nothing in the image serves: all of a component's, up to a hundred.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentence(.missing))]
pub struct UnsupportedImports {
    /// One at least.
    pub missing: Vec<UnsupportedImport>,
}

/// An import that nothing in the image serves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`{hint}")]
pub struct UnsupportedImport {
    /// The import's full WIT name, with `#function` where only that is missing.
    pub name: String,
    /// Supported names that are similar, the nearest first.
    pub nearest: Vec<String>,
    /// Why, and what to do, as the end of a sentence.
    pub(crate) hint: String,
}

fn sentence(missing: &[UnsupportedImport]) -> String {
    match missing {
        [one] => format!("the component imports what this image does not serve: {one}"),
        _ => {
            let all: Vec<String> = missing.iter().map(ToString::to_string).collect();
            format!(
                "the component imports {} things that this image does not serve: {}",
                all.len(),
                all.join(". ")
            )
        }
    }
}

/// Refuses the component whose `imports` are not all among `served`, and names those that are not.
///
/// Versions are compared as Wasmtime's linker does: the same major version, or with major version 0 the same minor one,
/// since WIT interfaces follow Semantic Versioning.
pub(crate) fn check_imports(imports: &[Import], served: &Served) -> Result<(), UnsupportedImports> {
    let mut missing = Vec::new();
    for import in imports {
        match import.needs {
            Needs::Nothing => {}
            Needs::LooseItem => missing.push(UnsupportedImport {
                name: import.name.clone(),
                nearest: Vec::new(),
                hint: ", which stands outside any interface, and the image serves interfaces only".to_owned(),
            }),
            Needs::Interface => match served.0.iter().find(|served| serves(served.name, &import.name)) {
                None => missing.push(unsupported_interface(&import.name, served)),
                Some(interface) => missing.extend(unsupported_items(import, interface)),
            },
        }
        if missing.len() >= MAX_MISSING {
            break;
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(UnsupportedImports { missing }) }
}

fn unsupported_items(import: &Import, interface: &Interface) -> Vec<UnsupportedImport> {
    let unknown = import.items.iter().filter(|item| !interface.items.contains(*item));
    let unknown = unknown.take(MAX_MISSING).map(|item| {
        let near = nearest(item, interface.items.iter().map(String::as_str));
        let nearest: Vec<String> = near.iter().map(|item| format!("{}#{item}", interface.name)).collect();
        let hint = format!(", which `{}` does not have", interface.name);
        UnsupportedImport { name: format!("{}#{item}", import.name), nearest, hint }
    });
    unknown.collect()
}

fn unsupported_interface(wanted: &str, served: &Served) -> UnsupportedImport {
    let (wanted_name, wanted_version) = split(wanted);
    let same_name: Vec<String> =
        served.names().filter(|name| split(name).0 == wanted_name).map(str::to_owned).collect();
    if let Some(served) = same_name.first() {
        let version = wanted_version.map_or("no version".to_owned(), |version| format!("version {version}"));
        let hint = format!(" in {version}, and it serves `{served}` and what is compatible with that");
        return UnsupportedImport { name: wanted.to_owned(), nearest: same_name, hint };
    }
    let near = nearest(wanted_name, served.names().map(|name| split(name).0));
    let nearest: Vec<String> = near
        .iter()
        .filter_map(|name| served.names().find(|full| split(full).0 == name))
        .map(str::to_owned)
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

/// Missing imports that are told of one component.
const MAX_MISSING: usize = 100;

/// What the WIT texts call unstable, and is served all the same.
const UNSTABLE: [&str; 1] = ["network-error-code"];

#[cfg(test)]
mod tests {
    use super::*;

    fn served() -> Served {
        let names = ["wasi:cli/stdout@0.2.12", "wasi:random/random@0.2.12", "acme:kv/store@1.4.0"];
        let packages: [Package; 3] = [
            &[("cli.wit", "package wasi:cli@0.2.12; interface stdout { f: func(); }")],
            &[("random.wit", "package wasi:random@0.2.12; interface random { f: func(); }")],
            &[
                ("world.wit", "package acme:kv@1.4.0; world imports { import store; }"),
                (
                    "store.wit",
                    "package acme:kv@1.4.0; interface store { f: func(); resource bucket { open: func(); } }",
                ),
            ],
        ];
        Served::new(names.into_iter(), &packages).unwrap()
    }

    fn import(name: &str, needs: Needs, items: &[&str]) -> Import {
        Import { name: name.to_owned(), needs, items: items.iter().map(|item| (*item).to_owned()).collect() }
    }

    fn check(name: &str, needs: Needs) -> Result<(), UnsupportedImport> {
        check_imports(&[import(name, needs, &["f"])], &served())
            .map_err(|refused| refused.missing.into_iter().next().unwrap())
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
            "`wasi:random/randum@0.2.0`; the nearest that it serves is `wasi:random/random@0.2.12`"
        );
        assert_eq!(check("zzz:q/unlike@1.0.0", Needs::Interface).unwrap_err().nearest, Vec::<String>::new());
    }

    #[test]
    fn types_need_nobody_and_loose_items_are_refused() {
        assert_eq!(check("my:own/types", Needs::Nothing), Ok(()));
        assert!(check("print", Needs::LooseItem).unwrap_err().to_string().contains("outside any interface"));
    }

    #[test]
    fn all_that_is_missing_is_named() {
        let imports = [
            import("wasi:random/random@0.2.3", Needs::Interface, &["f", "g"]),
            import(
                "acme:kv/store@1.0.0",
                Needs::Interface,
                &["bucket", "[method]bucket.open", "[method]bucket.shut"],
            ),
            import("wasi:gfx/surface@0.0.1", Needs::Interface, &[]),
        ];
        let refused = check_imports(&imports, &served()).unwrap_err();
        let names: Vec<&str> = refused.missing.iter().map(|import| import.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "wasi:random/random@0.2.3#g",
                "acme:kv/store@1.0.0#[method]bucket.shut",
                "wasi:gfx/surface@0.0.1"
            ]
        );
        assert_eq!(refused.missing[1].nearest[0], "acme:kv/store@1.4.0#[method]bucket.open");
        assert!(refused.to_string().starts_with("the component imports 3 things"), "{refused}");
    }

    #[test]
    fn an_interface_without_wit_cannot_be_served() {
        let names = ["a:b/c@1.0.0"].into_iter();
        assert!(Served::new(names, &[&[("test.wit", "package a:b@1.0.0; interface d {}")]]).is_err());
    }
}
