//! The few messages of Intel's `aesm.proto` that are needed, in the encoding of Protocol Buffers. A message to the service is one
//! request that has one of many kinds as its field; an answer is the same.

/// Adds a field of bytes, a message within it included.
pub(super) fn put_bytes(message: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(message, u64::from(field << 3 | LENGTH_DELIMITED));
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

/// Adds a field that is a number or a truth value.
pub(super) fn put_number(message: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(message, u64::from(field << 3 | VARINT));
    put_varint(message, value);
}

/// The fields of a message in their order. Bytes that are no message end them with [`Malformed`].
pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: Some(message) }
}

/// The last of the fields with this number that is bytes.
pub(super) fn bytes(message: &[u8], number: u32) -> Result<Option<&[u8]>, Malformed> {
    let mut found = None;
    for field in fields(message) {
        if let (of, Value::Bytes(value)) = field?
            && of == number
        {
            found = Some(value);
        }
    }
    Ok(found)
}

/// The last of the fields with this number that is a number.
pub(super) fn number(message: &[u8], number: u32) -> Result<Option<u64>, Malformed> {
    let mut found = None;
    for field in fields(message) {
        if let (of, Value::Number(value)) = field?
            && of == number
        {
            found = Some(value);
        }
    }
    Ok(found)
}

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a width that no field here has.
    Other,
}

#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest.take()?;
        if rest.is_empty() {
            return None;
        }
        let field = field(&mut rest);
        if field.is_some() {
            self.rest = Some(rest);
        }
        Some(field.ok_or(Malformed))
    }
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let key = u32::try_from(take_varint(rest)?).ok()?;
    let value = match key & 7 {
        VARINT => Value::Number(take_varint(rest)?),
        1 => take(rest, 8).map(|_| Value::Other)?,
        LENGTH_DELIMITED => {
            let length = usize::try_from(take_varint(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        5 => take(rest, 4).map(|_| Value::Other)?,
        _ => return None,
    };
    Some((key >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

const VARINT: u32 = 0;
const LENGTH_DELIMITED: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive() {
        let mut message = Vec::new();
        put_number(&mut message, 1, 300);
        put_bytes(&mut message, 17, b"report");
        put_number(&mut message, 3, u64::MAX);
        // "Encoding" of the Protocol Buffers documentation: 150 in field 1 is 08 96 01.
        assert_eq!(message[..3], [0x08, 0xac, 0x02]);
        assert_eq!(number(&message, 1), Ok(Some(300)));
        assert_eq!(bytes(&message, 17), Ok(Some(&b"report"[..])));
        assert_eq!(number(&message, 3), Ok(Some(u64::MAX)));
        assert_eq!((number(&message, 17), bytes(&message, 1)), (Ok(None), Ok(None)));
    }

    #[test]
    fn unknown_widths_are_passed_over_and_the_last_value_counts() {
        let message = [0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x08, 1, 0x08, 2];
        assert_eq!(number(&message, 1), Ok(Some(2)));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for message in [
            &[0x08][..],
            &[0x12, 5, 1],
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0x0b],
            &[0x0f, 0],
            &[0x09, 1],
        ] {
            assert_eq!(number(message, 1), Err(Malformed), "{message:?}");
        }
    }
}
