//! How good predictions are: functions of plain slices, each equal to scikit-learn's of the same name.
//!
//! Predictions come first and labels second. Scores and probabilities may be `f32` or `f64`; everything is computed in
//! `f64`. What has no answer, such as a NaN among the scores, is an error and not a number.
//!
//! - [`accuracy`] and [`ConfusionMatrix`] judge decisions: class numbers.
//! - [`roc_auc`] and [`pr_auc`] judge the order of scores; [`roc_auc_ovr_macro`] and [`pr_auc_ovr_macro`] do for many
//!   classes.
//! - [`log_loss`] and [`log_loss_multiclass`] judge probabilities.
//! - [`Report`] holds all of them for one set of rows.

mod check;
mod confusion;
mod log_loss;
mod rank;
mod report;

pub use confusion::{ConfusionMatrix, accuracy};
pub use log_loss::{log_loss, log_loss_multiclass};
pub use rank::{pr_auc, pr_auc_ovr_macro, roc_auc, roc_auc_ovr_macro};
pub use report::Report;

#[cfg(test)]
mod fixtures;
