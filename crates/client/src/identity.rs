use crate::key::{KeyAlgorithm, PrivateKey};
use cloister_api::Endorsement;
use cloister_attestation::{AppClaims, ClaimsError, KeyError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The key of an owner or caller, which authenticates this client to enclaves.
///
/// Only the key is kept: the certificate that TLS wants around it is made anew by each client, and says nothing.
#[derive(Debug)]
pub struct Identity {
    key: PrivateKey,
}

impl Identity {
    /// A new P-256 key.
    ///
    /// # Errors
    /// [`IdentityError::Key`] where the system has no randomness.
    pub fn generate() -> Result<Self, IdentityError> {
        Self::generate_for(KeyAlgorithm::P256)
    }

    /// A new key of this kind.
    ///
    /// # Errors
    /// [`IdentityError::Key`] where the system has no randomness.
    pub fn generate_for(algorithm: KeyAlgorithm) -> Result<Self, IdentityError> {
        Ok(Self { key: PrivateKey::generate(algorithm)? })
    }

    /// The key in the first PKCS #8 section (`BEGIN PRIVATE KEY`) of a PEM text.
    ///
    /// # Errors
    /// [`IdentityError::Pem`], or [`IdentityError::Key`] where the key is neither P-256 nor P-384 nor Ed25519.
    pub fn from_pem(pem: &str) -> Result<Self, IdentityError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| IdentityError::Pem)?;
        Ok(Self { key: PrivateKey::from_pkcs8_der(der.secret_pkcs8_der())? })
    }

    /// The key as PKCS #8 in PEM (RFC 7468, section 10).
    ///
    /// # Errors
    /// [`IdentityError::Key`], which would be a defect of the crypto library.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, IdentityError> {
        let der = self.key.to_pkcs8_der()?;
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Ok(Zeroizing::new(pem::encode_config(&pem::Pem::new("PRIVATE KEY", der.as_slice()), config)))
    }

    /// The identity in a PEM file.
    ///
    /// # Errors
    /// [`IdentityError::File`], and those of [`from_pem`](Self::from_pem).
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let pem = fs::read_to_string(path).map_err(|source| IdentityError::file(path, source))?;
        Self::from_pem(&Zeroizing::new(pem))
    }

    /// Writes a new file that only this user can read (mode 0600). A file that exists is left alone.
    ///
    /// # Errors
    /// [`IdentityError::File`], also where the file exists.
    pub fn save_new(&self, path: &Path) -> Result<(), IdentityError> {
        let pem = self.to_pem()?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(pem.as_bytes()))
            .map_err(|source| IdentityError::file(path, source))
    }

    /// SHA-256 of the public key (its SubjectPublicKeyInfo) in lower-case hex: how enclaves name owners.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.key.fingerprint())
    }

    /// The public key as a DER SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
    pub fn spki_der(&self) -> &[u8] {
        self.key.spki_der()
    }

    /// Signs what an app is to become, so that it may take the place of one that names this key as an endorser:
    /// [`deployed_claims`](crate::deployed_claims) says what an enclave would claim of it.
    ///
    /// # Errors
    /// [`IdentityError::CannotEndorse`] with a P-384 key; [`IdentityError::Claims`] where no enclave would claim this.
    pub fn endorse(&self, app: &AppClaims) -> Result<Endorsement, IdentityError> {
        self.key.endorse(&app.endorsement_hash()?)?.ok_or(IdentityError::CannotEndorse)
    }

    /// Certificate and private key, as TLS takes them.
    pub(crate) fn for_tls(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
        let certificate =
            self.key.certificate().map_err(|error| IdentityError::Certificate(error.to_string()))?;
        let key = PrivatePkcs8KeyDer::from(self.key.to_pkcs8_der()?.to_vec());
        Ok((vec![certificate], key.into()))
    }
}

/// An identity could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The text has no private key in it.
    #[error("there is no PKCS #8 private key (-----BEGIN PRIVATE KEY-----) in it")]
    Pem,
    /// The key is of another kind, or cannot be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is of a kind that endorsements do not know.
    #[error("endorsements are made with P-256 and Ed25519 keys")]
    CannotEndorse,
    /// What should be endorsed is no app.
    #[error("this cannot be endorsed: {0}")]
    Claims(#[from] ClaimsError),
    /// No certificate could be made of it.
    #[error("{0}")]
    Certificate(String),
    /// The file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
}

impl IdentityError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_attestation::{endorsement_statement, verify_endorsements};
    use graviola::signing::ecdsa::{P384, SigningKey};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_identity_survives_its_file_which_nobody_else_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let identity = Identity::generate().unwrap();
        identity.save_new(&path).unwrap();
        assert_eq!(Identity::load(&path).unwrap().fingerprint(), identity.fingerprint());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(
            matches!(identity.save_new(&path), Err(IdentityError::File { .. })),
            "the file is left alone"
        );
    }

    /// One of each kind.
    fn identities() -> [Identity; 3] {
        [
            Identity::generate().unwrap(),
            Identity::from_pem(&p384()).unwrap(),
            Identity::generate_for(KeyAlgorithm::Ed25519).unwrap(),
        ]
    }

    fn p384() -> String {
        let mut der = [0; 256];
        let der = SigningKey::<P384>::generate().unwrap().to_pkcs8_der(&mut der).unwrap().to_vec();
        pem::encode(&pem::Pem::new("PRIVATE KEY", der))
    }

    #[test]
    fn the_fingerprint_is_that_of_the_certificates_key() {
        for identity in identities() {
            let (chain, _) = identity.for_tls().unwrap();
            let fingerprint = cloister_attestation::key_fingerprint(&chain[0]).unwrap();
            assert_eq!(hex::encode(fingerprint), identity.fingerprint(), "{identity:?}");
            let again = Identity::from_pem(&identity.to_pem().unwrap()).unwrap();
            assert_eq!(again.fingerprint(), identity.fingerprint(), "{identity:?}");
        }
    }

    #[test]
    fn tls_takes_every_kind_of_key_with_its_certificate() {
        let provider = rustls_graviola::default_provider();
        for identity in identities() {
            let (chain, key) = identity.for_tls().unwrap();
            let certified = rustls::sign::CertifiedKey::from_der(chain, key, &provider).unwrap();
            assert!(certified.keys_match().is_ok(), "{identity:?}");
        }
    }

    #[test]
    fn endorsements_are_made_with_the_kinds_of_keys_that_they_know() {
        let app = crate::deployed_claims(&crate::Deployment {
            name: "hello".parse().unwrap(),
            owner: [1; 32],
            code_hash: [2; 32],
            assets: None,
            settings: Default::default(),
        });
        let app = app.unwrap();
        let statement = endorsement_statement(&app.endorsement_hash().unwrap());
        let [p256, p384, ed25519] = identities();
        for identity in [p256, ed25519] {
            let endorsement = identity.endorse(&app).unwrap();
            let fingerprint = identity.key.fingerprint();
            assert_eq!(verify_endorsements(&statement, &[endorsement], 1, &[fingerprint]), Ok(()));
        }
        assert!(matches!(p384.endorse(&app), Err(IdentityError::CannotEndorse)));
    }

    #[test]
    fn keys_are_named_in_debug_and_not_shown() {
        let identity = Identity::generate_for(KeyAlgorithm::Ed25519).unwrap();
        assert_eq!(format!("{identity:?}"), "Identity { key: Ed25519 }");
    }

    #[test]
    fn what_is_not_a_key_is_an_error() {
        assert!(matches!(Identity::from_pem(""), Err(IdentityError::Pem)));
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Identity::from_pem(certificate), Err(IdentityError::Pem)));
        let other_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(Identity::from_pem(other_key), Err(IdentityError::Key(KeyError::Malformed))));
    }
}
