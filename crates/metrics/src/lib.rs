//! Metrics of predictions, as functions of plain slices that compute the same values as scikit-learn's functions.
//!
//! Predictions are the first argument and labels the second. Scores and probabilities may be `f32` or `f64`;
//! everything is computed in `f64`. If a result is undefined, for instance because a score is NaN, the function
//! returns an error ([`MetricError`]), not NaN.
//!
//! - [`accuracy`], [`ConfusionMatrix`] and [`top_k_accuracy`] measure predicted classes.
//! - [`roc_auc`] and [`pr_auc`] measure how well scores rank the rows; [`roc_auc_ovr_macro`] and
//!   [`pr_auc_ovr_macro`] do so for more than two classes.
//! - [`log_loss`], [`log_loss_multiclass`] and [`brier_score`] measure probabilities.
//! - [`Reliability`] compares probabilities with observed frequencies; [`Calibration`] corrects them.
//! - [`Cuts`] chooses the threshold above which a row counts as positive: by F-beta score, precision, false
//!   positive rate or cost.
//! - [`Decision`] contains a calibration and a threshold chosen with a [`Rule`]; it is stored with the model.
//! - [`RegressionReport`] measures predicted numbers.
//! - [`batch`] computes some of the metrics as tensors, so that they can be tracked during training.
//! - [`Report`] contains the usual metrics for a set of rows; [`bootstrap`] computes their confidence intervals.

mod agreement;
pub mod batch;
mod bootstrap;
mod brier;
mod calibrate;
mod calibration;
mod check;
mod confusion;
mod costs;
mod decision;
mod error;
mod log_loss;
mod quantile;
mod rank;
mod regression;
mod reliability;
mod report;
mod rule;
mod threshold;
mod top_k;

pub use agreement::{Average, Distance, Ratio};
pub use bootstrap::{Interval, bootstrap};
pub use brier::brier_score;
pub use calibrate::Calibrate;
pub use calibration::Calibration;
pub use confusion::{ConfusionMatrix, accuracy};
pub use costs::Costs;
pub use decision::{Chosen, Decision, LabelDecision};
pub use error::{CalibrationParameter, MetricError, RuleError};
pub use log_loss::{log_loss, log_loss_multiclass};
#[doc(hidden)]
pub use quantile::quantile;
pub use rank::{pr_auc, pr_auc_ovr_macro, roc_auc, roc_auc_ovr_macro};
pub use regression::RegressionReport;
pub use reliability::{Bin, Bins, Reliability};
pub use report::Report;
pub use rule::Rule;
pub use threshold::{Cut, Cuts};
pub use top_k::top_k_accuracy;

#[cfg(test)]
mod fixtures;
