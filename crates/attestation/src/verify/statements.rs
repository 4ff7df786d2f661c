//! What a certificate says beside its key.

use crate::certificate::{APP_CONFIGURATION, APP_VALUES, APPS, BOOT_CONFIGURATION, CODE_HASH, DICE_EVIDENCE};
use crate::{Evidence, HASH_LEN, InvalidCertificate, sha256};
use rustls_pki_types::CertificateDer;
use x509_cert::der::Decode;

/// The values that an app shows in the certificate under its host name, by the number that ends the object identifier,
/// in the certificate's order. They are the enclave's word where the certificate is that of a verified session;
/// [`AppClaims::vouches_for`](crate::AppClaims::vouches_for) says whether the quote covers one.
///
/// # Errors
/// [`InvalidCertificate`] where the bytes are not a certificate.
pub fn extension_values(certificate: &CertificateDer<'_>) -> Result<Vec<(u32, Vec<u8>)>, InvalidCertificate> {
    let certificate = x509_cert::Certificate::from_der(certificate).map_err(|_| InvalidCertificate)?;
    Ok(values(&certificate))
}

/// What the certificate says beside its key. None of it is taken from another extension of the same identifier: a
/// certificate with two cannot be read (RFC 5280, section 4.2).
#[derive(Debug, Default)]
pub(super) struct Statements {
    /// SHA-256 of the claims in the certificate's own evidence, where it has any.
    pub(super) evidence: Option<[u8; HASH_LEN]>,
    pub(super) boot_configuration: Option<[u8; HASH_LEN]>,
    pub(super) apps: Option<[u8; HASH_LEN]>,
    pub(super) app_configuration: Option<[u8; HASH_LEN]>,
    pub(super) code_hash: Option<[u8; HASH_LEN]>,
    pub(super) values: Vec<(u32, Vec<u8>)>,
}

impl Statements {
    /// Whether it says nothing that claims say, but perhaps the code hash, which is compared by itself.
    pub(super) fn is_empty(&self) -> bool {
        self.boot_configuration.is_none()
            && self.apps.is_none()
            && self.app_configuration.is_none()
            && self.values.is_empty()
    }

    /// `Err` is the reason why they cannot be read.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, String> {
        let certificate = x509_cert::Certificate::from_der(certificate)
            .map_err(|error| format!("the certificate cannot be read: {error}"))?;
        let hash = |oid: &[u64], what: &str| match contents(&certificate, oid) {
            Contents::None => Ok(None),
            Contents::One(bytes) => match bytes.try_into() {
                Ok(hash) => Ok(Some(hash)),
                Err(_) => Err(format!("the {what} in the certificate is not 32 bytes long")),
            },
            Contents::Several => Err(format!("the certificate carries two of the {what}")),
        };
        let evidence = match contents(&certificate, DICE_EVIDENCE) {
            Contents::One(bytes) => Evidence::decode(bytes).ok(),
            Contents::None | Contents::Several => None,
        };
        Ok(Self {
            evidence: evidence.map(|evidence| sha256(&evidence.claims)),
            boot_configuration: hash(BOOT_CONFIGURATION, "hash of the boot configuration")?,
            apps: hash(APPS, "hash of all apps")?,
            app_configuration: hash(APP_CONFIGURATION, "configuration root")?,
            code_hash: hash(CODE_HASH, "code hash")?,
            values: values(&certificate),
        })
    }
}

enum Contents<'a> {
    None,
    One(&'a [u8]),
    Several,
}

fn contents<'a>(certificate: &'a x509_cert::Certificate, oid: &[u64]) -> Contents<'a> {
    let mut found = extensions(certificate).filter(|(arcs, _)| arcs == oid);
    match (found.next(), found.next()) {
        (None, _) => Contents::None,
        (Some((_, bytes)), None) => Contents::One(bytes),
        (Some(_), Some(_)) => Contents::Several,
    }
}

fn values(certificate: &x509_cert::Certificate) -> Vec<(u32, Vec<u8>)> {
    let value = |(arcs, bytes): (Vec<u64>, &[u8])| match arcs.strip_prefix(APP_VALUES)? {
        [suffix] => Some((u32::try_from(*suffix).ok()?, bytes.to_vec())),
        _ => None,
    };
    extensions(certificate).filter_map(value).collect()
}

fn extensions(certificate: &x509_cert::Certificate) -> impl Iterator<Item = (Vec<u64>, &[u8])> {
    let extensions = certificate.tbs_certificate().extensions().into_iter().flatten();
    extensions
        .map(|extension| (extension.extn_id.arcs().map(u64::from).collect(), extension.extn_value.as_bytes()))
}
