use crate::UnsupportedType;
use crate::bounded::BoundedText;
use std::fmt::{self, Write};
use wasmtime::component::Type;

/// The type in WIT notation with its whole structure, such as `record { name: string, tags: list<string> }`.
///
/// Types can be far larger written out than in the component, so that more than [`MAX_TYPE_NAME`] bytes are cut, with
/// an ellipsis for the rest.
pub fn type_name(ty: &Type) -> String {
    bounded_type_name(ty, MAX_TYPE_NAME)
}

/// Whether values of this type can be sent.
///
/// # Errors
/// Names the first resource, future, stream or error context in it and the place at which it stands.
pub fn check_type(ty: &Type) -> Result<(), UnsupportedType> {
    let (kind, mut steps) = match find_unsupported(ty) {
        Some(found) => found,
        None => return Ok(()),
    };
    steps.reverse();
    Err(UnsupportedType { path: steps.concat(), kind })
}

/// What a value of this type looks like, for an error: ranges for integers, the notation for the rest.
pub(crate) fn expectation(ty: &Type) -> String {
    let range = match ty {
        Type::S8 => "s8 (-128 to 127)",
        Type::U8 => "u8 (0 to 255)",
        Type::S16 => "s16 (-32768 to 32767)",
        Type::U16 => "u16 (0 to 65535)",
        Type::S32 => "s32 (-2147483648 to 2147483647)",
        Type::U32 => "u32 (0 to 4294967295)",
        Type::S64 => "s64 (-9223372036854775808 to 9223372036854775807)",
        Type::U64 => "u64 (0 to 18446744073709551615)",
        Type::Float32 => "f32 (a finite number up to ±3.4028235e38, or nan, inf, -inf)",
        Type::Float64 => "f64 (a finite number, or nan, inf, -inf)",
        Type::Char => "char (exactly one Unicode scalar value)",
        other => return bounded_type_name(other, MAX_EXPECTATION),
    };
    range.to_owned()
}

fn bounded_type_name(ty: &Type, limit: usize) -> String {
    let mut text = BoundedText::new(limit);
    let whole = write_type(ty, &mut text).is_ok();
    let mut name = text.into_string();
    if !whole {
        name.push('…');
    }
    name
}

fn write_type(ty: &Type, out: &mut BoundedText) -> fmt::Result {
    match ty {
        Type::Bool => out.write_str("bool"),
        Type::S8 => out.write_str("s8"),
        Type::U8 => out.write_str("u8"),
        Type::S16 => out.write_str("s16"),
        Type::U16 => out.write_str("u16"),
        Type::S32 => out.write_str("s32"),
        Type::U32 => out.write_str("u32"),
        Type::S64 => out.write_str("s64"),
        Type::U64 => out.write_str("u64"),
        Type::Float32 => out.write_str("f32"),
        Type::Float64 => out.write_str("f64"),
        Type::Char => out.write_str("char"),
        Type::String => out.write_str("string"),
        Type::List(list) => write_generic("list", [list.ty()], out),
        Type::FixedLengthList(list) => {
            out.write_str("list<")?;
            write_type(&list.ty(), out)?;
            write!(out, ", {}>", list.len())
        }
        Type::Map(map) => write_generic("map", [map.key(), map.value()], out),
        Type::Tuple(tuple) => write_generic("tuple", tuple.types(), out),
        Type::Option(option) => write_generic("option", [option.ty()], out),
        Type::Record(record) => {
            let fields = record.fields().map(|field| (field.name, Some(field.ty)));
            write_members("record", fields, [": ", ""], out)
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| (case.name, case.ty));
            write_members("variant", cases, ["(", ")"], out)
        }
        Type::Enum(cases) => write_members("enum", cases.names().map(|name| (name, None)), ["", ""], out),
        Type::Flags(flags) => write_members("flags", flags.names().map(|name| (name, None)), ["", ""], out),
        Type::Result(result) => match (result.ok(), result.err()) {
            (None, None) => out.write_str("result"),
            (Some(ok), None) => write_generic("result", [ok], out),
            (Some(ok), Some(err)) => write_generic("result", [ok, err], out),
            (None, Some(err)) => {
                out.write_str("result<_, ")?;
                write_type(&err, out)?;
                out.write_str(">")
            }
        },
        Type::Future(future) => write_generic("future", future.ty(), out),
        Type::Stream(stream) => write_generic("stream", stream.ty(), out),
        Type::Own(_) => out.write_str("resource"),
        Type::Borrow(_) => out.write_str("borrow<resource>"),
        Type::ErrorContext => out.write_str("error-context"),
    }
}

fn write_generic(name: &str, types: impl IntoIterator<Item = Type>, out: &mut BoundedText) -> fmt::Result {
    out.write_str(name)?;
    let mut separator = "<";
    for ty in types {
        out.write_str(separator)?;
        write_type(&ty, out)?;
        separator = ", ";
    }
    out.write_str(if separator == "<" { "" } else { ">" })
}

fn write_members<'a>(
    name: &str,
    members: impl Iterator<Item = (&'a str, Option<Type>)>,
    [before, after]: [&str; 2],
    out: &mut BoundedText,
) -> fmt::Result {
    write!(out, "{name} {{ ")?;
    for (i, (member, ty)) in members.enumerate() {
        out.write_str(if i == 0 { "" } else { ", " })?;
        out.write_str(member)?;
        if let Some(ty) = ty {
            out.write_str(before)?;
            write_type(&ty, out)?;
            out.write_str(after)?;
        }
    }
    out.write_str(" }")
}

/// The kind of the first unsupported type and the steps that lead to it, innermost first.
fn find_unsupported(ty: &Type) -> Option<(&'static str, Vec<String>)> {
    let below = |step: &str, ty: Type| {
        let (kind, mut steps) = find_unsupported(&ty)?;
        steps.push(step.to_owned());
        Some((kind, steps))
    };
    match ty {
        Type::Own(_) | Type::Borrow(_) => Some(("resource", Vec::new())),
        Type::Future(_) => Some(("future", Vec::new())),
        Type::Stream(_) => Some(("stream", Vec::new())),
        Type::ErrorContext => Some(("error-context", Vec::new())),
        Type::List(list) => below("[]", list.ty()),
        Type::FixedLengthList(list) => below("[]", list.ty()),
        Type::Map(map) => below(".key", map.key()).or_else(|| below(".value", map.value())),
        Type::Option(option) => below(".some", option.ty()),
        Type::Record(record) => {
            record.fields().find_map(|field| below(&format!(".{}", field.name), field.ty))
        }
        Type::Tuple(tuple) => tuple.types().enumerate().find_map(|(i, ty)| below(&format!("[{i}]"), ty)),
        Type::Variant(variant) => {
            variant.cases().find_map(|case| below(&format!(".{}", case.name), case.ty?))
        }
        Type::Result(result) => result
            .ok()
            .and_then(|ty| below(".ok", ty))
            .or_else(|| result.err().and_then(|ty| below(".err", ty))),
        Type::Bool
        | Type::S8
        | Type::U8
        | Type::S16
        | Type::U16
        | Type::S32
        | Type::U32
        | Type::S64
        | Type::U64
        | Type::Float32
        | Type::Float64
        | Type::Char
        | Type::String
        | Type::Enum(_)
        | Type::Flags(_) => None,
    }
}

/// Longest name that [`type_name`] gives, in bytes, without the ellipsis.
pub const MAX_TYPE_NAME: usize = 4096;
/// Longest notation of a type in an error, in bytes.
const MAX_EXPECTATION: usize = 256;
