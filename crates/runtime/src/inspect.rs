//! What can be said of a `.wasm` before any of it is compiled.

use crate::DeployError;
use crate::engine::features;
use crate::limits::TABLE_ELEMENT;
use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType, ComponentInstanceTypeId};
use wasmparser::types::{Types, TypesRef};
use wasmparser::{
    Encoding, FuncValidator, FuncValidatorAllocations, FunctionBody, Operator, OperatorsReader, Parser,
    Payload, ValidPayload, Validator, ValidatorResources, WasmFeatures,
};

/// A valid component, by what compiling and linking it will need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Core functions with a body, of all modules together.
    pub functions: u64,
    /// Bytes of those bodies.
    pub code_bytes: usize,
    /// Bytes of the largest body.
    pub largest_function: usize,
    /// The most tangled body: its branches and branch targets times the values that may live across them. The compiler's
    /// memory grows with this product, of which a few kilobytes of code can make billions.
    pub largest_tangle: u64,
    /// Data and element segments of all modules. The compiler makes code of each.
    pub segments: u64,
    /// Bytes of heap that memories and tables take as they begin, of all modules together.
    pub initial_memory: u64,
    pub imports: Vec<Import>,
}

/// One import of the component itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// As the component spells it: `namespace:package/interface@version`, or a plain name.
    pub name: String,
    pub needs: Needs,
    /// Functions and resources of an interface.
    pub items: Vec<String>,
}

/// What an import asks of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Functions or resources of an interface.
    Interface,
    /// Only types, which need nobody to serve them.
    Nothing,
    /// A function, module, component, value or type that stands outside any interface.
    LooseItem,
}

/// Tells components from everything else, validates all of it with the engine's own feature set, and measures it.
pub(crate) fn inspect(wasm: &[u8]) -> Result<Inspection, DeployError> {
    match encoding(wasm) {
        Some(Encoding::Component) => {}
        Some(Encoding::Module) => return Err(DeployError::CoreModule),
        None => return Err(DeployError::NotWasm),
    }
    let mut validator = Validator::new_with_features(features());
    let mut allocations = FuncValidatorAllocations::default();
    let mut found = Inspection::default();
    let mut names = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        match validator.payload(&payload).map_err(invalid)? {
            ValidPayload::Func(function, body) => {
                found.functions += 1;
                let bytes = body.range().len();
                found.code_bytes = found.code_bytes.saturating_add(bytes);
                found.largest_function = found.largest_function.max(bytes);
                let mut function = function.into_validator(allocations);
                found.largest_tangle =
                    found.largest_tangle.max(validate(&mut function, &body).map_err(invalid)?);
                allocations = function.into_allocations();
            }
            ValidPayload::Parser(_) => depth += 1,
            ValidPayload::End(types) if depth == 0 => found.imports = imports(&types, &names),
            ValidPayload::End(_) => depth -= 1,
            ValidPayload::Ok => {}
        }
        match payload {
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    names.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let bytes = memory.map_err(invalid)?.initial.saturating_mul(PAGE);
                    found.initial_memory = found.initial_memory.saturating_add(bytes);
                }
            }
            Payload::DataSection(section) => found.segments += u64::from(section.count()),
            Payload::ElementSection(section) => found.segments += u64::from(section.count()),
            Payload::TableSection(section) => {
                for table in section {
                    let bytes = table.map_err(invalid)?.ty.initial.saturating_mul(TABLE_ELEMENT as u64);
                    found.initial_memory = found.initial_memory.saturating_add(bytes);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Validates a body, and answers how tangled it is.
fn validate(
    function: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
) -> wasmparser::Result<u64> {
    let mut reader = body.get_binary_reader();
    function.read_locals(&mut reader)?;
    reader.set_features(features());
    let mut operators = OperatorsReader::new(reader);
    let (mut flow, mut height) = (0_u64, 0);
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        function.op(offset, &operator)?;
        height = height.max(function.operand_stack_height());
        flow += match &operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::Br { .. }
            | Operator::BrIf { .. } => 1,
            Operator::BrTable { targets } => u64::from(targets.len()) + 1,
            _ => 0,
        };
    }
    operators.finish()?;
    Ok(flow.saturating_mul(u64::from(function.len_locals()) + u64::from(height)))
}

/// The preamble: magic number, version, and the layer that tells components from modules (Component Model, Binary.md).
fn encoding(wasm: &[u8]) -> Option<Encoding> {
    match Parser::new(0).parse(wasm, true).ok()? {
        wasmparser::Chunk::Parsed { payload: Payload::Version { encoding, .. }, .. } => Some(encoding),
        _ => None,
    }
}

fn imports(types: &Types, names: &[String]) -> Vec<Import> {
    let types = types.as_ref();
    names
        .iter()
        .filter_map(|name| {
            let mut items = Vec::new();
            let needs = match types.component_item_for_import(name).map(|item| item.ty) {
                // A world's own types are imported so that its functions can name them.
                Some(ComponentEntityType::Type { created, .. }) if !is_resource(created) => return None,
                Some(ComponentEntityType::Instance(instance)) if only_types(types, instance) => {
                    Needs::Nothing
                }
                Some(ComponentEntityType::Instance(instance)) => {
                    items = needed_items(types, instance);
                    Needs::Interface
                }
                _ => Needs::LooseItem,
            };
            Some(Import { name: name.clone(), needs, items })
        })
        .collect()
}

/// What an interface has to have: types that are not resources need nobody. A resource that another interface has is
/// equal to that one's and not its own.
fn needed_items(types: TypesRef<'_>, instance: ComponentInstanceTypeId) -> Vec<String> {
    let instance = &types[instance];
    let own = |item: &ComponentEntityType| match item {
        ComponentEntityType::Type { referenced, created } => is_resource(*created) && referenced == created,
        _ => true,
    };
    let exports = instance.exports.iter().filter(|(_, item)| own(&item.ty));
    exports.map(|(name, _)| name.clone()).collect()
}

/// An interface without functions and resources needs no implementation.
fn only_types(types: TypesRef<'_>, instance: ComponentInstanceTypeId) -> bool {
    types[instance].exports.values().all(|item| match item.ty {
        ComponentEntityType::Type { created, .. } => !is_resource(created),
        _ => false,
    })
}

fn is_resource(created: ComponentAnyTypeId) -> bool {
    matches!(created, ComponentAnyTypeId::Resource(_))
}

fn invalid(error: wasmparser::Error) -> DeployError {
    let (message, offset) = (error.message().to_owned(), error.offset());
    match error.missing_wasm_feature() {
        Some(feature) => DeployError::FeatureOff { feature: feature_name(feature), message, offset },
        None => DeployError::Invalid { message, offset },
    }
}

/// The feature as wasmparser spells it, such as `exceptions`.
fn feature_name(feature: WasmFeatures) -> String {
    let names: Vec<String> =
        feature.iter_names().map(|(name, _)| name.to_lowercase().replace('_', "-")).collect();
    names.join(", ")
}

/// Bytes of a page of memory.
const PAGE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(wat: &str) -> Result<Inspection, DeployError> {
        inspect(&wat::parse_str(wat).unwrap())
    }

    #[test]
    fn types_of_the_world_ask_nothing_of_the_host() {
        let of_world = r#"(component
            (type $e (enum "a" "b"))
            (import "kind" (type $kind (eq $e)))
            (import "odd" (type (sub resource))))"#;
        let imports = inspected(of_world).unwrap().imports;
        assert_eq!(imports, [Import { name: "odd".to_owned(), needs: Needs::LooseItem, items: Vec::new() }]);
    }

    #[test]
    fn components_are_told_from_everything_else() {
        assert!(matches!(inspect(b""), Err(DeployError::NotWasm)));
        assert!(matches!(inspect(b"hello, this is text"), Err(DeployError::NotWasm)));
        assert!(matches!(inspect(b"\0asm\x07\0\0\0"), Err(DeployError::NotWasm)));
        assert!(matches!(inspected("(module)"), Err(DeployError::CoreModule)));
        assert_eq!(inspected("(component)").unwrap(), Inspection::default());
    }

    #[test]
    fn functions_of_nested_modules_are_counted() {
        let found = inspected(
            "(component
                (core module (func) (func nop nop nop))
                (component (core module (func nop))))",
        )
        .unwrap();
        assert_eq!((found.functions, found.largest_function), (3, 5));
        assert_eq!(found.code_bytes, 2 + 5 + 3);
    }

    #[test]
    fn tangle_is_flow_times_values() {
        let found = inspected(
            "(component (core module
                (func (param i32) (local i64 i64)
                    (loop (br_if 0 (local.get 0)))
                    (block (block (br_table 0 1 0 (local.get 0)))))))",
        )
        .unwrap();
        let (constructs, branches, targets) = (3, 1, 3);
        let (locals, height) = (3, 1);
        assert_eq!(found.largest_tangle, (constructs + branches + targets) * (locals + height));
    }

    #[test]
    fn segments_of_all_modules_count() {
        let found = inspected(
            r#"(component
                (core module (memory 1) (data (i32.const 0) "a") (data "b"))
                (core module (table 1 funcref) (func $f) (elem (i32.const 0) func $f)))"#,
        );
        assert_eq!(found.unwrap().segments, 3);
    }

    #[test]
    fn a_feature_that_is_off_is_named() {
        for (wat, expected) in [
            ("(component (core module (memory 1 1 shared)))", "threads"),
            ("(component (core module (tag)))", "exceptions"),
            ("(component (core module (memory i64 1)))", "memory64"),
            ("(component (core module (type (struct))))", "gc"),
            (
                "(component (core module (func (result i64 i64) i64.const 0 i64.const 0 i64.const 0 i64.const 0 i64.add128)))",
                "wide-arithmetic",
            ),
        ] {
            match inspected(wat) {
                Err(DeployError::FeatureOff { feature, .. }) => assert_eq!(feature, expected),
                other => panic!("{wat}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_invalid_body_is_found_before_compiling() {
        let wasm = wat::parse_str("(component (core module (func (result i32))))").unwrap();
        assert!(matches!(inspect(&wasm), Err(DeployError::Invalid { offset, .. }) if offset > 0));
    }

    #[test]
    fn only_what_needs_an_implementation_needs_one() {
        let found = inspected(
            "(component
                (import \"a:b/types\" (instance (type (record (field \"x\" u8))) (export \"r\" (type (eq 0)))))
                (import \"a:b/res@1.0.0\" (instance (export \"r\" (type (sub resource)))))
                (import \"a:b/fun\" (instance (export \"f\" (func))))
                (import \"loose\" (func))
                (component (import \"inner\" (func))))",
        )
        .unwrap();
        let needs: Vec<_> = found.imports.iter().map(|i| (i.name.as_str(), i.needs)).collect();
        assert_eq!(
            needs,
            [
                ("a:b/types", Needs::Nothing),
                ("a:b/res@1.0.0", Needs::Interface),
                ("a:b/fun", Needs::Interface),
                ("loose", Needs::LooseItem),
            ]
        );
    }
}
