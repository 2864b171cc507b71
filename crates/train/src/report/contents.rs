//! Contents of a report.

use std::time::SystemTime;

use wgrad_core::Result;

use super::importance::Importance;
use super::resample::{MetricInterval, intervals};
use super::scores::Scores;
use crate::history::TrackedNumber;
use wgrad_data::Seed;
use wgrad_metrics::Decision;

/// Statistics of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Epoch {
    pub loss: f64,
    pub validation_loss: Option<f64>,
    pub seconds: f64,
    pub tracked: Vec<TrackedNumber>,
}

/// Class counts of one part of the data, such as the training rows.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub name: String,
    pub classes: Vec<String>,
    /// Number of rows of each class, or their total weight if `weighted` is true.
    pub counts: Vec<f64>,
    pub weighted: bool,
}

/// Row of the table at the end of the page: a name and its value.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub name: String,
    pub value: String,
}

/// Data of a report.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    pub title: String,
    pub begun: Option<SystemTime>,
    pub history: Vec<Epoch>,
    pub rates: Vec<f64>,
    pub parts: Vec<Part>,
    pub validation: Option<Scores>,
    pub test: Option<Scores>,
    pub decision: Decision,
    pub importance: Vec<Importance>,
    pub notes: Vec<String>,
    pub facts: Vec<Fact>,
    pub model: String,
    pub plan: String,
    pub command: String,
    pub seed: Seed,
}

impl Contents {
    /// Returns the scores with which the page evaluates the model: those of the test rows if there are any,
    /// otherwise those of the validation rows.
    pub fn evaluated(&self) -> Option<&Scores> {
        self.test.as_ref().or(self.validation.as_ref())
    }

    /// Returns the metrics of the evaluated rows with their 95 % intervals. The list is empty if there are no
    /// rows.
    pub fn intervals(&self) -> Result<Vec<MetricInterval>> {
        self.evaluated().map_or(Ok(vec![]), |scores| intervals(scores, &self.decision, 0.95, self.seed))
    }
}
