use super::counted;
use crate::decode::{Budget, Mismatch, Step, integer, named_float, quoted};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use wasmtime::component::{Type, Val};

/// The value of a type for which JSON has a string.
pub(super) fn text_value(ty: &Type, text: &str, budget: &mut Budget) -> Result<Val, Mismatch> {
    let refused = || Mismatch::of(ty, format!("the string {}", quoted(text)));
    match ty {
        Type::String => {
            budget.charge(text.len())?;
            Ok(Val::String(text.to_owned()))
        }
        Type::Char => {
            let mut characters = text.chars();
            match (characters.next(), characters.next()) {
                (Some(character), None) => Ok(Val::Char(character)),
                _ => Err(refused()),
            }
        }
        Type::S64 | Type::U64 if text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().ok().and_then(|number| integer(ty, number)).ok_or_else(refused)
        }
        Type::Float32 | Type::Float64 => named_float(ty, text).ok_or_else(refused),
        Type::Enum(cases) => {
            budget.charge_search(cases.names().len())?;
            budget.charge(text.len())?;
            match cases.names().find(|name| *name == text) {
                Some(name) => Ok(Val::Enum(name.to_owned())),
                None => Err(Mismatch::unknown_name(ty, "the string", text, cases.names())),
            }
        }
        Type::Variant(_) => match payload_type(ty, text, budget)? {
            None => Ok(Val::Variant(text.to_owned(), None)),
            Some(payload) => Err(Mismatch::of(&payload, format!("the string {} alone", quoted(text)))
                .within(Step::Name(text.to_owned()))),
        },
        Type::List(list) if matches!(list.ty(), Type::U8) => {
            bytes(text, budget)?.map(Val::List).ok_or_else(|| not_base64(ty, text))
        }
        Type::FixedLengthList(list) if matches!(list.ty(), Type::U8) => {
            let bytes = bytes(text, budget)?.ok_or_else(|| not_base64(ty, text))?;
            if bytes.len() != list.len() as usize {
                return Err(Mismatch::of(ty, counted(bytes.len(), "base64 of")));
            }
            Ok(Val::FixedLengthList(bytes))
        }
        _ => Err(refused()),
    }
}

/// The bytes of a base64 string as values, or none if it is not base64.
fn bytes(text: &str, budget: &mut Budget) -> Result<Option<Vec<Val>>, Mismatch> {
    budget.charge((text.len() / 4 + 1).saturating_mul(3 * size_of::<Val>()))?;
    let bytes = BASE64.decode(text).ok();
    Ok(bytes.map(|bytes| bytes.into_iter().map(Val::U8).collect()))
}

fn not_base64(ty: &Type, text: &str) -> Mismatch {
    Mismatch::of(ty, format!("the string {}, which is not base64", quoted(text)))
}

/// The payload of a case of a variant, a result or an option, if it has one.
pub(super) fn payload_type(ty: &Type, tag: &str, budget: &mut Budget) -> Result<Option<Type>, Mismatch> {
    match ty {
        Type::Variant(variant) => {
            let cases = variant.cases();
            budget.charge_search(VARIANT_SEARCH * cases.len())?;
            budget.charge(tag.len())?;
            variant.cases().find(|case| case.name == tag).map(|case| case.ty).ok_or_else(|| {
                Mismatch::unknown_name(ty, "the unknown case", tag, cases.map(|case| case.name))
            })
        }
        Type::Result(result) if tag == "ok" => Ok(result.ok()),
        Type::Result(result) if tag == "err" => Ok(result.err()),
        Type::Result(_) => {
            Err(Mismatch::unknown_name(ty, "the unknown case", tag, ["ok", "err"].into_iter()))
        }
        Type::Option(option) if tag == "some" => Ok(Some(option.ty())),
        _ => Err(Mismatch::of(ty, format!("an object of {}", quoted(tag)))),
    }
}

/// Standard alphabet (RFC 4648, section 4), padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// What looking at one case of a variant costs: its payload type is cloned.
const VARIANT_SEARCH: usize = 4;
