//! What the host can tell of a quote: that it is one, and over the report that was given. Its signatures are for clients.

use cloister_frames::REPORT_LEN;

use super::QuotingError;

/// The quote without what is behind its end.
pub(super) fn checked(mut quote: Vec<u8>, report: &[u8; REPORT_LEN]) -> Result<Vec<u8>, QuotingError> {
    let wrong = QuotingError::Quote;
    let head = quote.first_chunk::<HEAD>().ok_or(wrong("it ends before it begins"))?;
    // Intel's DCAP quote library reference, appendix A.4: version and kind of the attestation key.
    if head[..2] != VERSION || head[2..4] != ECDSA_P256 {
        return Err(wrong("it is not of version 3 with an ECDSA key"));
    }
    if head[HEADER..HEADER + REPORT_BODY] != report[..REPORT_BODY] {
        return Err(wrong("it is over another report"));
    }
    let rest = [head[HEAD - 4], head[HEAD - 3], head[HEAD - 2], head[HEAD - 1]];
    let length = HEAD.saturating_add(u32::from_le_bytes(rest) as usize);
    if length > MAX_QUOTE {
        return Err(wrong("it is longer than any"));
    }
    if quote.len() < length {
        return Err(wrong("it is cut short"));
    }
    quote.truncate(length);
    Ok(quote)
}

const VERSION: [u8; 2] = 3_u16.to_le_bytes();
const ECDSA_P256: [u8; 2] = 2_u16.to_le_bytes();
const HEADER: usize = 48;
const REPORT_BODY: usize = 384;
/// Header, report body, and the length of what follows.
const HEAD: usize = HEADER + REPORT_BODY + 4;
/// As long as evidence takes one, in bytes.
pub(super) const MAX_QUOTE: usize = 16 << 10;
