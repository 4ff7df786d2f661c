//! The configuration of Intel's default quote provider library, which says where this machine's PCCS is.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use cloister_collateral::{CollateralError, CollateralServer, ServerTrust};
use serde::Deserialize;

/// Where Intel's packages put it.
pub const PROVIDER_CONFIGURATION: &str = "/etc/sgx_default_qcnl.conf";

/// What it says. Since DCAP 1.16 it is JSON, in which whole lines may be comments; before, lines of `NAME=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderConfiguration {
    /// Where collateral comes from: `collateral_service`, or `pccs_url`.
    pub url: String,
    /// Whether the service's certificate is to be verified.
    pub verified: bool,
}

impl ProviderConfiguration {
    /// Reads the file. `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or names no service.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Self::parse(&text).map(Some).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "it names no pccs_url as the quote provider reads it")
        })
    }

    /// The service that it names.
    ///
    /// # Errors
    /// [`CollateralError::Url`].
    pub fn server(&self) -> Result<CollateralServer, CollateralError> {
        let trust = if self.verified { ServerTrust::Mozilla } else { ServerTrust::Unverified };
        Ok(CollateralServer::new(&self.url)?.with_trust(trust))
    }

    fn parse(text: &str) -> Option<Self> {
        let lines =
            text.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.starts_with('#'));
        let text = lines.collect::<Vec<_>>().join("\n");
        if text.trim_start().starts_with('{') {
            let file: Written = serde_json::from_str(&text).ok()?;
            let url = file.collateral_service.or(file.pccs_url)?;
            return Some(Self { url, verified: file.use_secure_cert.unwrap_or(true) });
        }
        let value = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let verified = value("USE_SECURE_CERT").is_none_or(|value| !value.eq_ignore_ascii_case("false"));
        Some(Self { url: value("PCCS_URL").filter(|url| !url.is_empty())?, verified })
    }
}

#[derive(Deserialize)]
struct Written {
    pccs_url: Option<String>,
    collateral_service: Option<String>,
    use_secure_cert: Option<bool>,
}

const MAX_FILE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_with_comments() {
        let text = r#"{
  // *** ATTENTION : This file is in JSON format so the keys are case sensitive.
  "pccs_url": "https://localhost:8081/sgx/certification/v4/"

  // Set to false for a certificate that the PCCS made for itself
  ,"use_secure_cert": false
  //,"collateral_service": "https://api.trustedservices.intel.com/sgx/certification/v4/"
  ,"retry_times": 6
  ,"local_cache_only": false
}"#;
        let read = ProviderConfiguration::parse(text).unwrap();
        assert_eq!(read.url, "https://localhost:8081/sgx/certification/v4/");
        assert!(!read.verified);
        assert_eq!(read.server().unwrap().url(), "https://localhost:8081");
        let text = r#"{"pccs_url": "https://a", "collateral_service": "https://b"}"#;
        let read = ProviderConfiguration::parse(text).unwrap();
        assert_eq!(read, ProviderConfiguration { url: "https://b".into(), verified: true });
    }

    #[test]
    fn lines_of_old() {
        let text = "# PCCS server address\nPCCS_URL=https://localhost:8081/sgx/certification/v3/\nUSE_SECURE_CERT=FALSE\n";
        let read = ProviderConfiguration::parse(text).unwrap();
        assert_eq!(read.url, "https://localhost:8081/sgx/certification/v3/");
        assert!(!read.verified);
    }

    #[test]
    fn files_that_name_no_service() {
        for text in ["", "{}", "{", "PCCS_URL=", r#"{"pccs_url": 7}"#, "\0\u{1}"] {
            assert_eq!(ProviderConfiguration::parse(text), None, "{text:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conf");
        assert_eq!(ProviderConfiguration::read(&path).unwrap(), None);
        std::fs::write(&path, "{").unwrap();
        assert!(ProviderConfiguration::read(&path).is_err());
    }
}
