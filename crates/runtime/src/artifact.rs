//! Compiled programs as bytes, so that a restart compiles nothing.
//!
//! An artifact is native code: whoever makes one decides what the enclave runs. So it says for which image, component
//! and engine it was made, it is kept where only the same image can have written it, and it is checked as a whole
//! before Wasmtime sees a byte of it. `docs/design/runtime.md` has the layout.

mod load;

pub(crate) use load::load;

use crate::DeployError;
use crate::program::Program;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;
use wasmtime::Engine;
use zeroize::Zeroizing;

/// What artifacts of one image are made and checked with. An artifact is as good as native code, so whoever has the key
/// can run any: it must never leave the enclave.
pub struct ArtifactSeal {
    image: [u8; 32],
    key: Zeroizing<[u8; 32]>,
}

impl ArtifactSeal {
    /// `image` names the image: its MRENCLAVE. `key` is a secret of this image alone.
    pub fn new(image: [u8; 32], key: Zeroizing<[u8; 32]>) -> Self {
        Self { image, key }
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::new_from_slice(self.key.as_slice()).expect("a key of 32 bytes");
        parts.iter().for_each(|part| mac.update(part));
        mac
    }
}

impl fmt::Debug for ArtifactSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArtifactSeal").finish_non_exhaustive()
    }
}

impl Program {
    /// The program as bytes that [`Runtime::restore`](crate::Runtime::restore) makes it of again: as large as
    /// [`code_bytes`](Self::code_bytes), and 160 bytes more.
    ///
    /// # Errors
    ///
    /// There is no memory for the bytes.
    pub fn artifact(&self, seal: &ArtifactSeal) -> Result<Artifact, ArtifactError> {
        let component = self.parts.pre.component();
        let code = component.serialize().map_err(|error| ArtifactError(format!("{error:#}")))?;
        let header = Header {
            image: seal.image,
            code_hash: self.parts.code_hash,
            engine: engine_hash(component.engine()),
            compile_time: self.parts.compile_time,
        };
        Ok(Artifact::new(&header, code, seal))
    }
}

/// A compiled program as bytes. It can be tens of megabytes, and is kept in parts so that it is not held twice.
pub struct Artifact {
    header: Vec<u8>,
    code: Vec<u8>,
    mac: [u8; 32],
}

impl Artifact {
    fn new(header: &Header, code: Vec<u8>, seal: &ArtifactSeal) -> Self {
        let header = header.encode(code.len());
        let mac = seal.mac(&[&header, &code]).finalize().into_bytes().into();
        Self { header, code, mac }
    }

    /// The bytes, in parts that follow each other.
    pub fn parts(&self) -> [&[u8]; 3] {
        [&self.header, &self.code, &self.mac]
    }
}

impl fmt::Debug for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Artifact").field("code", &self.code.len()).finish_non_exhaustive()
    }
}

/// What an artifact says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub image: [u8; 32],
    /// SHA-256 of the `.wasm`.
    pub code_hash: [u8; 32],
    pub engine: [u8; 32],
    pub compile_time: Duration,
}

impl Header {
    /// Opens an artifact: what it says of itself, and Wasmtime's part. All of it was written by a holder of the seal's key.
    pub(crate) fn open<'a>(
        artifact: &'a [u8],
        seal: &ArtifactSeal,
    ) -> Result<(Self, &'a [u8]), RestoreError> {
        let (sealed, mac) = artifact.split_last_chunk::<32>().ok_or(RestoreError::Damaged)?;
        let (magic, rest) = sealed.split_first_chunk().ok_or(RestoreError::Damaged)?;
        if magic != MAGIC {
            return Err(RestoreError::NotAnArtifact);
        }
        seal.mac(&[sealed]).verify_slice(mac).map_err(|_| RestoreError::Damaged)?;
        let (version, rest) = rest.split_first_chunk().ok_or(RestoreError::Damaged)?;
        let version = u64::from_le_bytes(*version);
        if version != VERSION {
            return Err(RestoreError::Version { found: version });
        }
        let (image, rest) = rest.split_first_chunk().ok_or(RestoreError::Damaged)?;
        let (code_hash, rest) = rest.split_first_chunk().ok_or(RestoreError::Damaged)?;
        let (engine, rest) = rest.split_first_chunk().ok_or(RestoreError::Damaged)?;
        let (micros, rest) = rest.split_first_chunk().ok_or(RestoreError::Damaged)?;
        let (length, code) = rest.split_first_chunk().ok_or(RestoreError::Damaged)?;
        if u64::from_le_bytes(*length) != code.len() as u64 {
            return Err(RestoreError::Damaged);
        }
        let compile_time = Duration::from_micros(u64::from_le_bytes(*micros));
        Ok((Self { image: *image, code_hash: *code_hash, engine: *engine, compile_time }, code))
    }

    /// Refuses what was made for another image, component or engine.
    pub(crate) fn check(
        &self,
        seal: &ArtifactSeal,
        code_hash: &[u8; 32],
        engine: &[u8; 32],
    ) -> Result<(), RestoreError> {
        if self.image != seal.image {
            return Err(RestoreError::OtherImage);
        }
        if self.code_hash != *code_hash {
            return Err(RestoreError::OtherComponent);
        }
        if self.engine != *engine {
            return Err(RestoreError::OtherEngine);
        }
        Ok(())
    }

    /// The bytes before Wasmtime's part, which has `code` bytes.
    fn encode(&self, code: usize) -> Vec<u8> {
        let micros = u64::try_from(self.compile_time.as_micros()).unwrap_or(u64::MAX);
        let (version, code) = (VERSION.to_le_bytes(), (code as u64).to_le_bytes());
        [MAGIC.as_slice(), &version, &self.image, &self.code_hash, &self.engine, &micros.to_le_bytes(), &code]
            .concat()
    }
}

/// Names the engine's version, target and settings: code of one engine runs in another of the same name.
pub(crate) fn engine_hash(engine: &Engine) -> [u8; 32] {
    let mut hasher = Digesting(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().into()
}

/// SHA-256 where a 64-bit hash could collide.
struct Digesting(Sha256);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest: [u8; 32] = self.0.clone().finalize().into();
        digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

/// A program could not be written as bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the compiled program cannot be written out: {0}")]
pub struct ArtifactError(String);

/// An artifact was not made into a program. Its component can be compiled again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("these bytes are not an artifact")]
    NotAnArtifact,
    #[error("the artifact has format {found}, and this image writes and reads format {VERSION}")]
    Version { found: u64 },
    #[error("the artifact is damaged, incomplete, or not this enclave's")]
    Damaged,
    #[error("the artifact was written by another image")]
    OtherImage,
    #[error("the artifact was compiled from another component")]
    OtherComponent,
    #[error("the artifact was compiled by another engine, or with other settings")]
    OtherEngine,
    #[error("the engine does not take the artifact: {0}")]
    Refused(String),
    /// The component itself is refused, as a deploy of it would be.
    #[error(transparent)]
    Component(#[from] DeployError),
}

const MAGIC: &[u8; 8] = b"CLOISTER";
/// Format of artifacts.
const VERSION: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> ArtifactSeal {
        ArtifactSeal::new([1; 32], Zeroizing::new([7; 32]))
    }

    fn artifact() -> Vec<u8> {
        Artifact::new(&header(), b"code".to_vec(), &seal()).parts().concat()
    }

    fn header() -> Header {
        Header {
            image: [1; 32],
            code_hash: [2; 32],
            engine: [3; 32],
            compile_time: Duration::from_micros(1_234_567),
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let artifact = artifact();
        assert_eq!(artifact.len(), 160 + 4);
        assert_eq!(Header::open(&artifact, &seal()), Ok((header(), b"code".as_slice())));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let artifact = artifact();
        for at in 0..artifact.len() {
            let mut flipped = artifact.clone();
            flipped[at] ^= 0x40;
            let expected = if at < MAGIC.len() { RestoreError::NotAnArtifact } else { RestoreError::Damaged };
            assert_eq!(Header::open(&flipped, &seal()), Err(expected), "byte {at}");
            assert!(Header::open(&artifact[..at], &seal()).is_err(), "cut at {at}");
        }
        let longer = [&artifact[..], &[0]].concat();
        assert_eq!(Header::open(&longer, &seal()), Err(RestoreError::Damaged));
    }

    #[test]
    fn another_key_is_no_key() {
        let artifact = artifact();
        let other = ArtifactSeal::new([1; 32], Zeroizing::new([8; 32]));
        assert_eq!(Header::open(&artifact, &other), Err(RestoreError::Damaged));
    }

    #[test]
    fn another_format_is_told_by_its_number() {
        let mut artifact = artifact();
        artifact[8] = 9;
        let end = artifact.len() - 32;
        let mac = seal().mac(&[&artifact[..end]]).finalize().into_bytes();
        artifact[end..].copy_from_slice(&mac);
        assert_eq!(Header::open(&artifact, &seal()), Err(RestoreError::Version { found: 9 }));
    }

    #[test]
    fn each_purpose_is_checked() {
        let (code_hash, engine, other) = ([2; 32], [3; 32], [9; 32]);
        let other_image = ArtifactSeal::new(other, Zeroizing::new([7; 32]));
        assert_eq!(header().check(&seal(), &code_hash, &engine), Ok(()));
        assert_eq!(header().check(&other_image, &code_hash, &engine), Err(RestoreError::OtherImage));
        assert_eq!(header().check(&seal(), &other, &engine), Err(RestoreError::OtherComponent));
        assert_eq!(header().check(&seal(), &code_hash, &other), Err(RestoreError::OtherEngine));
    }

    #[test]
    fn an_engine_has_one_name_and_another_engine_another() {
        let engine = || crate::engine::engine().unwrap();
        assert_eq!(engine_hash(&engine()), engine_hash(&engine()));
        assert_ne!(engine_hash(&engine()), engine_hash(&Engine::default()));
    }

    #[test]
    fn debug_output_has_no_key() {
        assert_eq!(format!("{:?}", seal()), "ArtifactSeal { .. }");
    }
}
