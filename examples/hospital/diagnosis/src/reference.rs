//! Reference ranges of a medical API: what benign masses measure.
//!
//! The request is the same for every patient, so that not even the API learns whom it is about.

use std::collections::BTreeMap;
use std::env;

use serde::Deserialize;

use crate::Measure;
use crate::model::{FEATURES, NAMES};
use crate::privasys::enclave_os::https::{self, Method, Request};

/// What the API answers.
#[derive(Deserialize)]
pub struct Reference {
    /// Letters, digits, dots.
    pub edition: String,
    ranges: BTreeMap<String, Range>,
}

#[derive(Deserialize)]
struct Range {
    low: f64,
    high: f64,
}

impl Reference {
    /// The names of those measures that are outside their range.
    pub fn unusual(&self, measures: &[Measure; FEATURES]) -> Vec<String> {
        let named = NAMES.iter().zip(measures);
        let outside = named.filter(|(name, measure)| {
            self.ranges.get(**name).is_some_and(|range| !(range.low..=range.high).contains(&measure.mean))
        });
        outside.map(|(name, _)| (*name).to_owned()).collect()
    }

    fn parse(body: &[u8]) -> Result<Self, String> {
        let reference: Self = serde_json::from_slice(body)
            .map_err(|error| format!("the reference ranges cannot be understood: {error}"))?;
        let edition = reference.edition.as_bytes();
        // It becomes a word of what is signed.
        if !(1..=32).contains(&edition.len())
            || !edition.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.')
        {
            return Err("the reference ranges are of an edition without a proper name".to_owned());
        }
        if let Some(missing) = NAMES.iter().find(|name| !reference.ranges.contains_key(**name)) {
            return Err(format!("the reference ranges lack {missing}"));
        }
        Ok(reference)
    }
}

/// Asks the API that the app was deployed with.
pub fn fetch() -> Result<Reference, String> {
    let api = env::var("MEDICAL_API").map_err(|_| "the app was deployed without MEDICAL_API".to_owned())?;
    let request = Request {
        method: Method::Get,
        url: format!("{api}/v1/reference-ranges"),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
        body: None,
        ratls: None,
        // The app's own roots: those of `--roots`.
        ca_roots_der: None,
    };
    let response = https::fetch(&request).map_err(|error| format!("no reference ranges: {error}"))?;
    match response.status {
        200 => Reference::parse(&response.body),
        status => Err(format!("no reference ranges: the medical API answered {status}")),
    }
}
