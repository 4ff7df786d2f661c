use crate::keys::POINT_LEN;
use crate::{HASH_LEN, Volume, sha256};
use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, VerifyingKey};

/// Label of the TLS exporter (RFC 8446, section 7.5) whose value a binding covers. The exporter's context is the
/// nonce, its length 32 bytes.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-cloister-session-v1";

/// What ties evidence to one TLS session: a value that only the two ends of the session know, and the verifier's own
/// nonce. RFC 9261 binds its authenticators the same way.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionBinding {
    /// The exporter's value at this end of the session.
    pub exporter: [u8; 32],
    /// 32 random bytes that the verifier chose for this session.
    pub nonce: [u8; 32],
}

impl SessionBinding {
    /// The bytes that are signed: the domain, the exporter, the nonce, the SHA-256 of the encoded claims, and the state
    /// of the volume at this moment: whether there is one (1 byte, 0 or 1), its epoch (u64, big-endian) and its root,
    /// both zero where there is none.
    pub fn message(&self, claims: &[u8], volume: Option<Volume>) -> [u8; MESSAGE_LEN] {
        let mut message = [0; MESSAGE_LEN];
        let (present, Volume { epoch, root }) = match volume {
            None => ([0], Volume { epoch: 0, root: [0; HASH_LEN] }),
            Some(volume) => ([1], volume),
        };
        let parts: [&[u8]; 7] =
            [DOMAIN, &self.exporter, &self.nonce, &sha256(claims), &present, &epoch.to_be_bytes(), &root];
        let mut at = 0;
        for part in parts {
            message[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        message
    }

    /// Checks a signature over this binding by the session key that the claims name.
    ///
    /// # Errors
    /// [`InvalidBinding`]: the key is not a point of the curve, or the signature is not by it over this session,
    /// nonce, claims and state of the volume.
    pub fn verify(
        &self,
        claims: &[u8],
        volume: Option<Volume>,
        key: &[u8; POINT_LEN],
        signature: &[u8],
    ) -> Result<(), InvalidBinding> {
        let key = VerifyingKey::<P256>::from_x962_uncompressed(key).map_err(|_| InvalidBinding::Key)?;
        key.verify_asn1::<Sha256>(&[&self.message(claims, volume)], signature)
            .map_err(|_| InvalidBinding::Signature)
    }
}

/// The exporter is a secret of the session, so it is not shown.
impl std::fmt::Debug for SessionBinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBinding").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

/// A session binding does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBinding {
    /// The claims name no valid session key.
    #[error("the session key in the claims is not a point of P-256")]
    Key,
    /// The signature is not by the session key over this session.
    #[error(
        "the signature is not by the claimed session key over this session's exporter and nonce, these claims and this \
         state of the volume"
    )]
    Signature,
}

const DOMAIN: &[u8; 20] = b"cloister session v2\0";
const MESSAGE_LEN: usize = DOMAIN.len() + 32 + 32 + HASH_LEN + 1 + 8 + HASH_LEN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionKey;

    const BINDING: SessionBinding = SessionBinding { exporter: [1; 32], nonce: [2; 32] };
    const VOLUME: Volume = Volume { epoch: 0x102, root: [0x40; 32] };

    #[test]
    fn the_message_has_the_documented_layout() {
        let message = BINDING.message(b"abc", Some(VOLUME));
        assert_eq!(message.len(), 157);
        assert_eq!(&message[..20], b"cloister session v2\0");
        assert_eq!(message[20..52], [1; 32]);
        assert_eq!(message[52..84], [2; 32]);
        assert_eq!(message[84..116], sha256(b"abc"));
        assert_eq!(message[116], 1);
        assert_eq!(message[117..125], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(message[125..], [0x40; 32]);

        let none = BINDING.message(b"abc", None);
        assert_eq!(none[..116], message[..116]);
        assert_eq!(none[116..], [0; 41]);
    }

    #[test]
    fn a_signature_holds_for_its_session_alone() {
        let key = SessionKey::generate().unwrap();
        let signature = key.sign(&BINDING, b"claims", Some(VOLUME)).unwrap();
        assert_eq!(BINDING.verify(b"claims", Some(VOLUME), &key.public(), &signature), Ok(()));

        let other_session = SessionBinding { exporter: [9; 32], ..BINDING };
        let other_nonce = SessionBinding { nonce: [9; 32], ..BINDING };
        let other_key = SessionKey::generate().unwrap().public();
        let refused = Err(InvalidBinding::Signature);
        assert_eq!(other_session.verify(b"claims", Some(VOLUME), &key.public(), &signature), refused);
        assert_eq!(other_nonce.verify(b"claims", Some(VOLUME), &key.public(), &signature), refused);
        assert_eq!(BINDING.verify(b"other claims", Some(VOLUME), &key.public(), &signature), refused);
        assert_eq!(BINDING.verify(b"claims", Some(VOLUME), &other_key, &signature), refused);

        let zero = Volume { epoch: 0, root: [0; 32] };
        let other_volumes = [
            None,
            Some(zero),
            Some(Volume { epoch: 0x101, ..VOLUME }),
            Some(Volume { root: [9; 32], ..VOLUME }),
        ];
        for volume in other_volumes {
            assert_eq!(BINDING.verify(b"claims", volume, &key.public(), &signature), refused);
        }
    }

    #[test]
    fn no_volume_is_not_the_same_as_an_empty_one() {
        let key = SessionKey::generate().unwrap();
        let signature = key.sign(&BINDING, b"claims", None).unwrap();
        let zero = Volume { epoch: 0, root: [0; 32] };
        assert_eq!(BINDING.verify(b"claims", None, &key.public(), &signature), Ok(()));
        let refused = Err(InvalidBinding::Signature);
        assert_eq!(BINDING.verify(b"claims", Some(zero), &key.public(), &signature), refused);
    }

    #[test]
    fn every_flipped_bit_of_a_signature_is_refused() {
        let key = SessionKey::generate().unwrap();
        let signature = key.sign(&BINDING, b"claims", Some(VOLUME)).unwrap();
        for bit in 0..signature.len() * 8 {
            let mut bad = signature.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(BINDING.verify(b"claims", Some(VOLUME), &key.public(), &bad).is_err(), "bit {bit}");
        }
        assert!(BINDING.verify(b"claims", Some(VOLUME), &key.public(), &[]).is_err());
    }

    #[test]
    fn a_key_off_the_curve_is_refused() {
        assert_eq!(BINDING.verify(b"claims", Some(VOLUME), &[4; POINT_LEN], &[]), Err(InvalidBinding::Key));
        assert_eq!(BINDING.verify(b"claims", Some(VOLUME), &[0; POINT_LEN], &[]), Err(InvalidBinding::Key));
    }

    #[test]
    fn debug_output_hides_the_exporter() {
        assert!(!format!("{:?}", SessionBinding { exporter: [77; 32], nonce: [2; 32] }).contains("77"));
    }
}
