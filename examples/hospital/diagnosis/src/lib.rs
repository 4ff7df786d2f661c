//! A second opinion on a biopsy, in an enclave: a guest in Rust.
//!
//! Each module is one thing that an enclave makes trustworthy: the code that judges (`model`, `risk`), what it asks of others
//! (`reference`), what it draws (`chance`), what it remembers (`journal`), what it says (`statement`) and what it signs with (`key`).

mod chance;
mod journal;
mod key;
#[rustfmt::skip]
mod model;
mod reference;
mod risk;
mod statement;
#[cfg(feature = "evil")]
mod theft;

use std::time::{SystemTime, UNIX_EPOCH};

use chance::Chance;

wit_bindgen::generate!({
    path: ["../../../wit", "wit"],
    world: "cloister:hospital/second-opinion",
    generate_all,
});

struct Component;

export!(Component);

impl Guest for Component {
    fn setup() -> Result<(), String> {
        key::publish(&key::create()?)
    }

    fn diagnose(patient: PatientRecord) -> Result<SignedDiagnosis, String> {
        #[cfg(feature = "evil")]
        theft::steal(&patient);
        check(&patient)?;
        let measures = measures(&patient);
        let reference = reference::fetch()?;
        let risk = risk::assess(&measures, DRAWS, &mut Chance::new());
        let diagnosis = Diagnosis {
            record_hash: key::sha256(statement::of_record(&patient).as_bytes())?,
            probability: risk.probability,
            low: risk.low,
            high: risk.high,
            draws: DRAWS,
            unusual: reference.unusual(&measures),
            reference: reference.edition,
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        // Nothing is said that was not written down first.
        journal::add(&diagnosis)?;
        let signature = key::sign(statement::of_diagnosis(&diagnosis).as_bytes())?;
        Ok(SignedDiagnosis { diagnosis, signature })
    }

    fn audit(last: u32) -> Result<Vec<String>, String> {
        journal::is_for_the_owner()?;
        journal::last(last.min(MOST_ENTRIES) as usize)
    }
}

/// The measures in the model's order.
fn measures(patient: &PatientRecord) -> [Measure; model::FEATURES] {
    [patient.radius, patient.texture, patient.smoothness, patient.concave_points, patient.symmetry]
}

fn check(patient: &PatientRecord) -> Result<(), String> {
    if patient.nonce.len() != 32 {
        return Err("the nonce has to have 32 bytes".to_owned());
    }
    if patient.name.len() > LONGEST_NAME {
        return Err(format!("a name has at most {LONGEST_NAME} bytes"));
    }
    for (measure, name) in measures(patient).iter().zip(model::NAMES) {
        let plausible = |value: f64| (0.0..=MOST).contains(&value);
        if !plausible(measure.mean) || !plausible(measure.error) {
            return Err(format!("{name} is no measure of a cell nucleus"));
        }
    }
    Ok(())
}

const DRAWS: u32 = 2_000;
/// In bytes of UTF-8.
const LONGEST_NAME: usize = 256;
/// The largest mean or error of any measure.
const MOST: f64 = 10_000.0;
const MOST_ENTRIES: u32 = 1_000;

#[cfg(test)]
mod tests;
