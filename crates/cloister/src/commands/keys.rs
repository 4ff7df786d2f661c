//! Keys: `keygen`, and the fingerprints that `serve` is told to obey.

use crate::arguments::KeygenArguments;
use crate::failure::{Failure, FileAction};
use crate::output::Printer;
use crate::settings::default_key_path;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_api::KeyFingerprint;
use cloister_client::Identity;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a private key in a new file and prints its fingerprint.
pub(crate) fn keygen(arguments: &KeygenArguments, printer: &Printer) -> Result<(), Failure> {
    let path = match &arguments.out {
        Some(path) => path.clone(),
        None => default_key_path()?,
    };
    let identity = Identity::generate().map_err(|e| Failure::Internal(format!("cannot make a key: {e}")))?;
    let pem = identity.to_pem().map_err(|e| Failure::Internal(format!("cannot write a key: {e}")))?;
    write_new(&path, pem.as_bytes()).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Failure::Usage {
            what: format!("{} exists, and a key is never overwritten", path.display()),
            help: Some("name another file with --out, or move the old key away".to_owned()),
        },
        _ => Failure::File { action: FileAction::Create, path: path.clone(), source },
    })?;
    let fingerprint = fingerprint(&identity)?;
    let shown = path.display().to_string();
    printer.result(&json!({ "key": shown, "fingerprint": fingerprint }), || {
        if printer.quiet {
            format!("{fingerprint}\n")
        } else {
            format!("key          {shown}\nfingerprint  {fingerprint}\n")
        }
    })
}

/// The private key in a file.
pub(crate) fn identity(path: &Path) -> Result<Identity, Failure> {
    let pem = fs::read_to_string(path).map_err(|source| Failure::File {
        action: FileAction::Read,
        path: path.to_owned(),
        source,
    })?;
    Identity::from_pem(&pem).map_err(|error| Failure::Usage {
        what: format!("{} is not a private key: {error}", path.display()),
        help: Some("`cloister keygen` makes one: P-256, PKCS #8, PEM".to_owned()),
    })
}

/// The key that an `--owner` names: 64 hex digits, or a file with the private or public key in PEM.
pub(crate) fn owner(text: &str) -> Result<KeyFingerprint, Failure> {
    if let Ok(fingerprint) = text.parse() {
        return Ok(fingerprint);
    }
    let path = Path::new(text);
    let pem = fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Failure::Usage {
            what: format!("--owner '{text}' is neither a fingerprint nor a file"),
            help: Some("`cloister keygen` makes a key and prints its fingerprint, 64 hex digits".to_owned()),
        },
        _ => Failure::File { action: FileAction::Read, path: path.to_owned(), source },
    })?;
    match public_key(&pem) {
        Some(spki) => Ok(KeyFingerprint::from_hash(Sha256::digest(&spki).into())),
        None => fingerprint(&identity(path)?),
    }
}

fn fingerprint(identity: &Identity) -> Result<KeyFingerprint, Failure> {
    identity.fingerprint().parse().map_err(|_| Failure::Internal("a fingerprint that is none".to_owned()))
}

/// The SubjectPublicKeyInfo of a PEM file with the label PUBLIC KEY (RFC 7468, section 13).
fn public_key(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN PUBLIC KEY-----")?;
    let (body, _) = rest.split_once("-----END PUBLIC KEY-----")?;
    let text: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    STANDARD.decode(text).ok()
}

/// Writes a new file that only this user can read, from its first moment on.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_fingerprint_or_a_public_key() {
        let hex = "ab".repeat(32);
        assert_eq!(owner(&hex).unwrap().to_string(), hex);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("public.pem");
        fs::write(&path, "-----BEGIN PUBLIC KEY-----\nYW\nJj\n-----END PUBLIC KEY-----\n").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(owner(path.to_str().unwrap()).unwrap().to_string(), expected);
    }

    #[test]
    fn an_owner_may_be_a_private_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let identity = Identity::generate().unwrap();
        write_new(&path, identity.to_pem().unwrap().as_bytes()).unwrap();
        assert_eq!(owner(path.to_str().unwrap()).unwrap().to_string(), identity.fingerprint());
    }

    #[test]
    fn what_is_no_key_is_explained() {
        let failure = owner("/nonexistent/key").unwrap_err();
        assert!(failure.to_string().contains("neither a fingerprint nor a file"), "{failure}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        let failure = owner(path.to_str().unwrap()).unwrap_err();
        assert!(failure.to_string().contains("is not a private key"), "{failure}");
    }
}
