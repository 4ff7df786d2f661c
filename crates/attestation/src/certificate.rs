use crate::{Claims, ClaimsError, Evidence, HASH_LEN, TlsKey, sha256};
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose,
    SerialNumber,
};
use rustls_pki_types::CertificateDer;
use std::time::Duration;

/// The enclave's certificate: self-signed by its TLS key, with the evidence in the two extensions that RA-TLS tools
/// know, the claimed hashes of the boot configuration and of all apps, and under an app's host name what concerns that
/// app.
///
/// It never expires (RFC 5280, section 4.1.2.5): an enclave has no clock that it could trust, and what a verifier
/// believes, it believes for the evidence and the session binding.
///
/// # Errors
/// [`CertificateError`] where the evidence has no claims, a host name is not ASCII, or the key cannot sign.
pub fn leaf_certificate(
    key: &TlsKey,
    host_names: &[String],
    evidence: &Evidence,
    app: Option<&AppExtensions>,
) -> Result<CertificateDer<'static>, CertificateError> {
    let claims = Claims::decode(&evidence.claims)?;
    let mut parameters = parameters("Cloister enclave", host_names, ExtendedKeyUsagePurpose::ServerAuth)?;
    let mut add = |oid: &[u64], contents: Vec<u8>| {
        parameters.custom_extensions.push(CustomExtension::from_oid_content(oid, contents));
    };
    add(DICE_EVIDENCE, evidence.encode());
    add(SGX_QUOTE, evidence.quote.clone());
    add(BOOT_CONFIGURATION, claims.configuration.to_vec());
    add(APPS, claims.apps_hash().to_vec());
    if let Some(app) = app {
        add(CODE_HASH, app.code_hash.to_vec());
        add(APP_CONFIGURATION, app.configuration.to_vec());
        for (suffix, value) in &app.values {
            add(&[APP_VALUES, &[u64::from(*suffix)]].concat(), value.clone());
        }
    }
    self_signed(parameters, key, &evidence.claims)
}

/// What the certificate under an app's host name says of the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppExtensions {
    /// SHA-256 of the uploaded `.wasm`.
    pub code_hash: [u8; HASH_LEN],
    /// [`AppClaims::hash`](crate::AppClaims::hash): SHA-256 of the app's own entry in the claims.
    pub configuration: [u8; HASH_LEN],
    /// What the app shows, by the number that ends the object identifier; no number twice. Their hashes are claims.
    pub values: Vec<(u32, Vec<u8>)>,
}

/// The object identifier, in dotted decimals, under which certificates show the value that an app set for this number.
pub fn extension_oid(suffix: u32) -> String {
    let arcs = APP_VALUES.iter().copied().chain([suffix.into()]);
    Vec::from_iter(arcs.map(|arc| arc.to_string())).join(".")
}

/// Whether claims, a quote and the values of one app with these lengths in bytes fit a certificate that TLS can carry.
/// The quote is in it twice.
pub fn fits_certificate(claims: usize, quote: usize, values: usize) -> bool {
    claims.saturating_add(quote.saturating_mul(2)).saturating_add(values) <= MAX_CONTENTS
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
pub enum CertificateError {
    /// The evidence has no claims that could be shown.
    #[error("the certificate cannot be made: {0}")]
    Claims(#[from] ClaimsError),
    /// A host name is not ASCII, or the key cannot sign.
    #[error("the certificate cannot be made: {0}")]
    Encoding(#[from] rcgen::Error),
}

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
/// SHA-256 of the boot configuration. This and the hashes below are 32 bytes without any wrapping.
pub(crate) const BOOT_CONFIGURATION: &[u64] = &[1, 3, 6, 1, 4, 1, 65230, 1, 1];
/// [`Claims::apps_hash`].
pub(crate) const APPS: &[u64] = &[1, 3, 6, 1, 4, 1, 65230, 2, 5];
/// SHA-256 of the app's entry in the claims.
pub(crate) const APP_CONFIGURATION: &[u64] = &[1, 3, 6, 1, 4, 1, 65230, 3, 1];
/// SHA-256 of the app's `.wasm`.
pub(crate) const CODE_HASH: &[u64] = &[1, 3, 6, 1, 4, 1, 65230, 3, 2];
/// What an app set itself; its number follows.
pub(crate) const APP_VALUES: &[u64] = &[1, 3, 6, 1, 4, 1, 65230, 3, 5];
/// rustls reads certificate messages of at most 64 KiB (RFC 8446, section 4.4.2). The rest of a certificate, with the
/// longest host name and the heads of 16 values, has less than 2 KiB.
const MAX_CONTENTS: usize = 62 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Boot, Freshness, ImageUpgradeClaim, MAX_EXTENSION_VALUES, MAX_EXTENSIONS, PlatformClaim};
    use x509_cert::der::Decode;

    fn claims(boot: u8) -> Claims {
        Claims {
            tls_key: [1; 32],
            session_key: [4; 65],
            boot: Boot { id: [boot; 16], told_time: 1, counter: 1 },
            configuration: [0xcf; 32],
            owners: Vec::new(),
            volume: None,
            freshness: Freshness::None,
            apps: Vec::new(),
            operator: None,
            image_upgrade: ImageUpgradeClaim::Never,
            lineage: Vec::new(),
            made: 1,
            platform: PlatformClaim::Simulated,
            issuers: Vec::new(),
        }
    }

    fn evidence() -> Evidence {
        Evidence { claims: claims(0).encode().unwrap(), quote: vec![3; 100] }
    }

    /// The contents of the only extension with this identifier.
    fn extension(certificate: &CertificateDer<'_>, oid: &str) -> Option<Vec<u8>> {
        let certificate = x509_cert::Certificate::from_der(certificate).unwrap();
        let extensions = certificate.tbs_certificate().extensions().unwrap();
        let found: Vec<_> = extensions.iter().filter(|found| found.extn_id.to_string() == oid).collect();
        assert!(found.len() < 2, "{oid} is there {} times", found.len());
        found.first().map(|found| {
            assert!(!found.critical, "{oid}");
            found.extn_value.as_bytes().to_vec()
        })
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
        let other = Evidence { claims: claims(1).encode().unwrap(), quote: vec![3; 100] };
        assert_ne!(serial(&["a".into()], &evidence()), serial(&["b".into()], &evidence()));
        assert_ne!(serial(&["a".into()], &evidence()), serial(&["a".into()], &other));
        assert_eq!(serial(&["a".into()], &evidence()).len(), 16);
    }

    #[test]
    fn a_host_name_that_is_not_ascii_is_an_error() {
        let key = TlsKey::generate().unwrap();
        assert!(leaf_certificate(&key, &["ä".into()], &evidence(), None).is_err());
    }

    #[test]
    fn every_certificate_shows_evidence_and_hashes() {
        let key = TlsKey::generate().unwrap();
        let leaf = leaf_certificate(&key, &["localhost".into()], &evidence(), None).unwrap();
        for (oid, contents) in [
            ("2.23.133.5.4.9", evidence().encode()),
            ("1.2.840.113741.1.13.1.0", vec![3; 100]),
            ("1.3.6.1.4.1.65230.1.1", vec![0xcf; 32]),
            ("1.3.6.1.4.1.65230.2.5", claims(0).apps_hash().to_vec()),
        ] {
            assert_eq!(extension(&leaf, oid), Some(contents), "{oid}");
        }
        for oid in ["1.3.6.1.4.1.65230.3.1", "1.3.6.1.4.1.65230.3.2"] {
            assert_eq!(extension(&leaf, oid), None, "{oid}");
        }
    }

    #[test]
    fn an_apps_certificate_shows_what_concerns_the_app() {
        let key = TlsKey::generate().unwrap();
        let app = AppExtensions {
            code_hash: [0xc0; 32],
            configuration: [0xd0; 32],
            values: vec![(1, b"one".to_vec()), (u32::MAX, b"last".to_vec())],
        };
        let leaf = leaf_certificate(&key, &["hello.localhost".into()], &evidence(), Some(&app)).unwrap();
        for (oid, contents) in [
            ("1.3.6.1.4.1.65230.3.1", &[0xd0; 32][..]),
            ("1.3.6.1.4.1.65230.3.2", &[0xc0; 32]),
            ("1.3.6.1.4.1.65230.3.5.1", b"one"),
            ("1.3.6.1.4.1.65230.3.5.4294967295", b"last"),
        ] {
            assert_eq!(extension(&leaf, oid).as_deref(), Some(contents), "{oid}");
        }
        assert_eq!(extension_oid(u32::MAX), "1.3.6.1.4.1.65230.3.5.4294967295");
    }

    #[test]
    fn evidence_without_claims_makes_no_certificate() {
        let key = TlsKey::generate().unwrap();
        let evidence = Evidence { claims: vec![0xa0], quote: vec![3; 100] };
        let refused = leaf_certificate(&key, &["localhost".into()], &evidence, None);
        assert!(matches!(refused, Err(CertificateError::Claims(_))));
    }

    /// Long claims, a long host name, as many values as an app may have, and as long a quote as there is room for.
    #[test]
    fn what_fits_a_certificate_fits_a_message_of_64_kib() {
        let key = TlsKey::generate().unwrap();
        let mut claims = claims(0);
        let owner = |owner: u16| [owner.to_be_bytes(); 16].concat().try_into().unwrap();
        claims.owners = (0..1_400).map(owner).collect();
        let claims = claims.encode().unwrap();
        let quote = (MAX_CONTENTS - claims.len() - MAX_EXTENSION_VALUES) / 2;
        assert!(fits_certificate(claims.len(), quote, MAX_EXTENSION_VALUES));
        assert!(!fits_certificate(claims.len(), quote + 1, MAX_EXTENSION_VALUES));
        assert!(!fits_certificate(0, usize::MAX, 0) && !fits_certificate(usize::MAX, 0, 1));
        let value = vec![7; MAX_EXTENSION_VALUES / MAX_EXTENSIONS];
        let app = AppExtensions {
            code_hash: [0xc0; 32],
            configuration: [0xd0; 32],
            values: (0..16).map(|number| (u32::MAX - number, value.clone())).collect(),
        };
        let label = "a".repeat(62);
        let name = [label.as_str(); 4].join(".");
        let evidence = Evidence { claims, quote: vec![3; quote] };
        let leaf = leaf_certificate(&key, &[name], &evidence, Some(&app)).unwrap();
        // RFC 8446, section 4.4.2: the lengths of context, list, certificate and its extensions, of which it has none.
        assert!(leaf.len() + 1 + 3 + 3 + 2 < 0x1_0000, "{} bytes", leaf.len());
        assert!(leaf.len() > MAX_CONTENTS, "the test is near the bound: {} bytes", leaf.len());
    }
}
