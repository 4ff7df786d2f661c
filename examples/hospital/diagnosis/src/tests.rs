//! What needs no enclave: the committed model says what was recorded when it was trained, and the texts are as the README has them.

use serde::Deserialize;

use crate::chance::Chance;
use crate::model::{FEATURES, NAMES};
use crate::{Diagnosis, Measure, PatientRecord, check, measures, risk, statement};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Patient {
    name: String,
    parts_per_million: u32,
    measures: std::collections::BTreeMap<String, Recorded>,
}

#[derive(Clone, Copy, Deserialize)]
struct Recorded {
    mean: f64,
    error: f64,
}

fn patients() -> Vec<Patient> {
    serde_json::from_str(include_str!("../../patients.json")).unwrap()
}

fn measured(patient: &Patient) -> [Measure; FEATURES] {
    NAMES.map(|name| {
        let Recorded { mean, error } = patient.measures[name];
        Measure { mean, error }
    })
}

fn record() -> PatientRecord {
    let measure = |mean| Measure { mean, error: 0.5 };
    PatientRecord {
        name: "Ada".to_owned(),
        nonce: vec![7; 32],
        radius: measure(1.0),
        texture: measure(2.0),
        smoothness: measure(3.0),
        concave_points: measure(4.0),
        symmetry: measure(5.0),
    }
}

#[test]
fn the_model_says_what_was_recorded() {
    let patients = patients();
    assert!(patients.len() >= 3);
    for patient in &patients {
        let risk = risk::assess(&measured(patient), 2_000, &mut Chance::new());
        assert_eq!(risk.probability, patient.parts_per_million, "{}", patient.name);
        assert!(risk.low < risk.probability && risk.probability < risk.high, "{}: {risk:?}", patient.name);
    }
}

#[test]
fn without_errors_only_the_model_is_in_doubt() {
    let measures = measured(&patients()[0]);
    let exact = measures.map(|measure| Measure { error: 0.0, ..measure });
    let mut chance = Chance::new();
    let (wide, narrow) =
        (risk::assess(&measures, 2_000, &mut chance), risk::assess(&exact, 2_000, &mut chance));
    assert!(narrow.high - narrow.low < wide.high - wide.low, "{narrow:?}, {wide:?}");
}

#[test]
fn draws_are_normal() {
    let mut chance = Chance::new();
    let drawn: Vec<f64> = (0..20_000).map(|_| chance.normal()).collect();
    let mean = drawn.iter().sum::<f64>() / 20_000.0;
    let variance = drawn.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 20_000.0;
    assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.1, "{mean}, {variance}");
    assert!(drawn.iter().all(|value| value.is_finite()));
}

#[test]
fn records_are_in_the_models_order() {
    assert_eq!(measures(&record()).map(|measure| measure.mean), [1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(NAMES, ["radius", "texture", "smoothness", "concave-points", "symmetry"]);
}

#[test]
fn what_is_hashed_and_signed_is_as_documented() {
    let nonce = "07".repeat(32);
    assert_eq!(
        statement::of_record(&record()),
        format!(
            "cloister hospital record 1\nnonce {nonce}\nname 416461\n\
             radius 3ff0000000000000 3fe0000000000000\ntexture 4000000000000000 3fe0000000000000\n\
             smoothness 4008000000000000 3fe0000000000000\nconcave-points 4010000000000000 3fe0000000000000\n\
             symmetry 4014000000000000 3fe0000000000000\n"
        )
    );
    let mut diagnosis = Diagnosis {
        record_hash: vec![0xab; 32],
        probability: 973_000,
        low: 900_000,
        high: 990_000,
        draws: 2_000,
        unusual: vec!["radius".to_owned(), "symmetry".to_owned()],
        reference: "1993.1".to_owned(),
        at: 1_800_000_000,
    };
    let record = "ab".repeat(32);
    assert_eq!(
        statement::of_diagnosis(&diagnosis),
        format!(
            "cloister hospital diagnosis 1\nrecord {record}\nprobability 973000\ninterval 900000 990000\n\
             draws 2000\nunusual radius symmetry\nreference 1993.1\nat 1800000000\n"
        )
    );
    diagnosis.unusual.clear();
    assert!(statement::of_diagnosis(&diagnosis).contains("\nunusual none\n"));
}

#[test]
fn what_is_no_record_is_refused() {
    assert_eq!(check(&record()), Ok(()));
    let mut short = record();
    short.nonce.pop();
    assert!(check(&short).unwrap_err().contains("32 bytes"));
    for value in [f64::NAN, f64::INFINITY, -1.0, 1e9] {
        let mut odd = record();
        odd.symmetry.error = value;
        assert!(check(&odd).unwrap_err().starts_with("symmetry"), "{value}");
    }
}
