//! Costs of decisions.

use serde::{Deserialize, Serialize};

/// Cost of each kind of decision. Correct decisions usually cost 0 or less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Cost of a positive row that counts as negative.
    pub false_negative: f64,
    /// Cost of a negative row that counts as positive.
    pub false_positive: f64,
    /// Cost of a positive row that counts as positive.
    pub true_positive: f64,
    /// Cost of a negative row that counts as negative.
    pub true_negative: f64,
}
