//! The compact serialization of a JWS: RFC 7515, section 7.1.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::key::Algorithm;
use crate::object::Object;
use crate::{MAX_TOKEN, Part, TokenError};

/// A token of which nothing is verified yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    /// What the signature is over: header and payload, encoded, with the dot between them.
    pub(crate) signed: &'a str,
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        // A dot that is left is no base64url either.
        let [header, payload, signature] = [header, payload, signature].map(decode);
        let header = Object::parse(&header?).ok_or(TokenError::Json(Part::Header))?;
        let (algorithm, key_id) = read(&header)?;
        Ok(Self { algorithm, key_id, signed, payload: payload?, signature: signature? })
    }
}

/// Of the header only this counts. Keys, and addresses of keys, that a token brings along (`jwk`, `jku`, `x5c`, `x5u`) are not
/// looked at: RFC 8725, section 3.10.
fn read(header: &Object) -> Result<(Algorithm, Option<String>), TokenError> {
    if header.has("crit") {
        return Err(TokenError::Critical);
    }
    match header.member("typ") {
        None => {}
        Some(Value::String(kind)) if is_of_tokens(kind) => {}
        Some(_) => return Err(TokenError::Type),
    }
    let algorithm = match header.text("alg") {
        None => return Err(TokenError::NoAlgorithm),
        Some(none) if none.eq_ignore_ascii_case("none") => return Err(TokenError::Unsigned),
        Some("HS256" | "HS384" | "HS512") => return Err(TokenError::SharedSecret),
        Some(name) => Algorithm::named(name).ok_or(TokenError::Algorithm)?,
    };
    let key_id = match header.member("kid") {
        None => None,
        Some(Value::String(id)) if (1..=MAX_KEY_ID).contains(&id.len()) => Some(id.clone()),
        Some(_) => return Err(TokenError::KeyId),
    };
    Ok((algorithm, key_id))
}

/// RFC 7519, section 5.1, and RFC 9068, section 2.1; RFC 7515, section 4.1.9 lets the prefix be left out.
fn is_of_tokens(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    matches!(kind.strip_prefix("application/").unwrap_or(&kind), "jwt" | "at+jwt")
}

/// RFC 7515, section 2: no padding, no other characters, and one encoding only.
fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

/// Bytes of a key's name.
const MAX_KEY_ID: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header))
    }

    fn refusal(token: &str) -> TokenError {
        Jws::parse(token).unwrap_err()
    }

    #[test]
    fn what_is_read_of_a_good_token() {
        for (kind, read) in [
            ("", true),
            (r#","typ":"JWT""#, true),
            (r#","typ":"jwt""#, true),
            (r#","typ":"at+jwt""#, true),
            (r#","typ":"application/AT+JWT""#, true),
            (r#","typ":"logout+jwt""#, false),
            (r#","typ":"JOSE""#, false),
            (r#","typ":1"#, false),
            (r#","typ":null"#, false),
        ] {
            let token = token(&format!(r#"{{"alg":"ES256","kid":"k"{kind}}}"#));
            match Jws::parse(&token) {
                Ok(jws) => {
                    assert!(read, "{kind}");
                    assert_eq!((jws.algorithm, jws.key_id.as_deref()), (Algorithm::Es256, Some("k")));
                    assert_eq!((jws.payload, jws.signature), (b"{}".to_vec(), vec![0; 3]));
                    assert_eq!(format!("{}.AAAA", jws.signed), token);
                }
                Err(error) => assert!(!read && error == TokenError::Type, "{kind}: {error}"),
            }
        }
    }

    #[test]
    fn only_one_encoding_of_three_parts() {
        let good = token(r#"{"alg":"ES256"}"#);
        let (header, _) = good.split_once('.').unwrap();
        for malformed in [
            String::new(),
            ".".into(),
            header.into(),
            format!("{header}.e30"),
            format!("{good}.AAAA"),
            format!("{good}="),
            format!("{good}\n"),
            format!(" {good}"),
            // Not the only encoding of its bytes.
            format!("{header}.e31.AAAA"),
            format!("{header}.e30.AAA+"),
            format!("{header}.e30=.AAAA"),
            format!("{header}.e30.A"),
        ] {
            assert_eq!(refusal(&malformed), TokenError::Malformed, "{malformed:?}");
        }
        assert_eq!(refusal("."), TokenError::Malformed);
        assert_eq!(refusal(".."), TokenError::Json(Part::Header));
        assert_eq!(refusal(&"a".repeat(MAX_TOKEN + 1)), TokenError::TooLong);
        assert_eq!(refusal(&"a".repeat(MAX_TOKEN)), TokenError::Malformed);
    }

    #[test]
    fn headers_that_are_refused() {
        let cases = [
            ("[]", TokenError::Json(Part::Header)),
            (r#"{"alg":"ES256","alg":"ES256"}"#, TokenError::Json(Part::Header)),
            (r#"{"alg":"ES256","x":1,"x":1}"#, TokenError::Json(Part::Header)),
            ("{}", TokenError::NoAlgorithm),
            (r#"{"alg":["ES256"]}"#, TokenError::NoAlgorithm),
            (r#"{"alg":null}"#, TokenError::NoAlgorithm),
            (r#"{"alg":"none"}"#, TokenError::Unsigned),
            (r#"{"alg":"nOnE"}"#, TokenError::Unsigned),
            (r#"{"alg":"HS256"}"#, TokenError::SharedSecret),
            (r#"{"alg":"HS384"}"#, TokenError::SharedSecret),
            (r#"{"alg":"HS512"}"#, TokenError::SharedSecret),
            (r#"{"alg":"RS1"}"#, TokenError::Algorithm),
            (r#"{"alg":"RS384"}"#, TokenError::Algorithm),
            (r#"{"alg":"ES512"}"#, TokenError::Algorithm),
            (r#"{"alg":"ES256K"}"#, TokenError::Algorithm),
            (r#"{"alg":"es256"}"#, TokenError::Algorithm),
            (r#"{"alg":"RSA-OAEP"}"#, TokenError::Algorithm),
            (r#"{"alg":""}"#, TokenError::Algorithm),
            (r#"{"alg":"ES256","crit":["exp"]}"#, TokenError::Critical),
            (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, TokenError::Critical),
            (r#"{"alg":"ES256","crit":[]}"#, TokenError::Critical),
            (r#"{"alg":"ES256","kid":1}"#, TokenError::KeyId),
            (r#"{"alg":"ES256","kid":""}"#, TokenError::KeyId),
        ];
        for (header, expected) in cases {
            assert_eq!(refusal(&token(header)), expected, "{header}");
        }
        let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(MAX_KEY_ID + 1));
        assert_eq!(refusal(&token(&long)), TokenError::KeyId);
    }
}
