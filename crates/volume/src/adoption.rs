//! Handing a volume from one enclave image to another: the volume's key leaves one mount, and lets another image's mount in.

use std::fmt;

use zeroize::Zeroizing;

use cloister_tee::random;

use crate::error::{MountError, VolumeError};
use crate::keys::{Cipher, Key};
use crate::layout::{Block, Header, WRAPPED_AT, array_at};
use crate::sealing::SealingKey;
use crate::volume::Volume;

/// The key of one volume, for the image that it is handed to. It opens everything in the volume and in every copy of it.
pub struct VolumeKey {
    volume: [u8; 16],
    key: Key,
}

impl VolumeKey {
    /// Of the volume with this identifier.
    pub fn new(volume: [u8; 16], key: Zeroizing<[u8; 32]>) -> VolumeKey {
        VolumeKey { volume, key }
    }

    /// The volume's identifier.
    pub fn volume(&self) -> [u8; 16] {
        self.volume
    }

    /// The key itself.
    pub fn bytes(&self) -> &Zeroizing<[u8; 32]> {
        &self.key
    }

    /// Seals the key for this image's own mount of the volume. `from` is the MRENCLAVE of the image that handed it over.
    ///
    /// # Errors
    /// The sealing key's; no randomness.
    pub fn adoption(&self, from: [u8; 32], sealing: &dyn SealingKey) -> Result<Adoption, MountError> {
        let mut bytes = [0; Adoption::LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.volume);
        bytes[32..64].copy_from_slice(&from);
        random(&mut bytes[64..SEALED_AT]).map_err(VolumeError::from)?;
        let mut sealed = Zeroizing::new(**self.bytes());
        let (id, nonce) = (array_at(&bytes, 64), array_at(&bytes, 96));
        let tag =
            Cipher::new(&*sealing.sealing_key(&id)?).seal_with(&nonce, &bytes[..SEALED_AT], &mut *sealed);
        bytes[SEALED_AT..TAG_AT].copy_from_slice(&*sealed);
        bytes[TAG_AT..].copy_from_slice(&tag);
        Ok(Adoption { bytes })
    }
}

impl fmt::Debug for VolumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VolumeKey").field("volume", &self.volume).finish_non_exhaustive()
    }
}

/// A volume's key, sealed by one image for its own first mount of the volume. To everybody else it says which volume it is
/// for and who handed it over, and no more.
///
/// | bytes | |
/// |---|---|
/// | 0..8 | `CLOISADO` |
/// | 8..12 | version: 1 |
/// | 12..16 | 0 |
/// | 16..32 | the volume's identifier |
/// | 32..64 | MRENCLAVE of the image that handed the key over |
/// | 64..96 | key identifier for `EGETKEY`, random |
/// | 96..108 | nonce, random |
/// | 108..140 | the volume key, sealed with AES-128-GCM; authenticated with it: bytes 0..108 |
/// | 140..156 | tag of that |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    bytes: [u8; Adoption::LEN],
}

impl Adoption {
    /// Bytes.
    pub const LEN: usize = 156;

    /// What [`bytes`](Self::bytes) gave.
    ///
    /// # Errors
    /// [`NotAnAdoption`] for whatever does not begin as one, or has another length.
    pub fn parse(bytes: &[u8]) -> Result<Adoption, NotAnAdoption> {
        let bytes: [u8; Adoption::LEN] = bytes.try_into().map_err(|_| NotAnAdoption)?;
        let is_ours = bytes[..8] == MAGIC && bytes[8..12] == VERSION.to_le_bytes() && bytes[12..16] == [0; 4];
        if is_ours { Ok(Adoption { bytes }) } else { Err(NotAnAdoption) }
    }

    /// As a file keeps it.
    pub fn bytes(&self) -> &[u8; Adoption::LEN] {
        &self.bytes
    }

    /// The identifier of the volume that it is for.
    pub fn volume(&self) -> [u8; 16] {
        array_at(&self.bytes, 16)
    }

    /// MRENCLAVE of the image that handed the key over.
    pub fn from(&self) -> [u8; 32] {
        array_at(&self.bytes, 32)
    }

    /// The key, for the image that sealed it.
    ///
    /// # Errors
    /// [`MountError::AdoptionOfAnother`] for other images; the sealing key's.
    pub(crate) fn open(&self, sealing: &dyn SealingKey) -> Result<Key, MountError> {
        let mut key: Key = Zeroizing::new(array_at(&self.bytes, SEALED_AT));
        let (id, nonce) = (array_at(&self.bytes, 64), array_at(&self.bytes, 96));
        Cipher::new(&*sealing.sealing_key(&id)?)
            .open_with(&nonce, &self.bytes[..SEALED_AT], &mut *key, &array_at(&self.bytes, TAG_AT))
            .map_err(|_| MountError::AdoptionOfAnother)?;
        Ok(key)
    }
}

/// The bytes are not those of an [`Adoption`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a sealed volume key, as an image that takes a volume over makes it")]
pub struct NotAnAdoption;

impl Volume {
    /// The volume's key, to be handed to another image. `sealing` is what the volume was mounted with.
    ///
    /// # Errors
    /// [`MountError::WrongKey`] where it is not; the sealing key's.
    pub fn key(&self, sealing: &dyn SealingKey) -> Result<VolumeKey, MountError> {
        let header = &self.inner.header;
        Ok(VolumeKey { volume: header.volume, key: unwrap(header, sealing)? })
    }

    /// MRENCLAVE of every other image that ever held this volume's key, in the order in which they first handed it on. Whoever
    /// trusts what is in the volume trusts these, too.
    pub fn lineage(&self) -> Vec<[u8; 32]> {
        self.inner.lock().durable.body.lineage.clone()
    }
}

/// Wraps a volume's key by the sealing key: under a new identifier and nonce each time.
///
/// # Errors
/// The sealing key's; no randomness.
pub(crate) fn wrap(volume: [u8; 16], key: &Key, sealing: &dyn SealingKey) -> Result<Header, MountError> {
    let mut header = Header {
        volume,
        sealing_key: [0; 32],
        wrap_nonce: [0; 12],
        wrapped: [0; 32],
        wrap_tag: [0; 16],
        key: [0; 12],
        counter: 0,
        tag: [0; 16],
    };
    for field in [&mut header.sealing_key[..], &mut header.wrap_nonce] {
        random(field).map_err(VolumeError::from)?;
    }
    let plain = authenticated(&header);
    let mut wrapped = Zeroizing::new(**key);
    let wrapping = Cipher::new(&*sealing.sealing_key(&header.sealing_key)?);
    header.wrap_tag = wrapping.seal_with(&header.wrap_nonce, &plain[..WRAPPED_AT], &mut *wrapped);
    header.wrapped = *wrapped;
    Ok(header)
}

/// The volume's key, where the header was wrapped by this sealing key.
///
/// # Errors
/// [`MountError::WrongKey`] where it was not; the sealing key's.
pub(crate) fn unwrap(header: &Header, sealing: &dyn SealingKey) -> Result<Key, MountError> {
    let mut key = Zeroizing::new(header.wrapped);
    let wrapping = sealing.sealing_key(&header.sealing_key)?;
    Cipher::new(&*wrapping)
        .open_with(&header.wrap_nonce, &authenticated(header)[..WRAPPED_AT], &mut *key, &header.wrap_tag)
        .map_err(|_| MountError::WrongKey)?;
    Ok(key)
}

/// A block that begins as the superblock does.
fn authenticated(header: &Header) -> Block {
    let mut block = [0; crate::BLOCK];
    header.encode(&mut block);
    block
}

const MAGIC: [u8; 8] = *b"CLOISADO";
const VERSION: u32 = 1;
const SEALED_AT: usize = 108;
const TAG_AT: usize = 140;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealing::SealingError;

    struct Image(u8);

    impl SealingKey for Image {
        fn sealing_key(&self, key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
            let mut key = Zeroizing::new([self.0; 16]);
            key.iter_mut().zip(key_id).for_each(|(key, id)| *key ^= id);
            Ok(key)
        }
    }

    fn key() -> VolumeKey {
        VolumeKey::new([1; 16], Zeroizing::new([2; 32]))
    }

    #[test]
    fn the_image_that_sealed_it_opens_it_and_no_other() {
        let adoption = key().adoption([3; 32], &Image(4)).unwrap();
        assert_eq!((adoption.volume(), adoption.from()), ([1; 16], [3; 32]));
        assert_eq!(*adoption.open(&Image(4)).unwrap(), [2; 32]);
        assert_eq!(adoption.open(&Image(5)), Err(MountError::AdoptionOfAnother));
        assert!(!adoption.bytes().windows(32).any(|window| window == [2; 32]), "the key is in the clear");
        assert_ne!(adoption, key().adoption([3; 32], &Image(4)).unwrap(), "each time another key and nonce");
    }

    #[test]
    fn one_that_was_changed_in_any_bit_is_refused() {
        let adoption = key().adoption([3; 32], &Image(4)).unwrap();
        assert_eq!(Adoption::parse(adoption.bytes()), Ok(adoption));
        for bit in 0..Adoption::LEN * 8 {
            let mut bytes = *adoption.bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let opened = Adoption::parse(&bytes).map(|adoption| adoption.open(&Image(4)));
            assert!(
                matches!(opened, Err(NotAnAdoption) | Ok(Err(MountError::AdoptionOfAnother))),
                "bit {bit}"
            );
        }
        assert_eq!(Adoption::parse(&adoption.bytes()[1..]), Err(NotAnAdoption));
        assert_eq!(Adoption::parse(&[]), Err(NotAnAdoption));
    }

    #[test]
    fn a_wrapped_key_is_bound_to_image_and_volume() {
        let header = wrap([1; 16], key().bytes(), &Image(4)).unwrap();
        assert_eq!(*unwrap(&header, &Image(4)).unwrap(), [2; 32]);
        assert_eq!(unwrap(&header, &Image(5)), Err(MountError::WrongKey));
        let other = Header { volume: [9; 16], ..header };
        assert_eq!(unwrap(&other, &Image(4)), Err(MountError::WrongKey));
    }

    #[test]
    fn a_key_is_never_shown() {
        let text = format!("{:?}", VolumeKey::new([1; 16], Zeroizing::new([77; 32])));
        assert!(!text.contains("77"), "{text}");
    }
}
