use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The name of an app: 1 to 63 of `a-z`, `0-9` and `-`, neither first nor last a `-`.
///
/// It is a DNS label (RFC 1123, section 2.1), since each app answers under a host name of its own, and it is the
/// `<name>` of the app's namespace `app:<name>/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);

impl AppName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppName {
    type Err = InvalidAppName;

    fn from_str(text: &str) -> Result<Self, InvalidAppName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = (1..=63).contains(&text.len());
        if fits && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-') {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAppName)
        }
    }
}

impl TryFrom<String> for AppName {
    type Error = InvalidAppName;

    fn try_from(text: String) -> Result<Self, InvalidAppName> {
        text.parse()
    }
}

impl From<AppName> for String {
    fn from(name: AppName) -> String {
        name.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the name of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an app's name is 1 to 63 of a-z, 0-9 and '-', and neither begins nor ends with '-'")]
pub struct InvalidAppName;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "hello-world", "a1", &"x".repeat(63)] {
            assert_eq!(good.parse::<AppName>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "ä", "a b", &"x".repeat(64)] {
            assert_eq!(bad.parse::<AppName>(), Err(InvalidAppName), "{bad:?}");
        }
    }

    #[test]
    fn json_is_parsed_into_a_valid_name_or_not_at_all() {
        assert!(serde_json::from_str::<AppName>("\"a/b\"").is_err());
        assert_eq!(serde_json::to_string(&"ab".parse::<AppName>().unwrap()).unwrap(), "\"ab\"");
    }
}
