//! What decoding from JSON and from WAVE have in common: the bound on cost, numbers, names, and how a value that does
//! not fit is described.

use crate::error::DidYouMean;
use crate::types::expectation;
use crate::{ArgumentError, Parameter};
use wasmtime::component::{Type, Val};

/// Most that the arguments of one call may cost, in bytes of the values' own memory.
///
/// A name that has to be looked for costs one more for each name it is compared with, so that time is bounded along
/// with memory. The text may use up to as much again while it is decoded.
pub const MAX_ARGUMENT_COST: usize = 128 << 20;

/// Most that arguments of so many bytes of text may cost: enough for what they honestly mean, and never more than
/// [`MAX_ARGUMENT_COST`]. A caller that makes room for this much before it decodes cannot be surprised.
pub fn argument_cost(text: usize) -> usize {
    text.saturating_mul(COST_PER_BYTE).saturating_add(COST_AT_LEAST).min(MAX_ARGUMENT_COST)
}

/// What is left of the cost that arguments may have.
pub(crate) struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    /// For so many bytes of text.
    pub(crate) fn for_text(bytes: usize) -> Self {
        let limit = argument_cost(bytes);
        Self { left: limit, limit }
    }

    pub(crate) fn charge(&mut self, cost: usize) -> Result<(), Mismatch> {
        self.left = self.left.checked_sub(cost).ok_or(Mismatch::TooLarge { limit: self.limit })?;
        Ok(())
    }

    /// Charges one value, without what it points to.
    pub(crate) fn charge_value(&mut self) -> Result<(), Mismatch> {
        self.charge(size_of::<Val>())
    }

    /// Charges a record of these fields, without what their values point to.
    pub(crate) fn charge_fields(&mut self, fields: &[(&str, Type)]) -> Result<(), Mismatch> {
        let names: usize = fields.iter().map(|(name, _)| name.len()).sum();
        self.charge(names + size_of_val(fields))
    }

    /// Charges looking through names.
    pub(crate) fn charge_search(&mut self, names: usize) -> Result<(), Mismatch> {
        self.charge(names)
    }
}

/// A value that was refused, before it is known whose argument it belongs to.
pub(crate) enum Mismatch {
    Wrong { steps: Vec<Step>, expected: String, given: String },
    TooLarge { limit: usize },
}

/// One step from a value to a part of it.
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

impl Mismatch {
    /// `given` does not fit `ty`.
    pub(crate) fn of(ty: &Type, given: impl Into<String>) -> Self {
        Self::Wrong { steps: Vec::new(), expected: expectation(ty), given: given.into() }
    }

    /// No value for a part that needs one.
    pub(crate) fn missing(name: &str, ty: &Type) -> Self {
        Self::of(ty, "nothing").within(Step::Name(name.to_owned()))
    }

    /// A name that `ty` does not have. `what` says what the name is.
    pub(crate) fn unknown_name<'a>(
        ty: &Type,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let suggestions = nearest(name, known);
        Self::of(ty, format!("{what} {}{}", quoted(name), DidYouMean(&suggestions)))
    }

    /// The same mismatch, seen from one level further out.
    pub(crate) fn within(mut self, step: Step) -> Self {
        if let Self::Wrong { steps, .. } = &mut self {
            steps.push(step);
        }
        self
    }

    pub(crate) fn into_error(self, parameter: &str) -> ArgumentError {
        let (steps, expected, given) = match self {
            Self::Wrong { steps, expected, given } => (steps, expected, given),
            Self::TooLarge { limit } => return ArgumentError::TooLarge { limit },
        };
        let path = steps.iter().rev().fold(parameter.to_owned(), |path, step| match step {
            Step::Name(name) => format!("{path}.{name}"),
            Step::Index(index) => format!("{path}[{index}]"),
        });
        ArgumentError::Wrong { parameter: parameter.to_owned(), path, expected, given }
    }
}

/// One argument for each parameter, where an option that was not given is `none`.
pub(crate) fn complete(
    given: impl IntoIterator<Item = Option<Val>>,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Val>, ArgumentError> {
    let given = given.into_iter().chain(std::iter::repeat_with(|| None));
    let fill = |(value, parameter): (Option<Val>, &Parameter<'_>)| match (value, parameter.ty) {
        (Some(value), _) => Ok(value),
        (None, Type::Option(_)) => Ok(Val::Option(None)),
        (None, ty) => {
            Err(ArgumentError::Missing { parameter: parameter.name.to_owned(), expected: expectation(ty) })
        }
    };
    given.zip(parameters).map(fill).collect()
}

/// A record from the values that its fields were given. Options that were not given are `none`.
pub(crate) fn record(fields: Vec<(&str, Type)>, values: Vec<Option<Val>>) -> Result<Val, Mismatch> {
    let fill = |((name, ty), value): ((&str, Type), Option<Val>)| match (value, ty) {
        (Some(value), _) => Ok((name.to_owned(), value)),
        (None, Type::Option(_)) => Ok((name.to_owned(), Val::Option(None))),
        (None, ty) => Err(Mismatch::missing(name, &ty)),
    };
    fields.into_iter().zip(values).map(fill).collect::<Result<_, _>>().map(Val::Record)
}

/// The integer as a value of the type, where it is an integer type that can hold it.
pub(crate) fn integer(ty: &Type, number: i128) -> Option<Val> {
    Some(match ty {
        Type::S8 => Val::S8(number.try_into().ok()?),
        Type::U8 => Val::U8(number.try_into().ok()?),
        Type::S16 => Val::S16(number.try_into().ok()?),
        Type::U16 => Val::U16(number.try_into().ok()?),
        Type::S32 => Val::S32(number.try_into().ok()?),
        Type::U32 => Val::U32(number.try_into().ok()?),
        Type::S64 => Val::S64(number.try_into().ok()?),
        Type::U64 => Val::U64(number.try_into().ok()?),
        _ => return None,
    })
}

/// The non-finite floats by name, as WAVE spells them.
pub(crate) fn named_float(ty: &Type, name: &str) -> Option<Val> {
    let number = match name {
        "nan" => f64::NAN,
        "inf" => f64::INFINITY,
        "-inf" => f64::NEG_INFINITY,
        _ => return None,
    };
    match ty {
        Type::Float32 => Some(Val::Float32(number as f32)),
        Type::Float64 => Some(Val::Float64(number)),
        _ => None,
    }
}

/// Whether values of the type may be left out of `some(…)`: all but those that have a `none` of their own.
pub(crate) fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Option(_))
}

/// No more than 60 characters of a text, as a quoted literal.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// No more than 60 characters of a text, on one line.
pub(crate) fn excerpt(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(EXCERPT).map(plain).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// At most three of the names: the nearest, where a slip of the keyboard could have meant them.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    if name.len() > MAX_COMPARED_NAME {
        return Vec::new();
    }
    let allowed = 1 + name.chars().count() / 4;
    let mut near: Vec<(usize, &str)> = known
        .take(MAX_COMPARED_NAMES)
        .filter(|candidate| candidate.len() <= MAX_COMPARED_NAME)
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    near.sort();
    let least = near.first().map(|(distance, _)| *distance);
    let nearest = near.into_iter().take_while(|(distance, _)| Some(*distance) == least);
    nearest.take(3).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// Least number of letters to insert, remove, replace or swap with their neighbour, without regard to case and to
/// `_` for `-` (optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| -> Vec<char> { text.to_lowercase().replace('_', "-").chars().collect() };
    let (a, b) = (fold(a), fold(b));
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let mut best = (last[j] + usize::from(a[i] != b[j])).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// Characters of a value that an error repeats.
const EXCERPT: usize = 60;
/// Longest name for which near ones are sought, in bytes.
const MAX_COMPARED_NAME: usize = 64;
/// Most names among which near ones are sought.
const MAX_COMPARED_NAMES: usize = 1000;

/// A digit and a comma of JSON are a value of 32 bytes or more.
const COST_PER_BYTE: usize = 64;
const COST_AT_LEAST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_near_by_slips() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "ab", 2),
            ("name", "name", 0),
            ("nmae", "name", 1),
            ("nam", "name", 1),
            ("first_name", "First-Name", 0),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
            assert_eq!(edit_distance(b, a), distance, "{b} {a}");
        }
        let known = ["name", "game", "tags", "age"];
        assert_eq!(nearest("nmae", known.into_iter()), ["name"]);
        assert_eq!(nearest("ame", known.into_iter()), ["age", "game", "name"]);
        assert!(nearest("colour", known.into_iter()).is_empty());
        assert!(nearest(&"n".repeat(65), known.into_iter()).is_empty());
    }

    #[test]
    fn excerpts_are_bounded_and_on_one_line() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert_eq!(excerpt(&"ä".repeat(61)), format!("{}…", "ä".repeat(60)));
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
        assert_eq!(quoted(&"ä".repeat(61)), format!("\"{}\"…", "ä".repeat(60)));
        assert_eq!(quoted(&"ä".repeat(60)), format!("\"{}\"", "ä".repeat(60)));
    }
}
