//! Keys: `keygen`, and the fingerprints that `serve` is told to obey.

use crate::arguments::{AlgorithmChoice, KeygenArguments};
use crate::failure::{Failure, FileAction};
use crate::output::Printer;
use crate::settings::default_key_path;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloister_api::KeyFingerprint;
use cloister_client::{Identity, KeyAlgorithm};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Makes a private key in a new file and prints its fingerprint.
pub(crate) fn keygen(arguments: &KeygenArguments, printer: &Printer) -> Result<(), Failure> {
    let path = match &arguments.out {
        Some(path) => path.clone(),
        None => default_key_path()?,
    };
    let algorithm = match arguments.algorithm {
        AlgorithmChoice::P256 => KeyAlgorithm::P256,
        AlgorithmChoice::Ed25519 => KeyAlgorithm::Ed25519,
    };
    let identity = Identity::generate_for(algorithm)
        .map_err(|e| Failure::Internal(format!("cannot make a key: {e}")))?;
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
    let pem = fs::read_to_string(path).map(Zeroizing::new).map_err(|source| Failure::File {
        action: FileAction::Read,
        path: path.to_owned(),
        source,
    })?;
    Identity::from_pem(&pem).map_err(|error| Failure::Usage {
        what: format!("{} is not a private key: {error}", path.display()),
        help: Some("`cloister keygen` makes one: P-256 or Ed25519, PKCS #8, PEM".to_owned()),
    })
}

/// The key that an option such as `--owner` names: 64 hex digits, or a file with the private or public key in PEM.
pub(crate) fn named(option: &str, text: &str) -> Result<KeyFingerprint, Failure> {
    if let Ok(fingerprint) = text.parse() {
        return Ok(fingerprint);
    }
    let path = Path::new(text);
    let pem = fs::read_to_string(path).map(Zeroizing::new).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Failure::Usage {
            what: format!("{option} '{text}' is neither a fingerprint nor a file"),
            help: Some("`cloister keygen` makes a key and prints its fingerprint, 64 hex digits".to_owned()),
        },
        _ => Failure::File { action: FileAction::Read, path: path.to_owned(), source },
    })?;
    match public_key(&pem) {
        Some(spki) => Ok(KeyFingerprint::from_hash(Sha256::digest(&spki).into())),
        None => fingerprint(&identity(path)?),
    }
}

/// The token in a file, or on standard input where that is called `-`; white space around it is none of it.
pub(crate) fn token(path: &Path) -> Result<Zeroizing<String>, Failure> {
    /// Standard input can be read once, and a command may open several sessions.
    static FROM_STDIN: Mutex<Option<Zeroizing<String>>> = Mutex::new(None);
    if path != Path::new("-") {
        let file = fs::File::open(path);
        return read_token(path, file.map_err(|source| unreadable(path, source))?);
    }
    let mut read = FROM_STDIN.lock().unwrap_or_else(PoisonError::into_inner);
    match &*read {
        Some(token) => Ok(token.clone()),
        None => Ok(read.insert(read_token(path, io::stdin())?).clone()),
    }
}

fn read_token(path: &Path, from: impl Read) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_TOKEN_FILE as usize));
    from.take(MAX_TOKEN_FILE).read_to_string(&mut text).map_err(|source| unreadable(path, source))?;
    let token = Zeroizing::new(text.trim().to_owned());
    if token.is_empty() {
        return Err(Failure::usage(format!("there is no token in {}", path.display())));
    }
    Ok(token)
}

fn unreadable(path: &Path, source: io::Error) -> Failure {
    Failure::File { action: FileAction::Read, path: path.to_owned(), source }
}

/// Bytes of a file with a token: more than one may have.
const MAX_TOKEN_FILE: u64 = 32 << 10;

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
        assert_eq!(named("--owner", &hex).unwrap().to_string(), hex);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("public.pem");
        fs::write(&path, "-----BEGIN PUBLIC KEY-----\nYW\nJj\n-----END PUBLIC KEY-----\n").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(named("--owner", path.to_str().unwrap()).unwrap().to_string(), expected);
    }

    #[test]
    fn an_owner_may_be_a_private_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        let identity = Identity::generate().unwrap();
        write_new(&path, identity.to_pem().unwrap().as_bytes()).unwrap();
        assert_eq!(named("--owner", path.to_str().unwrap()).unwrap().to_string(), identity.fingerprint());
    }

    #[test]
    fn a_token_is_what_a_file_has_without_the_space_around_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, " a.b.c\n").unwrap();
        assert_eq!(token(&path).unwrap().as_str(), "a.b.c");
        fs::write(&path, "\n").unwrap();
        assert!(token(&path).unwrap_err().to_string().contains("no token"));
        assert!(token(&folder.path().join("gone")).is_err());
    }

    #[test]
    fn what_is_no_key_is_explained() {
        let failure = named("--owner", "/nonexistent/key").unwrap_err();
        assert!(failure.to_string().contains("neither a fingerprint nor a file"), "{failure}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        let failure = named("--owner", path.to_str().unwrap()).unwrap_err();
        assert!(failure.to_string().contains("is not a private key"), "{failure}");
    }
}
