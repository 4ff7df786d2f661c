//! What REPORT and TARGETINFO hold, and whether a report is what this CPU made for this enclave.

use crate::{Identity, NotAnEnclave, REPORT_DATA_LEN, REPORT_LEN, TARGET_INFO_LEN};
use aes::Aes128;
use cmac::{Cmac, KeyInit, Mac};

/// An enclave that a report can be made for: the fields of TARGETINFO (Intel SDM volume 3D, table 38-21) that an enclave
/// without key separation and sharing has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    /// SHA-256 of the measured image.
    pub mrenclave: [u8; 32],
    /// FLAGS and XFRM, 8 bytes each, little-endian.
    pub attributes: [u8; 16],
    pub miscselect: u32,
}

impl TargetInfo {
    /// Reads the structure. What is reserved, or is for enclaves of other kinds, must be zero: EREPORT faults on it.
    ///
    /// # Errors
    /// [`NotATarget`] where it is not.
    pub fn parse(bytes: &[u8; TARGET_INFO_LEN]) -> Result<Self, NotATarget> {
        let target = Self {
            mrenclave: array(bytes, 0),
            attributes: array(bytes, 32),
            miscselect: u32::from_le_bytes(array(bytes, 52)),
        };
        if target.encode() == *bytes { Ok(target) } else { Err(NotATarget) }
    }

    /// The structure as EREPORT takes it.
    pub fn encode(&self) -> [u8; TARGET_INFO_LEN] {
        let mut bytes = [0; TARGET_INFO_LEN];
        bytes[..32].copy_from_slice(&self.mrenclave);
        bytes[32..48].copy_from_slice(&self.attributes);
        bytes[52..56].copy_from_slice(&self.miscselect.to_le_bytes());
        bytes
    }
}

/// The bytes name no enclave that a report is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "these bytes are no TARGETINFO of an enclave of the plain kind: what is reserved in them is not zero"
)]
pub struct NotATarget;

/// A report that the CPU made for this enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedReport {
    /// The enclave that asked for it.
    pub identity: Identity,
    /// That enclave as the target of a report in return.
    pub target: TargetInfo,
    /// What it says.
    pub report_data: [u8; REPORT_DATA_LEN],
}

/// A report is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The code does not run in an enclave.
    #[error(transparent)]
    NotAnEnclave(#[from] NotAnEnclave),
    /// EGETKEY refused, with its error code (Intel SDM volume 3D, table 38-8).
    #[error("EGETKEY refused the report key with error code {0}")]
    Refused(u32),
    /// The MAC is not that of this CPU for this enclave.
    #[error(
        "the report's MAC does not verify: it was made for another enclave or on another CPU, or it was changed"
    )]
    NotAuthentic,
}

/// KEYID of a report: EGETKEY needs it for the report key.
#[cfg(any(test, target_env = "sgx"))]
pub(crate) fn key_id(report: &[u8; REPORT_LEN]) -> [u8; 32] {
    array(report, MACED_LEN)
}

/// What the report says, where its MAC is the one under this report key. Compares in constant time.
///
/// # Errors
/// [`ReportError::NotAuthentic`].
#[cfg_attr(not(any(test, target_env = "sgx")), allow(dead_code, reason = "a native build has no report key"))]
pub(crate) fn verify(report: &[u8; REPORT_LEN], key: &[u8; 16]) -> Result<VerifiedReport, ReportError> {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
    mac.update(&report[..MACED_LEN]);
    mac.verify_slice(&report[MAC_AT..]).map_err(|_| ReportError::NotAuthentic)?;
    let attributes: [u8; 16] = array(report, 48);
    let identity = Identity {
        mrenclave: array(report, 64),
        mrsigner: array(report, 128),
        isv_prod_id: u16::from_le_bytes(array(report, 256)),
        isv_svn: u16::from_le_bytes(array(report, 258)),
        debug: attributes[0] & ATTRIBUTE_DEBUG != 0,
    };
    let target = TargetInfo {
        mrenclave: identity.mrenclave,
        attributes,
        miscselect: u32::from_le_bytes(array(report, 16)),
    };
    Ok(VerifiedReport { identity, target, report_data: array(report, 320) })
}

/// Reads at an offset that the architecture fixes, inside the structure.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}

/// Bytes of a REPORT that its MAC covers (Intel SDM volume 3D, table 38-22); KEYID follows.
const MACED_LEN: usize = 384;
#[cfg_attr(not(any(test, target_env = "sgx")), allow(dead_code, reason = "a native build has no report key"))]
const MAC_AT: usize = 416;
/// ATTRIBUTES.DEBUG, in the first byte.
#[cfg_attr(not(any(test, target_env = "sgx")), allow(dead_code, reason = "a native build has no report key"))]
const ATTRIBUTE_DEBUG: u8 = 1 << 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn cmac(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
        let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Every field another value.
    fn report(key: &[u8; 16]) -> [u8; REPORT_LEN] {
        let mut report = [0; REPORT_LEN];
        report[16..20].copy_from_slice(&7_u32.to_le_bytes());
        report[48..64].copy_from_slice(&5_u128.to_le_bytes());
        report[64..96].fill(1);
        report[128..160].fill(2);
        report[256..258].copy_from_slice(&3_u16.to_le_bytes());
        report[258..260].copy_from_slice(&4_u16.to_le_bytes());
        report[320..384].fill(5);
        report[384..416].fill(6);
        let mac = cmac(key, &report[..384]);
        report[416..].copy_from_slice(&mac);
        report
    }

    #[test]
    fn the_mac_is_that_of_rfc_4493() {
        let key: [u8; 16] = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap().try_into().unwrap();
        let message = hex::decode(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52ef\
             f69f2445df4f9b17ad2b417be66c3710",
        )
        .unwrap();
        for (length, expected) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            assert_eq!(hex::encode(cmac(&key, &message[..length])), expected, "{length} bytes");
        }
    }

    #[test]
    fn a_report_says_who_made_it() {
        let report = report(&[9; 16]);
        let verified = verify(&report, &[9; 16]).unwrap();
        let identity =
            Identity { mrenclave: [1; 32], mrsigner: [2; 32], isv_prod_id: 3, isv_svn: 4, debug: false };
        let target = TargetInfo { mrenclave: [1; 32], attributes: 5_u128.to_le_bytes(), miscselect: 7 };
        assert_eq!(verified, VerifiedReport { identity, target, report_data: [5; 64] });
        assert_eq!(key_id(&report), [6; 32]);
    }

    #[test]
    fn one_for_another_enclave_or_changed_in_any_byte_is_refused() {
        let key = [9; 16];
        assert_eq!(verify(&report(&key), &[8; 16]), Err(ReportError::NotAuthentic));
        for at in (0..MACED_LEN).chain(MAC_AT..REPORT_LEN) {
            let mut changed = report(&key);
            changed[at] ^= 0x10;
            assert_eq!(verify(&changed, &key), Err(ReportError::NotAuthentic), "byte {at}");
        }
    }

    #[test]
    fn a_debug_enclave_is_told_from_others() {
        let mut report = report(&[9; 16]);
        report[48] |= 2;
        let mac = cmac(&[9; 16], &report[..384]);
        report[416..].copy_from_slice(&mac);
        assert!(verify(&report, &[9; 16]).unwrap().identity.debug);
    }

    #[test]
    fn a_target_has_nothing_but_its_fields() {
        let target = TargetInfo { mrenclave: [1; 32], attributes: [2; 16], miscselect: 3 };
        let bytes = target.encode();
        assert_eq!(TargetInfo::parse(&bytes), Ok(target));
        for at in (48..52).chain(56..TARGET_INFO_LEN) {
            let mut other = bytes;
            other[at] = 1;
            assert_eq!(TargetInfo::parse(&other), Err(NotATarget), "byte {at}");
        }
    }
}
