//! What a token says: RFC 7519, section 4.1.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::object::Object;
use crate::{CLOCK_SKEW, MAX_ROLES, Part, TokenError};

/// The claims of a token, read and not yet compared with anything.
#[derive(Debug)]
pub(crate) struct Claims(Object);

impl Claims {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, TokenError> {
        Object::parse(payload).map(Self).ok_or(TokenError::Json(Part::Claims))
    }

    pub(crate) fn issuer(&self) -> Result<&str, TokenError> {
        self.0.text("iss").ok_or(TokenError::Claim("iss"))
    }

    /// At most 255 characters of ASCII: OpenID Connect Core 1.0, section 2.
    pub(crate) fn subject(&self) -> Result<&str, TokenError> {
        let subject = self.0.text("sub").filter(|it| (1..=MAX_SUBJECT).contains(&it.len()) && it.is_ascii());
        subject.ok_or(TokenError::Claim("sub"))
    }

    /// Section 4.1.3: a text, or a list of texts.
    pub(crate) fn check_audience(&self, audience: &str) -> Result<(), TokenError> {
        const MALFORMED: TokenError = TokenError::Claim("aud");
        let named = match self.0.member("aud") {
            Some(Value::String(only)) => only == audience,
            Some(Value::Array(all)) => {
                if !all.iter().all(Value::is_string) {
                    return Err(MALFORMED);
                }
                all.iter().any(|one| one == audience)
            }
            _ => return Err(MALFORMED),
        };
        if named { Ok(()) } else { Err(TokenError::Audience) }
    }

    /// When the token expires, if that is still to come and the token counts already.
    pub(crate) fn check_times(&self, now: SystemTime) -> Result<SystemTime, TokenError> {
        let expires = self.time("exp")?.ok_or(TokenError::Claim("exp"))?;
        // Section 4.1.4: on or after that time it must not be accepted.
        if now >= expires + CLOCK_SKEW {
            return Err(TokenError::Expired);
        }
        for begins in ["nbf", "iat"] {
            if self.time(begins)?.is_some_and(|begins| now + CLOCK_SKEW < begins) {
                return Err(TokenError::NotYetValid);
            }
        }
        Ok(expires)
    }

    /// A text is one role, whatever is in it.
    pub(crate) fn roles(&self, claim: &str) -> Result<Vec<String>, TokenError> {
        match self.0.member(claim) {
            None => Ok(Vec::new()),
            Some(Value::String(only)) => Ok(vec![only.clone()]),
            Some(Value::Array(all)) if all.len() <= MAX_ROLES => {
                let role = |value: &Value| value.as_str().map(str::to_owned).ok_or(TokenError::Roles);
                all.iter().map(role).collect()
            }
            Some(_) => Err(TokenError::Roles),
        }
    }

    /// A `NumericDate`, which may have a fraction.
    fn time(&self, name: &'static str) -> Result<Option<SystemTime>, TokenError> {
        let Some(value) = self.0.member(name) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=LATEST).contains(seconds));
        let seconds = seconds.ok_or(TokenError::Claim(name))?;
        Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)))
    }
}

/// Characters of a subject.
const MAX_SUBJECT: usize = 255;
/// The end of the year 9999, in seconds since 1970.
const LATEST: f64 = 253_402_300_799.0;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(json: &Value) -> Claims {
        Claims::parse(json.to_string().as_bytes()).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn payloads_are_objects() {
        for none in ["", "[]", r#"{"iss":"a","iss":"b"}"#, "\"iss\"", "{\"iss\":\"\u{1}\"}"] {
            let error = Claims::parse(none.as_bytes()).unwrap_err();
            assert_eq!(error, TokenError::Json(Part::Claims), "{none}");
        }
        assert_eq!(Claims::parse(b"{\"iss\":\"\xff\"}").unwrap_err(), TokenError::Json(Part::Claims));
    }

    #[test]
    fn audiences() {
        let malformed = Err(TokenError::Claim("aud"));
        let other = Err(TokenError::Audience);
        let cases = [
            (json!({"aud": "me"}), Ok(())),
            (json!({"aud": ["you", "me"]}), Ok(())),
            (json!({"aud": "you"}), other.clone()),
            (json!({"aud": "me you"}), other.clone()),
            (json!({"aud": "ME"}), other.clone()),
            (json!({"aud": ""}), other.clone()),
            (json!({"aud": []}), other),
            (json!({"aud": ["me", 1]}), malformed.clone()),
            (json!({"aud": {"me": 1}}), malformed.clone()),
            (json!({"aud": null}), malformed.clone()),
            (json!({}), malformed),
        ];
        for (json, expected) in cases {
            assert_eq!(claims(&json).check_audience("me"), expected, "{json}");
        }
    }

    #[test]
    fn a_token_counts_from_its_beginning_to_its_end_and_a_minute_around_them() {
        let both = json!({"nbf": 1000, "iat": 1000, "exp": 2000});
        let cases = [
            (939, Err(TokenError::NotYetValid)),
            (940, Ok(at(2000))),
            (2059, Ok(at(2000))),
            (2060, Err(TokenError::Expired)),
        ];
        for (now, expected) in cases {
            assert_eq!(claims(&both).check_times(at(now)), expected, "{now}");
        }
        for begins in ["nbf", "iat"] {
            let one = json!({begins: 1000.5, "exp": 2000});
            assert_eq!(claims(&one).check_times(at(940)), Err(TokenError::NotYetValid), "{begins}");
            assert_eq!(claims(&one).check_times(at(941)), Ok(at(2000)), "{begins}");
        }
        let only = claims(&json!({"exp": 1e3}));
        assert_eq!(only.check_times(at(0)), Ok(at(1000)));
        assert_eq!(only.check_times(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), Ok(at(1000)));
    }

    #[test]
    fn times_that_are_none() {
        for none in [json!("2000"), json!(-1), json!(null), json!(1e300), json!([2000]), json!(true)] {
            let error = claims(&json!({"exp": none})).check_times(at(1000)).unwrap_err();
            assert_eq!(error, TokenError::Claim("exp"), "{none}");
            for begins in ["nbf", "iat"] {
                let json = json!({"exp": 2000, begins: none});
                assert_eq!(claims(&json).check_times(at(1000)), Err(TokenError::Claim(begins)), "{json}");
            }
        }
        assert_eq!(claims(&json!({})).check_times(at(0)), Err(TokenError::Claim("exp")));
    }

    #[test]
    fn issuers_and_subjects_are_texts() {
        for none in [json!({}), json!({"iss": ["https://a"], "sub": 7}), json!({"iss": null, "sub": ""})] {
            assert_eq!(claims(&none).issuer(), Err(TokenError::Claim("iss")));
            assert_eq!(claims(&none).subject(), Err(TokenError::Claim("sub")));
        }
        let long = |length: usize| claims(&json!({"sub": "s".repeat(length)}));
        assert!(long(MAX_SUBJECT).subject().is_ok());
        assert_eq!(long(MAX_SUBJECT + 1).subject(), Err(TokenError::Claim("sub")));
        assert_eq!(claims(&json!({"sub": "ä"})).subject(), Err(TokenError::Claim("sub")));
    }

    #[test]
    fn roles_are_a_text_or_a_list() {
        let roles = |json: &Value| claims(json).roles("groups");
        assert_eq!(roles(&json!({"roles": ["a"]})), Ok(vec![]));
        assert_eq!(roles(&json!({"groups": "a b"})), Ok(vec!["a b".to_owned()]));
        assert_eq!(roles(&json!({"groups": ["a", "b"]})), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(roles(&json!({"groups": vec!["a"; MAX_ROLES]})).is_ok());
        for none in
            [json!(1), json!(null), json!({"a": true}), json!(["a", 1]), json!(vec!["a"; MAX_ROLES + 1])]
        {
            assert_eq!(roles(&json!({"groups": none})), Err(TokenError::Roles));
        }
    }
}
