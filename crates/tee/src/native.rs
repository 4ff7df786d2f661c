use crate::{
    Identity, NotAnEnclave, REPORT_DATA_LEN, REPORT_LEN, ReportError, SealingError, TARGET_INFO_LEN,
    TargetInfo, VerifiedReport,
};
use zeroize::Zeroizing;

/// Who this enclave is.
///
/// # Errors
/// [`NotAnEnclave`], always, in a native build.
pub fn identity() -> Result<Identity, NotAnEnclave> {
    Err(NotAnEnclave)
}

/// A REPORT for the enclave that `target_info` describes.
///
/// # Errors
/// [`NotAnEnclave`], always, in a native build.
pub fn report(
    _target_info: &[u8; TARGET_INFO_LEN],
    _report_data: &[u8; REPORT_DATA_LEN],
) -> Result<Box<[u8; REPORT_LEN]>, NotAnEnclave> {
    Err(NotAnEnclave)
}

/// This enclave as the target of another's report.
///
/// # Errors
/// [`NotAnEnclave`], always, in a native build.
pub fn target_info() -> Result<TargetInfo, NotAnEnclave> {
    Err(NotAnEnclave)
}

/// What a report says that was made for this enclave on this CPU.
///
/// # Errors
/// [`ReportError::NotAnEnclave`], always, in a native build.
pub fn verify_report(_report: &[u8; REPORT_LEN]) -> Result<VerifiedReport, ReportError> {
    Err(NotAnEnclave.into())
}

/// A key that only this image on this platform can have.
///
/// # Errors
/// [`SealingError::NotAnEnclave`], always, in a native build.
pub fn sealing_key(_key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
    Err(NotAnEnclave.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_native_build_never_pretends_to_be_an_enclave() {
        assert_eq!(identity(), Err(NotAnEnclave));
        assert_eq!(report(&[0; TARGET_INFO_LEN], &[0; REPORT_DATA_LEN]), Err(NotAnEnclave));
        assert_eq!(target_info(), Err(NotAnEnclave));
        assert_eq!(verify_report(&[0; REPORT_LEN]), Err(ReportError::NotAnEnclave(NotAnEnclave)));
        assert_eq!(sealing_key(&[0; 32]), Err(SealingError::NotAnEnclave(NotAnEnclave)));
    }
}
