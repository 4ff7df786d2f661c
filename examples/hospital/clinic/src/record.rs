use graviola::hashing::{Hash as _, Sha256};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// A patient in `patients.json`: a row of the data set, under a name that is made up.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Patient {
    pub name: String,
    /// Which row.
    pub row: u32,
    /// What the data set says it was.
    pub malignant: bool,
    /// What the model has to say.
    pub parts_per_million: u32,
    pub measures: Measures,
}

impl Patient {
    /// Those that the training wrote down.
    ///
    /// # Panics
    /// Never: a test reads them.
    pub fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("../../patients.json")).expect("the file is part of this crate")
    }
}

/// A measure of a sample's cell nuclei: its mean, and the standard error of that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    pub mean: f64,
    pub error: f64,
}

/// What the microscope said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Measures {
    pub radius: Measure,
    pub texture: Measure,
    pub smoothness: Measure,
    pub concave_points: Measure,
    pub symmetry: Measure,
}

/// What is sent to the enclave: `patient-record` of `diagnosis/wit/world.wit`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatientRecord {
    pub name: String,
    /// 32 random bytes: without them, whoever can guess a record could recognise its hash.
    pub nonce: Vec<u8>,
    #[serde(flatten)]
    pub measures: Measures,
}

impl PatientRecord {
    /// The record of a patient, to be sent once.
    ///
    /// # Errors
    /// [`graviola::Error`] where the system has no randomness.
    pub fn new(patient: &Patient) -> Result<Self, graviola::Error> {
        let mut nonce = vec![0; 32];
        graviola::random::fill(&mut nonce)?;
        Ok(Self { name: patient.name.clone(), nonce, measures: patient.measures.clone() })
    }

    /// How a diagnosis names the record. The README of the example has the text that is hashed.
    pub fn hash(&self) -> [u8; 32] {
        let Measures { radius, texture, smoothness, concave_points, symmetry } = &self.measures;
        let mut text = format!(
            "cloister hospital record 1\nnonce {}\nname {}\n",
            hex::encode(&self.nonce),
            hex::encode(&self.name)
        );
        for (name, Measure { mean, error }) in [
            ("radius", radius),
            ("texture", texture),
            ("smoothness", smoothness),
            ("concave-points", concave_points),
            ("symmetry", symmetry),
        ] {
            let _ = writeln!(text, "{name} {:016x} {:016x}", mean.to_bits(), error.to_bits());
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(Sha256::hash(text.as_bytes()).as_ref());
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patients_are_three_and_differ() {
        let patients = Patient::all();
        assert_eq!(patients.len(), 3);
        let hashes: Vec<_> =
            patients.iter().map(|patient| PatientRecord::new(patient).unwrap().hash()).collect();
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    }

    /// The same text is in a test of the component.
    #[test]
    fn the_hash_is_of_the_documented_text() {
        let measure = |mean| Measure { mean, error: 0.5 };
        let measures = Measures {
            radius: measure(1.0),
            texture: measure(2.0),
            smoothness: measure(3.0),
            concave_points: measure(4.0),
            symmetry: measure(5.0),
        };
        let record = PatientRecord { name: "Ada".into(), nonce: vec![7; 32], measures };
        let text = format!(
            "cloister hospital record 1\nnonce {}\nname 416461\n\
             radius 3ff0000000000000 3fe0000000000000\ntexture 4000000000000000 3fe0000000000000\n\
             smoothness 4008000000000000 3fe0000000000000\nconcave-points 4010000000000000 3fe0000000000000\n\
             symmetry 4014000000000000 3fe0000000000000\n",
            "07".repeat(32)
        );
        assert_eq!(record.hash(), Sha256::hash(text.as_bytes()).as_ref());
    }

    #[test]
    fn two_requests_for_one_patient_have_two_hashes() {
        let patient = &Patient::all()[0];
        let hash = || PatientRecord::new(patient).unwrap().hash();
        assert_ne!(hash(), hash());
    }
}
