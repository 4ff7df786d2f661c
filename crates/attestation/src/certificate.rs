use crate::{Evidence, HASH_LEN, TlsKey, sha256};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use std::time::Duration;

/// The enclave's certificate: self-signed by its TLS key, with the evidence in the two extensions that RA-TLS tools
/// know, and under an app's host name with the code hash of that app.
///
/// It never expires (RFC 5280, section 4.1.2.5): an enclave has no clock that it could trust, and what a verifier
/// believes, it believes for the evidence and the session binding.
///
/// # Errors
/// [`CertificateError`] where a host name is not ASCII or the key cannot sign.
pub fn leaf_certificate(
    key: &TlsKey,
    host_names: &[String],
    evidence: &Evidence,
    code_hash: Option<[u8; HASH_LEN]>,
) -> Result<CertificateDer<'static>, CertificateError> {
    let mut parameters = parameters("Cloister enclave", host_names, ExtendedKeyUsagePurpose::ServerAuth)?;
    parameters.custom_extensions = vec![
        CustomExtension::from_oid_content(DICE_EVIDENCE, evidence.encode()),
        CustomExtension::from_oid_content(SGX_QUOTE, evidence.quote.clone()),
    ];
    if let Some(hash) = code_hash {
        parameters.custom_extensions.push(CustomExtension::from_oid_content(CODE_HASH, hash.to_vec()));
    }
    self_signed(parameters, key, &evidence.claims)
}

/// The certificate of an owner or caller: self-signed, since only its key matters.
///
/// # Errors
/// [`CertificateError`] where the key cannot sign.
pub fn client_certificate(key: &TlsKey) -> Result<CertificateDer<'static>, CertificateError> {
    let parameters = parameters("Cloister client", &[], ExtendedKeyUsagePurpose::ClientAuth)?;
    self_signed(parameters, key, &[])
}

/// SHA-256 of the SubjectPublicKeyInfo of an X.509 certificate: how claims and owner lists name its key. Nothing else
/// of the certificate is appraised.
///
/// # Errors
/// [`InvalidCertificate`] where the bytes are not a certificate.
pub fn key_fingerprint(certificate: &CertificateDer<'_>) -> Result<[u8; HASH_LEN], InvalidCertificate> {
    let certificate = webpki::EndEntityCert::try_from(certificate).map_err(|_| InvalidCertificate)?;
    Ok(sha256(&certificate.subject_public_key_info()))
}

/// A certificate could not be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate cannot be made: {0}")]
pub struct CertificateError(#[from] rcgen::Error);

/// The bytes are not an X.509 certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an X.509 version 3 certificate")]
pub struct InvalidCertificate;

fn parameters(
    common_name: &str,
    host_names: &[String],
    purpose: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams, CertificateError> {
    let mut parameters = CertificateParams::new(host_names)?;
    parameters.not_before = rcgen::date_time_ymd(2024, 1, 1);
    // RFC 5280, section 4.1.2.5: 99991231235959Z says that there is no well-defined end.
    parameters.not_after = rcgen::date_time_ymd(9999, 12, 31) + Duration::from_secs(24 * 60 * 60 - 1);
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![purpose];
    Ok(parameters)
}

/// Signs with a serial number that is a hash of the key and of what the certificate says, so that two certificates of
/// one key with different contents are told apart (RFC 5280, section 4.1.2.2: positive, at most 20 bytes).
fn self_signed(
    mut parameters: CertificateParams,
    key: &TlsKey,
    contents: &[u8],
) -> Result<CertificateDer<'static>, CertificateError> {
    let names = format!("{:?}", parameters.subject_alt_names);
    let digest = sha256(&[key.spki_der(), names.as_bytes(), contents].concat());
    let mut serial = digest[..16].to_vec();
    serial[0] = serial[0] & 0x7f | 0x40;
    parameters.serial_number = Some(SerialNumber::from(serial));
    Ok(parameters.self_signed(key)?.into())
}

/// TCG DICE tagged evidence, tcg-dice-TaggedEvidence.
pub(crate) const DICE_EVIDENCE: &[u64] = &[2, 23, 133, 5, 4, 9];
/// Intel's SGX quote, as the first RA-TLS implementations carry it.
pub(crate) const SGX_QUOTE: &[u64] = &[1, 2, 840, 113741, 1, 13, 1, 0];
/// SHA-256 of the app's `.wasm`, 32 bytes without any wrapping.
pub(crate) const CODE_HASH: &[u64] = &[1, 3, 6, 1, 4, 1, 65230, 3, 2];

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence() -> Evidence {
        Evidence { claims: vec![0xa0], quote: vec![3; 100] }
    }

    #[test]
    fn the_fingerprint_of_a_certificate_is_that_of_its_key() {
        let key = TlsKey::generate().unwrap();
        let leaf = leaf_certificate(&key, &["localhost".into()], &evidence(), None).unwrap();
        assert_eq!(key_fingerprint(&leaf), Ok(key.fingerprint()));
        assert_eq!(key_fingerprint(&client_certificate(&key).unwrap()), Ok(key.fingerprint()));
        assert_eq!(key_fingerprint(&CertificateDer::from(vec![0x30, 0])), Err(InvalidCertificate));
    }

    #[test]
    fn serial_numbers_tell_contents_apart() {
        let key = TlsKey::generate().unwrap();
        let serial = |names: &[String], evidence: &Evidence| {
            let leaf = leaf_certificate(&key, names, evidence, None).unwrap();
            webpki::EndEntityCert::try_from(&leaf).unwrap().serial().to_vec()
        };
        let other = Evidence { claims: vec![0xa1], quote: vec![3; 100] };
        assert_ne!(serial(&["a".into()], &evidence()), serial(&["b".into()], &evidence()));
        assert_ne!(serial(&["a".into()], &evidence()), serial(&["a".into()], &other));
        assert_eq!(serial(&["a".into()], &evidence()).len(), 16);
    }

    #[test]
    fn a_host_name_that_is_not_ascii_is_an_error() {
        let key = TlsKey::generate().unwrap();
        assert!(leaf_certificate(&key, &["ä".into()], &evidence(), None).is_err());
    }
}
