use cloister_platform::primitives::{Cipher, PublicKey, digest, hmac, hmac_verify};
use cloister_platform::{DigestAlgorithm, HmacAlgorithm, SignAlgorithm};

/// What an algorithm has to answer.
#[derive(Clone, Debug)]
pub(crate) enum Vector {
    Digest {
        algorithm: DigestAlgorithm,
        data: Vec<u8>,
        digest: Vec<u8>,
    },
    /// 1,000 digests after three seeds, each of the three before it.
    DigestChain {
        algorithm: DigestAlgorithm,
        seed: Vec<u8>,
        digest: Vec<u8>,
    },
    Code {
        algorithm: HmacAlgorithm,
        key: Vec<u8>,
        data: Vec<u8>,
        tag: Vec<u8>,
        is_valid: bool,
    },
    /// `plaintext` is none where the ciphertext is invalid.
    Ciphertext {
        key: [u8; 32],
        iv: [u8; 12],
        aad: Vec<u8>,
        plaintext: Option<Vec<u8>>,
        sealed: Vec<u8>,
    },
    Signature {
        algorithm: SignAlgorithm,
        point: Vec<u8>,
        data: Vec<u8>,
        signature: Vec<u8>,
        is_valid: bool,
    },
}

impl Vector {
    pub(crate) fn is_valid(&self) -> bool {
        match self {
            Self::Digest { .. } | Self::DigestChain { .. } => true,
            Self::Code { is_valid, .. } | Self::Signature { is_valid, .. } => *is_valid,
            Self::Ciphertext { plaintext, .. } => plaintext.is_some(),
        }
    }

    /// Whether the answer is the right one; the error is the vector.
    pub(crate) fn check(&self) -> Result<(), Self> {
        let is_right = match self {
            Self::Digest { algorithm, data, digest: expected } => digest(*algorithm, data) == *expected,
            Self::DigestChain { algorithm, seed, digest } => chain(*algorithm, seed) == *digest,
            Self::Code { algorithm, key, data, tag, is_valid } => {
                (hmac(*algorithm, key, data) == *tag) == *is_valid
                    && hmac_verify(*algorithm, key, data, tag) == *is_valid
            }
            Self::Ciphertext { key, iv, aad, plaintext, sealed } => {
                let cipher = Cipher::new(key);
                let opened = cipher.decrypt(iv, aad, sealed.clone()).ok();
                let sealed_again = plaintext.clone().map(|plaintext| cipher.encrypt(iv, aad, plaintext));
                opened == *plaintext && sealed_again.is_none_or(|again| again == *sealed)
            }
            Self::Signature { algorithm, point, data, signature, is_valid } => {
                let key = PublicKey::new(*algorithm, point);
                key.is_some_and(|key| key.verify(data, signature)) == *is_valid
            }
        };
        if is_right { Ok(()) } else { Err(self.clone()) }
    }

    /// The same with one byte changed, or with what is invalid said to be valid.
    pub(crate) fn broken(&self) -> Self {
        let mut broken = self.clone();
        match &mut broken {
            Self::Digest { digest: bytes, .. }
            | Self::DigestChain { digest: bytes, .. }
            | Self::Code { tag: bytes, is_valid: true, .. }
            | Self::Ciphertext { sealed: bytes, plaintext: Some(_), .. }
            | Self::Signature { signature: bytes, is_valid: true, .. } => {
                bytes.last_mut().into_iter().for_each(|byte| *byte ^= 1);
            }
            Self::Code { is_valid, .. } | Self::Signature { is_valid, .. } => *is_valid = true,
            Self::Ciphertext { plaintext, .. } => *plaintext = Some(Vec::new()),
        }
        broken
    }
}

/// The secure hash algorithm validation system, section 6.4.
fn chain(algorithm: DigestAlgorithm, seed: &[u8]) -> Vec<u8> {
    let mut last = [seed.to_vec(), seed.to_vec(), seed.to_vec()];
    for _ in 0..1_000 {
        let next = digest(algorithm, &last.concat());
        last.rotate_left(1);
        last[2] = next;
    }
    last[2].clone()
}
