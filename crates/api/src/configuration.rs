use crate::{ImageUpgrade, TokenIssuer};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the operator decides at start. It reaches the enclave as JSON through the host, so the enclave measures it
/// into its claims. Absent fields are defaults; unknown ones are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// Address and port to listen on, such as `127.0.0.1:8443`; port 0 leaves the choice to the host's kernel.
    pub listen: String,
    /// Who may deploy apps: keys, and [subjects of tokens](crate::token_principal). None: nobody may.
    pub owners: Vec<KeyFingerprint>,
    /// The key of whoever runs the machine: it may read what the enclave counts, back up its volume and upgrade its image, and
    /// nothing of any app. Fixed in the volume at its first start. None: nobody may, but that owners may back up too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<KeyFingerprint>,
    /// Whose tokens owners can show; at most [`MAX_ISSUERS`](crate::MAX_ISSUERS).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<TokenIssuer>,
    /// What may take the place of the image and get the key of its volume. Fixed in the volume at its first start.
    #[serde(skip_serializing_if = "ImageUpgrade::is_never")]
    pub image_upgrade: ImageUpgrade,
    /// Threads that serve; the image has slots for at most 16.
    pub workers: u16,
    /// TLS connections held at once; more are closed at once after they are accepted.
    pub max_connections: u32,
    /// Calls under way at once; more are answered with [`Code::Busy`](crate::Code::Busy).
    pub max_concurrent_calls: u32,
    /// Milliseconds that a client may take for its handshake and the head of each request.
    pub header_timeout_ms: u64,
    /// Milliseconds that a client may leave between two parts of a request's body.
    pub body_timeout_ms: u64,
    /// Milliseconds that a connection may stay open without a request. It is closed at most twice that later.
    pub idle_timeout_ms: u64,
    /// Milliseconds that calls under way get to finish when the enclave is told to stop.
    pub grace_ms: u64,
    /// What keeps the host from putting back an older state of the volume while the enclave is down.
    pub freshness: FreshnessSetting,
    /// Mount an older volume of exactly this epoch, which a freshness anchor would otherwise refuse: a backup that the
    /// operator restored. For one start; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_epoch: Option<u64>,
    /// Mount the volume of another image with the key that it handed over, which is wrapped in this, base64. For one start;
    /// absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<String>,
    /// Serve nothing but the receiving of the key of another image's volume.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub receive: bool,
    /// Milliseconds after which claims and quote are made anew.
    pub quote_lifetime_ms: u64,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8443".to_owned(),
            owners: Vec::new(),
            operator: None,
            issuers: Vec::new(),
            image_upgrade: ImageUpgrade::Never,
            workers: 4,
            max_connections: 256,
            max_concurrent_calls: 1_024,
            header_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            grace_ms: 10_000,
            freshness: FreshnessSetting::None,
            accept_epoch: None,
            adopt: None,
            receive: false,
            quote_lifetime_ms: 24 * 60 * 60 * 1_000,
        }
    }
}

/// What keeps the host from putting back an older state of the volume while the enclave is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FreshnessSetting {
    /// Nothing does. Clients can still pin the epoch.
    #[default]
    None,
    /// A counter in the non-volatile memory of the machine's TPM 2.0.
    Tpm,
}

/// SHA-256 of a key's SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7); 64 lower-case hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyFingerprint([u8; 32]);

impl KeyFingerprint {
    /// The fingerprint of the key whose SHA-256 is `hash`.
    pub fn from_hash(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for KeyFingerprint {
    type Err = InvalidKeyFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidKeyFingerprint> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            b'A'..=b'F' => Ok(b - b'A' + 10),
            _ => Err(InvalidKeyFingerprint),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(InvalidKeyFingerprint);
        }
        let mut hash = [0; 32];
        for (byte, &[high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(high)? << 4 | digit(low)?;
        }
        Ok(Self(hash))
    }
}

impl TryFrom<String> for KeyFingerprint {
    type Error = InvalidKeyFingerprint;

    fn try_from(text: String) -> Result<Self, InvalidKeyFingerprint> {
        text.parse()
    }
}

impl From<KeyFingerprint> for String {
    fn from(fingerprint: KeyFingerprint) -> String {
        fingerprint.to_string()
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFingerprint({self})")
    }
}

/// The text is not the fingerprint of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key's fingerprint is the SHA-256 of its public key, as 64 hex digits; `cloister keygen` prints it"
)]
pub struct InvalidKeyFingerprint;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_is_the_default_and_denies_everybody() {
        let configuration: Configuration = serde_json::from_str("{}").unwrap();
        assert_eq!(configuration, Configuration::default());
        assert!(configuration.owners.is_empty() && configuration.operator.is_none());
        assert_eq!(configuration.image_upgrade, ImageUpgrade::Never);
    }

    #[test]
    fn configuration_survives_json_and_refuses_unknown_fields() {
        let configuration =
            Configuration { owners: vec![KeyFingerprint::from_hash([0xa5; 32])], ..Configuration::default() };
        let text = serde_json::to_string(&configuration).unwrap();
        assert!(text.contains(&"a5".repeat(32)));
        assert_eq!(serde_json::from_str::<Configuration>(&text).unwrap(), configuration);
        assert!(serde_json::from_str::<Configuration>(r#"{"owner":[]}"#).is_err());
        assert!(serde_json::from_str::<Configuration>(r#"{"owners":["a5"]}"#).is_err());
    }

    #[test]
    fn freshness_is_none_until_the_operator_names_an_anchor() {
        assert_eq!(Configuration::default().freshness, FreshnessSetting::None);
        let text = r#"{"freshness":"tpm","accept_epoch":7}"#;
        let configuration: Configuration = serde_json::from_str(text).unwrap();
        assert_eq!(configuration.freshness, FreshnessSetting::Tpm);
        assert_eq!(configuration.accept_epoch, Some(7));
        assert!(serde_json::from_str::<Configuration>(r#"{"freshness":"quorum"}"#).is_err());
        assert!(!serde_json::to_string(&Configuration::default()).unwrap().contains("accept_epoch"));
    }

    #[test]
    fn the_operator_and_what_may_follow_are_named_or_absent() {
        let text = format!(
            r#"{{"operator":"{}","image_upgrade":{{"listed":{{"mrenclave":["{}"]}}}},"adopt":"AA==","receive":true}}"#,
            "a5".repeat(32),
            "5a".repeat(32)
        );
        let configuration: Configuration = serde_json::from_str(&text).unwrap();
        assert_eq!(configuration.operator, Some(KeyFingerprint::from_hash([0xa5; 32])));
        assert_eq!(configuration.image_upgrade.to_string(), format!("listed:{}", "5a".repeat(32)));
        assert!(configuration.receive && configuration.adopt.is_some());
        let json = serde_json::to_string(&configuration).unwrap();
        assert_eq!(serde_json::from_str::<Configuration>(&json).unwrap(), configuration);
        let plain = serde_json::to_string(&Configuration::default()).unwrap();
        for absent in ["operator", "issuers", "image_upgrade", "adopt", "receive"] {
            assert!(!plain.contains(absent), "{plain}");
        }
        assert!(plain.contains(r#""quote_lifetime_ms":86400000"#), "{plain}");
    }

    #[test]
    fn fingerprints_are_64_hex_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<KeyFingerprint>().unwrap().to_string(), text);
        assert_eq!(text.to_uppercase().parse::<KeyFingerprint>().unwrap().to_string(), text);
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<KeyFingerprint>(), Err(InvalidKeyFingerprint), "{bad:?}");
        }
    }
}
