use cloister_platform::{DigestAlgorithm, HmacAlgorithm, SignAlgorithm};

use super::responses::{Response, read};
use super::{Vector, Vectors};

pub(crate) fn digests() -> Vectors {
    let mut vectors = Vectors::default();
    for (name, algorithm) in DIGESTS {
        for length in ["Short", "Long"] {
            for response in read(&format!("hashes/SHA2/{name}{length}Msg.rsp")) {
                let mut data = response.bytes("Msg");
                // A message of no bytes is written as one.
                data.truncate(response.number("Len") / 8);
                vectors.vectors.push(Vector::Digest { algorithm, data, digest: response.bytes("MD") });
            }
        }
    }
    vectors
}

pub(crate) fn chains_of_digests() -> Vectors {
    let mut vectors = Vectors::default();
    for (name, algorithm) in DIGESTS {
        let responses = read(&format!("hashes/SHA2/{name}Monte.rsp"));
        let mut seed = responses[0].bytes("Seed");
        for response in &responses[1..] {
            let digest = response.bytes("MD");
            vectors.vectors.push(Vector::DigestChain { algorithm, seed, digest: digest.clone() });
            seed = digest;
        }
    }
    vectors
}

/// Of initialization vectors of 96 bits and tags of 128.
pub(crate) fn ciphertexts() -> Vectors {
    let mut vectors = Vectors::default();
    for file in ["gcmEncryptExtIV256", "gcmDecrypt256"] {
        for response in read(&format!("ciphers/AES/GCM/{file}.rsp")) {
            if !["Keylen = 256", "IVlen = 96", "Taglen = 128"].iter().all(|size| response.has_parameter(size))
            {
                vectors.left_out += 1;
                continue;
            }
            vectors.vectors.push(Vector::Ciphertext {
                key: response.bytes("Key").try_into().unwrap(),
                iv: response.bytes("IV").try_into().unwrap(),
                aad: response.bytes("AAD"),
                plaintext: response.value("FAIL").is_none().then(|| response.bytes("PT")),
                sealed: [response.bytes("CT"), response.bytes("Tag")].concat(),
            });
        }
    }
    vectors
}

/// Those to verify, and those to generate, which have to verify too.
pub(crate) fn signatures() -> Vectors {
    let mut vectors = Vectors::default();
    for file in ["SigVer.rsp", "SigGen.txt"] {
        for response in read(&format!("asymmetric/ECDSA/FIPS_186-3/{file}")) {
            let known = |(parameter, _): &&(&str, SignAlgorithm)| response.has_parameter(parameter);
            let Some((_, algorithm)) = SIGNATURES.iter().find(known) else {
                vectors.left_out += 1;
                continue;
            };
            vectors.vectors.push(Vector::Signature {
                algorithm: *algorithm,
                point: [vec![4], response.bytes("Qx"), response.bytes("Qy")].concat(),
                data: response.bytes("Msg"),
                signature: der(&response),
                is_valid: response.value("Result").is_none_or(|result| result.starts_with('P')),
            });
        }
    }
    vectors
}

/// Of RFC 4231, section 4, without the truncated one.
pub(crate) fn codes() -> Vectors {
    let mut vectors = Vectors::default();
    for (name, algorithm) in CODES {
        for response in read(&format!("HMAC/rfc-4231-{name}.txt")) {
            vectors.vectors.push(Vector::Code {
                algorithm,
                key: response.bytes("Key"),
                data: response.bytes("Msg"),
                tag: response.bytes("MD"),
                is_valid: true,
            });
        }
    }
    vectors
}

/// The two numbers of a signature as `ECDSA-Sig-Value` (RFC 3279, section 2.2.3). None is longer than 48 bytes.
fn der(response: &Response) -> Vec<u8> {
    let body = ["R", "S"].map(|name| {
        let number = response.bytes(name);
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let sign = if number[zeros] >= 0x80 { &[0][..] } else { &[] };
        let number = [sign, &number[zeros..]].concat();
        [vec![0x02, number.len() as u8], number].concat()
    });
    let body = body.concat();
    [vec![0x30, body.len() as u8], body].concat()
}

const DIGESTS: [(&str, DigestAlgorithm); 3] = [
    ("SHA256", DigestAlgorithm::Sha256),
    ("SHA384", DigestAlgorithm::Sha384),
    ("SHA512", DigestAlgorithm::Sha512),
];
const SIGNATURES: [(&str, SignAlgorithm); 2] =
    [("P-256,SHA-256", SignAlgorithm::EcdsaP256Sha256), ("P-384,SHA-384", SignAlgorithm::EcdsaP384Sha384)];
const CODES: [(&str, HmacAlgorithm); 3] = [
    ("sha256", HmacAlgorithm::HmacSha256),
    ("sha384", HmacAlgorithm::HmacSha384),
    ("sha512", HmacAlgorithm::HmacSha512),
];
