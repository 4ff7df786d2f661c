//! What is hashed and what is signed, as text in which nothing can be written in two ways. The README has it for verifiers.

use std::fmt::Write as _;

use crate::model::NAMES;
use crate::{Diagnosis, PatientRecord, measures};

/// The record. Numbers are the 64 bits of IEEE 754 in hexadecimal, so that no rounding makes two records one.
pub fn of_record(patient: &PatientRecord) -> String {
    let mut text = String::from("cloister hospital record 1\n");
    let _ = writeln!(text, "nonce {}", hex(&patient.nonce));
    let _ = writeln!(text, "name {}", hex(patient.name.as_bytes()));
    for (name, measure) in NAMES.iter().zip(measures(patient)) {
        let _ = writeln!(text, "{name} {:016x} {:016x}", measure.mean.to_bits(), measure.error.to_bits());
    }
    text
}

/// The diagnosis.
pub fn of_diagnosis(diagnosis: &Diagnosis) -> String {
    let Diagnosis { record_hash, probability, low, high, draws, unusual, reference, at } = diagnosis;
    let unusual = if unusual.is_empty() { "none".to_owned() } else { unusual.join(" ") };
    let record = hex(record_hash);
    format!(
        "cloister hospital diagnosis 1\nrecord {record}\nprobability {probability}\ninterval {low} {high}\ndraws {draws}\n\
         unusual {unusual}\nreference {reference}\nat {at}\n"
    )
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
