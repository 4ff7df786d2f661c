use cloister_values::{
    ArgumentError, Parameter, arguments_from_json, arguments_from_wave, result_to_json, result_to_wave,
};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Type, Val};
use wasmtime::{Config, Engine};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

/// Every type of the fixture by its function's name.
pub(crate) fn all_types() -> &'static BTreeMap<String, Type> {
    static TYPES: LazyLock<BTreeMap<String, Type>> = LazyLock::new(load);
    &TYPES
}

/// The parameter's type of one function.
pub(crate) fn ty(function: &str) -> &'static Type {
    &all_types()[function]
}

/// Types of the fixture that a call can carry.
pub(crate) fn value_types() -> impl Iterator<Item = (&'static str, &'static Type)> {
    all_types().iter().filter(|(name, _)| name.starts_with("t-")).map(|(name, ty)| (name.as_str(), ty))
}

/// Decodes one argument, named `v`, from JSON.
pub(crate) fn from_json(ty: &Type, json: &str) -> Result<Val, ArgumentError> {
    let values = arguments_from_json(format!("[{json}]").as_bytes(), &[Parameter { name: "v", ty }])?;
    Ok(values.into_iter().next().expect("one value for one parameter"))
}

/// Decodes one argument, named `v`, from WAVE.
pub(crate) fn from_wave(ty: &Type, wave: &str) -> Result<Val, ArgumentError> {
    let values = arguments_from_wave(&[wave.to_owned()], &[Parameter { name: "v", ty }])?;
    Ok(values.into_iter().next().expect("one value for one parameter"))
}

pub(crate) fn to_json(val: &Val) -> String {
    result_to_json(Some(val), usize::MAX).expect("no limit").to_string()
}

pub(crate) fn to_wave(val: &Val) -> String {
    result_to_wave(Some(val), usize::MAX).expect("no limit")
}

fn load() -> BTreeMap<String, Type> {
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    let package = resolve.push_str("fixture.wit", include_str!("fixture.wit")).expect("valid WIT");
    let world = resolve.select_world(&[package], Some("fixture")).expect("the fixture's world");
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let encoder = ComponentEncoder::default().validate(false).module(&module).expect("a core module");
    let wasm = { encoder }.encode().expect("a component");

    let mut config = Config::new();
    config.wasm_component_model_map(true);
    config.wasm_component_model_fixed_length_lists(true);
    let engine = Engine::new(&config).expect("an engine");
    let component = Component::new(&engine, wasm).expect("the fixture compiles");
    let mut types = BTreeMap::new();
    let ty = component.component_type();
    let imported = ty.imports(&engine).flat_map(|(_, item)| match item.ty {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(&engine).map(|(name, item)| (name.to_owned(), item.ty)).collect::<Vec<_>>()
        }
        _ => Vec::new(),
    });
    let exported = ty.exports(&engine).map(|(name, item)| (name.to_owned(), item.ty));
    for (name, item) in imported.chain(exported) {
        if let ComponentItem::ComponentFunc(function) = item {
            types.extend(function.params().map(|(_, ty)| (name.clone(), ty)));
        }
    }
    types
}
