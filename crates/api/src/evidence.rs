use crate::VolumeState;
use serde::{Deserialize, Serialize};

/// Asks for evidence that is bound to the TLS session that carries the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRequest {
    /// 32 fresh random bytes, lower-case hex.
    pub nonce: String,
}

/// Evidence for one session; `docs/design/evidence.md` has the layout of each part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceResponse {
    /// The claims, canonical CBOR in base64.
    pub claims: String,
    /// DCAP quote over the SHA-256 of the claims, base64.
    pub quote: String,
    /// By the session key that the claims name, over exporter, nonce, claims and volume: P-256 ECDSA, DER in base64.
    pub signature: String,
    /// The volume at this moment, which the signature covers; the one in the claims is as old as the quote. Absent where
    /// the enclave keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeState>,
    /// What the platform offers for verifying the quote, JSON as `dcap-qvl` reads it. Signed by its issuer, so that
    /// passing through the host adds no trust in the host.
    pub collateral: Option<serde_json::Value>,
}
