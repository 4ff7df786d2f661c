//! How likely it is malignant, and how far to trust that.

use crate::Measure;
use crate::chance::Chance;
use crate::model::{CENTER, ENSEMBLE, FEATURES, MODEL, SCALE, Weights};

/// In parts per million.
#[derive(Debug, PartialEq, Eq)]
pub struct Risk {
    /// Of the means, by the model.
    pub probability: u32,
    /// Of 95 of 100 draws.
    pub low: u32,
    pub high: u32,
}

/// Each draw is what another sample of the same cells might have given, judged by a model that other patients might have given: the
/// interval covers the errors of the measures and those of the model. The measures' errors are drawn as if independent, which they
/// are not quite.
pub fn assess(measures: &[Measure; FEATURES], draws: u32, chance: &mut Chance) -> Risk {
    let mut drawn: Vec<u32> = (0..draws)
        .map(|_| {
            let model = &ENSEMBLE[chance.below(ENSEMBLE.len())];
            probability(model, measures.map(|measure| measure.mean + measure.error * chance.normal()))
        })
        .collect();
    drawn.sort_unstable();
    let quantile = |share: f64| drawn[((drawn.len() - 1) as f64 * share).round() as usize];
    Risk {
        probability: probability(&MODEL, measures.map(|measure| measure.mean)),
        low: quantile(0.025),
        high: quantile(0.975),
    }
}

fn probability(model: &Weights, values: [f64; FEATURES]) -> u32 {
    let mut log_odds = model.intercept;
    for (at, value) in values.iter().enumerate() {
        log_odds += model.weights[at] * (value - CENTER[at]) / SCALE[at];
    }
    (1e6 / (1.0 + (-log_odds).exp())).round() as u32
}
