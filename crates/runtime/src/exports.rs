//! The functions that a component exports, and how calls name them.

use crate::DeployError;
use crate::nearest::nearest;
use cloister_api::{ExportDescription, ParameterDescription};
use cloister_values::{Parameter, check_type, type_name};
use std::collections::HashMap;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex, Type};

/// Every exported function of one component.
pub(crate) struct Exports {
    functions: Vec<Export>,
    /// Full names and the shorter ones that mean a single function. `None`: more than one.
    names: HashMap<String, Option<usize>>,
    /// `handle` of `wasi:http/incoming-handler@0.2`.
    pub handler: Option<ComponentExportIndex>,
    /// `run` of `wasi:cli/run@0.2`.
    pub run: Option<ComponentExportIndex>,
}

/// One exported function.
pub(crate) struct Export {
    pub description: ExportDescription,
    pub index: ComponentExportIndex,
    pub parameters: Vec<(String, Type)>,
    pub result: Option<Type>,
}

impl Export {
    pub(crate) fn parameters(&self) -> Vec<Parameter<'_>> {
        self.parameters.iter().map(|(name, ty)| Parameter { name, ty }).collect()
    }
}

impl Exports {
    /// Lists the functions at the root of `component` and those of the interfaces that it exports.
    pub(crate) fn of(component: &Component, engine: &Engine) -> Result<Self, DeployError> {
        let mut functions = Vec::new();
        let ty = component.component_type();
        for (name, item) in ty.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(function) => {
                    functions.extend(export(component, None, name, name.to_owned(), &function));
                }
                ComponentItem::ComponentInstance(interface) => {
                    let Some(parent) = component.get_export_index(None, name) else {
                        continue;
                    };
                    for (function_name, item) in interface.exports(engine) {
                        if let ComponentItem::ComponentFunc(function) = item.ty {
                            let full = format!("{name}#{function_name}");
                            functions.extend(export(
                                component,
                                Some(&parent),
                                function_name,
                                full,
                                &function,
                            ));
                        }
                    }
                }
                _ => {}
            }
            if functions.len() > MAX_EXPORTS {
                return Err(DeployError::TooManyExports { count: functions.len(), limit: MAX_EXPORTS });
            }
        }
        let names = names(functions.iter().map(|export: &Export| export.description.name.as_str()));
        let wasi = |interface, function| {
            let is_wanted = |export: &&Export| is_wasi(&export.description.name, interface, function);
            functions.iter().find(is_wanted).map(|export| export.index)
        };
        let handler = wasi(cloister_wasi_http::HANDLER, cloister_wasi_http::HANDLE);
        let run = wasi("wasi:cli/run", "run");
        Ok(Self { handler, run, functions, names })
    }

    /// Finds a function by its full name, or by a shorter one that means no other:
    /// `interface@version#function` without its version, its package or all before the `#`.
    pub(crate) fn find(&self, name: &str) -> Result<&Export, Vec<String>> {
        match self.names.get(name) {
            Some(Some(index)) => self.functions.get(*index).ok_or_else(Vec::new),
            Some(None) => Err(self.meant_by(name)),
            None => {
                let full = self.functions.iter().map(|export| export.description.name.as_str());
                let mut suggestions = nearest(name, full);
                if suggestions.is_empty() {
                    let near = nearest(name, self.names.keys().map(String::as_str));
                    suggestions = near.iter().flat_map(|name| self.meant_by(name)).collect();
                    suggestions.dedup();
                }
                suggestions.truncate(MAX_SUGGESTIONS);
                Err(suggestions)
            }
        }
    }

    pub(crate) fn descriptions(&self) -> impl Iterator<Item = &ExportDescription> {
        self.functions.iter().map(|export| &export.description)
    }

    /// Full names of the functions that a short name may mean.
    fn meant_by(&self, name: &str) -> Vec<String> {
        let full = self.functions.iter().map(|export| export.description.name.as_str());
        full.filter(|full| *full == name || short_names(full).iter().any(|short| short == name))
            .take(MAX_SUGGESTIONS)
            .map(str::to_owned)
            .collect()
    }
}

fn export(
    component: &Component,
    parent: Option<&ComponentExportIndex>,
    name: &str,
    full_name: String,
    function: &ComponentFunc,
) -> Option<Export> {
    let index = component.get_export_index(parent, name)?;
    let parameters: Vec<(String, Type)> = function.params().map(|(name, ty)| (name.to_owned(), ty)).collect();
    let result = function.results().next();
    let description = ExportDescription {
        name: full_name,
        parameters: parameters
            .iter()
            .map(|(name, ty)| ParameterDescription { name: name.clone(), ty: type_name(ty) })
            .collect(),
        result: result.as_ref().map(type_name),
        not_callable: not_callable(&parameters, result.as_ref()),
    };
    Some(Export { description, index, parameters, result })
}

/// Why calls cannot carry the function's types.
fn not_callable(parameters: &[(String, Type)], result: Option<&Type>) -> Option<String> {
    for (name, ty) in parameters {
        if let Err(unsupported) = check_type(ty) {
            return Some(format!("parameter `{name}`: {unsupported}"));
        }
    }
    check_type(result?).err().map(|unsupported| format!("its result: {unsupported}"))
}

fn names<'a>(full: impl Iterator<Item = &'a str> + Clone) -> HashMap<String, Option<usize>> {
    let mut names = HashMap::new();
    for (index, name) in full.clone().enumerate() {
        for short in short_names(name) {
            names.entry(short).and_modify(|index| *index = None).or_insert(Some(index));
        }
    }
    // A full name always means itself.
    names.extend(full.enumerate().map(|(index, name)| (name.to_owned(), Some(index))));
    names
}

/// Whether a full name is that of `function` in `interface`, of any released WASI 0.2.
fn is_wasi(full: &str, interface: &str, function: &str) -> bool {
    let version = full.strip_prefix(interface).and_then(|rest| rest.strip_prefix("@0.2."));
    let patch = version.and_then(|rest| rest.strip_suffix(function)?.strip_suffix('#'));
    patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `ns:pkg/iface@1.0.0#f` is also `ns:pkg/iface#f`, `iface#f` and `f`.
fn short_names(full: &str) -> Vec<String> {
    let Some((interface, function)) = full.split_once('#') else {
        return Vec::new();
    };
    let unversioned = interface.split_once('@').map_or(interface, |(name, _)| name);
    let bare = unversioned.rsplit_once('/').map_or(unversioned, |(_, name)| name);
    let mut short =
        vec![format!("{unversioned}#{function}"), format!("{bare}#{function}"), function.to_owned()];
    short.dedup();
    short
}

/// Exported functions of one component.
const MAX_EXPORTS: usize = 4096;
const MAX_SUGGESTIONS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_mean_one_function_or_none() {
        let all = ["a:b/math@1.0.0#add", "a:b/text@1.0.0#add", "a:b/text@1.0.0#trim", "trim"];
        let names = names(all.into_iter());
        assert_eq!(names["add"], None, "two functions");
        assert_eq!(names["math#add"], Some(0));
        assert_eq!(names["a:b/text#trim"], Some(2));
        assert_eq!(names["trim"], Some(3), "the root function itself");
        assert_eq!(names["a:b/text@1.0.0#add"], Some(1));
        assert!(!names.contains_key("b/text#add"));
    }

    #[test]
    fn every_minor_of_wasi_is_known() {
        for (name, is_handler) in [
            ("wasi:http/incoming-handler@0.2.0#handle", true),
            ("wasi:http/incoming-handler@0.2.12#handle", true),
            ("wasi:http/incoming-handler@0.2.0-rc-2023-11-10#handle", false),
            ("wasi:http/incoming-handler@0.3.0#handle", false),
            ("wasi:http/incoming-handler@0.2.#handle", false),
            ("wasi:http/incoming-handler#handle", false),
            ("wasi:http/incoming-handler@0.2.1#handles", false),
            ("my:http/incoming-handler@0.2.1#handle", false),
        ] {
            assert_eq!(is_wasi(name, "wasi:http/incoming-handler", "handle"), is_handler, "{name}");
        }
    }
}
