//! The model: written by `train.py`, not by hand.
//!
//! A logistic regression of five standardised means: the probability that an aspirate is malignant.
//!
//! Trained on the 569 rows of the Breast Cancer Wisconsin (Diagnostic) data set, https://doi.org/10.24432/C5DW2B,
//! CC BY 4.0, as scikit-learn 1.9.1 carries it.
//!
//! 10-fold cross-validation, each row judged by a model that never saw it:
//!
//! - accuracy at 50 %: 0.938 (35 of 569 wrong)
//! - sensitivity: 0.896 (22 malignant ones missed)
//! - specificity: 0.964 (13 false alarms)
//! - area under the ROC curve: 0.985
//! - Brier score: 0.0442 (always saying 0.37 has 0.2338)
//!
//! | it said | rows | mean of what it said | malignant indeed |
//! |---|---|---|---|
//! | 0% to 2% | 211 | 0.6% | 0.5% |
//! | 2% to 10% | 80 | 4.6% | 3.8% |
//! | 10% to 30% | 43 | 16.7% | 16.3% |
//! | 30% to 70% | 57 | 48.5% | 43.9% |
//! | 70% to 90% | 17 | 82.2% | 94.1% |
//! | 90% to 98% | 38 | 94.3% | 97.4% |
//! | 98% to 100% | 123 | 99.6% | 100.0% |

/// How many measures the model sees.
pub const FEATURES: usize = 5;

/// Their names, in the order of everything below.
pub const NAMES: [&str; FEATURES] = ["radius", "texture", "smoothness", "concave-points", "symmetry"];

/// What is taken off each measure.
pub const CENTER: [f64; FEATURES] = [14.127292, 19.289649, 0.096360, 0.048919, 0.181162];

/// By what it is divided then.
pub const SCALE: [f64; FEATURES] = [3.520951, 4.297255, 0.014052, 0.038769, 0.027390];

/// Of the log-odds.
pub struct Weights {
    pub intercept: f64,
    pub weights: [f64; FEATURES],
}

/// Fitted to all rows.
pub const MODEL: Weights = Weights { intercept: -0.723455, weights: [2.631071, 1.338008, 0.525959, 2.384488, 0.416194] };

/// Fitted to as many rows each, drawn with replacement (bootstrap): how differently it might have come out.
#[rustfmt::skip]
pub const ENSEMBLE: [Weights; 40] = [
    Weights { intercept: -0.644393, weights: [2.786565, 1.454683, 0.694052, 2.316930, 0.001875] },
    Weights { intercept: -0.785173, weights: [1.936770, 1.541645, 0.488363, 3.259254, 0.273222] },
    Weights { intercept: -0.811933, weights: [2.730009, 1.369483, 0.529760, 2.090651, 0.506082] },
    Weights { intercept: -0.729826, weights: [2.096779, 1.322016, 0.611062, 2.606411, 0.292842] },
    Weights { intercept: -0.846833, weights: [2.103307, 1.435037, 0.424188, 3.092603, -0.029856] },
    Weights { intercept: -0.992168, weights: [2.893711, 1.594709, 0.633947, 2.269062, 0.406161] },
    Weights { intercept: -0.683315, weights: [2.765829, 1.328160, 0.670945, 2.114040, 0.435667] },
    Weights { intercept: -0.682084, weights: [2.218552, 1.494215, 0.549257, 2.420222, 0.347704] },
    Weights { intercept: -0.789682, weights: [2.117749, 0.959980, 0.180099, 2.520700, 0.673678] },
    Weights { intercept: -0.721043, weights: [2.820349, 1.333610, 0.398847, 2.107916, 0.653235] },
    Weights { intercept: -0.697365, weights: [2.550010, 1.560541, 0.628390, 2.860609, 0.032909] },
    Weights { intercept: -0.928949, weights: [3.385632, 1.504076, 0.425928, 2.291443, 0.495496] },
    Weights { intercept: -0.910381, weights: [2.856675, 1.251507, 0.348368, 2.483971, 0.263142] },
    Weights { intercept: -0.900642, weights: [3.184231, 1.640413, 1.013075, 2.127683, 0.568521] },
    Weights { intercept: -0.804751, weights: [2.659976, 1.358884, 0.394758, 2.145613, 0.411324] },
    Weights { intercept: -0.432885, weights: [2.629332, 1.342494, 0.459140, 3.177267, 0.025294] },
    Weights { intercept: -0.742724, weights: [2.885308, 1.407778, 0.507269, 1.919020, 0.568107] },
    Weights { intercept: -0.661546, weights: [2.050063, 1.338627, 0.272776, 3.406242, -0.150281] },
    Weights { intercept: -0.689959, weights: [2.182720, 1.021561, 0.564081, 2.587493, 0.171424] },
    Weights { intercept: -0.880305, weights: [3.094916, 1.453756, 0.760038, 2.088129, 0.561871] },
    Weights { intercept: -0.797101, weights: [2.437264, 1.097798, 0.483919, 2.592072, 0.307463] },
    Weights { intercept: -0.357909, weights: [2.740479, 1.542670, 0.650240, 2.947353, 0.189892] },
    Weights { intercept: -0.926754, weights: [2.463484, 1.444374, 0.481697, 2.476260, 0.444491] },
    Weights { intercept: -0.405123, weights: [2.902548, 1.454417, 0.619863, 2.270955, 0.429562] },
    Weights { intercept: -0.931976, weights: [2.170775, 1.086523, 0.203589, 2.568990, 0.388559] },
    Weights { intercept: -0.799929, weights: [2.386159, 1.303282, 0.531285, 3.049506, 0.364422] },
    Weights { intercept: -0.835779, weights: [2.472277, 1.498828, 0.668911, 3.080431, 0.466442] },
    Weights { intercept: -0.628996, weights: [3.113459, 1.496404, 0.499846, 2.280803, 0.510943] },
    Weights { intercept: -0.844464, weights: [2.696134, 1.339478, 0.460283, 2.292731, 0.554353] },
    Weights { intercept: -0.866781, weights: [3.043449, 1.999077, 0.921590, 2.264662, 0.446498] },
    Weights { intercept: -0.733148, weights: [2.957637, 1.361219, 0.344323, 2.495858, 0.882792] },
    Weights { intercept: -0.867436, weights: [2.754836, 1.474546, 0.640565, 2.590764, 0.235459] },
    Weights { intercept: -0.576889, weights: [3.127923, 1.439623, 0.827056, 2.162350, 0.526502] },
    Weights { intercept: -0.847567, weights: [2.696940, 1.266755, 0.285873, 2.483230, 0.322244] },
    Weights { intercept: -0.545063, weights: [2.718328, 1.156034, 0.701420, 2.220671, 0.248218] },
    Weights { intercept: -0.819124, weights: [3.074828, 1.686360, 1.022519, 2.032637, 0.054512] },
    Weights { intercept: -0.634448, weights: [2.900742, 1.315639, 0.622348, 1.882677, 0.485170] },
    Weights { intercept: -0.807339, weights: [2.911518, 1.325517, 0.794080, 1.921648, 0.376722] },
    Weights { intercept: -0.393756, weights: [2.941568, 1.447754, 0.320779, 2.288099, 0.760744] },
    Weights { intercept: -0.933017, weights: [2.789531, 1.216942, 0.398855, 2.734002, 0.428604] },
];
