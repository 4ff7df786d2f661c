//! The file in which a soft platform keeps its secret, keys and certificates.
//!
//! ```text
//! offset  size  field
//!      0    16  magic "cloister softsgx"
//!     16     4  format version, little-endian: 1
//!     20     4  length of the body, little-endian
//!     24     n  body
//!   24+n    32  SHA-256 of everything before
//!
//! body:   32  platform secret
//!         16  PPID
//!       5×32  P-256 private keys: root, PCK CA, PCK, TCB signing, attestation (big-endian)
//!             four certificates in DER, each after its length (4, little-endian):
//!             root, PCK CA, PCK, TCB signing
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::{
    Error,
    keys::PlatformSecret,
    pki::{Certificates, Key, Keys, Validity},
};

/// Name of the file inside the state folder.
pub const FILE_NAME: &str = "soft-sgx.platform";

/// What the file holds.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) secret: PlatformSecret,
    pub(crate) ppid: [u8; 16],
    pub(crate) keys: Keys,
    pub(crate) certificates: Certificates,
}

impl State {
    /// Reads the platform in `folder`, or makes a new one there.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        if let Some(bytes) = read(&path)? {
            return decode(&path, &bytes);
        }
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        publish(folder, &path, &Self::generate()?.encode())?;
        // Another process may have published first: what lies there now is the platform.
        match read(&path)? {
            Some(bytes) => decode(&path, &bytes),
            None => Err(failed("read", &path)(io::ErrorKind::NotFound.into())),
        }
    }

    fn generate() -> Result<Self, Error> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut())?;
        let mut ppid = [0; 16];
        getrandom::fill(&mut ppid)?;
        let keys = Keys::generate()?;
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let validity = Validity { from: now - CLOCK_SLACK, until: now + LIFETIME };
        let certificates = keys.certify(&ppid, validity)?;
        Ok(Self { secret: PlatformSecret::new(*secret), ppid, keys, certificates })
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Reserved beforehand, so that no copy of the secrets stays behind in a grown buffer.
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_FILE_SIZE as usize));
        body.extend(self.secret.as_bytes());
        body.extend(self.ppid);
        let Keys { root, pck_ca, pck, tcb_signing, attestation } = &self.keys;
        for key in [root, pck_ca, pck, tcb_signing, attestation] {
            body.extend(key.scalar().iter());
        }
        let Certificates { root, pck_ca, pck, tcb_signing } = &self.certificates;
        for certificate in [root, pck_ca, pck, tcb_signing] {
            body.extend((certificate.len() as u32).to_le_bytes());
            body.extend(certificate);
        }
        let mut file = Zeroizing::new(Vec::with_capacity(HEADER_SIZE + body.len() + CHECKSUM_SIZE));
        file.extend(MAGIC);
        file.extend(VERSION.to_le_bytes());
        file.extend((body.len() as u32).to_le_bytes());
        file.extend(body.iter());
        let checksum = Sha256::digest(&*file);
        file.extend(checksum);
        file
    }
}

fn decode(path: &Path, file: &[u8]) -> Result<State, Error> {
    let damaged = |reason| Error::StateDamaged { path: path.to_owned(), reason };
    let mut header = Reader(file);
    if header.array::<16>() != Some(*MAGIC) {
        return Err(damaged("it does not begin as a platform file"));
    }
    let version = header.u32().ok_or(damaged("it ends early"))?;
    if version != VERSION {
        return Err(Error::StateVersion { path: path.to_owned(), found: version, supported: VERSION });
    }
    let length = header.u32().ok_or(damaged("it ends early"))? as usize;
    if file.len() != HEADER_SIZE + length + CHECKSUM_SIZE {
        return Err(damaged("its length is wrong"));
    }
    let (content, checksum) = file.split_at(HEADER_SIZE + length);
    if Sha256::digest(content)[..] != *checksum {
        return Err(damaged("its checksum does not match"));
    }
    decode_body(&content[HEADER_SIZE..]).ok_or(damaged("its content does not parse"))
}

fn decode_body(body: &[u8]) -> Option<State> {
    let mut reader = Reader(body);
    let secret = Zeroizing::new(reader.array::<32>()?);
    let ppid = reader.array()?;
    let mut key = || Key::from_scalar(&Zeroizing::new(reader.array::<32>()?));
    let keys = Keys { root: key()?, pck_ca: key()?, pck: key()?, tcb_signing: key()?, attestation: key()? };
    let mut certificate = || {
        let length = reader.u32()? as usize;
        reader.take(length).map(<[u8]>::to_vec)
    };
    let certificates = Certificates {
        root: certificate()?,
        pck_ca: certificate()?,
        pck: certificate()?,
        tcb_signing: certificate()?,
    };
    reader.0.is_empty().then(|| State { secret: PlatformSecret::new(*secret), ppid, keys, certificates })
}

/// Writes a complete file under a name of its own, then links it to `path` unless one is there.
fn publish(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix)?;
    let temporary = Temporary(folder.join(format!(".{FILE_NAME}.{}", hex::encode(suffix))));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary.0)
        .map_err(failed("create", &temporary.0))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", &temporary.0))?;
    match fs::hard_link(&temporary.0, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed("create", path)(error)),
        _ => File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder)),
    }
}

/// A file that goes away with the value.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // A leftover is harmless: its name is never read.
        let _ = fs::remove_file(&self.0);
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_SIZE as usize + 1));
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    Ok(Some(bytes))
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::State { action, path: path.to_owned(), source }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }
}

const MAGIC: &[u8; 16] = b"cloister softsgx";
const VERSION: u32 = 1;
const HEADER_SIZE: usize = 24;
const CHECKSUM_SIZE: usize = 32;
const MAX_FILE_SIZE: u64 = 64 * 1024;
/// Certificates hold from a day before they were made, for verifiers whose clocks are behind.
const CLOCK_SLACK: Duration = Duration::days(1);
const LIFETIME: Duration = Duration::days(30 * 365);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_second_open_finds_the_first_platform() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("a/b");
        let first = State::open(&nested).unwrap();
        let second = State::open(&nested).unwrap();
        assert_eq!(*first.encode(), *second.encode());
        let mode = fs::metadata(nested.join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&nested).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn two_folders_are_two_platforms() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, b) = (State::open(a.path()).unwrap(), State::open(b.path()).unwrap());
        assert_ne!(a.secret.as_bytes(), b.secret.as_bytes());
        assert_ne!(a.certificates.root, b.certificates.root);
        assert_ne!(a.ppid, b.ppid);
    }

    #[test]
    fn starters_at_the_same_time_agree() {
        let folder = tempfile::tempdir().unwrap();
        let roots: Vec<_> = std::thread::scope(|scope| {
            let starters: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| State::open(folder.path()).unwrap().certificates.root))
                .collect();
            starters.into_iter().map(|starter| starter.join().unwrap()).collect()
        });
        assert!(roots.iter().all(|root| *root == roots[0]));
    }

    #[test]
    fn damage_anywhere_is_a_clear_error() {
        let folder = tempfile::tempdir().unwrap();
        State::open(folder.path()).unwrap();
        let path = folder.path().join(FILE_NAME);
        let good = fs::read(&path).unwrap();
        for offset in (0..good.len()).step_by(29).chain([good.len() - 1]) {
            let mut bad = good.clone();
            bad[offset] ^= 1;
            fs::write(&path, &bad).unwrap();
            let error = State::open(folder.path()).unwrap_err();
            assert!(
                matches!(error, Error::StateDamaged { .. } | Error::StateVersion { .. }),
                "offset {offset}: {error}"
            );
        }
        for length in [0, 15, 16, 23, 24, good.len() - 1] {
            fs::write(&path, &good[..length]).unwrap();
            assert!(matches!(State::open(folder.path()), Err(Error::StateDamaged { .. })), "{length} bytes");
        }
        fs::write(&path, vec![0; 1 << 20]).unwrap();
        assert!(matches!(State::open(folder.path()), Err(Error::StateDamaged { .. })));
    }

    #[test]
    fn another_version_is_named() {
        let folder = tempfile::tempdir().unwrap();
        State::open(folder.path()).unwrap();
        let path = folder.path().join(FILE_NAME);
        let mut file = fs::read(&path).unwrap();
        file[16] = 9;
        fs::write(&path, &file).unwrap();
        let error = State::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::StateVersion { found: 9, supported: 1, .. }), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = State::open(Path::new("/dev/null/platform")).unwrap_err();
        assert!(error.to_string().contains("/dev/null/platform"), "{error}");
    }
}
