//! A machine without SGX that stands in for one.

use std::{path::Path, sync::Arc};

use sha2::{Digest, Sha256};

use crate::{
    Error, collateral,
    leaves::{Cpu, Identity, REPORT_BODY_SIZE, REPORT_SIZE, TARGETINFO_SIZE, target_info},
    pki::{Certificates, Keys, PCE_SVN},
    state::State,
};

/// A soft platform: the secret that reports and sealing keys come from, and a quoting enclave in
/// software under a root of the platform's own. Clones are the same platform.
#[derive(Clone, Debug)]
pub struct SoftPlatform {
    cpu: Arc<Cpu>,
    quoting: Arc<Quoting>,
}

#[derive(Debug)]
struct Quoting {
    ppid: [u8; 16],
    keys: Keys,
    certificates: Certificates,
}

impl SoftPlatform {
    /// Opens the platform kept in `state_dir`, or makes a new one there at first use: the file
    /// [`FILE_NAME`](crate::FILE_NAME), readable by its owner only.
    ///
    /// # Errors
    ///
    /// [`Error::State`], [`Error::StateDamaged`], [`Error::StateVersion`], [`Error::Random`],
    /// [`Error::Certificate`].
    pub fn open(state_dir: impl AsRef<Path>) -> Result<Self, Error> {
        let State { secret, ppid, keys, certificates } = State::open(state_dir.as_ref())?;
        let mut report_keyid = [0; 32];
        getrandom::fill(&mut report_keyid)?;
        let cpu = Cpu { secret, report_keyid };
        // Detects the CPU's features for AES and SHA now: a signal handler runs this code later,
        // on threads that may not execute CPUID any more.
        let probe = cpu.ereport(&quoting_enclave(), &target_info(&quoting_enclave()), &[0; 64]);
        debug_assert!(probe.is_ok());
        Ok(Self { cpu: Arc::new(cpu), quoting: Arc::new(Quoting { ppid, keys, certificates }) })
    }

    /// The root certificate of this platform, DER. Whoever trusts it trusts this machine's
    /// operator, and nothing else.
    pub fn root_der(&self) -> &[u8] {
        &self.quoting.certificates.root
    }

    /// SHA-256 of [`root_der`](Self::root_der).
    pub fn root_fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.root_der()).into()
    }

    /// TARGETINFO of the quoting enclave: what EREPORT needs to make a report for
    /// [`quote`](Self::quote).
    pub fn target_info(&self) -> [u8; TARGETINFO_SIZE] {
        target_info(&quoting_enclave())
    }

    /// Makes a DCAP quote, version 3, ECDSA-P256 ("Intel SGX ECDSA Quote Library Reference",
    /// appendix A.4), after verifying `report` as the quoting enclave does.
    ///
    /// # Errors
    ///
    /// [`Error::ReportMac`] if the report was not made on this platform for this quoting enclave.
    pub fn quote(&self, report: &[u8; REPORT_SIZE]) -> Result<Vec<u8>, Error> {
        let enclave = quoting_enclave();
        if !self.cpu.verify_report(&enclave, report) {
            return Err(Error::ReportMac);
        }
        let Quoting { ppid, keys, certificates } = &*self.quoting;

        let mut quote = Vec::with_capacity(QUOTE_CAPACITY);
        quote.extend(QUOTE_VERSION.to_le_bytes());
        quote.extend(ATTESTATION_KEY_ECDSA_P256.to_le_bytes());
        quote.extend([0; 4]);
        quote.extend(enclave.isvsvn.to_le_bytes());
        quote.extend(u16::from(PCE_SVN).to_le_bytes());
        quote.extend(QE_VENDOR_INTEL);
        // Intel's quoting enclave puts its id into the first 16 bytes of the user data.
        quote.extend(quoting_enclave_id(ppid));
        quote.extend([0; 4]);
        quote.extend(&report[..REPORT_BODY_SIZE]);
        debug_assert_eq!(quote.len(), SIGNED_SIZE);

        let attestation_key = keys.attestation.raw_public();
        let binding: [u8; 32] =
            Sha256::new().chain_update(attestation_key).chain_update(QE_AUTH_DATA).finalize().into();
        let mut qe_report_data = [0; 64];
        qe_report_data[..32].copy_from_slice(&binding);
        let Ok(qe_report) = self.cpu.ereport(&enclave, &target_info(&enclave), &qe_report_data) else {
            unreachable!("the quoting enclave's own TARGETINFO is well-formed");
        };
        let qe_report = &qe_report[..REPORT_BODY_SIZE];
        let chain = collateral::pem_chain(&[&certificates.pck, &certificates.pck_ca, &certificates.root]);

        let mut signature = Vec::with_capacity(QUOTE_CAPACITY);
        signature.extend(keys.attestation.sign_raw(&quote));
        signature.extend(attestation_key);
        signature.extend(qe_report);
        signature.extend(keys.pck.sign_raw(qe_report));
        signature.extend((QE_AUTH_DATA.len() as u16).to_le_bytes());
        signature.extend(QE_AUTH_DATA);
        signature.extend(CERTIFICATION_PCK_CHAIN.to_le_bytes());
        signature.extend((chain.len() as u32).to_le_bytes());
        signature.extend(chain.as_bytes());

        quote.extend((signature.len() as u32).to_le_bytes());
        quote.extend(signature);
        Ok(quote)
    }

    /// What a verifier needs beside a quote, as JSON of `dcap_qvl::QuoteCollateralV3`: TCB info,
    /// QE identity and revocation lists, made anew at each call and valid for 30 days.
    ///
    /// # Errors
    ///
    /// [`Error::Certificate`], [`Error::Collateral`].
    pub fn collateral(&self) -> Result<Vec<u8>, Error> {
        collateral::make(&self.quoting.keys, &self.quoting.certificates, &quoting_enclave())
    }

    pub(crate) fn cpu(&self) -> &Arc<Cpu> {
        &self.cpu
    }
}

/// The identity that the quoting enclave in software has on every platform.
fn quoting_enclave() -> Identity {
    Identity {
        attributes: QE_ATTRIBUTES.to_le_bytes(),
        miscselect: 0,
        mrenclave: Sha256::digest(b"cloister soft-sgx quoting enclave").into(),
        mrsigner: Sha256::digest(b"cloister soft-sgx quoting enclave signer").into(),
        isvprodid: 1,
        isvsvn: 1,
    }
}

fn quoting_enclave_id(ppid: &[u8; 16]) -> [u8; 16] {
    let mut id = [0; 16];
    let digest = Sha256::new().chain_update(b"cloister soft-sgx QE id").chain_update(ppid).finalize();
    id.copy_from_slice(&digest[..16]);
    id
}

const QUOTE_VERSION: u16 = 3;
const ATTESTATION_KEY_ECDSA_P256: u16 = 2;
/// Certification data: the PCK certificate chain in PEM.
const CERTIFICATION_PCK_CHAIN: u16 = 5;
/// Header (48) and report body (384): what the attestation key signs.
const SIGNED_SIZE: usize = 48 + REPORT_BODY_SIZE;
const QUOTE_CAPACITY: usize = 8 * 1024;
/// 939a7233-f79c-4ca9-940a-0db3957f0607, the only vendor that verifiers of this format know.
const QE_VENDOR_INTEL: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
const QE_AUTH_DATA: [u8; 32] = *b"SIMULATED by cloister soft-sgx\0\0";
/// INIT, MODE64BIT; XFRM x87 and SSE.
const QE_ATTRIBUTES: u128 = 0x3_0000_0000_0000_0005;

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use dcap_qvl::{QuoteCollateralV3, verify::QuoteVerifier};

    use super::*;

    struct Fixture {
        platform: SoftPlatform,
        report: [u8; REPORT_SIZE],
        _folder: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let platform = SoftPlatform::open(folder.path()).unwrap();
        let enclave = Identity { mrenclave: [0xee; 32], mrsigner: [0xdd; 32], ..quoting_enclave() };
        let report = platform.cpu.ereport(&enclave, &platform.target_info(), &[0x44; 64]).unwrap();
        Fixture { platform, report, _folder: folder }
    }

    fn collateral(platform: &SoftPlatform) -> QuoteCollateralV3 {
        serde_json::from_slice(&platform.collateral().unwrap()).unwrap()
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn verify(
        platform: &SoftPlatform,
        quote: &[u8],
        collateral: &QuoteCollateralV3,
    ) -> anyhow::Result<String> {
        let verified = QuoteVerifier::new(platform.root_der().to_vec()).verify(quote, collateral, now())?;
        assert_eq!(verified.report.as_sgx().unwrap().report_data, [0x44; 64]);
        Ok(verified.status)
    }

    #[test]
    fn a_verifier_that_trusts_this_root_accepts_the_quote() {
        let Fixture { platform, report, .. } = fixture();
        let quote = platform.quote(&report).unwrap();
        assert_eq!(verify(&platform, &quote, &collateral(&platform)).unwrap(), "UpToDate");
        let parsed = dcap_qvl::quote::Quote::parse(&quote).unwrap();
        let enclave = parsed.report.as_sgx().unwrap();
        assert_eq!((enclave.mr_enclave, enclave.mr_signer), ([0xee; 32], [0xdd; 32]));
    }

    #[test]
    fn intels_root_and_another_platforms_root_refuse_it() {
        let Fixture { platform, report, .. } = fixture();
        let other = fixture().platform;
        let quote = platform.quote(&report).unwrap();
        let collateral = collateral(&platform);
        assert!(QuoteVerifier::new_prod().verify(&quote, &collateral, now()).is_err());
        assert!(QuoteVerifier::new(other.root_der().to_vec()).verify(&quote, &collateral, now()).is_err());
        assert_ne!(platform.root_fingerprint(), other.root_fingerprint());
    }

    #[test]
    fn one_changed_byte_of_the_quote_is_refused() {
        let Fixture { platform, report, .. } = fixture();
        let quote = platform.quote(&report).unwrap();
        let collateral = collateral(&platform);
        // Header, measurement, report data, signature, attestation key, QE report, its signature,
        // authentication data.
        for offset in [30, 48 + 64, 48 + 320, 436, 436 + 64, 436 + 128, 436 + 512, 436 + 578] {
            let mut tampered = quote.clone();
            tampered[offset] ^= 1;
            let result =
                QuoteVerifier::new(platform.root_der().to_vec()).verify(&tampered, &collateral, now());
            assert!(result.is_err(), "byte {offset}");
        }
    }

    #[test]
    fn one_changed_part_of_the_collateral_is_refused() {
        let Fixture { platform, report, .. } = fixture();
        let quote = platform.quote(&report).unwrap();
        let good = collateral(&platform);
        let changes: [fn(&mut QuoteCollateralV3); 6] = [
            |c| c.tcb_info = c.tcb_info.replace("\"tcbType\":0", "\"tcbType\":1"),
            |c| c.tcb_info_signature[5] ^= 1,
            |c| c.qe_identity = c.qe_identity.replace("\"isvprodid\":1", "\"isvprodid\":2"),
            |c| c.qe_identity_signature[5] ^= 1,
            |c| *c.root_ca_crl.last_mut().unwrap() ^= 1,
            |c| *c.pck_crl.last_mut().unwrap() ^= 1,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(changed != good, "change {index} must change something");
            assert!(verify(&platform, &quote, &changed).is_err(), "change {index}");
        }
    }

    #[test]
    fn collateral_expires() {
        let Fixture { platform, report, .. } = fixture();
        let quote = platform.quote(&report).unwrap();
        let verifier = QuoteVerifier::new(platform.root_der().to_vec());
        let collateral = collateral(&platform);
        let day = 24 * 60 * 60;
        assert!(verifier.verify(&quote, &collateral, now() + 29 * day).is_ok());
        assert!(verifier.verify(&quote, &collateral, now() + 31 * day).is_err());
    }

    #[test]
    fn a_tampered_or_foreign_report_is_not_quoted() {
        let Fixture { platform, report, .. } = fixture();
        let mut tampered = report;
        tampered[320] ^= 1;
        assert!(matches!(platform.quote(&tampered), Err(Error::ReportMac)));
        assert!(matches!(fixture().platform.quote(&report), Err(Error::ReportMac)));
        let elsewhere = Identity { mrenclave: [1; 32], ..quoting_enclave() };
        let untargeted = platform.cpu.ereport(&elsewhere, &target_info(&elsewhere), &[0; 64]).unwrap();
        assert!(matches!(platform.quote(&untargeted), Err(Error::ReportMac)));
    }

    #[test]
    fn quotes_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = SoftPlatform::open(folder.path()).unwrap();
        let report = first.cpu.ereport(&quoting_enclave(), &first.target_info(), &[0x44; 64]).unwrap();
        let second = SoftPlatform::open(folder.path()).unwrap();
        assert_eq!(first.root_fingerprint(), second.root_fingerprint());
        let quote = second.quote(&report).unwrap();
        assert_eq!(verify(&first, &quote, &collateral(&second)).unwrap(), "UpToDate");
    }

    #[test]
    fn the_root_says_that_it_is_a_simulation() {
        let root = fixture().platform.root_der().to_vec();
        let holds = |text: &str| root.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds("SIMULATED") && holds("not Intel") && holds("proves nothing about hardware"));
    }
}
