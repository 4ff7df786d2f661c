use super::{Collateral, Presented};
use crate::{HASH_LEN, MAX_CLAIMS, MAX_QUOTE, Volume};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_api::{EvidenceResponse, VolumeState};

/// An [`EvidenceResponse`] with its parts decoded, and nothing of it verified.
#[derive(Clone, Debug)]
pub struct ReceivedEvidence {
    /// Canonical encoding of the peer's claims.
    pub claims: Vec<u8>,
    /// DCAP quote over them.
    pub quote: Vec<u8>,
    /// The state of the volume that the signature covers.
    pub volume: Option<Volume>,
    /// By the session key that the claims name.
    pub signature: Vec<u8>,
    /// What the peer offers to verify the quote against.
    pub collateral: Option<Collateral>,
}

impl ReceivedEvidence {
    /// The evidence in the body of a response, JSON.
    ///
    /// # Errors
    /// [`UnreadableEvidence`], also where a part is longer than it may be.
    pub fn read(body: &[u8]) -> Result<Self, UnreadableEvidence> {
        if body.len() > MAX_EVIDENCE_RESPONSE {
            return Err(UnreadableEvidence("response"));
        }
        let response: EvidenceResponse =
            serde_json::from_slice(body).map_err(|_| UnreadableEvidence("response"))?;
        let collateral = response.collateral.map(serde_json::from_value).transpose();
        Ok(Self {
            claims: decode("claims", &response.claims, MAX_CLAIMS)?,
            quote: decode("quote", &response.quote, MAX_QUOTE)?,
            volume: response.volume.as_ref().map(volume).transpose()?,
            signature: decode("signature", &response.signature, MAX_SIGNATURE)?,
            collateral: collateral.map_err(|_| UnreadableEvidence("collateral"))?,
        })
    }

    /// The evidence as the appraisal takes it.
    pub fn presented(&self) -> Presented<'_> {
        Presented {
            claims: &self.claims,
            quote: &self.quote,
            volume: self.volume,
            signature: &self.signature,
        }
    }
}

/// What a peer sent as evidence is not in the protocol's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} in the server's evidence cannot be read")]
pub struct UnreadableEvidence(
    /// The part: `response` for the whole of it.
    pub &'static str,
);

fn decode(part: &'static str, text: &str, limit: usize) -> Result<Vec<u8>, UnreadableEvidence> {
    match BASE64_STANDARD.decode(text) {
        Ok(bytes) if bytes.len() <= limit => Ok(bytes),
        _ => Err(UnreadableEvidence(part)),
    }
}

fn volume(state: &VolumeState) -> Result<Volume, UnreadableEvidence> {
    let mut root = [0; HASH_LEN];
    hex::decode_to_slice(&state.root, &mut root).map_err(|_| UnreadableEvidence("root of the volume"))?;
    Ok(Volume { epoch: state.epoch, root })
}

/// Longest response with evidence, in bytes: claims, quote and collateral at their bounds, in base64 and JSON.
pub const MAX_EVIDENCE_RESPONSE: usize = 1 << 20;
/// An ECDSA-P256 signature in DER is at most 72.
const MAX_SIGNATURE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_response_is_decoded() {
        let body = json!({
            "claims": "oA==", "quote": "AwA=", "signature": "MAA=",
            "volume": { "epoch": 7, "root": "40".repeat(32) }, "collateral": null,
        });
        let evidence = ReceivedEvidence::read(body.to_string().as_bytes()).unwrap();
        assert_eq!((evidence.claims, evidence.quote), (vec![0xa0], vec![3, 0]));
        assert_eq!(evidence.volume, Some(Volume { epoch: 7, root: [0x40; 32] }));
        assert!(evidence.collateral.is_none());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let good = json!({ "claims": "oA==", "quote": "AwA=", "signature": "MAA=", "collateral": null });
        let with = |key: &str, value: serde_json::Value| {
            let mut body = good.clone();
            body[key] = value;
            ReceivedEvidence::read(body.to_string().as_bytes()).unwrap_err().0
        };
        assert_eq!(with("claims", json!("?")), "claims");
        assert_eq!(with("quote", json!(BASE64_STANDARD.encode(vec![0; MAX_QUOTE + 1]))), "quote");
        assert_eq!(with("signature", json!(BASE64_STANDARD.encode([0; 200]))), "signature");
        assert_eq!(with("collateral", json!({ "tcb_info": 1 })), "collateral");
        assert_eq!(with("volume", json!({ "epoch": 1, "root": "40" })), "root of the volume");
        assert_eq!(with("claims", json!(7)), "response");
    }

    #[test]
    fn a_response_has_at_most_its_bytes() {
        let mut body =
            json!({ "claims": "oA==", "quote": "AwA=", "signature": "MAA=" }).to_string().into_bytes();
        body.resize(MAX_EVIDENCE_RESPONSE, b' ');
        assert!(ReceivedEvidence::read(&body).is_ok());
        for length in [MAX_EVIDENCE_RESPONSE + 1, MAX_EVIDENCE_RESPONSE * 2] {
            body.resize(length, b' ');
            assert_eq!(ReceivedEvidence::read(&body).unwrap_err().0, "response");
        }
    }
}
