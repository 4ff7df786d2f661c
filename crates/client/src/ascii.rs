use crate::ClientError;
use serde::Serialize;

/// JSON in ASCII, as headers carry it: characters beyond it as `\u` escapes (RFC 8259, section 7).
///
/// # Errors
/// [`ClientError::RequestTooLarge`] above `limit` bytes.
pub(crate) fn json(value: &impl Serialize, what: &'static str, limit: usize) -> Result<String, ClientError> {
    let json =
        serde_json::to_string(value).map_err(|error| ClientError::UnexpectedResponse(error.to_string()))?;
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    if ascii.len() > limit {
        return Err(ClientError::RequestTooLarge { what, length: ascii.len(), limit });
    }
    Ok(ascii)
}
