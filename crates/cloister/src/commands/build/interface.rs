//! Functions in words: their signatures, and whether calls can carry their types.

use wit_parser::{Function, Handle, Resolve, Type, TypeDefKind, TypeId};

/// A function as WIT writes it. Types that have a name are called by it.
pub(super) fn signature(resolve: &Resolve, name: &str, function: &Function) -> String {
    let parameters: Vec<String> = function
        .params
        .iter()
        .map(|parameter| format!("{}: {}", parameter.name, named(resolve, &parameter.ty)))
        .collect();
    let result = function.result.as_ref().map(|ty| format!(" -> {}", named(resolve, ty))).unwrap_or_default();
    format!("{name}({}){result}", parameters.join(", "))
}

/// Why calls cannot carry the function's types: values are passed, and handles live in one call only.
pub(super) fn not_callable(resolve: &Resolve, function: &Function) -> Option<String> {
    for parameter in &function.params {
        if let Some(kind) = unsupported(resolve, &parameter.ty) {
            return Some(format!("parameter `{}` holds {kind}", parameter.name));
        }
    }
    let kind = unsupported(resolve, function.result.as_ref()?)?;
    Some(format!("its result holds {kind}"))
}

fn named(resolve: &Resolve, ty: &Type) -> String {
    let simple = match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(id) => return defined(resolve, *id),
    };
    simple.to_owned()
}

fn defined(resolve: &Resolve, id: TypeId) -> String {
    let ty = &resolve.types[id];
    if let Some(name) = &ty.name {
        return name.clone();
    }
    let or_nothing = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| named(resolve, ty));
    match &ty.kind {
        TypeDefKind::Option(inner) => format!("option<{}>", named(resolve, inner)),
        TypeDefKind::List(inner) => format!("list<{}>", named(resolve, inner)),
        TypeDefKind::FixedLengthList(inner, length) => format!("list<{}, {length}>", named(resolve, inner)),
        TypeDefKind::Map(key, value) => format!("map<{}, {}>", named(resolve, key), named(resolve, value)),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(|ty| named(resolve, ty)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Result(result) if result.ok.is_none() && result.err.is_none() => "result".to_owned(),
        TypeDefKind::Result(result) if result.err.is_none() => format!("result<{}>", or_nothing(&result.ok)),
        TypeDefKind::Result(result) => {
            format!("result<{}, {}>", or_nothing(&result.ok), or_nothing(&result.err))
        }
        TypeDefKind::Handle(Handle::Own(resource)) => defined(resolve, *resource),
        TypeDefKind::Handle(Handle::Borrow(resource)) => format!("borrow<{}>", defined(resolve, *resource)),
        TypeDefKind::Future(inner) => format!("future<{}>", or_nothing(inner)),
        TypeDefKind::Stream(inner) => format!("stream<{}>", or_nothing(inner)),
        TypeDefKind::Type(inner) => named(resolve, inner),
        other => other.as_str().to_owned(),
    }
}

/// What a type has in it that calls cannot carry.
fn unsupported(resolve: &Resolve, ty: &Type) -> Option<&'static str> {
    let id = match ty {
        Type::ErrorContext => return Some("an error context"),
        Type::Id(id) => *id,
        _ => return None,
    };
    let within = |ty: &Type| unsupported(resolve, ty);
    match &resolve.types[id].kind {
        TypeDefKind::Resource | TypeDefKind::Handle(_) => Some("a resource"),
        TypeDefKind::Future(_) => Some("a future"),
        TypeDefKind::Stream(_) => Some("a stream"),
        TypeDefKind::Map(..) => Some("a map"),
        TypeDefKind::FixedLengthList(..) => Some("a list of fixed length"),
        TypeDefKind::Record(record) => record.fields.iter().find_map(|field| within(&field.ty)),
        TypeDefKind::Tuple(tuple) => tuple.types.iter().find_map(within),
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().filter_map(|case| case.ty.as_ref()).find_map(within)
        }
        TypeDefKind::Result(result) => result.ok.iter().chain(&result.err).find_map(within),
        TypeDefKind::Option(inner) | TypeDefKind::List(inner) | TypeDefKind::Type(inner) => within(inner),
        TypeDefKind::Flags(_) | TypeDefKind::Enum(_) | TypeDefKind::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(wit: &str) -> Vec<(String, Option<String>)> {
        let mut resolve = Resolve::default();
        resolve.push_str("test.wit", wit).unwrap();
        let (_, interface) = resolve.interfaces.iter().next().unwrap();
        let describe = |function: &Function| {
            (signature(&resolve, &function.name, function), not_callable(&resolve, function))
        };
        interface.functions.values().map(describe).collect()
    }

    #[test]
    fn signatures_read_as_wit_does() {
        let functions = described(
            "package a:b; interface i {
                record stamp { digest: string }
                f: func(a: list<option<u8>>, b: stamp) -> result<tuple<string, f64>, string>;
                g: func() -> result<_, string>;
                h: func(stamps: list<stamp>);
            }",
        );
        let signatures: Vec<&str> = functions.iter().map(|(signature, _)| signature.as_str()).collect();
        assert_eq!(
            signatures,
            [
                "f(a: list<option<u8>>, b: stamp) -> result<tuple<string, f64>, string>",
                "g() -> result<_, string>",
                "h(stamps: list<stamp>)"
            ]
        );
        assert!(functions.iter().all(|(_, reason)| reason.is_none()));
    }

    #[test]
    fn functions_with_resources_cannot_be_called() {
        let functions = described(
            "package a:b; interface i {
                resource file;
                record pair { first: u8, second: list<borrow<file>> }
                open: func() -> result<file, string>;
                close: func(pair: pair);
            }",
        );
        let reasons: Vec<Option<&str>> = functions.iter().map(|(_, reason)| reason.as_deref()).collect();
        assert_eq!(reasons, [Some("its result holds a resource"), Some("parameter `pair` holds a resource")]);
    }
}
