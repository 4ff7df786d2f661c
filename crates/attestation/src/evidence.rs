use crate::MAX_CLAIMS;
use crate::codec::{ClaimsError, Reader, Writer};

/// Longest quote, in bytes. DCAP quotes with their certificate chain are 4 to 6 KiB.
pub const MAX_QUOTE: usize = 16 << 10;

/// Encoded claims, and the quote over their hash: what an enclave hands to whoever wants to appraise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The canonical encoding of [`Claims`](crate::Claims).
    pub claims: Vec<u8>,
    /// A DCAP quote whose report data is [`report_data`](crate::report_data) of the claims.
    pub quote: Vec<u8>,
}

impl Evidence {
    /// TCG DICE tagged evidence (DICE Attestation Architecture, section 6.1.1): CBOR tag 60000 over an array of
    /// quote and claims, each a byte string.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.tag(DICE_TAG);
        writer.array(2);
        writer.bytes(&self.quote);
        writer.bytes(&self.claims);
        writer.finish()
    }

    /// The same as a Conceptual Message Wrapper (RFC 9999): a CBOR record of media type, value and kind of message. For
    /// verifiers that tell evidence by its media type.
    pub fn to_cmw(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.array(3);
        writer.text(MEDIA_TYPE);
        writer.bytes(&self.encode());
        writer.uint(CMW_EVIDENCE);
        writer.finish()
    }

    /// The evidence in its encoding. Neither quote nor claims are looked into.
    ///
    /// # Errors
    /// [`EvidenceError`]
    pub fn decode(encoded: &[u8]) -> Result<Self, EvidenceError> {
        let mut reader = Reader::new(encoded);
        match reader.tag()? {
            DICE_TAG => {}
            other => return Err(EvidenceError::Tag(other)),
        }
        if reader.array()? != 2 {
            return Err(EvidenceError::Parts);
        }
        let quote = bounded(reader.byte_string()?, "quote", MAX_QUOTE)?;
        let claims = bounded(reader.byte_string()?, "claims", MAX_CLAIMS)?;
        reader.end()?;
        Ok(Self { claims, quote })
    }
}

/// The bytes are not evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The bytes are not canonical CBOR of this shape.
    #[error("the evidence cannot be read: {0}")]
    Encoding(#[from] ClaimsError),
    /// Another kind of evidence.
    #[error("the evidence has the CBOR tag {0}, and {DICE_TAG} (SGX quote and claims) was expected")]
    Tag(u64),
    /// Not the two parts.
    #[error("the evidence is not the pair of a quote and claims")]
    Parts,
    /// A part is too long.
    #[error("the {part} in the evidence is {length} bytes long, and the limit is {limit}")]
    TooLong { part: &'static str, length: usize, limit: usize },
}

fn bounded(bytes: &[u8], part: &'static str, limit: usize) -> Result<Vec<u8>, EvidenceError> {
    match bytes.len() {
        length if length > limit => Err(EvidenceError::TooLong { part, length, limit }),
        _ => Ok(bytes.to_vec()),
    }
}

/// CBOR tag of an Intel SGX quote with its claims, from the TCG's registration at IANA.
const DICE_TAG: u64 = 60000;
/// What the encoding of evidence is called.
const MEDIA_TYPE: &str = "application/vnd.cloister.evidence+cbor";
/// The indicator of RFC 9999's records with the bit of evidence, which is bit 2.
const CMW_EVIDENCE: u64 = 1 << 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_survives_encoding_in_the_documented_layout() {
        let evidence = Evidence { claims: vec![0xa0], quote: vec![3, 0] };
        let encoded = evidence.encode();
        assert_eq!(hex::encode(&encoded), "d9ea608242030041a0");
        assert_eq!(Evidence::decode(&encoded), Ok(evidence));
    }

    #[test]
    fn a_wrapper_is_a_record_of_type_value_and_kind() {
        let evidence = Evidence { claims: vec![0xa0], quote: vec![3, 0] };
        let expected =
            [&[0x83, 0x78, 38][..], MEDIA_TYPE.as_bytes(), &[0x49], &evidence.encode(), &[4]].concat();
        assert_eq!(evidence.to_cmw(), expected);
    }

    #[test]
    fn every_changed_byte_is_refused_or_seen() {
        let encoded = Evidence { claims: vec![0xa0; 30], quote: vec![3; 300] }.encode();
        for at in 0..encoded.len() {
            for bit in 0..8 {
                let mut changed = encoded.clone();
                changed[at] ^= 1 << bit;
                if let Ok(evidence) = Evidence::decode(&changed) {
                    assert_eq!(evidence.encode(), changed);
                }
            }
        }
    }

    #[test]
    fn other_things_are_refused_by_name() {
        assert_eq!(Evidence::decode(&[0xc1, 0]), Err(EvidenceError::Tag(1)));
        assert_eq!(Evidence::decode(&hex::decode("d9ea60834041a0f6").unwrap()), Err(EvidenceError::Parts));
        assert_eq!(Evidence::decode(&[]), Err(EvidenceError::Encoding(ClaimsError::Length)));
        let long = Evidence { claims: Vec::new(), quote: vec![0; MAX_QUOTE + 1] }.encode();
        assert!(matches!(Evidence::decode(&long), Err(EvidenceError::TooLong { part: "quote", .. })));
    }
}
