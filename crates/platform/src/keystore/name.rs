use std::borrow::Borrow;
use std::fmt;

use crate::Error;

/// The name of a key: 1 to [`KEY_NAME_BYTES`] bytes of text without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyName(String);

impl KeyName {
    /// # Errors
    /// [`Error::KeyName`].
    pub(crate) fn parse(name: String) -> Result<Self, Error> {
        let fits = (1..=KEY_NAME_BYTES).contains(&name.len());
        if fits && !name.chars().any(char::is_control) { Ok(Self(name)) } else { Err(Error::KeyName) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for KeyName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

/// The longest name in bytes.
pub(crate) const KEY_NAME_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_of_1_to_128_bytes() {
        for good in ["a", "../b", "naïve 🔑", &"x".repeat(128)] {
            assert_eq!(KeyName::parse(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "a\0", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(129), &"é".repeat(65)] {
            assert_eq!(KeyName::parse(bad.to_owned()), Err(Error::KeyName), "{bad:?}");
        }
    }
}
