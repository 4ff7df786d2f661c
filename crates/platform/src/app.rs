use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

use cloister_api::token_principal;
use zeroize::Zeroizing;

/// What only the enclave can do for an app.
pub trait App: Send + Sync {
    /// 32 bytes that follow from the image, the CPU, the app's code, name and owner: `wit/sealing.wit` has the promise.
    ///
    /// # Errors
    /// Where the hardware gives no key.
    fn seal_key(&self) -> Result<Zeroizing<[u8; 32]>, Refusal>;

    /// SHA-256 of the app's `.wasm`.
    fn code_hash(&self) -> [u8; 32];

    /// Who deployed the app: SHA-256 of their key's SubjectPublicKeyInfo, or the principal of their token's subject.
    fn owner(&self) -> [u8; 32];

    /// Shows `value`, of at most [`MAX_EXTENSION_BYTES`] bytes, in the app's certificate under the suffix, and its hash in the
    /// claims; an empty value removes it. When it resolves, that is durable and new sessions see it.
    fn set_extension(&self, suffix: u32, value: Vec<u8>) -> Answer<()>;

    /// Ends the time in which the app answers nothing but what configures it.
    fn complete_configuration(&self) -> Answer<()>;
}

/// What resolves to an answer, or to why there is none.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send>>;

/// Why the enclave does not do something for an app: a sentence for people, which the guest gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub Cow<'static, str>);

/// Who calls, as the enclave verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who they are.
    pub id: CallerId,
    /// What the issuer of their token says of them. Only those that can be roles count, and neither `owner` nor `admin`, which an
    /// app alone gives.
    pub roles: Vec<String>,
}

/// How a caller is known. Displayed as guests get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerId {
    /// By the key of their TLS session, SHA-256 of its SubjectPublicKeyInfo: `key:` and 64 hex digits.
    Key([u8; 32]),
    /// By a token: `token:`, its issuer, `#`, its subject.
    Token(TokenSubject),
}

/// Whom a token is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSubject {
    issuer: String,
    subject: String,
}

impl From<CallerId> for Caller {
    fn from(id: CallerId) -> Self {
        Self { id, roles: Vec::new() }
    }
}

impl CallerId {
    /// The 32 bytes that owners are compared by.
    pub(crate) fn principal(&self) -> [u8; 32] {
        match self {
            Self::Key(key) => *key,
            Self::Token(TokenSubject { issuer, subject }) => *token_principal(issuer, subject).as_bytes(),
        }
    }
}

impl TokenSubject {
    /// The subject of an issuer, which is named by its URL. `None` where they cannot be told apart in an id, or are longer
    /// than [`MAX_ISSUER`] and [`MAX_SUBJECT`].
    pub fn new(issuer: impl Into<String>, subject: impl Into<String>) -> Option<Self> {
        let (issuer, subject) = (issuer.into(), subject.into());
        let is_good =
            |text: &str, most| (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
        let good = is_good(&issuer, MAX_ISSUER) && !issuer.contains('#') && is_good(&subject, MAX_SUBJECT);
        good.then_some(Self { issuer, subject })
    }
}

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => {
                f.write_str(KEY_ID)?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Token(TokenSubject { issuer, subject }) => write!(f, "{TOKEN_ID}{issuer}#{subject}"),
        }
    }
}

/// Longest URL of an issuer in an id, in bytes.
pub const MAX_ISSUER: usize = 512;
/// Longest subject in an id, in bytes (OpenID Connect Core 1.0, section 2: 255 ASCII characters).
pub const MAX_SUBJECT: usize = 255;
/// The most bytes of the value of [`App::set_extension`].
pub const MAX_EXTENSION_BYTES: usize = 4096;
/// What the id of a caller begins with who is known by a key.
pub(crate) const KEY_ID: &str = "key:";
/// What the id of a caller begins with who is known by a token.
pub(crate) const TOKEN_ID: &str = "token:";

/// An enclave that does nothing for its apps, for tests.
pub(crate) struct NoApp;

impl App for NoApp {
    fn seal_key(&self) -> Result<Zeroizing<[u8; 32]>, Refusal> {
        Err(NOT_SERVED)
    }

    fn code_hash(&self) -> [u8; 32] {
        [0; 32]
    }

    fn owner(&self) -> [u8; 32] {
        [0; 32]
    }

    fn set_extension(&self, _suffix: u32, _value: Vec<u8>) -> Answer<()> {
        Box::pin(std::future::ready(Err(NOT_SERVED)))
    }

    fn complete_configuration(&self) -> Answer<()> {
        Box::pin(std::future::ready(Err(NOT_SERVED)))
    }
}

const NOT_SERVED: Refusal = Refusal(Cow::Borrowed("this is not available here"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_id_has_64_lower_case_digits() {
        let id = CallerId::Key([0xab; 32]).to_string();
        assert_eq!(id, format!("key:{}", "ab".repeat(32)));
    }

    #[test]
    fn a_subject_is_named_with_its_issuer() {
        let subject = TokenSubject::new("https://id.example/a", "Alice#1").unwrap();
        assert_eq!(CallerId::Token(subject).to_string(), "token:https://id.example/a#Alice#1");
    }

    #[test]
    fn what_no_id_can_tell_apart_is_no_subject() {
        let (issuer, subject) = ("i".repeat(MAX_ISSUER), "s".repeat(MAX_SUBJECT));
        assert!(TokenSubject::new(issuer.clone(), subject.clone()).is_some());
        for (issuer, subject) in [
            ("", "s"),
            ("https://i", ""),
            ("https://i#a", "s"),
            ("https://i\n", "s"),
            ("https://i", "s\0"),
            (&format!("{issuer}i"), "s"),
            ("https://i", &format!("{subject}s")),
        ] {
            assert_eq!(TokenSubject::new(issuer, subject), None, "{issuer:?} {subject:?}");
        }
    }

    #[test]
    fn a_token_never_has_the_principal_of_another_subject() {
        let principal =
            |issuer, subject| CallerId::Token(TokenSubject::new(issuer, subject).unwrap()).principal();
        let one = principal("https://i", "ab");
        assert_eq!(one, principal("https://i", "ab"));
        assert_ne!(one, principal("https://ia", "b"));
        assert_ne!(one, principal("https://i", "ac"));
        assert_eq!(CallerId::Key([7; 32]).principal(), [7; 32]);
    }
}
