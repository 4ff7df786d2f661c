//! The messages with which one image hands its volume to another. `docs/design/upgrade.md` says what is in them and why.

use serde::{Deserialize, Serialize};

/// The old image offers the key of its volume to whichever image on its CPU it may have: the first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOverOffer {
    /// [`HAND_OVER_VERSION`].
    pub version: u32,
    /// TARGETINFO of the old image, base64.
    pub target_info: String,
    /// The old image's X25519 key for this exchange, 64 hex digits.
    pub key: String,
}

/// The new image asks for it: the second message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOverRequest {
    /// [`HAND_OVER_VERSION`].
    pub version: u32,
    /// REPORT of the new image for the old one, base64.
    pub report: String,
    /// The new image's X25519 key for this exchange, 64 hex digits.
    pub key: String,
}

/// The volume's key, for the new image alone: the third message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOver {
    /// [`HAND_OVER_VERSION`].
    pub version: u32,
    /// REPORT of the old image for the new one, base64.
    pub report: String,
    /// The volume's identifier, 32 hex digits.
    pub volume: String,
    /// The volume's key, encrypted, with its tag: 48 bytes, base64.
    pub sealed: String,
}

/// The volume's key under the new image's own sealing key: what the operator keeps until the new image has mounted the volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeAdoption {
    /// [`HAND_OVER_VERSION`].
    pub version: u32,
    /// The volume's identifier, 32 hex digits.
    pub volume: String,
    /// MRENCLAVE of the image that handed the volume over, 64 hex digits.
    pub from: String,
    /// MRENCLAVE of the image that can use this, 64 hex digits.
    pub to: String,
    /// The sealed key, base64: what [`Configuration::adopt`](crate::Configuration::adopt) takes.
    pub adoption: String,
}

/// The version of these messages.
pub const HAND_OVER_VERSION: u32 = 1;
/// Bytes of each message in JSON, at most.
pub const MAX_HAND_OVER: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_json_and_have_no_other_fields() {
        let adoption = VolumeAdoption {
            version: HAND_OVER_VERSION,
            volume: "0a".repeat(16),
            from: "1b".repeat(32),
            to: "2c".repeat(32),
            adoption: "AAAA".into(),
        };
        let text = serde_json::to_string(&adoption).unwrap();
        assert_eq!(serde_json::from_str::<VolumeAdoption>(&text).unwrap(), adoption);
        assert!(serde_json::from_str::<HandOverOffer>(&text).is_err());
        let more = text.replacen('{', r#"{"more":1,"#, 1);
        assert!(serde_json::from_str::<VolumeAdoption>(&more).is_err());
        assert!(serde_json::from_str::<HandOverRequest>(r#"{"version":1,"key":""}"#).is_err());
    }
}
