//! Arguments of the form `KEY=VALUE`.

use crate::quantity::Digest;
use cloister_api::{AppName, EnvironmentVariable};
use std::str::FromStr;

/// `KEY=VALUE`, or `KEY` for the value that this process has.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum EnvironmentArgument {
    Set(EnvironmentVariable),
    Inherit(String),
}

impl FromStr for EnvironmentArgument {
    type Err = InvalidEnvironment;

    fn from_str(text: &str) -> Result<Self, InvalidEnvironment> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.is_empty() || text.contains('\0') {
            return Err(InvalidEnvironment);
        }
        Ok(match value {
            Some(value) => Self::Set(EnvironmentVariable { name: name.to_owned(), value: value.to_owned() }),
            None => Self::Inherit(name.to_owned()),
        })
    }
}

impl std::fmt::Debug for EnvironmentArgument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Set(variable) => variable.fmt(f),
            Self::Inherit(name) => write!(f, "Inherit({name})"),
        }
    }
}

/// The text is not an environment variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write KEY=VALUE, or KEY to pass on the value that the variable has here")]
pub(crate) struct InvalidEnvironment;

/// An app and the only code hash that is accepted for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) app: AppName,
    pub(crate) code_hash: Digest,
}

impl FromStr for Pin {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let (app, code_hash) = text.split_once('=').ok_or(InvalidPin)?;
        Ok(Self {
            app: app.parse().map_err(|_| InvalidPin)?,
            code_hash: code_hash.parse().map_err(|_| InvalidPin)?,
        })
    }
}

/// The text does not pin an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write APP=HEX: an app's name and the 64 hex digits that `cloister hash FILE` prints")]
pub(crate) struct InvalidPin;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_needs_a_name_and_its_value_is_not_shown() {
        assert!("=x".parse::<EnvironmentArgument>().is_err());
        assert!("".parse::<EnvironmentArgument>().is_err());
        assert!("A=\0".parse::<EnvironmentArgument>().is_err());
        let secret: EnvironmentArgument = "TOKEN=hunter2".parse().unwrap();
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn a_pin_is_an_app_and_a_digest() {
        let hash = "cc".repeat(32);
        let pin: Pin = format!("hello={hash}").parse().unwrap();
        assert_eq!((pin.app.as_str(), pin.code_hash.to_string()), ("hello", hash.clone()));
        for bad in ["hello", "hello=", &format!("={hash}"), &format!("He={hash}")] {
            assert_eq!(bad.parse::<Pin>(), Err(InvalidPin), "{bad:?}");
        }
    }
}
