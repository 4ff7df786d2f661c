//! Types as the page makes forms of them: trees without names to look up.

use serde::Serialize;
use wit_parser::{Handle, Resolve, Type, TypeDefKind, TypeId};

/// A type with everything in it. `docs/design/values.md` says how its values look in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Shape {
    Bool,
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    Char,
    String,
    List {
        of: Box<Shape>,
        /// The only length, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        length: Option<u32>,
    },
    Map {
        key: Box<Shape>,
        value: Box<Shape>,
    },
    Option {
        of: Box<Shape>,
    },
    Result {
        ok: Option<Box<Shape>>,
        err: Option<Box<Shape>>,
    },
    Tuple {
        of: Vec<Shape>,
    },
    Record {
        name: Option<String>,
        fields: Vec<Field>,
    },
    Variant {
        name: Option<String>,
        cases: Vec<Case>,
    },
    Enum {
        name: Option<String>,
        cases: Vec<String>,
    },
    Flags {
        name: Option<String>,
        names: Vec<String>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Field {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation: Option<String>,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Case {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation: Option<String>,
    shape: Option<Shape>,
}

/// Why there is no form for a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoShape {
    #[error("calls cannot carry {0}")]
    NotCarried(&'static str),
    /// Types name others, and written out they can be far larger than the component.
    #[error("its types are too large for a form")]
    TooLarge,
}

/// Makes the shapes of one function, which share a bound.
pub(crate) struct Shapes<'a> {
    resolve: &'a Resolve,
    room: usize,
}

impl<'a> Shapes<'a> {
    pub(crate) fn new(resolve: &'a Resolve) -> Self {
        Self { resolve, room: MAX_PARTS }
    }

    pub(crate) fn of(&mut self, ty: &Type) -> Result<Shape, NoShape> {
        self.at(ty, 0)
    }

    fn at(&mut self, ty: &Type, depth: usize) -> Result<Shape, NoShape> {
        self.room = self.room.checked_sub(1).ok_or(NoShape::TooLarge)?;
        if depth > MAX_DEPTH {
            return Err(NoShape::TooLarge);
        }
        Ok(match ty {
            Type::Bool => Shape::Bool,
            Type::S8 => Shape::S8,
            Type::U8 => Shape::U8,
            Type::S16 => Shape::S16,
            Type::U16 => Shape::U16,
            Type::S32 => Shape::S32,
            Type::U32 => Shape::U32,
            Type::S64 => Shape::S64,
            Type::U64 => Shape::U64,
            Type::F32 => Shape::F32,
            Type::F64 => Shape::F64,
            Type::Char => Shape::Char,
            Type::String => Shape::String,
            Type::ErrorContext => return Err(NoShape::NotCarried("an error context")),
            Type::Id(id) => return self.defined(*id, depth + 1),
        })
    }

    fn defined(&mut self, id: TypeId, depth: usize) -> Result<Shape, NoShape> {
        let resolve = self.resolve;
        let ty = &resolve.types[id];
        let name = ty.name.clone();
        let boxed = |shapes: &mut Self, ty: &Type| shapes.at(ty, depth).map(Box::new);
        Ok(match &ty.kind {
            TypeDefKind::Type(inner) => return self.at(inner, depth),
            TypeDefKind::List(inner) => Shape::List { of: boxed(self, inner)?, length: None },
            TypeDefKind::FixedLengthList(inner, length) => {
                Shape::List { of: boxed(self, inner)?, length: Some(*length) }
            }
            TypeDefKind::Map(key, value) => Shape::Map { key: boxed(self, key)?, value: boxed(self, value)? },
            TypeDefKind::Option(inner) => Shape::Option { of: boxed(self, inner)? },
            TypeDefKind::Result(result) => Shape::Result {
                ok: result.ok.as_ref().map(|ty| boxed(self, ty)).transpose()?,
                err: result.err.as_ref().map(|ty| boxed(self, ty)).transpose()?,
            },
            TypeDefKind::Tuple(tuple) => Shape::Tuple {
                of: tuple.types.iter().map(|ty| self.at(ty, depth)).collect::<Result<_, _>>()?,
            },
            TypeDefKind::Record(record) => {
                let field = |field: &wit_parser::Field| {
                    let shape = self.at(&field.ty, depth)?;
                    Ok(Field { name: field.name.clone(), documentation: field.docs.contents.clone(), shape })
                };
                Shape::Record { name, fields: record.fields.iter().map(field).collect::<Result<_, _>>()? }
            }
            TypeDefKind::Variant(variant) => {
                let case = |case: &wit_parser::Case| {
                    let shape = case.ty.as_ref().map(|ty| self.at(ty, depth)).transpose()?;
                    Ok(Case { name: case.name.clone(), documentation: case.docs.contents.clone(), shape })
                };
                Shape::Variant { name, cases: variant.cases.iter().map(case).collect::<Result<_, _>>()? }
            }
            TypeDefKind::Enum(cases) => {
                self.take(cases.cases.len())?;
                Shape::Enum { name, cases: cases.cases.iter().map(|case| case.name.clone()).collect() }
            }
            TypeDefKind::Flags(flags) => {
                self.take(flags.flags.len())?;
                Shape::Flags { name, names: flags.flags.iter().map(|flag| flag.name.clone()).collect() }
            }
            TypeDefKind::Resource | TypeDefKind::Handle(Handle::Own(_) | Handle::Borrow(_)) => {
                return Err(NoShape::NotCarried("a resource"));
            }
            TypeDefKind::Future(_) => return Err(NoShape::NotCarried("a future")),
            TypeDefKind::Stream(_) => return Err(NoShape::NotCarried("a stream")),
            TypeDefKind::Unknown => return Err(NoShape::NotCarried("an unknown type")),
        })
    }

    fn take(&mut self, parts: usize) -> Result<(), NoShape> {
        self.room = self.room.checked_sub(parts).ok_or(NoShape::TooLarge)?;
        Ok(())
    }
}

/// Types, fields and cases of one function's types, written out.
const MAX_PARTS: usize = 2000;
/// How deep a type can be in others.
const MAX_DEPTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(wit: &str) -> Result<Value, NoShape> {
        let mut resolve = Resolve::default();
        resolve.push_str("test.wit", &format!("package a:b; interface i {{ {wit} }}")).unwrap();
        let (_, interface) = resolve.interfaces.iter().next().unwrap();
        let function = interface.functions.values().next().unwrap();
        let shape = Shapes::new(&resolve).of(&function.params[0].ty)?;
        Ok(serde_json::to_value(shape).unwrap())
    }

    #[test]
    fn every_kind_of_type_has_a_shape() {
        for kind in
            ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"]
        {
            assert_eq!(of(&format!("f: func(a: {kind});")).unwrap(), json!({ "kind": kind }));
        }
        let u8 = json!({ "kind": "u8" });
        let string = json!({ "kind": "string" });
        for (wit, expected) in [
            ("f: func(a: list<u8>);", json!({ "kind": "list", "of": u8 })),
            ("f: func(a: option<u8>);", json!({ "kind": "option", "of": u8 })),
            ("f: func(a: result);", json!({ "kind": "result", "ok": null, "err": null })),
            ("f: func(a: result<_, string>);", json!({ "kind": "result", "ok": null, "err": string })),
            ("f: func(a: tuple<u8, string>);", json!({ "kind": "tuple", "of": [u8, string] })),
            ("type t = u8; f: func(a: t);", u8.clone()),
            ("enum e { x, y } f: func(a: e);", json!({ "kind": "enum", "name": "e", "cases": ["x", "y"] })),
            ("flags g { r, w } f: func(a: g);", json!({ "kind": "flags", "name": "g", "names": ["r", "w"] })),
            (
                "record r { /// How old.\n age: u8 } f: func(a: r);",
                json!({ "kind": "record", "name": "r",
                    "fields": [{ "name": "age", "documentation": "How old.", "shape": u8 }] }),
            ),
            (
                "variant v { none, some(string) } f: func(a: v);",
                json!({ "kind": "variant", "name": "v", "cases": [
                    { "name": "none", "shape": null }, { "name": "some", "shape": string } ] }),
            ),
        ] {
            assert_eq!(of(wit).unwrap(), expected, "{wit}");
        }
    }

    #[test]
    fn types_that_grow_when_they_are_written_out_are_bounded() {
        let mut wit = "record t0 { a: u8, b: u8 }".to_owned();
        for level in 1..20 {
            let below = level - 1;
            wit += &format!("record t{level} {{ a: t{below}, b: t{below} }}");
        }
        assert_eq!(of(&format!("{wit} f: func(a: t19);")), Err(NoShape::TooLarge));
        assert!(of(&format!("{wit} f: func(a: t5);")).is_ok());
        assert_eq!(of("resource r; f: func(a: list<borrow<r>>);"), Err(NoShape::NotCarried("a resource")));
    }
}
