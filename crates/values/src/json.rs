/// The visits of what is neither an array nor an object, all refused by one method with the kind of the value.
macro_rules! refuse_scalars {
    ($method:ident) => {
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            self.$method("null")
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
            self.$method("a boolean")
        }

        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
            self.$method("a number")
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
            self.$method("a number")
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
            self.$method("a number")
        }

        fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
            self.$method("a string")
        }
    };
}

mod text;
mod value;

use crate::decode::{Budget, Mismatch, complete, nearest};
use crate::{ArgumentError, Parameter};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use value::{Context, ValueSeed};
use wasmtime::component::{Type, Val};

/// The arguments of a call from its JSON body: an object by parameter name or an array by position. An empty body is
/// a call without arguments. Parameters whose type is an option may be left out.
///
/// # Errors
/// See [`ArgumentError`]; [`ArgumentError::MalformedWave`] does not occur.
pub fn arguments_from_json(body: &[u8], params: &[Parameter<'_>]) -> Result<Vec<Val>, ArgumentError> {
    if body.trim_ascii().is_empty() {
        return complete([], params);
    }
    let mut failure = None;
    let mut json = serde_json::Deserializer::from_slice(body);
    let arguments = Arguments { params, budget: Budget::for_text(body.len()), failure: &mut failure };
    let given = arguments.deserialize(&mut json).and_then(|given| json.end().map(|()| given));
    match given {
        Ok(given) => complete(given, params),
        Err(error) => Err(failure.unwrap_or_else(|| malformed(&error))),
    }
}

fn malformed(error: &serde_json::Error) -> ArgumentError {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let detail = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text).to_owned();
    ArgumentError::Malformed { line, column, detail }
}

/// The whole body. Why it was refused is put into `failure`, since errors of the parser carry text alone.
struct Arguments<'a> {
    params: &'a [Parameter<'a>],
    budget: Budget,
    failure: &'a mut Option<ArgumentError>,
}

impl Arguments<'_> {
    fn fail<E: de::Error>(&mut self, failure: ArgumentError) -> E {
        *self.failure = Some(failure);
        refused()
    }

    fn not_arguments<T, E: de::Error>(self, given: &str) -> Result<T, E> {
        Err(E::custom(format_args!("expected {EXPECTED_BODY}, given {given}")))
    }

    /// Runs one seed for the argument of one parameter.
    fn argument<E>(
        &mut self,
        parameter: &Parameter<'_>,
        read: impl FnOnce(ValueSeed<'_, '_>) -> Result<Val, E>,
    ) -> Result<Val, E> {
        let mut context = Context { budget: &mut self.budget, mismatch: None };
        let value = read(ValueSeed { ty: parameter.ty, context: &mut context });
        if let Some(mismatch) = context.mismatch {
            *self.failure = Some(mismatch.into_error(parameter.name));
        }
        value
    }
}

impl<'de> DeserializeSeed<'de> for Arguments<'_> {
    type Value = Vec<Option<Val>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Arguments<'_> {
    type Value = Vec<Option<Val>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED_BODY)
    }

    refuse_scalars!(not_arguments);

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let params = self.params;
        let mut given: Vec<Option<Val>> = params.iter().map(|_| None).collect();
        while let Some(name) = map.next_key::<String>()? {
            let place = params.iter().zip(&mut given).find(|(parameter, _)| parameter.name == name);
            let Some((parameter, value)) = place else {
                let suggestions = nearest(&name, params.iter().map(|parameter| parameter.name));
                let name = name.chars().take(MAX_UNKNOWN_NAME).collect();
                return Err(self.fail(ArgumentError::Unknown { name, suggestions }));
            };
            if value.is_some() {
                return Err(self.fail(twice(parameter.ty, "argument").into_error(parameter.name)));
            }
            *value = Some(self.argument(parameter, |seed| map.next_value_seed(seed))?);
        }
        Ok(given)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut given = Vec::new();
        for parameter in self.params {
            let mut ended = false;
            let value = self.argument(parameter, |seed| {
                let value = seq.next_element_seed(seed)?;
                ended = value.is_none();
                Ok(value.unwrap_or(Val::Bool(false)))
            })?;
            if ended {
                return Ok(given);
            }
            given.push(Some(value));
        }
        let surplus = count_rest(&mut seq)?;
        if surplus > 0 {
            let expected_count = given.len();
            return Err(
                self.fail(ArgumentError::TooMany { expected_count, given_count: expected_count + surplus })
            );
        }
        Ok(given)
    }
}

fn twice(ty: &Type, what: &str) -> Mismatch {
    Mismatch::of(ty, format!("the {what} twice"))
}

fn counted(count: usize, what: &str) -> String {
    format!("{what} {count}")
}

fn count_rest<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<usize, A::Error> {
    let mut count = 0;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// Ends the parse. The reason is kept beside the parser.
fn refused<E: de::Error>() -> E {
    E::custom("refused")
}

/// What a body has to be.
const EXPECTED_BODY: &str = "an object by parameter name or an array by position";
/// Characters of an unknown parameter's name that an error repeats.
const MAX_UNKNOWN_NAME: usize = 60;
