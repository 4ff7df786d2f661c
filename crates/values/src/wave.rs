use crate::bounded::BoundedText;
use crate::decode::{Budget, Mismatch, Step, complete, excerpt, integer, is_option, named_float, record};
use crate::types::expectation;
use crate::{ArgumentError, EncodeError, Parameter};
use std::borrow::Cow;
use std::collections::BTreeSet;
use wasm_wave::ast::{Node, NodeType};
use wasm_wave::lex::{Lexer, Token};
use wasm_wave::parser::ParserError;
use wasm_wave::untyped::UntypedValue;
use wasm_wave::writer::Writer;
use wasmtime::component::{Type, Val};

/// The arguments of a call from WAVE, one text for each parameter in order. Trailing parameters whose type is an
/// option may be left out.
///
/// # Errors
/// See [`ArgumentError`]; [`ArgumentError::Malformed`] and [`ArgumentError::Unknown`] do not occur.
pub fn arguments_from_wave(texts: &[String], params: &[Parameter<'_>]) -> Result<Vec<Val>, ArgumentError> {
    if texts.len() > params.len() {
        let (expected_count, given_count) = (params.len(), texts.len());
        return Err(ArgumentError::TooMany { expected_count, given_count });
    }
    let mut budget = Budget::for_text(texts.iter().map(String::len).sum());
    let given = texts.iter().zip(params).map(|(text, parameter)| {
        argument(text, parameter.ty, &mut budget).map(Some).map_err(|refusal| match refusal {
            Refusal::Mismatch(mismatch) => mismatch.into_error(parameter.name),
            Refusal::Syntax(error) => malformed(text, parameter, &error),
        })
    });
    complete(given.collect::<Result<Vec<_>, _>>()?, params)
}

/// A function's result as WAVE; empty where it returns nothing. A map is a list of tuples of key and value.
///
/// # Errors
/// [`EncodeError::TooLarge`] as soon as the text is longer than `limit` bytes; [`EncodeError::Unsupported`] for handles.
pub fn result_to_wave(val: Option<&Val>, limit: usize) -> Result<String, EncodeError> {
    let Some(val) = val else { return Ok(String::new()) };
    let mut text = BoundedText::new(limit);
    Writer::new(&mut text).write_value(&*writable(val)?).map_err(|_| EncodeError::TooLarge { limit })?;
    Ok(text.into_string())
}

enum Refusal {
    Mismatch(Mismatch),
    Syntax(ParserError),
}

impl From<Mismatch> for Refusal {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

impl From<ParserError> for Refusal {
    fn from(error: ParserError) -> Self {
        Self::Syntax(error)
    }
}

impl Refusal {
    fn within(self, step: Step) -> Self {
        match self {
            Self::Mismatch(mismatch) => Self::Mismatch(mismatch.within(step)),
            syntax => syntax,
        }
    }
}

fn argument(text: &str, ty: &Type, budget: &mut Budget) -> Result<Val, Refusal> {
    // The parser ends at the first bad token, nests no more than 100 levels and makes no more than one node of each
    // token but the separators.
    for token in Lexer::new(text).map_while(Result::ok) {
        if !matches!(token, Token::Comma | Token::Colon) {
            budget.charge(size_of::<Node>())?;
        }
    }
    let parsed = UntypedValue::parse(text)?;
    Decoder { source: text, budget }.value(parsed.node(), ty)
}

fn malformed(text: &str, parameter: &Parameter<'_>, error: &ParserError) -> ArgumentError {
    let span = error.span();
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let found = text.get(span).filter(|found| !found.is_empty());
    ArgumentError::MalformedWave {
        parameter: parameter.name.to_owned(),
        expected: expectation(parameter.ty),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        detail: match found {
            Some(found) => format!("{} `{}`", error.kind(), excerpt(found)),
            None => error.kind().to_string(),
        },
    }
}

/// Turns the nodes of one text into values.
struct Decoder<'a> {
    source: &'a str,
    budget: &'a mut Budget,
}

impl<'a> Decoder<'a> {
    fn value(&mut self, node: &Node, ty: &Type) -> Result<Val, Refusal> {
        self.budget.charge_value()?;
        let value = match (ty, node.ty()) {
            (Type::Bool, NodeType::BoolTrue) => Some(Val::Bool(true)),
            (Type::Bool, NodeType::BoolFalse) => Some(Val::Bool(false)),
            (Type::Float32 | Type::Float64, NodeType::Number) => self.float(node, ty),
            (_, NodeType::Number) if !matches!(ty, Type::Option(_) | Type::Result(_)) => {
                node.as_number::<i128>(self.source).ok().and_then(|number| integer(ty, number))
            }
            (Type::Char, NodeType::Char) => Some(Val::Char(node.as_char(self.source)?)),
            (Type::String, NodeType::String | NodeType::MultilineString) => {
                let text = node.as_str(self.source)?;
                self.budget.charge(text.len())?;
                Some(Val::String(text.into_owned()))
            }
            (Type::List(list), NodeType::List) => Some(Val::List(self.list(node, &list.ty())?)),
            (Type::FixedLengthList(list), NodeType::List) => {
                let values = self.list(node, &list.ty())?;
                (values.len() == list.len() as usize).then_some(Val::FixedLengthList(values))
            }
            (Type::Map(map), NodeType::List) => Some(self.map(node, ty, [map.key(), map.value()])?),
            (Type::Tuple(tuple), NodeType::Tuple) => self.tuple(node, tuple.types())?,
            (Type::Record(_), NodeType::Record) => Some(self.record(node, ty)?),
            (Type::Variant(_), NodeType::Label | NodeType::VariantWithPayload) => {
                Some(self.variant(node, ty)?)
            }
            (Type::Enum(_), NodeType::Label) => Some(self.enumeration(node, ty)?),
            (Type::Flags(_), NodeType::Flags) => Some(self.flags(node, ty)?),
            (Type::Option(option), _) => self.option(node, &option.ty())?,
            (Type::Result(_), _) => self.result(node, ty)?,
            _ => None,
        };
        value.ok_or_else(|| self.mismatch(node, ty).into())
    }

    fn part(&mut self, node: &Node, ty: &Type, step: impl FnOnce() -> Step) -> Result<Val, Refusal> {
        self.value(node, ty).map_err(|refusal| refusal.within(step()))
    }

    fn mismatch(&self, node: &Node, ty: &Type) -> Mismatch {
        let kind = match node.ty() {
            NodeType::BoolTrue | NodeType::BoolFalse => "the boolean",
            NodeType::Number => "the number",
            NodeType::Char => "the char",
            NodeType::String | NodeType::MultilineString => "the string",
            NodeType::Tuple => "the tuple",
            NodeType::List => "the list",
            NodeType::Record => "the record",
            NodeType::Label => "the label",
            NodeType::VariantWithPayload => "the variant",
            NodeType::OptionSome | NodeType::OptionNone => "the option",
            NodeType::ResultOk | NodeType::ResultErr => "the result",
            NodeType::Flags => "the flags",
        };
        Mismatch::of(ty, format!("{kind} `{}`", excerpt(self.text(node))))
    }

    fn text(&self, node: &Node) -> &'a str {
        self.source.get(node.span()).unwrap_or_default()
    }

    fn float(&self, node: &Node, ty: &Type) -> Option<Val> {
        let text = self.text(node);
        let value = match ty {
            Type::Float32 => text.parse().ok().filter(|number: &f32| number.is_finite()).map(Val::Float32),
            _ => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Val::Float64),
        };
        value.or_else(|| named_float(ty, text))
    }

    fn list(&mut self, node: &Node, ty: &Type) -> Result<Vec<Val>, Refusal> {
        let elements = node.as_list()?.enumerate();
        elements.map(|(i, element)| self.part(element, ty, || Step::Index(i))).collect()
    }

    fn map(&mut self, node: &Node, ty: &Type, [key_type, value_type]: [Type; 2]) -> Result<Val, Refusal> {
        let mut entries = Vec::new();
        for (i, entry) in node.as_list()?.enumerate() {
            let within = |refusal: Refusal| refusal.within(Step::Index(i));
            let mut members = entry.as_tuple().map_err(|_| within(self.mismatch(entry, ty).into()))?;
            let (Some(key), Some(value), None) = (members.next(), members.next(), members.next()) else {
                return Err(within(self.mismatch(entry, ty).into()));
            };
            let key = self.part(key, &key_type, || Step::Index(0)).map_err(within)?;
            let value = self.part(value, &value_type, || Step::Index(1)).map_err(within)?;
            entries.push((key, value));
        }
        Ok(Val::Map(entries))
    }

    fn tuple(
        &mut self,
        node: &Node,
        types: impl ExactSizeIterator<Item = Type>,
    ) -> Result<Option<Val>, Refusal> {
        let elements = node.as_tuple()?;
        if elements.len() != types.len() {
            return Ok(None);
        }
        let elements = elements.zip(types).enumerate();
        let values = elements.map(|(i, (element, ty))| self.part(element, &ty, || Step::Index(i)));
        Ok(Some(Val::Tuple(values.collect::<Result<_, _>>()?)))
    }

    fn record(&mut self, node: &Node, ty: &Type) -> Result<Val, Refusal> {
        let Type::Record(record_type) = ty else {
            return Err(self.mismatch(node, ty).into());
        };
        let fields: Vec<(&str, Type)> = record_type.fields().map(|field| (field.name, field.ty)).collect();
        self.budget.charge_fields(&fields)?;
        let mut values: Vec<Option<Val>> = fields.iter().map(|_| None).collect();
        for (name, value_node) in node.as_record(self.source)? {
            self.budget.charge_search(fields.len())?;
            let place = fields.iter().zip(&mut values).find(|((field, _), _)| *field == name);
            let Some(((_, ty_of_field), value)) = place else {
                let known = fields.iter().map(|(field, _)| *field);
                return Err(Mismatch::unknown_name(ty, "the unknown field", name, known).into());
            };
            *value = Some(self.part(value_node, ty_of_field, || Step::Name(name.to_owned()))?);
        }
        Ok(record(fields, values)?)
    }

    fn variant(&mut self, node: &Node, ty: &Type) -> Result<Val, Refusal> {
        let Type::Variant(variant) = ty else {
            return Err(self.mismatch(node, ty).into());
        };
        let (label, payload) = node.as_variant(self.source)?;
        let cases = variant.cases();
        self.budget.charge_search(cases.len())?;
        self.budget.charge(label.len())?;
        let Some(case) = variant.cases().find(|case| case.name == label) else {
            let known = cases.map(|case| case.name);
            return Err(Mismatch::unknown_name(ty, "the unknown case", label, known).into());
        };
        let payload = self.payload(label, case.ty.as_ref(), payload, || self_mismatch(ty, label))?;
        Ok(Val::Variant(label.to_owned(), payload))
    }

    fn payload(
        &mut self,
        label: &str,
        ty: Option<&Type>,
        node: Option<&Node>,
        surplus: impl FnOnce() -> Mismatch,
    ) -> Result<Option<Box<Val>>, Refusal> {
        match (ty, node) {
            (None, None) => Ok(None),
            (Some(ty), Some(node)) => {
                self.part(node, ty, || Step::Name(label.to_owned())).map(|value| Some(Box::new(value)))
            }
            (Some(ty), None) => Err(Mismatch::missing(label, ty).into()),
            (None, Some(_)) => Err(surplus().into()),
        }
    }

    fn enumeration(&mut self, node: &Node, ty: &Type) -> Result<Val, Refusal> {
        let Type::Enum(cases) = ty else {
            return Err(self.mismatch(node, ty).into());
        };
        let label = node.as_enum(self.source)?;
        self.budget.charge_search(cases.names().len())?;
        self.budget.charge(label.len())?;
        match cases.names().find(|name| *name == label) {
            Some(name) => Ok(Val::Enum(name.to_owned())),
            None => Err(Mismatch::unknown_name(ty, "the unknown case", label, cases.names()).into()),
        }
    }

    fn flags(&mut self, node: &Node, ty: &Type) -> Result<Val, Refusal> {
        let Type::Flags(flags) = ty else {
            return Err(self.mismatch(node, ty).into());
        };
        let mut set = BTreeSet::new();
        for label in node.as_flags(self.source)? {
            let name = label.strip_prefix('%').unwrap_or(label);
            self.budget.charge_search(flags.names().len())?;
            let Some(place) = flags.names().position(|known| known == name) else {
                return Err(Mismatch::unknown_name(ty, "the unknown flag", name, flags.names()).into());
            };
            set.insert(place);
        }
        let names = flags.names().enumerate().filter(|(place, _)| set.contains(place));
        Ok(Val::Flags(names.map(|(_, name)| name.to_owned()).collect()))
    }

    /// WAVE lets `some(…)` and `ok(…)` be left out where the value has neither an option nor a result of its own.
    fn option(&mut self, node: &Node, inner: &Type) -> Result<Option<Val>, Refusal> {
        Ok(match node.as_option() {
            Ok(None) => Some(Val::Option(None)),
            Ok(Some(payload)) => {
                let step = || Step::Name("some".to_owned());
                let value = if is_option(inner) {
                    self.part(payload, inner, step)
                } else {
                    self.value(payload, inner)
                };
                Some(Val::Option(Some(Box::new(value?))))
            }
            Err(_) if is_flat(inner) => Some(Val::Option(Some(Box::new(self.value(node, inner)?)))),
            Err(_) => None,
        })
    }

    fn result(&mut self, node: &Node, ty: &Type) -> Result<Option<Val>, Refusal> {
        let Type::Result(result) = ty else { return Ok(None) };
        Ok(Some(match (node.as_result(), result.ok()) {
            (Ok(Ok(payload)), ok) => {
                Val::Result(Ok(self.payload("ok", ok.as_ref(), payload, || self_mismatch(ty, "ok"))?))
            }
            (Ok(Err(payload)), _) => {
                let err = result.err();
                Val::Result(Err(self.payload("err", err.as_ref(), payload, || self_mismatch(ty, "err"))?))
            }
            (Err(_), Some(ok)) if is_flat(&ok) => Val::Result(Ok(Some(Box::new(self.value(node, &ok)?)))),
            (Err(_), _) => return Ok(None),
        }))
    }
}

fn self_mismatch(ty: &Type, label: &str) -> Mismatch {
    Mismatch::of(ty, format!("a payload for `{label}`, which has none"))
}

fn is_flat(ty: &Type) -> bool {
    !matches!(ty, Type::Option(_) | Type::Result(_))
}

/// The value as the writer takes it. Handles, on which it would panic, are refused; maps, which WAVE does not have,
/// become lists of tuples.
fn writable(val: &Val) -> Result<Cow<'_, Val>, EncodeError> {
    if has_map(val)? { Ok(Cow::Owned(without_maps(val))) } else { Ok(Cow::Borrowed(val)) }
}

fn has_map(val: &Val) -> Result<bool, EncodeError> {
    match val {
        Val::Map(entries) => {
            any_has_map(entries.iter().flat_map(|(key, value)| [key, value]))?;
            Ok(true)
        }
        Val::List(values) | Val::FixedLengthList(values) | Val::Tuple(values) => any_has_map(values),
        Val::Record(fields) => any_has_map(fields.iter().map(|(_, value)| value)),
        Val::Variant(_, payload) | Val::Option(payload) => any_has_map(payload.as_deref()),
        Val::Result(Ok(payload) | Err(payload)) => any_has_map(payload.as_deref()),
        Val::Resource(_) => Err(EncodeError::Unsupported { kind: "resource" }),
        Val::Future(_) => Err(EncodeError::Unsupported { kind: "future" }),
        Val::Stream(_) => Err(EncodeError::Unsupported { kind: "stream" }),
        Val::ErrorContext(_) => Err(EncodeError::Unsupported { kind: "error-context" }),
        _ => Ok(false),
    }
}

fn any_has_map<'v>(values: impl IntoIterator<Item = &'v Val>) -> Result<bool, EncodeError> {
    values.into_iter().try_fold(false, |found, value| Ok(has_map(value)? || found))
}

fn without_maps(val: &Val) -> Val {
    let all = |values: &[Val]| values.iter().map(without_maps).collect();
    let boxed = |payload: &Option<Box<Val>>| payload.as_ref().map(|value| Box::new(without_maps(value)));
    match val {
        Val::Map(entries) => {
            let tuple = |(key, value): &(Val, Val)| Val::Tuple(vec![without_maps(key), without_maps(value)]);
            Val::List(entries.iter().map(tuple).collect())
        }
        Val::List(values) => Val::List(all(values)),
        Val::FixedLengthList(values) => Val::FixedLengthList(all(values)),
        Val::Tuple(values) => Val::Tuple(all(values)),
        Val::Record(fields) => {
            Val::Record(fields.iter().map(|(name, value)| (name.clone(), without_maps(value))).collect())
        }
        Val::Variant(case, payload) => Val::Variant(case.clone(), boxed(payload)),
        Val::Option(payload) => Val::Option(boxed(payload)),
        Val::Result(Ok(payload)) => Val::Result(Ok(boxed(payload))),
        Val::Result(Err(payload)) => Val::Result(Err(boxed(payload))),
        other => other.clone(),
    }
}
