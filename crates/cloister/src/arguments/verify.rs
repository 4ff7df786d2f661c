//! What `verify` takes.

use super::{AllowArgument, AssetsPin, PccsArguments};
use crate::quantity::Digest;
use clap::Args;
use cloister_api::AppName;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The enclave's address; as --host
    #[arg(value_name = "HOST[:PORT]")]
    pub(crate) address: Option<String>,
    /// Verify the code hash of this app too; --code-hash or the profile says which is right
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<AppName>,
    /// The most that the app may be allowed on the network: a rule as `cloister deploy --allow` takes it, repeated, or
    /// `none`
    #[arg(long = "allow", value_name = "RULE|none", requires = "app")]
    pub(crate) allow: Vec<AllowArgument>,
    /// The only assets that you accept, as `cloister assets-hash` prints them [default for GUEST: /assets]
    #[arg(long, value_name = "HEX[::GUEST]", requires = "app")]
    pub(crate) assets: Option<AssetsPin>,
    /// What the app has to show in its certificates under the number SUFFIX: the SHA-256 of the value, or a file with the
    /// value. Repeat it for several
    #[arg(long = "extension", value_name = "SUFFIX=HEX|@FILE", requires = "app")]
    pub(crate) extensions: Vec<ExtensionPin>,
    /// Accept the app also while it awaits its owner's configuration
    #[arg(long, requires = "app")]
    pub(crate) allow_unconfigured: bool,
    /// Write the certificate of the verified session to this file (PEM); with --app it is the one with what the app shows
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Write the evidence that was verified to this file, for other verifiers: a Conceptual Message Wrapper (RFC 9999, CBOR)
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pccs: PccsArguments,
}

/// `SUFFIX=HEX` or `SUFFIX=@FILE`: what an app has to show under this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtensionPin {
    pub(crate) suffix: u32,
    pub(crate) value: ExpectedValue,
}

/// The value that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExpectedValue {
    /// One with this SHA-256.
    Hash(Digest),
    /// The contents of this file.
    File(PathBuf),
}

impl FromStr for ExtensionPin {
    type Err = InvalidExtensionPin;

    fn from_str(text: &str) -> Result<Self, InvalidExtensionPin> {
        let (suffix, value) = text.split_once('=').ok_or(InvalidExtensionPin)?;
        let value = match value.strip_prefix('@') {
            Some("") => return Err(InvalidExtensionPin),
            Some(file) => ExpectedValue::File(file.into()),
            None => ExpectedValue::Hash(value.parse().map_err(|_| InvalidExtensionPin)?),
        };
        Ok(Self { suffix: suffix.parse().map_err(|_| InvalidExtensionPin)?, value })
    }
}

/// The text pins no extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write SUFFIX=HEX or SUFFIX=@FILE: the number that the app gave the value, and the value's SHA-256 as `cloister verify` \
     shows it, or a file with the value"
)]
pub(crate) struct InvalidExtensionPin;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_pinned_by_hash_or_by_file() {
        let hash = "ab".repeat(32);
        let pin: ExtensionPin = format!("1={hash}").parse().unwrap();
        assert_eq!(pin, ExtensionPin { suffix: 1, value: ExpectedValue::Hash(Digest([0xab; 32])) });
        let pin: ExtensionPin = "4294967295=@key=1.der".parse().unwrap();
        assert_eq!(pin, ExtensionPin { suffix: u32::MAX, value: ExpectedValue::File("key=1.der".into()) });
        for bad in ["", "1", "1=", "1=@", "=@f", "x=@f", "-1=@f", "4294967296=@f", "1=ab", &hash] {
            assert_eq!(bad.parse::<ExtensionPin>(), Err(InvalidExtensionPin), "{bad:?}");
        }
    }
}
