//! Errors of settings of a trainer, a learning-rate search or a report.

use super::fix::TrainFix;
use super::text::{Say, Text};

/// Error: a setting is missing, outside its range, or contradicts another setting.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum TrainSettingError {
    /// The trainer has no optimizer.
    NoOptimizer,
    /// Gradients are to be accumulated over 0 batches.
    NoBatches,
    /// Binary targets are set, but the data set does not have two classes.
    BinaryTargets {
        /// Names of the classes.
        classes: Vec<String>,
    },
    /// The trainer has no schedule whose state could be restored.
    NoSchedule,
    /// The optimizer has no learning rate to search for.
    NoLearningRate,
    /// A learning-rate search is not possible, because the schedule sets the learning rate in every step.
    ScheduleSetsRate,
    /// The first learning rate of a search is not positive, or the last is not larger or is infinite.
    Rates {
        /// First rate.
        from: f64,
        /// Last rate.
        to: f64,
    },
    /// A learning-rate search has fewer than two updates.
    Updates {
        /// Number of updates.
        updates: usize,
    },
    /// The smoothing of a learning-rate search is outside its range: at least 0 and below 1.
    Smoothing {
        /// Weight of earlier losses in the smoothed loss.
        smoothing: f64,
    },
    /// The factor that ends a learning-rate search is not above 1. A search ends when the loss exceeds its lowest
    /// value so far times this factor.
    Divergence {
        /// The factor.
        factor: f64,
    },
    /// The confidence of an interval is not between 0 and 1.
    Confidence {
        /// The confidence.
        confidence: f64,
    },
    /// The data set has too many columns to measure their importance.
    TooManyFeatures {
        /// Number of columns.
        features: usize,
        /// Largest number of columns whose importance is measured.
        most: usize,
    },
}

impl Text for TrainSettingError {
    fn text(&self) -> String {
        match self {
            Self::NoOptimizer => "there is no optimizer".into(),
            Self::NoBatches => "an update needs at least one batch".into(),
            Self::BinaryTargets { classes } => {
                format!("binary targets need 2 classes, but there are {}: {}", classes.len(), classes.join(", "))
            }
            Self::NoSchedule => "there is no schedule to restore".into(),
            Self::NoLearningRate => "this optimizer has no learning rate to be found".into(),
            Self::ScheduleSetsRate => "the schedule sets the rate in every step".into(),
            Self::Rates { from, to } => format!("rates from {from} to {to} do not grow: give 0 < from < to"),
            Self::Updates { updates } => format!("{updates} updates are too few: give at least 2"),
            Self::Smoothing { smoothing } => {
                format!("the smoothing must be at least 0 and below 1, not {smoothing}")
            }
            Self::Divergence { factor } => format!("a loss diverges by a factor above 1, not {factor}"),
            Self::Confidence { confidence } => {
                format!("the confidence must be between 0 and 1, such as 0.95, not {confidence}")
            }
            Self::TooManyFeatures { features, most } => format!(
                "the importance of {features} features is not measured, as that takes too long: at most {most} are"
            ),
        }
    }

    fn fixes(&self, say: Say<'_>) -> Vec<String> {
        let fix = match self {
            Self::NoOptimizer => TrainFix::Optimizer,
            Self::NoBatches => TrainFix::Accumulate(1),
            Self::BinaryTargets { classes } => TrainFix::ClassTargets { classes: classes.len() },
            Self::NoSchedule => TrainFix::Schedule,
            Self::ScheduleSetsRate => TrainFix::FindRateFirst,
            _ => return vec![],
        };
        vec![say(&fix)]
    }
}
