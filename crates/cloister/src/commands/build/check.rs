//! Whether an enclave will take a component, as far as can be told without compiling it.

use super::BuildError;
use super::interface::{not_callable, signature};
use super::served::{Served, items};
use crate::failure::near;
use cloister_api::MAX_COMPONENT;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use wasmparser::{Parser, Validator, WasmFeatures};
use wit_component::DecodedWasm;
use wit_parser::{Function, Resolve, World, WorldItem};

/// A component that the image takes.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Checked {
    /// In bytes.
    pub(super) size: u64,
    /// SHA-256 in hexadecimal digits: what evidence calls the app's code hash.
    pub(super) code_hash: String,
    /// Interfaces, sorted.
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<Export>,
}

/// A function that a component exports.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Export {
    /// As calls take it.
    pub(super) name: String,
    pub(super) signature: String,
    /// Why calls cannot carry its types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_callable: Option<String>,
}

/// Checks the bytes of the file at `path`.
pub(super) fn check(path: &Path, wasm: &[u8]) -> Result<Checked, BuildError> {
    if wasm.len() > MAX_COMPONENT {
        return Err(BuildError::TooLarge { path: path.to_owned(), size: wasm.len(), limit: MAX_COMPONENT });
    }
    if Parser::is_core_wasm(wasm) {
        return Err(BuildError::CoreModule(path.to_owned()));
    }
    if !Parser::is_component(wasm) {
        return Err(BuildError::NotWasm(path.to_owned()));
    }
    let invalid = |reason: String| BuildError::Invalid { path: path.to_owned(), reason };
    Validator::new_with_features(FEATURES).validate_all(wasm).map_err(|error| invalid(error.to_string()))?;
    let decoded = wit_component::decode(wasm).map_err(|error| invalid(format!("{error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(invalid("it is a WIT package, which has no code".to_owned()));
    };
    let world = &resolve.worlds[world];
    let imports = imports(path, &resolve, world)?;
    let exports = exports(&resolve, world);
    let serves = |name: &str| INVOKED.iter().any(|invoked| name.starts_with(invoked));
    if !exports.iter().any(|export| export.not_callable.is_none() || serves(&export.name)) {
        return Err(BuildError::NoExports(path.to_owned()));
    }
    Ok(Checked { size: wasm.len() as u64, code_hash: hex::encode(Sha256::digest(wasm)), imports, exports })
}

/// The full names of the functions that a component exports, as calls and rules of callers name them.
pub(crate) fn export_names(path: &Path, wasm: &[u8]) -> Result<Vec<String>, BuildError> {
    Ok(check(path, wasm)?.exports.into_iter().map(|export| export.name).collect())
}

/// The names of all imports, all of which the image serves.
fn imports(path: &Path, resolve: &Resolve, world: &World) -> Result<Vec<String>, BuildError> {
    let served = Served::new()?;
    let (mut names, mut missing, mut nearest) = (Vec::new(), Vec::new(), Vec::new());
    for (key, item) in &world.imports {
        let name = resolve.name_world_key(key);
        match item {
            WorldItem::Interface { id, .. } => {
                let needed = items(resolve, &resolve.interfaces[*id]);
                // Types alone need nobody to serve them.
                if !needed.is_empty() {
                    let lacks = lacks(&name, needed.iter().map(String::as_str), &served, &mut nearest);
                    missing.extend(lacks);
                }
            }
            WorldItem::Function(_) => {
                missing.push(format!("`{name}`, which stands outside any interface"));
            }
            WorldItem::Type { .. } => continue,
        }
        names.push(name);
    }
    if missing.is_empty() {
        names.sort_unstable();
        return Ok(names);
    }
    Err(BuildError::Imports { path: path.to_owned(), missing, nearest })
}

/// What the image lacks of the interface `name`, of which `needed` are used. Names that are near go to `nearest`.
fn lacks<'a>(
    name: &str,
    needed: impl Iterator<Item = &'a str>,
    served: &Served,
    nearest: &mut Vec<String>,
) -> Vec<String> {
    if let Some((serving, has)) = served.find(name) {
        let unknown = needed.filter(|item| !has.contains(*item));
        let unknown = unknown.map(|item| {
            let near = near(item, has.iter().map(String::as_str));
            nearest.extend(near.iter().map(|item| format!("{serving}#{item}")));
            format!("`{item}` of `{name}`")
        });
        return unknown.collect();
    }
    let bare = without_version(name);
    let other = served.names().find(|served| without_version(served) == bare);
    if let Some(other) = other {
        nearest.push(other.to_owned());
        return vec![format!("`{name}` in this version")];
    }
    let candidates: Vec<&str> = served.names().map(without_version).collect();
    let near = near(bare, candidates.into_iter());
    let full = near.iter().filter_map(|near| served.names().find(|served| without_version(served) == near));
    nearest.extend(full.map(str::to_owned));
    vec![format!("`{name}`")]
}

fn exports(resolve: &Resolve, world: &World) -> Vec<Export> {
    let export = |name: String, function: &Function| Export {
        signature: signature(resolve, &name, function),
        not_callable: not_callable(resolve, function),
        name,
    };
    let mut all = Vec::new();
    for (key, item) in &world.exports {
        let name = resolve.name_world_key(key);
        match item {
            WorldItem::Function(function) => all.push(export(name, function)),
            WorldItem::Interface { id, .. } => {
                let functions = resolve.interfaces[*id].functions.values();
                all.extend(functions.map(|function| export(format!("{name}#{}", function.name), function)));
            }
            WorldItem::Type { .. } => {}
        }
    }
    all
}

fn without_version(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

/// The proposals that the image's engine has on.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .difference(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::RELAXED_SIMD)
    .union(WasmFeatures::COMPONENT_MODEL);

/// What the image reaches otherwise than by calls: commands and web services.
const INVOKED: [&str; 2] = ["wasi:cli/run@0.2.", "wasi:http/incoming-handler@0.2."];

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(wat: &str) -> Result<Checked, BuildError> {
        check(Path::new("app.wasm"), &wat::parse_str(wat).unwrap())
    }

    /// Exports `add` and has more in it.
    fn with(more: &str) -> String {
        format!(
            "(component {more}
                (core module $m (func (export \"add\") (param i32 i32) (result i32) local.get 0))
                (core instance $i (instantiate $m))
                (func $add (param \"a\" u32) (param \"b\" u32) (result u32) (canon lift (core func $i \"add\")))
                (export \"add\" (func $add)))"
        )
    }

    #[test]
    fn a_good_component_is_described() {
        let checked = checked(&with(
            "(import \"wasi:random/random@0.2.3\" (instance (export \"get-random-u64\" (func (result u64)))))",
        ))
        .unwrap();
        assert_eq!(checked.imports, ["wasi:random/random@0.2.3"]);
        assert_eq!(checked.exports.len(), 1);
        assert_eq!(checked.exports[0].signature, "add(a: u32, b: u32) -> u32");
        assert_eq!((checked.exports[0].name.as_str(), checked.code_hash.len()), ("add", 64));
    }

    #[test]
    fn imports_that_nobody_serves_are_refused_with_what_is_near() {
        for (import, function, word, nearest) in [
            ("wasi:randum/random@0.2.0", "get-random-u64", "wasi:randum", "wasi:random/random@0.2.12"),
            ("wasi:random/random@0.3.0", "get-random-u64", "version", "wasi:random/random@0.2.12"),
            (
                "privasys:enclave-os/crypto@0.1.0",
                "digets",
                "`digets`",
                "privasys:enclave-os/crypto@0.1.0#digest",
            ),
        ] {
            let refused = checked(&with(&format!(
                "(import \"{import}\" (instance (export \"{function}\" (func (result u64)))))"
            )))
            .unwrap_err();
            assert!(refused.to_string().contains(word), "{refused}");
            assert_eq!(refused.suggestions(), [nearest], "{refused}");
        }
        let loose = checked(&with("(import \"log\" (func))")).unwrap_err();
        assert!(loose.to_string().contains("outside any interface"), "{loose}");
    }

    #[test]
    fn what_is_no_component_is_refused() {
        assert!(matches!(checked("(module)"), Err(BuildError::CoreModule(_))));
        assert!(matches!(checked("(component)"), Err(BuildError::NoExports(_))));
        assert!(matches!(check(Path::new("a"), b"text"), Err(BuildError::NotWasm(_))));
        let large = vec![0; MAX_COMPONENT + 1];
        assert!(matches!(check(Path::new("a"), &large), Err(BuildError::TooLarge { .. })));
        let threads = checked(&with("(core module (memory 1 1 shared))")).unwrap_err();
        assert!(threads.to_string().contains("threads"), "{threads}");
    }
}
