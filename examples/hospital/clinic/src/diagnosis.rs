use crate::HospitalError;
use graviola::hashing::{Hash as _, Sha256};
use graviola::signing::ecdsa::{P256, VerifyingKey};
use serde::{Deserialize, Serialize};

/// `diagnosis` of `diagnosis/wit/world.wit`, which says what the fields mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Diagnosis {
    pub record_hash: Vec<u8>,
    pub probability: u32,
    pub low: u32,
    pub high: u32,
    pub draws: u32,
    pub unusual: Vec<String>,
    pub reference: String,
    pub at: u64,
}

impl Diagnosis {
    /// What is signed. The README of the example has this text too.
    pub fn statement(&self) -> String {
        let Self { record_hash, probability, low, high, draws, unusual, reference, at } = self;
        let unusual = if unusual.is_empty() { "none".to_owned() } else { unusual.join(" ") };
        let record = hex::encode(record_hash);
        format!(
            "cloister hospital diagnosis 1\nrecord {record}\nprobability {probability}\ninterval {low} {high}\n\
             draws {draws}\nunusual {unusual}\nreference {reference}\nat {at}\n"
        )
    }
}

/// A diagnosis and its signature, as the app answered. Nothing is known of it yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedDiagnosis {
    pub diagnosis: Diagnosis,
    /// ECDSA P-256 with SHA-256, in DER.
    pub signature: Vec<u8>,
}

impl SignedDiagnosis {
    /// The diagnosis, if this key signed it, and for this record.
    ///
    /// # Errors
    /// [`HospitalError::Signature`], [`HospitalError::OtherRecord`]
    pub fn verified(&self, key: &PublicKey, record_hash: &[u8; 32]) -> Result<&Diagnosis, HospitalError> {
        key.verify(self.diagnosis.statement().as_bytes(), &self.signature)?;
        if self.diagnosis.record_hash != record_hash {
            return Err(HospitalError::OtherRecord);
        }
        Ok(&self.diagnosis)
    }
}

/// The public half of the key that signs diagnoses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
}

impl PublicKey {
    /// The key in a DER SubjectPublicKeyInfo (RFC 5480).
    ///
    /// # Errors
    /// [`HospitalError::Key`] where it is not one of a P-256 key with its point uncompressed.
    pub fn from_spki_der(spki: Vec<u8>) -> Result<Self, HospitalError> {
        let key = Self { spki };
        key.point().map(|_| ())?;
        Ok(key)
    }

    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn fingerprint(&self) -> String {
        hex::encode(Sha256::hash(&self.spki).as_ref())
    }

    /// Whether it is a signature of this message by this key.
    ///
    /// # Errors
    /// [`HospitalError::Signature`]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), HospitalError> {
        self.point()?.verify_asn1::<Sha256>(&[message], signature).map_err(|_| HospitalError::Signature)
    }

    fn point(&self) -> Result<VerifyingKey<P256>, HospitalError> {
        let point = self.spki.strip_prefix(&P256_HEAD).ok_or(HospitalError::Key)?;
        VerifyingKey::from_x962_uncompressed(point).map_err(|_| HospitalError::Key)
    }
}

/// What every SubjectPublicKeyInfo of a P-256 key begins with, in DER: its length, the algorithm id-ecPublicKey, the curve
/// secp256r1 (RFC 5480, section 2.1.1), and the head of a bit string of 65 bytes, the uncompressed point.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;
    use graviola::signing::ecdsa::SigningKey;

    struct Signer(SigningKey<P256>);

    impl Signer {
        fn new() -> Self {
            Self(SigningKey::generate().unwrap())
        }

        fn public(&self) -> PublicKey {
            PublicKey::from_spki_der(self.0.to_spki_der(&mut [0; 128]).unwrap().to_vec()).unwrap()
        }

        fn sign(&self, diagnosis: Diagnosis) -> SignedDiagnosis {
            let mut buffer = [0; 128];
            let signature = self
                .0
                .sign_asn1::<Sha256>(&[diagnosis.statement().as_bytes()], &mut buffer)
                .unwrap()
                .to_vec();
            SignedDiagnosis { diagnosis, signature }
        }
    }

    fn diagnosis() -> Diagnosis {
        Diagnosis {
            record_hash: vec![0xab; 32],
            probability: 973_000,
            low: 900_000,
            high: 990_000,
            draws: 2_000,
            unusual: vec!["radius".into(), "symmetry".into()],
            reference: "1993.1".into(),
            at: 1_800_000_000,
        }
    }

    /// The same text is in a test of the component.
    #[test]
    fn the_statement_is_the_documented_text() {
        let text = format!(
            "cloister hospital diagnosis 1\nrecord {}\nprobability 973000\ninterval 900000 990000\n\
             draws 2000\nunusual radius symmetry\nreference 1993.1\nat 1800000000\n",
            "ab".repeat(32)
        );
        assert_eq!(diagnosis().statement(), text);
        let none = Diagnosis { unusual: Vec::new(), ..diagnosis() };
        assert!(none.statement().contains("\nunusual none\n"));
    }

    #[test]
    fn what_was_signed_verifies_and_nothing_else() {
        let (signer, other) = (Signer::new(), Signer::new());
        let signed = signer.sign(diagnosis());
        assert_eq!(signed.verified(&signer.public(), &[0xab; 32]).unwrap(), &diagnosis());
        let refused = signed.verified(&other.public(), &[0xab; 32]);
        assert!(matches!(refused, Err(HospitalError::Signature)), "{refused:?}");
        let refused = signed.verified(&signer.public(), &[0xac; 32]);
        assert!(matches!(refused, Err(HospitalError::OtherRecord)), "{refused:?}");
        let mut changed = signed.clone();
        changed.diagnosis.probability = 1;
        let refused = changed.verified(&signer.public(), &[0xab; 32]);
        assert!(matches!(refused, Err(HospitalError::Signature)), "{refused:?}");
    }

    #[test]
    fn what_is_no_p256_key_is_refused() {
        let good = Signer::new().public().spki_der().to_vec();
        let off_the_curve = [&good[..90], &[good[90] ^ 1]].concat();
        for bad in [&[][..], &good[..90], &[&good[..], &[0]].concat(), &off_the_curve] {
            assert!(matches!(PublicKey::from_spki_der(bad.to_vec()), Err(HospitalError::Key)));
        }
    }
}
