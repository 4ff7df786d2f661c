use crate::report::{key_id, verify};
use crate::{
    Identity, NotAnEnclave, REPORT_DATA_LEN, REPORT_LEN, ReportError, SealingError, TARGET_INFO_LEN,
    TargetInfo, VerifiedReport,
};
use sgx_isa::{AttributesFlags, ErrorCode, Keyname, Keypolicy, Keyrequest, Report, Targetinfo};
use zeroize::Zeroizing;

/// Who this enclave is, from a report on itself.
///
/// # Errors
/// None in an enclave.
pub fn identity() -> Result<Identity, NotAnEnclave> {
    let report = Report::for_self();
    Ok(Identity {
        mrenclave: report.mrenclave,
        mrsigner: report.mrsigner,
        isv_prod_id: report.isvprodid,
        isv_svn: report.isvsvn,
        debug: report.attributes.flags.contains(AttributesFlags::DEBUG),
    })
}

/// A REPORT for the enclave that `target_info` describes.
///
/// # Errors
/// None in an enclave.
pub fn report(
    target_info: &[u8; TARGET_INFO_LEN],
    report_data: &[u8; REPORT_DATA_LEN],
) -> Result<Box<[u8; REPORT_LEN]>, NotAnEnclave> {
    let target = Targetinfo::try_copy_from(target_info).expect("the array has the size of TARGETINFO");
    let report = Report::for_target(&target, report_data);
    let bytes: &[u8] = report.as_ref();
    Ok(Box::new(bytes.try_into().expect("REPORT has its size")))
}

/// This enclave as the target of another's report.
///
/// # Errors
/// None in an enclave.
pub fn target_info() -> Result<TargetInfo, NotAnEnclave> {
    let own = Report::for_self();
    let bytes: &[u8] = own.as_ref();
    let mut attributes = [0; 16];
    attributes.copy_from_slice(&bytes[48..64]);
    Ok(TargetInfo { mrenclave: own.mrenclave, attributes, miscselect: own.miscselect.bits() })
}

/// What a report says that was made for this enclave on this CPU: its MAC is checked with EGETKEY's report key.
///
/// # Errors
/// [`ReportError::NotAuthentic`] for every other; [`ReportError::Refused`] where EGETKEY refuses.
pub fn verify_report(report: &[u8; REPORT_LEN]) -> Result<VerifiedReport, ReportError> {
    let request = Keyrequest { keyname: Keyname::Report as u16, keyid: key_id(report), ..Default::default() };
    let key = request.egetkey().map(Zeroizing::new);
    verify(report, &*key.map_err(|code: ErrorCode| ReportError::Refused(code as u32))?)
}

/// A key that only this image (MRENCLAVE) on this platform can have, at this or a later security version of the
/// platform. `key_id` makes it one of many.
///
/// # Errors
/// [`SealingError::Refused`] where EGETKEY refuses.
pub fn sealing_key(key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
    let own = Report::for_self();
    let request = Keyrequest {
        keyname: Keyname::Seal as u16,
        keypolicy: Keypolicy::MRENCLAVE,
        isvsvn: own.isvsvn,
        cpusvn: own.cpusvn,
        attributemask: [SEALED_ATTRIBUTES, 0],
        keyid: *key_id,
        ..Default::default()
    };
    request.egetkey().map(Zeroizing::new).map_err(|code: ErrorCode| SealingError::Refused(code as u32))
}

/// Attributes that the key depends on: a debug build of the image must not get the keys of a production one.
const SEALED_ATTRIBUTES: u64 = AttributesFlags::INIT.bits() | AttributesFlags::DEBUG.bits();
