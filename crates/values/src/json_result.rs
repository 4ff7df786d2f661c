use crate::EncodeError;
use serde_json::{Map, Number, Value};
use wasmtime::component::Val;

/// A function's result as JSON; `null` where it returns nothing.
///
/// # Errors
/// [`EncodeError::TooLarge`] as soon as the JSON text, without white space, is longer than `limit` bytes;
/// [`EncodeError::Unsupported`] for handles.
pub fn result_to_json(val: Option<&Val>, limit: usize) -> Result<Value, EncodeError> {
    let mut room = Room { left: limit, limit };
    match val {
        Some(val) => encode(val, &mut room),
        None => room.null(),
    }
}

/// Bytes of text that may still be produced.
struct Room {
    left: usize,
    limit: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> Result<(), EncodeError> {
        self.left = self.left.checked_sub(bytes).ok_or(EncodeError::TooLarge { limit: self.limit })?;
        Ok(())
    }

    /// Brackets around an array or object of so many members, and the commas between them.
    fn brackets(&mut self, members: usize) -> Result<(), EncodeError> {
        self.take(2 + members.saturating_sub(1))
    }

    /// A member's name and the colon after it.
    fn key(&mut self, name: &str) -> Result<(), EncodeError> {
        self.take(text_length(name) + 1)
    }

    fn null(&mut self) -> Result<Value, EncodeError> {
        self.take(4)?;
        Ok(Value::Null)
    }

    fn text(&mut self, text: &str) -> Result<Value, EncodeError> {
        self.take(text_length(text))?;
        Ok(Value::String(text.to_owned()))
    }

    fn integer(&mut self, number: impl Into<i128>) -> Result<Value, EncodeError> {
        let number = number.into();
        let digits = number.unsigned_abs().checked_ilog10().unwrap_or(0) as usize + 1;
        self.take(digits + usize::from(number < 0))?;
        let number = Number::from_i128(number).ok_or(EncodeError::TooLarge { limit: self.limit })?;
        Ok(Value::Number(number))
    }

    fn float(&mut self, number: f64) -> Result<Value, EncodeError> {
        let Some(number) = Number::from_f64(number) else {
            let name = if number.is_nan() {
                "nan"
            } else if number > 0.0 {
                "inf"
            } else {
                "-inf"
            };
            return self.text(name);
        };
        self.take(number.to_string().len())?;
        Ok(Value::Number(number))
    }
}

fn encode(val: &Val, room: &mut Room) -> Result<Value, EncodeError> {
    match val {
        Val::Bool(value) => {
            room.take(if *value { 4 } else { 5 })?;
            Ok(Value::Bool(*value))
        }
        Val::S8(number) => room.integer(*number),
        Val::U8(number) => room.integer(*number),
        Val::S16(number) => room.integer(*number),
        Val::U16(number) => room.integer(*number),
        Val::S32(number) => room.integer(*number),
        Val::U32(number) => room.integer(*number),
        Val::S64(number) => room.integer(*number),
        Val::U64(number) => room.integer(*number),
        Val::Float32(number) => room.float(shortest(*number)),
        Val::Float64(number) => room.float(*number),
        Val::Char(character) => room.text(character.encode_utf8(&mut [0; 4])),
        Val::String(text) | Val::Enum(text) | Val::Variant(text, None) => room.text(text),
        Val::List(values) | Val::FixedLengthList(values) | Val::Tuple(values) => {
            room.brackets(values.len())?;
            values.iter().map(|value| encode(value, room)).collect::<Result<_, _>>().map(Value::Array)
        }
        Val::Record(fields) => {
            room.brackets(fields.len())?;
            let member = |(name, value): &(String, Val)| {
                room.key(name)?;
                Ok((name.clone(), encode(value, room)?))
            };
            fields.iter().map(member).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        Val::Map(entries) => encode_map(entries, room),
        Val::Variant(case, Some(payload)) => tagged(case, Some(payload), room),
        Val::Result(Ok(payload)) => tagged("ok", payload.as_deref(), room),
        Val::Result(Err(payload)) => tagged("err", payload.as_deref(), room),
        Val::Option(None) => room.null(),
        Val::Option(Some(inner)) if matches!(**inner, Val::Option(_)) => tagged("some", Some(inner), room),
        Val::Option(Some(inner)) => encode(inner, room),
        Val::Flags(names) => {
            room.brackets(names.len())?;
            names.iter().map(|name| room.text(name)).collect::<Result<_, _>>().map(Value::Array)
        }
        Val::Resource(_) => Err(EncodeError::Unsupported { kind: "resource" }),
        Val::Future(_) => Err(EncodeError::Unsupported { kind: "future" }),
        Val::Stream(_) => Err(EncodeError::Unsupported { kind: "stream" }),
        Val::ErrorContext(_) => Err(EncodeError::Unsupported { kind: "error-context" }),
    }
}

/// An object where every key is a string, otherwise an array of `[key, value]`. Of equal keys the last one counts.
fn encode_map(entries: &[(Val, Val)], room: &mut Room) -> Result<Value, EncodeError> {
    room.brackets(entries.len())?;
    let keys: Option<Vec<&String>> = entries
        .iter()
        .map(|(key, _)| match key {
            Val::String(key) => Some(key),
            _ => None,
        })
        .collect();
    if let Some(keys) = keys {
        let member = |(key, (_, value)): (&String, &(Val, Val))| {
            room.key(key)?;
            Ok((key.clone(), encode(value, room)?))
        };
        return keys
            .into_iter()
            .zip(entries)
            .map(member)
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object);
    }
    let pair = |(key, value): &(Val, Val)| {
        room.brackets(2)?;
        Ok(Value::Array(vec![encode(key, room)?, encode(value, room)?]))
    };
    entries.iter().map(pair).collect::<Result<_, _>>().map(Value::Array)
}

fn tagged(tag: &str, payload: Option<&Val>, room: &mut Room) -> Result<Value, EncodeError> {
    room.brackets(1)?;
    room.key(tag)?;
    let payload = match payload {
        Some(payload) => encode(payload, room)?,
        None => room.null()?,
    };
    Ok(Value::Object(Map::from_iter([(tag.to_owned(), payload)])))
}

/// The `f64` with the shortest text that is still this `f32`: 0.1 rather than 0.10000000149011612.
fn shortest(number: f32) -> f64 {
    match number.to_string().parse::<f64>() {
        Ok(short) if short as f32 == number => short,
        _ => number.into(),
    }
}

/// Bytes of a JSON string with its quotes, as `serde_json` writes it: short escapes where there are any, `\u00XX` for
/// the other control characters (RFC 8259, section 7).
fn text_length(text: &str) -> usize {
    let length = |byte: u8| match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0a | 0x0c | 0x0d => 2,
        0..0x20 => 6,
        _ => 1,
    };
    2 + text.bytes().map(length).sum::<usize>()
}
