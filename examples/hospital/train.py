"""Trains the hospital's model, and writes down how good it is.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python train.py

writes, beside this file and always the same bytes:

    diagnosis/src/model.rs   the model, with its accuracy and calibration in its first lines
    patients.json            rows of the data set as records, and what the model has to say to each
    reference-ranges.json    what the medical API serves

The data are the Breast Cancer Wisconsin (Diagnostic) data set, which scikit-learn carries: 569 fine needle aspirates of breast
masses, 357 benign and 212 malignant. W. Wolberg, O. Mangasarian, N. Street, W. Street (1993), UCI Machine Learning Repository,
https://doi.org/10.24432/C5DW2B, CC BY 4.0.

For each aspirate the data have the mean of ten measures of its cell nuclei, the standard error of that mean, and the mean of the three
largest. The model sees the means of five measures that say different things (perimeter and area follow from the radius). The
standard errors are not features: they say how far a mean would be off, had other cells been under the microscope.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

HERE = Path(__file__).resolve().parent

# As the data set calls them. In WIT and JSON spaces are hyphens.
FEATURES = ["radius", "texture", "smoothness", "concave points", "symmetry"]

SEED = 20_000
RESAMPLES = 40
FOLDS = 10
BINS = [0.0, 0.02, 0.1, 0.3, 0.7, 0.9, 0.98, 1.0]

# Names for the rows that are recorded. They are made up; the data set has none.
MALIGNANT, UNDECIDED, BENIGN = "Ada Example", "Ben Example", "Cleo Example"


def load():
    """Means, their standard errors, and 1 for malignant: the data set itself has 0 for malignant."""
    data = load_breast_cancer()
    names = list(data.feature_names)
    means = data.data[:, [names.index(f"mean {feature}") for feature in FEATURES]]
    errors = data.data[:, [names.index(f"{feature} error") for feature in FEATURES]]
    return means, errors, 1 - data.target


def fit(values, malignant, center, scale):
    """Intercept and weights of a logistic regression of standardised values."""
    model = LogisticRegression(C=1.0, solver="lbfgs", tol=1e-10, max_iter=10_000)
    model.fit((values - center) / scale, malignant)
    return np.concatenate([model.intercept_, model.coef_[0]])


def probability(weights, values, center, scale):
    return 1 / (1 + np.exp(-(weights[0] + ((values - center) / scale) @ weights[1:])))


def cross_validated(means, malignant):
    """For each row the probability by a model that never saw it, its preparation included."""
    answers = np.zeros(len(malignant))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(means, malignant):
        center, scale = means[train].mean(axis=0), means[train].std(axis=0)
        answers[test] = probability(fit(means[train], malignant[train], center, scale), means[test], center, scale)
    return answers


def resampled(means, malignant, center, scale):
    """The same model of other samples of as many rows, drawn with replacement: what another hospital's archive might have given."""
    random = np.random.default_rng(SEED)
    draws = (random.integers(len(malignant), size=len(malignant)) for _ in range(RESAMPLES))
    return [fit(means[rows], malignant[rows], center, scale) for rows in draws]


def report(malignant, answers):
    """How good it is, as lines of text."""
    said = answers >= 0.5
    sure = malignant == 1
    lines = [
        f"{FOLDS}-fold cross-validation, each row judged by a model that never saw it:",
        "",
        f"- accuracy at 50 %: {np.mean(said == sure):.3f} ({np.sum(said != sure)} of {len(sure)} wrong)",
        f"- sensitivity: {np.mean(said[sure]):.3f} ({np.sum(~said & sure)} malignant ones missed)",
        f"- specificity: {np.mean(~said[~sure]):.3f} ({np.sum(said & ~sure)} false alarms)",
        f"- area under the ROC curve: {roc_auc_score(malignant, answers):.3f}",
        f"- Brier score: {brier_score_loss(malignant, answers):.4f} (always saying {np.mean(sure):.2f} has "
        f"{np.mean(sure) * (1 - np.mean(sure)):.4f})",
        "",
        "| it said | rows | mean of what it said | malignant indeed |",
        "|---|---|---|---|",
    ]
    for low, high in zip(BINS, BINS[1:]):
        rows = (answers >= low) & ((answers < high) | (high == 1.0))
        said_here, true_here = answers[rows].mean(), malignant[rows].mean()
        lines.append(f"| {low:.0%} to {high:.0%} | {rows.sum()} | {said_here:.1%} | {true_here:.1%} |")
    return lines


def rust(weights):
    return "Weights { intercept: %.6f, weights: [%s] }" % (weights[0], numbers(weights[1:]))


def numbers(values):
    return ", ".join(f"{value:.6f}" for value in values)


def write_model(lines, rows, center, scale, weights, ensemble):
    documentation = "\n".join(f"//! {line}".rstrip() for line in [
        "The model: written by `train.py`, not by hand.",
        "",
        "A logistic regression of five standardised means: the probability that an aspirate is malignant.",
        "",
        f"Trained on the {rows} rows of the Breast Cancer Wisconsin (Diagnostic) data set, https://doi.org/10.24432/C5DW2B,",
        f"CC BY 4.0, as scikit-learn {sklearn.__version__} carries it.",
        "",
        *lines,
    ])
    body = f"""
/// How many measures the model sees.
pub const FEATURES: usize = {len(FEATURES)};

/// Their names, in the order of everything below.
pub const NAMES: [&str; FEATURES] = [{", ".join(f'"{name(feature)}"' for feature in FEATURES)}];

/// What is taken off each measure.
pub const CENTER: [f64; FEATURES] = [{numbers(center)}];

/// By what it is divided then.
pub const SCALE: [f64; FEATURES] = [{numbers(scale)}];

/// Of the log-odds.
pub struct Weights {{
    pub intercept: f64,
    pub weights: [f64; FEATURES],
}}

/// Fitted to all rows.
pub const MODEL: Weights = {rust(weights)};

/// Fitted to as many rows each, drawn with replacement (bootstrap): how differently it might have come out.
#[rustfmt::skip]
pub const ENSEMBLE: [Weights; {RESAMPLES}] = [
{chr(10).join(f"    {rust(member)}," for member in ensemble)}
];
"""
    (HERE / "diagnosis/src/model.rs").write_text(documentation + "\n" + body)


def name(feature):
    return feature.replace(" ", "-")


def write_patients(means, errors, malignant, answers):
    likely = np.where((malignant == 1) & (answers < 0.98), answers, 0)
    chosen = {
        MALIGNANT: np.argmax(likely),
        UNDECIDED: np.argmin(np.abs(answers - 0.5)),
        BENIGN: np.argmin(np.abs(answers - 0.02)),
    }
    patients = [
        {
            "name": patient,
            "row": int(row),
            "malignant": bool(malignant[row]),
            "parts-per-million": round(float(answers[row]) * 1e6),
            "measures": {
                name(feature): {"mean": float(means[row, at]), "error": float(errors[row, at])}
                for at, feature in enumerate(FEATURES)
            },
        }
        for patient, row in chosen.items()
    ]
    (HERE / "patients.json").write_text(json.dumps(patients, indent=2) + "\n")


def write_ranges(means, malignant):
    """The middle 95 % of the benign rows."""
    low, high = np.percentile(means[malignant == 0], [2.5, 97.5], axis=0)
    ranges = {
        name(feature): {"low": round(float(low[at]), 4), "high": round(float(high[at]), 4)}
        for at, feature in enumerate(FEATURES)
    }
    (HERE / "reference-ranges.json").write_text(json.dumps({"edition": "1993.1", "ranges": ranges}, indent=2) + "\n")


def main():
    means, errors, malignant = load()
    lines = report(malignant, cross_validated(means, malignant))
    print("\n".join(lines))
    # Rounded first: the last digits differ between machines, and the recorded answers are those of the numbers that are written.
    center, scale = means.mean(axis=0).round(6), means.std(axis=0).round(6)
    weights = fit(means, malignant, center, scale).round(6)
    ensemble = [member.round(6) for member in resampled(means, malignant, center, scale)]
    write_model(lines, len(malignant), center, scale, weights, ensemble)
    write_patients(means, errors, malignant, probability(weights, means, center, scale))
    write_ranges(means, malignant)


if __name__ == "__main__":
    main()
