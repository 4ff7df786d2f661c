use crate::{HASH_LEN, KeyError, TlsKey, sha256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_api::{Endorsement, KeyFingerprint, MAX_ENDORSEMENTS};
use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, VerifyingKey};
use graviola::signing::eddsa::Ed25519VerifyingKey;

/// The bytes that keys sign to endorse an app: a domain, then its
/// [`endorsement_hash`](crate::AppClaims::endorsement_hash).
pub fn endorsement_statement(hash: &[u8; HASH_LEN]) -> Vec<u8> {
    [DOMAIN, hash].concat()
}

/// Checks that at least `threshold` of these keys signed the statement. `keys` are SHA-256 of each SubjectPublicKeyInfo. A key
/// counts once, and what other keys signed counts nothing.
///
/// # Errors
/// [`EndorsementError`], also where one of the keys is said to have signed and did not.
pub fn verify_endorsements(
    statement: &[u8],
    endorsements: &[Endorsement],
    threshold: u8,
    keys: &[[u8; HASH_LEN]],
) -> Result<(), EndorsementError> {
    if threshold == 0 {
        return Err(EndorsementError::Nothing);
    }
    if endorsements.len() > MAX_ENDORSEMENTS {
        return Err(EndorsementError::TooMany(endorsements.len()));
    }
    let mut signed = Vec::new();
    for (number, endorsement) in endorsements.iter().enumerate() {
        let key = bytes(&endorsement.key, MAX_KEY).ok_or(EndorsementError::Unreadable(number))?;
        let signature =
            bytes(&endorsement.signature, MAX_SIGNATURE).ok_or(EndorsementError::Unreadable(number))?;
        let fingerprint = sha256(&key);
        if !keys.contains(&fingerprint) || signed.contains(&fingerprint) {
            continue;
        }
        if !verifies(&key, statement, &signature) {
            return Err(EndorsementError::Signature(KeyFingerprint::from_hash(fingerprint)));
        }
        signed.push(fingerprint);
    }
    if signed.len() < usize::from(threshold) {
        return Err(EndorsementError::TooFew { found: signed.len(), threshold });
    }
    Ok(())
}

impl TlsKey {
    /// Endorses the app with this [`endorsement_hash`](crate::AppClaims::endorsement_hash).
    ///
    /// # Errors
    /// [`KeyError::Randomness`] where the generator fails.
    pub fn endorse(&self, hash: &[u8; HASH_LEN]) -> Result<Endorsement, KeyError> {
        let signature = self.signature(&endorsement_statement(hash))?;
        Ok(Endorsement {
            key: BASE64_STANDARD.encode(self.spki_der()),
            signature: BASE64_STANDARD.encode(signature),
        })
    }
}

/// Why endorsements are not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndorsementError {
    /// A threshold of zero would accept anything.
    #[error("a policy that takes no endorsement endorses nothing")]
    Nothing,
    /// More than a request may carry.
    #[error("{0} endorsements are more than the {MAX_ENDORSEMENTS} that a request may carry")]
    TooMany(usize),
    /// Not base64, or too long; which one, counted from 0.
    #[error("the key or the signature of endorsement {0} is not base64 of a key's or a signature's length")]
    Unreadable(usize),
    /// A listed key did not sign this.
    #[error(
        "the endorsement by the key {0} is not over this app, or not by this key: what is endorsed has to be the very same in code, \
         settings and owner"
    )]
    Signature(KeyFingerprint),
    /// Fewer than the policy takes.
    #[error("{found} of the listed keys endorsed this app, and {threshold} have to")]
    TooFew { found: usize, threshold: u8 },
}

/// Whether the key in this SubjectPublicKeyInfo, of one of the two kinds that endorse, signed the statement.
fn verifies(spki: &[u8], statement: &[u8], signature: &[u8]) -> bool {
    match spki.strip_prefix(P256_SPKI) {
        Some(point) => VerifyingKey::<P256>::from_x962_uncompressed(point)
            .is_ok_and(|key| key.verify_asn1::<Sha256>(&[statement], signature).is_ok()),
        None => {
            Ed25519VerifyingKey::from_spki_der(spki).is_ok_and(|key| key.verify(signature, statement).is_ok())
        }
    }
}

fn bytes(text: &str, limit: usize) -> Option<Vec<u8>> {
    // Base64 has four characters for three bytes.
    let decoded = (text.len() <= limit.div_ceil(3) * 4).then(|| BASE64_STANDARD.decode(text))?;
    decoded.ok().filter(|bytes| bytes.len() <= limit)
}

/// Longest SubjectPublicKeyInfo: P-256 keys have 91 bytes.
const MAX_KEY: usize = 128;
/// Longest signature: ECDSA on P-256 in DER has at most 72 bytes.
const MAX_SIGNATURE: usize = 128;
const DOMAIN: &[u8] = b"cloister endorsement v1\0";
/// SubjectPublicKeyInfo of a P-256 key up to its point (RFC 5480, section 2): id-ecPublicKey, secp256r1, a BIT STRING of 66
/// bytes without unused bits.
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;
    use graviola::signing::eddsa::Ed25519SigningKey;

    const HASH: [u8; 32] = [7; 32];

    #[test]
    fn the_statement_has_the_documented_layout() {
        assert_eq!(endorsement_statement(&HASH), [&b"cloister endorsement v1\0"[..], &[7; 32]].concat());
    }

    #[test]
    fn as_many_keys_as_the_policy_says_have_to_sign() {
        let [a, b, c] = keys();
        let listed = [a.fingerprint(), b.fingerprint(), c.fingerprint()];
        let endorsements = [a.endorse(&HASH).unwrap(), b.endorse(&HASH).unwrap()];
        assert_eq!(verify(&endorsements, 1, &listed), Ok(()));
        assert_eq!(verify(&endorsements, 2, &listed), Ok(()));
        assert_eq!(
            verify(&endorsements, 3, &listed),
            Err(EndorsementError::TooFew { found: 2, threshold: 3 })
        );
        assert_eq!(verify(&[], 1, &listed), Err(EndorsementError::TooFew { found: 0, threshold: 1 }));
    }

    #[test]
    fn a_key_counts_once() {
        let [a, b, _] = keys();
        let twice = [a.endorse(&HASH).unwrap(), a.endorse(&HASH).unwrap()];
        let listed = [a.fingerprint(), b.fingerprint()];
        assert_eq!(verify(&twice, 2, &listed), Err(EndorsementError::TooFew { found: 1, threshold: 2 }));
    }

    #[test]
    fn other_keys_count_nothing() {
        let [a, b, _] = keys();
        let endorsements = [b.endorse(&HASH).unwrap(), a.endorse(&HASH).unwrap()];
        assert_eq!(verify(&endorsements, 1, &[a.fingerprint()]), Ok(()));
        let few = Err(EndorsementError::TooFew { found: 1, threshold: 2 });
        assert_eq!(verify(&endorsements, 2, &[a.fingerprint()]), few);
    }

    #[test]
    fn a_signature_over_something_else_is_refused_by_name() {
        let [a, b, _] = keys();
        let listed = [a.fingerprint(), b.fingerprint()];
        let refused = Err(EndorsementError::Signature(KeyFingerprint::from_hash(a.fingerprint())));
        assert_eq!(verify(&[b.endorse(&HASH).unwrap(), a.endorse(&[8; 32]).unwrap()], 1, &listed), refused);
        // Another key's signature under a listed key's name.
        let forged = Endorsement { key: a.endorse(&HASH).unwrap().key, ..b.endorse(&HASH).unwrap() };
        assert_eq!(verify(&[forged], 1, &listed), refused);
    }

    #[test]
    fn an_ed25519_key_endorses_too() {
        let key = Ed25519SigningKey::generate().unwrap();
        let mut spki = [0; 64];
        let spki = key.public_key().to_spki_der(&mut spki).unwrap().to_vec();
        let with = |signature: [u8; 64]| Endorsement {
            key: BASE64_STANDARD.encode(&spki),
            signature: BASE64_STANDARD.encode(signature),
        };
        let mut signature = key.sign(&endorsement_statement(&HASH));
        assert_eq!(verify(&[with(signature)], 1, &[sha256(&spki)]), Ok(()));
        signature[0] ^= 1;
        let refused = EndorsementError::Signature(KeyFingerprint::from_hash(sha256(&spki)));
        assert_eq!(verify(&[with(signature)], 1, &[sha256(&spki)]), Err(refused));
    }

    #[test]
    fn what_is_no_key_signs_nothing() {
        let listed = [sha256(b"no key"), sha256(P256_SPKI)];
        for (key, fingerprint) in [(&b"no key"[..], listed[0]), (P256_SPKI, listed[1])] {
            let endorsement =
                Endorsement { key: BASE64_STANDARD.encode(key), signature: BASE64_STANDARD.encode([0; 64]) };
            let refused = EndorsementError::Signature(KeyFingerprint::from_hash(fingerprint));
            assert_eq!(verify(&[endorsement], 1, &listed), Err(refused));
        }
    }

    #[test]
    fn everything_is_bounded() {
        let [a, b, _] = keys();
        let good = a.endorse(&HASH).unwrap();
        let listed = [a.fingerprint(), b.fingerprint()];
        assert_eq!(verify(&vec![good.clone(); 16], 1, &listed), Ok(()));
        assert_eq!(verify(&vec![good.clone(); 17], 1, &listed), Err(EndorsementError::TooMany(17)));
        assert_eq!(verify(std::slice::from_ref(&good), 0, &listed), Err(EndorsementError::Nothing));
        for bad in ["?".to_owned(), BASE64_STANDARD.encode([0; 129])] {
            let key = Endorsement { key: bad.clone(), ..good.clone() };
            let signature = Endorsement { signature: bad, ..good.clone() };
            assert_eq!(verify(&[key], 1, &listed), Err(EndorsementError::Unreadable(0)));
            assert_eq!(verify(&[good.clone(), signature], 1, &listed), Err(EndorsementError::Unreadable(1)));
        }
    }

    fn verify(
        endorsements: &[Endorsement],
        threshold: u8,
        keys: &[[u8; 32]],
    ) -> Result<(), EndorsementError> {
        verify_endorsements(&endorsement_statement(&HASH), endorsements, threshold, keys)
    }

    fn keys() -> [TlsKey; 3] {
        std::array::from_fn(|_| TlsKey::generate().unwrap())
    }
}
