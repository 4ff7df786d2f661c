//! An app's exports with their whole types, from a component or from the WIT text that an enclave gives.

use crate::forms::{Shape, Shapes};
use cloister_api::MAX_COMPONENT;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};
use wit_component::DecodedWasm;
use wit_parser::{Function, Resolve, WorldId, WorldItem};

/// A component on this machine, by which the page knows the exports of an app that has this very code.
#[derive(Clone, Debug)]
pub struct Component {
    code_hash: [u8; 32],
    interface: Arc<Interface>,
}

impl Component {
    /// Reads a component.
    ///
    /// # Errors
    /// [`ComponentError`]
    pub fn load(path: &Path) -> Result<Self, ComponentError> {
        let unreadable = |source| ComponentError::File { path: path.to_owned(), source };
        let wasm = fs::read(path).map_err(unreadable)?;
        let invalid = |reason| ComponentError::Invalid { path: path.to_owned(), reason };
        if wasm.len() > MAX_COMPONENT {
            return Err(invalid(format!("it is longer than {MAX_COMPONENT} bytes")));
        }
        match wit_component::decode(&wasm).map_err(|error| invalid(format!("{error:#}")))? {
            DecodedWasm::WitPackage(..) => Err(invalid("it is a WIT package, which has no code".to_owned())),
            DecodedWasm::Component(resolve, world) => {
                let interface = Arc::new(of_world(&resolve, world));
                Ok(Self { code_hash: Sha256::digest(&wasm).into(), interface })
            }
        }
    }

    /// SHA-256 of the file.
    pub fn code_hash(&self) -> &[u8; 32] {
        &self.code_hash
    }

    pub(crate) fn interface(&self) -> Interface {
        (*self.interface).clone()
    }
}

/// A file is not a component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} is not a component: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
}

/// What an app exports.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Interface {
    functions: Vec<Export>,
    serves_http: bool,
    /// It is a command.
    runs: bool,
    /// Why the functions are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Export {
    /// As calls take it.
    name: String,
    documentation: Option<String>,
    parameters: Vec<Parameter>,
    result: Option<Shape>,
    /// Why calls cannot carry its types.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_callable: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Parameter {
    name: String,
    shape: Shape,
}

impl Interface {
    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self { functions: Vec::new(), serves_http: false, runs: false, unknown: Some(why.into()) }
    }
}

/// The interface that a component's own WIT describes: the world of the text's first package.
pub(crate) fn of_text(wit: &str) -> Interface {
    if wit.len() > MAX_WIT {
        return Interface::unknown(format!("its WIT is longer than {MAX_WIT} bytes"));
    }
    let mut resolve = Resolve::default();
    let read = resolve.push_str("app.wit", wit);
    match read.and_then(|package| resolve.select_world(&[package], None)) {
        Ok(world) => of_world(&resolve, world),
        Err(error) => Interface::unknown(format!("its WIT cannot be read: {error:#}")),
    }
}

fn of_world(resolve: &Resolve, world: WorldId) -> Interface {
    let mut interface = Interface { functions: Vec::new(), serves_http: false, runs: false, unknown: None };
    for (key, item) in &resolve.worlds[world].exports {
        let name = resolve.name_world_key(key);
        if name.starts_with("wasi:http/incoming-handler@0.2.") {
            interface.serves_http = true;
            continue;
        }
        if name.starts_with("wasi:cli/run@0.2.") {
            interface.runs = true;
            continue;
        }
        match item {
            WorldItem::Function(function) => interface.functions.push(export(resolve, name, function)),
            WorldItem::Interface { id, .. } => {
                let functions = resolve.interfaces[*id].functions.values();
                interface.functions.extend(
                    functions.map(|function| export(resolve, format!("{name}#{}", function.name), function)),
                );
            }
            WorldItem::Type { .. } => {}
        }
    }
    interface
}

fn export(resolve: &Resolve, name: String, function: &Function) -> Export {
    let mut shapes = Shapes::new(resolve);
    let parameters = function.params.iter().map(|parameter| {
        let shape = shapes.of(&parameter.ty)?;
        Ok(Parameter { name: parameter.name.clone(), shape })
    });
    let parameters: Result<Vec<_>, _> = parameters.collect();
    let result = function.result.as_ref().map(|ty| shapes.of(ty)).transpose();
    let documentation = function.docs.contents.clone();
    match (parameters, result) {
        (Ok(parameters), Ok(result)) => {
            Export { name, documentation, parameters, result, not_callable: None }
        }
        (Err(why), _) | (_, Err(why)) => {
            let not_callable = Some(why.to_string());
            Export { name, documentation, parameters: Vec::new(), result: None, not_callable }
        }
    }
}

/// Longest WIT text that is read, in bytes: as much as an enclave gives.
const MAX_WIT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(wit: &str) -> serde_json::Value {
        serde_json::to_value(of_text(wit)).unwrap()
    }

    #[test]
    fn exports_have_their_whole_types() {
        let interface = of("package root:component;
            world root {
                export wasi:http/incoming-handler@0.2.12;
                export acme:ledger/book@1.0.0;
                /// Says hello.
                export greet: func(who: option<string>) -> result<u64, string>;
            }
            package acme:ledger@1.0.0 {
                interface book {
                    enum kind { debit, credit }
                    record entry { kind: kind, amount: s64 }
                    add: func(entries: list<entry>);
                }
            }
            package wasi:http@0.2.12 { interface incoming-handler { handle: func(); } }");
        assert_eq!((&interface["serves_http"], &interface["runs"]), (&json!(true), &json!(false)));
        assert_eq!(interface.get("unknown"), None);
        let functions = interface["functions"].as_array().unwrap();
        let find = |name: &str| functions.iter().find(|function| function["name"] == name).unwrap();
        assert_eq!(functions.len(), 2);
        let greet = find("greet");
        assert_eq!(greet["documentation"], "Says hello.");
        assert_eq!(greet["parameters"][0]["name"], "who");
        assert_eq!(greet["parameters"][0]["shape"], json!({ "kind": "option", "of": { "kind": "string" } }));
        let expected = json!({ "kind": "result", "ok": { "kind": "u64" }, "err": { "kind": "string" } });
        assert_eq!(greet["result"], expected);
        let entry = &find("acme:ledger/book@1.0.0#add")["parameters"][0]["shape"]["of"];
        assert_eq!((&entry["kind"], &entry["name"]), (&json!("record"), &json!("entry")));
        assert_eq!(
            entry["fields"][0]["shape"],
            json!({ "kind": "enum", "name": "kind", "cases": ["debit", "credit"] })
        );
    }

    #[test]
    fn functions_with_resources_have_no_form() {
        let interface = of(
            "package root:component;
            world root { export acme:files/files; }
            package acme:files { interface files { resource file; open: func() -> result<file>; size: func() -> u64; } }",
        );
        assert_eq!(interface["functions"][0]["not_callable"], "calls cannot carry a resource");
        assert_eq!(interface["functions"][1].get("not_callable"), None);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        assert!(of("package ;")["unknown"].as_str().unwrap().contains("cannot be read"));
        assert!(of(&" ".repeat(MAX_WIT + 1))["unknown"].as_str().unwrap().contains("longer"));
    }

    #[test]
    fn a_component_is_known_by_its_hash() {
        let wasm = wat::parse_str(
            "(component
                (core module $m (func (export \"f\") (param i32) (result i32) local.get 0))
                (core instance $i (instantiate $m))
                (func $f (param \"value\" u32) (result u32) (canon lift (core func $i \"f\")))
                (export \"double-it\" (func $f)))",
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.wasm");
        fs::write(&path, &wasm).unwrap();
        let component = Component::load(&path).unwrap();
        assert_eq!(component.code_hash()[..], Sha256::digest(&wasm)[..]);
        let interface = serde_json::to_value(component.interface()).unwrap();
        assert_eq!(interface["functions"][0]["name"], "double-it");
        fs::write(&path, b"\0asm").unwrap();
        assert!(matches!(Component::load(&path), Err(ComponentError::Invalid { .. })));
        assert!(matches!(Component::load(folder.path()), Err(ComponentError::File { .. })));
    }
}
