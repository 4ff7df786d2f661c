//! What a client demands of the volume's freshness anchor, as people write it.

use crate::quantity::Digest;
use cloister_client::FreshnessDemand;
use std::fmt;
use std::str::FromStr;

/// `any`, `none`, `tpm` or `tpm:IDENTITY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct FreshnessArgument(pub(crate) FreshnessDemand);

impl FromStr for FreshnessArgument {
    type Err = InvalidFreshness;

    fn from_str(text: &str) -> Result<Self, InvalidFreshness> {
        Ok(Self(match text {
            "any" => FreshnessDemand::Any,
            "none" => FreshnessDemand::None,
            "tpm" => FreshnessDemand::Tpm { identity: None },
            other => {
                let identity = other.strip_prefix("tpm:").ok_or(InvalidFreshness)?;
                let Digest(identity) = identity.parse().map_err(|_| InvalidFreshness)?;
                FreshnessDemand::Tpm { identity: Some(identity) }
            }
        }))
    }
}

impl TryFrom<String> for FreshnessArgument {
    type Error = InvalidFreshness;

    fn try_from(text: String) -> Result<Self, InvalidFreshness> {
        text.parse()
    }
}

impl From<FreshnessArgument> for String {
    fn from(argument: FreshnessArgument) -> String {
        argument.to_string()
    }
}

impl fmt::Display for FreshnessArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            FreshnessDemand::Any => f.write_str("any"),
            FreshnessDemand::None => f.write_str("none"),
            FreshnessDemand::Tpm { identity: None } => f.write_str("tpm"),
            FreshnessDemand::Tpm { identity: Some(identity) } => write!(f, "tpm:{}", Digest(identity)),
        }
    }
}

/// The text demands no freshness anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write any, none, tpm, or tpm:IDENTITY with the 64 hex digits that `cloister verify` shows")]
pub(crate) struct InvalidFreshness;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demands_survive_their_text() {
        let one = format!("tpm:{}", "0a".repeat(32));
        for text in ["any", "none", "tpm", &one] {
            assert_eq!(text.parse::<FreshnessArgument>().unwrap().to_string(), text);
        }
        for bad in ["", "TPM", "tpm:", "tpm:0a", "quorum"] {
            assert_eq!(bad.parse::<FreshnessArgument>(), Err(InvalidFreshness), "{bad:?}");
        }
    }
}
