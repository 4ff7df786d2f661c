//! The token that a client shows. It is a secret: whoever reads it can show it too.

use crate::ClientError;
use http::HeaderValue;
use std::fmt;
use zeroize::Zeroizing;

/// A JSON Web Token, as `authorization` carries it (RFC 6750, section 2.1). Erased when dropped.
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// `Bearer` and the token.
    ///
    /// # Errors
    /// [`ClientError::Token`] where the text is longer than [`MAX_TOKEN`] or has other characters than tokens have.
    pub(crate) fn new(token: &str) -> Result<Self, ClientError> {
        // RFC 7515, section 7.1: three parts in base64url, with dots between them.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(allowed) {
            return Err(ClientError::Token);
        }
        Ok(Self(Zeroizing::new(format!("Bearer {token}"))))
    }

    /// The value of the header, which neither logs nor HPACK tables keep.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&self.0).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Longest token, in bytes: as much as an enclave reads.
pub(crate) const MAX_TOKEN: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_becomes_a_header_and_is_never_shown() {
        let token = Token::new("aGVhZA.Ym9keQ.c2ln").unwrap();
        assert_eq!(token.header().unwrap(), "Bearer aGVhZA.Ym9keQ.c2ln");
        assert!(token.header().unwrap().is_sensitive());
        assert_eq!(format!("{token:?} {:?}", token.header()), "Token Some(Sensitive)");
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for bad in ["", "a b", "a\nb", "a.b=", "ä.b.c", &"a".repeat(MAX_TOKEN + 1)] {
            assert!(matches!(Token::new(bad), Err(ClientError::Token)), "{bad:.20}");
        }
        assert!(Token::new(&"a".repeat(MAX_TOKEN)).is_ok());
    }
}
