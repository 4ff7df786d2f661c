//! EREPORT and EGETKEY (SDM Vol. 3D, "Intel SGX user leaf functions") over bytes.
//!
//! Nothing here touches enclave memory: [`crate::signals`] copies operands in and results out.

use sgx_isa::{AttributesFlags, ErrorCode, Keyname};
use zeroize::Zeroizing;

use crate::keys::{KeyDependencies, PlatformSecret, report_mac, verify_report_mac};

/// Size of a REPORT, in bytes.
pub const REPORT_SIZE: usize = 432;
/// Size of a TARGETINFO, in bytes.
pub const TARGETINFO_SIZE: usize = 512;
pub(crate) const KEYREQUEST_SIZE: usize = 512;
pub(crate) const REPORTDATA_SIZE: usize = 64;
/// Length of the part of a REPORT that its MAC covers, and that a quote carries.
pub(crate) const REPORT_BODY_SIZE: usize = 384;

/// CPUSVN of every soft platform.
pub(crate) const CPUSVN: [u8; 16] = [1; 16];

/// What SECS holds about an initialized enclave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// FLAGS and XFRM, little-endian, INIT included.
    pub(crate) attributes: [u8; 16],
    pub(crate) miscselect: u32,
    pub(crate) mrenclave: [u8; 32],
    pub(crate) mrsigner: [u8; 32],
    pub(crate) isvprodid: u16,
    pub(crate) isvsvn: u16,
}

/// How a leaf function ends when it does not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafError {
    /// #GP(0).
    GeneralProtection,
    /// An error code in RAX, ZF set.
    Code(ErrorCode),
}

/// The CPU state that all enclaves of a platform share.
#[derive(Debug)]
pub(crate) struct Cpu {
    pub(crate) secret: PlatformSecret,
    /// CR_REPORT_KEYID, new at every start.
    pub(crate) report_keyid: [u8; 32],
}

impl Cpu {
    /// EREPORT by enclave `id`.
    pub(crate) fn ereport(
        &self,
        id: &Identity,
        targetinfo: &[u8; TARGETINFO_SIZE],
        reportdata: &[u8; REPORTDATA_SIZE],
    ) -> Result<[u8; REPORT_SIZE], LeafError> {
        let target = Fields(targetinfo);
        if !(target.is_zero(56, 8) && target.is_zero(128, 384)) {
            return Err(LeafError::GeneralProtection);
        }
        let mut report = [0; REPORT_SIZE];
        report[0..16].copy_from_slice(&CPUSVN);
        report[16..20].copy_from_slice(&id.miscselect.to_le_bytes());
        report[48..64].copy_from_slice(&id.attributes);
        report[64..96].copy_from_slice(&id.mrenclave);
        report[128..160].copy_from_slice(&id.mrsigner);
        report[256..258].copy_from_slice(&id.isvprodid.to_le_bytes());
        report[258..260].copy_from_slice(&id.isvsvn.to_le_bytes());
        report[320..384].copy_from_slice(reportdata);
        report[384..416].copy_from_slice(&self.report_keyid);

        let key = self.secret.derive(&KeyDependencies {
            configsvn: target.u16(50),
            configid: Some(target.array(64)),
            ..report_key(&target.array(0), &target.array(32), target.u32(52), &self.report_keyid)
        });
        let mac = report_mac(&key, &report[..REPORT_BODY_SIZE]);
        report[416..432].copy_from_slice(&mac);
        Ok(report)
    }

    /// EGETKEY by enclave `id`: report and seal keys. Keys of Intel's own enclaves are refused.
    pub(crate) fn egetkey(
        &self,
        id: &Identity,
        keyrequest: &[u8; KEYREQUEST_SIZE],
    ) -> Result<Zeroizing<[u8; 16]>, LeafError> {
        let request = Fields(keyrequest);
        let (keyname, keypolicy, isvsvn) = (request.u16(0), request.u16(2), request.u16(4));
        let cpusvn: [u8; 16] = request.array(8);
        // Bits above MRSIGNER need KSS, which no enclave here has.
        if !request.is_zero(7, 1) || !request.is_zero(78, 434) || keypolicy & !KEYPOLICY_KNOWN != 0 {
            return Err(LeafError::GeneralProtection);
        }
        match Keyname::try_from(keyname) {
            Ok(Keyname::Report) => Ok(self.secret.derive(&report_key(
                &id.mrenclave,
                &id.attributes,
                id.miscselect,
                &request.array(40),
            ))),
            Ok(Keyname::Seal) => {
                if cpusvn.iter().zip(&CPUSVN).any(|(asked, current)| asked > current) {
                    return Err(LeafError::Code(ErrorCode::InvalidCpusvn));
                }
                if isvsvn > id.isvsvn {
                    return Err(LeafError::Code(ErrorCode::InvalidIsvsvn));
                }
                Ok(self.secret.derive(&seal_key(id, &request)))
            }
            Ok(Keyname::Einittoken | Keyname::Provision | Keyname::ProvisionSeal) => {
                Err(LeafError::Code(ErrorCode::InvalidAttribute))
            }
            Err(_) => Err(LeafError::Code(ErrorCode::InvalidKeyname)),
        }
    }

    /// Whether `report` was made on this platform for the enclave that `target` describes.
    pub(crate) fn verify_report(&self, target: &Identity, report: &[u8; REPORT_SIZE]) -> bool {
        let fields = Fields(report);
        let key = self.secret.derive(&report_key(
            &target.mrenclave,
            &target.attributes,
            target.miscselect,
            &fields.array(384),
        ));
        verify_report_mac(&key, &report[..REPORT_BODY_SIZE], &fields.array(416))
    }
}

/// TARGETINFO of enclave `id`.
pub(crate) fn target_info(id: &Identity) -> [u8; TARGETINFO_SIZE] {
    let mut target = [0; TARGETINFO_SIZE];
    target[0..32].copy_from_slice(&id.mrenclave);
    target[32..48].copy_from_slice(&id.attributes);
    target[52..56].copy_from_slice(&id.miscselect.to_le_bytes());
    target
}

fn report_key(
    mrenclave: &[u8; 32],
    attributes: &[u8; 16],
    miscselect: u32,
    keyid: &[u8; 32],
) -> KeyDependencies {
    KeyDependencies {
        keyname: Keyname::Report as u16,
        attributes: *attributes,
        miscselect,
        mrenclave: *mrenclave,
        keyid: *keyid,
        cpusvn: CPUSVN,
        ..Default::default()
    }
}

fn seal_key(id: &Identity, request: &Fields<'_>) -> KeyDependencies {
    let keypolicy = request.u16(2);
    let attributemask: [u8; 16] = request.array(24);
    // INIT and DEBUG are always part of the key.
    let included = u128::from((AttributesFlags::INIT | AttributesFlags::DEBUG).bits());
    let attributes = (u128::from_le_bytes(attributemask) | included) & u128::from_le_bytes(id.attributes);
    let miscmask = request.u32(72);
    KeyDependencies {
        keyname: Keyname::Seal as u16,
        keypolicy,
        isvprodid: id.isvprodid,
        isvsvn: request.u16(4),
        attributes: attributes.to_le_bytes(),
        attributemask,
        miscselect: id.miscselect & miscmask,
        miscmask: !miscmask,
        mrenclave: if keypolicy & KEYPOLICY_MRENCLAVE != 0 { id.mrenclave } else { [0; 32] },
        mrsigner: if keypolicy & KEYPOLICY_MRSIGNER != 0 { id.mrsigner } else { [0; 32] },
        keyid: request.array(40),
        cpusvn: request.array(8),
        ..Default::default()
    }
}

/// Reads at offsets that the architecture fixes; every caller's offset is inside its structure.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[offset..offset + N]);
        bytes
    }

    fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes(self.array(offset))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    fn is_zero(&self, offset: usize, length: usize) -> bool {
        self.0[offset..offset + length].iter().all(|byte| *byte == 0)
    }
}

const KEYPOLICY_MRENCLAVE: u16 = 1;
const KEYPOLICY_MRSIGNER: u16 = 2;
const KEYPOLICY_KNOWN: u16 = KEYPOLICY_MRENCLAVE | KEYPOLICY_MRSIGNER;

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu() -> Cpu {
        Cpu { secret: PlatformSecret::new([9; 32]), report_keyid: [5; 32] }
    }

    fn id() -> Identity {
        Identity {
            attributes: 0x7_0000_0000_0000_0005_u128.to_le_bytes(),
            miscselect: 0,
            mrenclave: [1; 32],
            mrsigner: [2; 32],
            isvprodid: 3,
            isvsvn: 4,
        }
    }

    fn seal(policy: u16, isvsvn: u16) -> [u8; KEYREQUEST_SIZE] {
        let mut request = [0; KEYREQUEST_SIZE];
        request[0..2].copy_from_slice(&(Keyname::Seal as u16).to_le_bytes());
        request[2..4].copy_from_slice(&policy.to_le_bytes());
        request[4..6].copy_from_slice(&isvsvn.to_le_bytes());
        request[24..40].fill(0xff);
        request
    }

    #[test]
    fn report_verifies_for_its_target_only() {
        let target = Identity { mrenclave: [8; 32], ..id() };
        let report = cpu().ereport(&id(), &target_info(&target), &[7; 64]).unwrap();
        assert!(cpu().verify_report(&target, &report));
        assert!(!cpu().verify_report(&id(), &report));
        for offset in [0, 64, 130, 258, 320, 383, 384, 416, 431] {
            let mut tampered = report;
            tampered[offset] ^= 1;
            assert!(!cpu().verify_report(&target, &tampered), "byte {offset}");
        }
    }

    #[test]
    fn report_key_of_the_target_is_what_egetkey_gives_it() {
        let target = id();
        let report = cpu().ereport(&id(), &target_info(&target), &[7; 64]).unwrap();
        let mut request = [0; KEYREQUEST_SIZE];
        request[0..2].copy_from_slice(&(Keyname::Report as u16).to_le_bytes());
        request[40..72].copy_from_slice(&report[384..416]);
        let key = cpu().egetkey(&target, &request).unwrap();
        assert_eq!(report_mac(&key, &report[..REPORT_BODY_SIZE]), report[416..]);
    }

    #[test]
    fn seal_key_follows_its_policy() {
        let same_signer = Identity { mrenclave: [0x11; 32], ..id() };
        let by_signer = cpu().egetkey(&id(), &seal(KEYPOLICY_MRSIGNER, 4)).unwrap();
        let by_enclave = cpu().egetkey(&id(), &seal(KEYPOLICY_MRENCLAVE, 4)).unwrap();
        assert_ne!(by_signer, by_enclave);
        assert_eq!(by_signer, cpu().egetkey(&same_signer, &seal(KEYPOLICY_MRSIGNER, 4)).unwrap());
        assert_ne!(by_enclave, cpu().egetkey(&same_signer, &seal(KEYPOLICY_MRENCLAVE, 4)).unwrap());
    }

    #[test]
    fn a_debug_enclave_never_shares_a_seal_key() {
        let mut debug = id();
        debug.attributes[0] |= AttributesFlags::DEBUG.bits() as u8;
        let mut request = seal(KEYPOLICY_MRSIGNER, 0);
        request[24..40].fill(0);
        assert_ne!(cpu().egetkey(&id(), &request), cpu().egetkey(&debug, &request));
    }

    #[test]
    fn egetkey_refuses_with_the_manuals_codes() {
        let code = |request: &[u8; KEYREQUEST_SIZE]| cpu().egetkey(&id(), request).unwrap_err();
        assert_eq!(code(&seal(1, 5)), LeafError::Code(ErrorCode::InvalidIsvsvn));
        assert_eq!(code(&seal(1 << 2, 4)), LeafError::GeneralProtection);
        let mut newer_cpu = seal(1, 4);
        newer_cpu[8] = CPUSVN[0] + 1;
        assert_eq!(code(&newer_cpu), LeafError::Code(ErrorCode::InvalidCpusvn));
        let mut reserved = seal(1, 4);
        reserved[511] = 1;
        assert_eq!(code(&reserved), LeafError::GeneralProtection);
        let mut provision = seal(1, 4);
        provision[0] = Keyname::Provision as u8;
        assert_eq!(code(&provision), LeafError::Code(ErrorCode::InvalidAttribute));
        let mut unknown = seal(1, 4);
        unknown[0] = 9;
        assert_eq!(code(&unknown), LeafError::Code(ErrorCode::InvalidKeyname));
    }

    #[test]
    fn ereport_refuses_reserved_bytes() {
        let mut target = target_info(&id());
        target[200] = 1;
        assert_eq!(cpu().ereport(&id(), &target, &[0; 64]), Err(LeafError::GeneralProtection));
    }
}
