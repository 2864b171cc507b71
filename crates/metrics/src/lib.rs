//! How good predictions are: functions of plain slices, each equal to scikit-learn's of the same name.
//!
//! Predictions come first and labels second. Scores and probabilities may be `f32` or `f64`; everything is computed in
//! `f64`. What has no answer, such as a NaN among the scores, is an error and not a number.
//!
//! - [`accuracy`] and [`ConfusionMatrix`] judge decisions: class numbers; [`top_k_accuracy`] lets a model have several
//!   tries.
//! - [`roc_auc`] and [`pr_auc`] judge the order of scores; [`roc_auc_ovr_macro`] and [`pr_auc_ovr_macro`] do for many
//!   classes.
//! - [`log_loss`] and [`log_loss_multiclass`] judge probabilities.
//! - [`brier_score`] and [`Reliability`] tell whether probabilities come true; [`Calibration`] makes them do so.
//! - [`Cuts`] chooses the threshold from which a row counts as positive: by F-beta, precision, false alarms or costs.
//! - [`Decision`] holds a calibration and a threshold chosen by a [`Rule`]: it is stored with the model.
//! - [`RegressionReport`] judges numbers.
//! - [`batch`] has some of them as tensors, to be tracked while a model trains.
//! - [`Report`] holds the usual ones for one set of rows; [`bootstrap`] says how sure any of them is.

mod agreement;
pub mod batch;
mod bootstrap;
mod brier;
mod calibration;
mod check;
mod confusion;
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
pub use calibration::Calibration;
pub use confusion::{ConfusionMatrix, accuracy};
pub use decision::{Calibrate, Chosen, Decision, LabelDecision};
pub use error::{CalibrationParameter, MetricError, RuleError};
pub use log_loss::{log_loss, log_loss_multiclass};
#[doc(hidden)]
pub use quantile::quantile;
pub use rank::{pr_auc, pr_auc_ovr_macro, roc_auc, roc_auc_ovr_macro};
pub use regression::RegressionReport;
pub use reliability::{Bin, Bins, Reliability};
pub use report::Report;
pub use rule::Rule;
pub use threshold::{Costs, Cut, Cuts};
pub use top_k::top_k_accuracy;

#[cfg(test)]
mod fixtures;
