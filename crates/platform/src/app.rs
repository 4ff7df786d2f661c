use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;

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

    /// SHA-256 of the SubjectPublicKeyInfo of the key that deployed the app.
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

/// Who calls: SHA-256 of the SubjectPublicKeyInfo of the key that the enclave verified in the caller's TLS session.
///
/// Displayed as guests get it: `key:` and 64 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerKey(pub [u8; 32]);

impl fmt::Display for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEY_ID)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The most bytes of the value of [`App::set_extension`].
pub const MAX_EXTENSION_BYTES: usize = 4096;
/// What the id of a caller begins with who is known by a key.
pub(crate) const KEY_ID: &str = "key:";

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
        let id = CallerKey([0xab; 32]).to_string();
        assert_eq!(id, format!("key:{}", "ab".repeat(32)));
    }
}
