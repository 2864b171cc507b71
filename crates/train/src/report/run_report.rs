//! The report of a run.

use std::path::Path;
use std::time::SystemTime;

use wgrad_core::{DeviceInfo, Result};

use super::contents::{Contents, Epoch, Fact, Part};
use super::files::{Files, Plot};
use super::importance::Importance;
use super::resample::Measured;
use super::scores::Scores;
use super::slider::{Stops, stops};
use super::{curves, figures, page};
use crate::history::{EpochStats, History};
use wgrad_data::Seed;
use wgrad_metrics::Decision;

/// The report of a run; see [the module](super) for an example. Everything may be left out: what is not given is not shown.
///
/// The same things give the same bytes; only [`Self::begun`] and the history have times in them. Names may hold any text.
#[derive(Clone, Debug)]
#[must_use]
pub struct RunReport {
    contents: Contents,
}

impl RunReport {
    /// An empty report of this name.
    pub fn new(title: impl Into<String>) -> Self {
        Self { contents: Contents { title: title.into(), ..Contents::default() } }
    }

    /// When the run began: shown, and the first time of the event file (without it, 1970).
    pub fn begun(mut self, time: SystemTime) -> Self {
        self.contents.begun = Some(time);
        self
    }

    /// The epochs: curves, `metrics.csv` and events.
    pub fn history(mut self, history: &History) -> Self {
        let epochs = history.epochs.iter();
        let numbers = |epoch: &EpochStats| Epoch {
            loss: epoch.loss,
            validation_loss: epoch.validation_loss,
            seconds: epoch.seconds,
            tracked: epoch.numbers().collect(),
        };
        self.contents.history = epochs.clone().map(numbers).collect();
        self.contents.rates = epochs.map(|epoch| epoch.lr).collect::<Option<_>>().unwrap_or_default();
        self
    }

    /// The learning rate of each epoch, where the history does not know it or another one is meant.
    pub fn learning_rates(mut self, rates: impl IntoIterator<Item = f64>) -> Self {
        self.contents.rates = rates.into_iter().collect();
        self
    }

    /// How many rows of each class a part of the data has. Those of validation and test scores need not be told.
    pub fn part<C: AsRef<str>>(mut self, name: impl Into<String>, classes: &[C], counts: &[usize]) -> Self {
        let classes = classes.iter().map(|class| class.as_ref().to_string()).collect();
        let counts = counts.iter().map(|&count| count as f64).collect();
        self.contents.parts.push(Part { name: name.into(), classes, counts, weighted: false });
        self
    }

    /// What the rows of each class count for in the loss, where classes are weighted or drawn more often than others: rows
    /// times weight. The effective prevalence is a class's share of that.
    pub fn weighted_part<C: AsRef<str>>(mut self, name: impl Into<String>, classes: &[C], weights: &[f64]) -> Self {
        let classes = classes.iter().map(|class| class.as_ref().to_string()).collect();
        self.contents.parts.push(Part { name: name.into(), classes, counts: weights.to_vec(), weighted: true });
        self
    }

    /// What the model says about the rows that the decision was fitted on.
    pub fn validation(mut self, scores: Scores) -> Self {
        self.contents.validation = Some(scores);
        self
    }

    /// What the model says about the rows that it is judged on. Without them the page judges on the validation rows, and
    /// says so.
    pub fn test(mut self, scores: Scores) -> Self {
        self.contents.test = Some(scores);
        self
    }

    /// How logits become probabilities and classes; the default decision if not said.
    pub fn decision(mut self, decision: Decision) -> Self {
        self.contents.decision = decision;
        self
    }

    /// What features are worth; see [`permutation_importance`](super::permutation_importance).
    pub fn importance(mut self, importance: Vec<Importance>) -> Self {
        self.contents.importance = importance;
        self
    }

    /// Something that readers should know, such as what was not measured; shown at the top.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.contents.notes.push(note.into());
        self
    }

    /// A line of the table at the end: a name and what it is.
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.contents.facts.push(Fact { name: name.into(), value: value.into() });
        self
    }

    /// The device that trained: lines of the table at the end.
    pub fn device(self, info: &DeviceInfo) -> Self {
        let about = [
            ("device", &info.kind),
            ("adapter", &info.adapter),
            ("API", &info.api),
            ("driver", &info.driver),
            ("self-test of the driver", &info.self_test),
        ];
        about
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(self, |report, (name, value)| report.fact(name, value))
    }

    /// The layers, as text.
    pub fn model(mut self, text: impl Into<String>) -> Self {
        self.contents.model = text.into();
        self
    }

    /// The plan of the training step: `step.to_string()`.
    pub fn plan(mut self, text: impl Into<String>) -> Self {
        self.contents.plan = text.into();
        self
    }

    /// The command line that repeats the run.
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.contents.command = command.into();
        self
    }

    /// The seed of the resampled rows, from which the intervals come.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.contents.seed = seed;
        self
    }

    /// The metrics of the rows that the page judges on, with their 95 % intervals; none without rows.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn intervals(&self) -> Result<Vec<Measured>> {
        self.contents.intervals()
    }

    /// Returns the stops of the page's slider; none without rows, or with more than two classes.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn stops(&self) -> Result<Option<Stops>> {
        let Contents { decision, .. } = &self.contents;
        self.contents.judged().map_or(Ok(None), |scores| stops(scores, decision))
    }

    /// The page.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn html(&self) -> Result<String> {
        page::html(&self.contents)
    }

    /// Draws the plots.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn plots(&self) -> Result<Vec<Plot>> {
        let mut figures = page::figures(&self.contents)?;
        if let Some(scores) = self.contents.judged() {
            figures.extend(figures::confusion(scores, &self.contents.decision)?);
        }
        Ok(figures.iter().map(|figure| Plot { name: format!("{}.svg", figure.id), svg: figure.file() }).collect())
    }

    /// A row per epoch: `epoch,loss,validation_loss,learning_rate,seconds`.
    pub fn metrics_csv(&self) -> String {
        curves::csv(&self.contents)
    }

    /// An event file for TensorBoard: the numbers of each epoch, and the metrics of the test rows at the last.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn events(&self) -> Result<Vec<u8>> {
        Ok(curves::events(&self.contents, &self.intervals()?))
    }

    /// Writes everything into a folder: `report.html`, `plots/*.svg`, `metrics.csv` and `events.out.tfevents.wgrad`. Files of
    /// an earlier report are replaced, each in one move, and plots that this one does not have are removed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        // Everything that may fail for another reason than the disk comes first.
        let files =
            Files { page: self.html()?, plots: self.plots()?, events: self.events()?, metrics: self.metrics_csv() };
        files.write(folder.as_ref())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
