//! The certificates of a soft platform: a root of its own, and below it what DCAP expects.
//!
//! ```text
//! Root CA ─┬─ PCK Platform CA ── PCK (the platform; carries Intel's SGX extension)
//!          └─ TCB Signing (signs TCB info and QE identity)
//! ```

use p256::{
    SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer},
};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa,
    Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{Error, leaves::CPUSVN};

/// FMSPC of every soft platform: the letters `SIMSGX`.
pub(crate) const FMSPC: [u8; 6] = *b"SIMSGX";
pub(crate) const PCE_ID: [u8; 2] = [0, 0];
pub(crate) const PCE_SVN: u8 = 1;
/// Common name of a soft platform's root.
pub const ROOT_COMMON_NAME: &str = "Cloister SIMULATED SGX Root CA - not Intel";
/// Organization of a soft platform's root.
pub const ROOT_ORGANIZATION: &str = "SIMULATION, proves nothing about hardware";

/// A P-256 key that signs certificates, quotes or collateral.
pub(crate) struct Key {
    signing: SigningKey,
    /// Uncompressed SEC1 point.
    public: Vec<u8>,
}

impl Key {
    pub(crate) fn generate() -> Result<Self, Error> {
        loop {
            let mut scalar = Zeroizing::new([0; 32]);
            getrandom::fill(scalar.as_mut())?;
            // Zero and numbers above the group order are not keys; they all but never come.
            if let Some(key) = Self::from_scalar(&scalar) {
                return Ok(key);
            }
        }
    }

    pub(crate) fn from_scalar(scalar: &[u8; 32]) -> Option<Self> {
        let signing = SigningKey::from(SecretKey::from_slice(scalar).ok()?);
        let public = signing.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Some(Self { signing, public })
    }

    pub(crate) fn scalar(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signing.to_bytes().into())
    }

    /// The public point without SEC1's tag: x ‖ y, as quotes carry it.
    pub(crate) fn raw_public(&self) -> [u8; 64] {
        let mut raw = [0; 64];
        raw.copy_from_slice(&self.public[1..]);
        raw
    }

    /// ECDSA-P256-SHA256 as r ‖ s.
    pub(crate) fn sign_raw(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.signing.sign(message);
        signature.to_bytes().into()
    }

    pub(crate) fn identifier(&self) -> Vec<u8> {
        Sha256::digest(&self.public)[..20].to_vec()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("public", &hex::encode(&self.public)).finish_non_exhaustive()
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.signing.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// The two authorities of a platform.
#[derive(Clone, Copy)]
pub(crate) enum Authority {
    Root,
    PckPlatform,
}

impl Authority {
    /// What certificates and revocation lists name as their issuer.
    pub(crate) fn issuer(self, key: &Key) -> Issuer<'static, &Key> {
        Issuer::new(self.parameters(key, Validity::default()), key)
    }

    fn parameters(self, key: &Key, validity: Validity) -> CertificateParams {
        let name = match self {
            Self::Root => ROOT_COMMON_NAME,
            Self::PckPlatform => "Cloister SIMULATED SGX PCK Platform CA",
        };
        let mut parameters = parameters(name, key, validity);
        parameters.is_ca = IsCa::Ca(match self {
            Self::Root => BasicConstraints::Constrained(1),
            Self::PckPlatform => BasicConstraints::Constrained(0),
        });
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters
    }
}

/// From when until when certificates hold.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) from: OffsetDateTime,
    pub(crate) until: OffsetDateTime,
}

impl Default for Validity {
    fn default() -> Self {
        Self { from: OffsetDateTime::UNIX_EPOCH, until: OffsetDateTime::UNIX_EPOCH }
    }
}

/// The keys below one root.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) root: Key,
    pub(crate) pck_ca: Key,
    pub(crate) pck: Key,
    pub(crate) tcb_signing: Key,
    pub(crate) attestation: Key,
}

/// The certificates over [`Keys`], DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) root: Vec<u8>,
    pub(crate) pck_ca: Vec<u8>,
    pub(crate) pck: Vec<u8>,
    pub(crate) tcb_signing: Vec<u8>,
}

impl Keys {
    pub(crate) fn generate() -> Result<Self, Error> {
        Ok(Self {
            root: Key::generate()?,
            pck_ca: Key::generate()?,
            pck: Key::generate()?,
            tcb_signing: Key::generate()?,
            attestation: Key::generate()?,
        })
    }

    pub(crate) fn certify(&self, ppid: &[u8; 16], validity: Validity) -> Result<Certificates, Error> {
        let root = Authority::Root.parameters(&self.root, validity).self_signed(&self.root)?;
        let root_issuer = Authority::Root.issuer(&self.root);
        let pck_ca = Authority::PckPlatform
            .parameters(&self.pck_ca, validity)
            .signed_by(&self.pck_ca, &root_issuer)?;

        let mut tcb_signing = leaf("Cloister SIMULATED SGX TCB Signing", &self.tcb_signing, validity);
        tcb_signing.key_usages = LEAF_USAGES.to_vec();
        let tcb_signing = tcb_signing.signed_by(&self.tcb_signing, &root_issuer)?;

        let mut pck = leaf("Cloister SIMULATED SGX PCK Certificate", &self.pck, validity);
        pck.key_usages = LEAF_USAGES.to_vec();
        pck.custom_extensions = vec![CustomExtension::from_oid_content(SGX_EXTENSION, sgx_extension(ppid))];
        let pck = pck.signed_by(&self.pck, &Authority::PckPlatform.issuer(&self.pck_ca))?;

        let der = |certificate: Certificate| certificate.der().to_vec();
        Ok(Certificates {
            root: der(root),
            pck_ca: der(pck_ca),
            pck: der(pck),
            tcb_signing: der(tcb_signing),
        })
    }
}

fn leaf(name: &str, key: &Key, validity: Validity) -> CertificateParams {
    let mut parameters = parameters(name, key, validity);
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters
}

fn parameters(common_name: &str, key: &Key, validity: Validity) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name.push(DnType::OrganizationName, ROOT_ORGANIZATION);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.not_before = validity.from;
    parameters.not_after = validity.until;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial(key)));
    parameters.key_identifier_method = KeyIdMethod::PreSpecified(key.identifier());
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

/// RFC 5280 §4.1.2.2: positive, at most 20 octets, unique below its issuer.
fn serial(key: &Key) -> [u8; 16] {
    let mut serial = [0; 16];
    serial.copy_from_slice(&Sha256::digest(&key.public)[..16]);
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}

/// The value of Intel's SGX extension ("Intel SGX PCK Certificate and Certificate Revocation List
/// Profile Specification", §1.3.5).
fn sgx_extension(ppid: &[u8; 16]) -> Vec<u8> {
    let mut tcb = Vec::new();
    for (component, svn) in (1..=16).zip(CPUSVN) {
        tcb.extend(entry(&[2, component], &tlv(DER_INTEGER, &[svn])));
    }
    tcb.extend(entry(&[2, 17], &tlv(DER_INTEGER, &[PCE_SVN])));
    tcb.extend(entry(&[2, 18], &tlv(DER_OCTET_STRING, &CPUSVN)));

    let mut fields = entry(&[1], &tlv(DER_OCTET_STRING, ppid));
    fields.extend(entry(&[2], &tlv(DER_SEQUENCE, &tcb)));
    fields.extend(entry(&[3], &tlv(DER_OCTET_STRING, &PCE_ID)));
    fields.extend(entry(&[4], &tlv(DER_OCTET_STRING, &FMSPC)));
    fields.extend(entry(&[5], &tlv(DER_ENUMERATED, &[SGX_TYPE_STANDARD])));
    tlv(DER_SEQUENCE, &fields)
}

/// SEQUENCE { OID 1.2.840.113741.1.13.1.`arcs`, value }; arcs are below 128.
fn entry(arcs: &[u8], value: &[u8]) -> Vec<u8> {
    let oid = [SGX_EXTENSION_OID_DER, arcs].concat();
    tlv(DER_SEQUENCE, &[tlv(DER_OBJECT_IDENTIFIER, &oid), value.to_vec()].concat())
}

/// Tag, length, value in DER, for values below 64 KiB.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let mut der = vec![tag];
    match length {
        0..=0x7f => der.push(length as u8),
        0x80..=0xff => der.extend([0x81, length as u8]),
        _ => der.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    der.extend(value);
    der
}

const LEAF_USAGES: [KeyUsagePurpose; 2] =
    [KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
const SGX_EXTENSION: &[u64] = &[1, 2, 840, 113741, 1, 13, 1];
const SGX_EXTENSION_OID_DER: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01];
/// SGXType 0, "Standard".
const SGX_TYPE_STANDARD: u8 = 0;
const DER_INTEGER: u8 = 0x02;
const DER_OCTET_STRING: u8 = 0x04;
const DER_OBJECT_IDENTIFIER: u8 = 0x06;
const DER_ENUMERATED: u8 = 0x0a;
const DER_SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn der_lengths_are_minimal() {
        assert_eq!(tlv(4, &[9])[..2], [4, 1]);
        assert_eq!(tlv(4, &[9; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(tlv(4, &[9; 0x123])[..4], [4, 0x82, 1, 0x23]);
    }

    #[test]
    fn a_verifier_reads_the_platform_from_the_pck_certificate() {
        let keys = Keys::generate().unwrap();
        let now = OffsetDateTime::now_utc();
        let validity = Validity { from: now, until: now };
        let certificates = keys.certify(&[0x77; 16], validity).unwrap();
        let platform = dcap_qvl::intel::parse_pck_extension(&certificates.pck).unwrap();
        assert_eq!(platform.ppid, [0x77; 16]);
        assert_eq!(platform.cpu_svn, CPUSVN);
        assert_eq!(platform.pce_svn, u16::from(PCE_SVN));
        assert_eq!(platform.pce_id, PCE_ID);
        assert_eq!(platform.fmspc, FMSPC);
        assert_eq!(platform.sgx_type, 0);
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = Key::from_scalar(&[0x5a; 32]).unwrap();
        assert!(!format!("{key:?}").contains("5a5a5a5a"));
    }
}
