//! Builder of a report.

use std::path::Path;
use std::time::SystemTime;

use wgrad_core::{DeviceInfo, Result};

use super::contents::{Contents, Epoch, Fact, Part};
use super::files::{Files, Plot};
use super::importance::Importance;
use super::resample::MetricInterval;
use super::scores::Scores;
use super::slider::{SliderStops, stops};
use super::{curves, figures, page};
use crate::history::{EpochStats, History};
use wgrad_data::Seed;
use wgrad_metrics::Decision;

/// Report of a training run; see [the module](super) for an example. Everything except the title is optional.
///
/// The same contents always result in the same files. Only [`Self::begun`] and the history contain times. Names
/// may contain any characters.
#[derive(Clone, Debug)]
#[must_use]
pub struct RunReport {
    contents: Contents,
}

impl RunReport {
    /// Creates an empty report with a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { contents: Contents { title: title.into(), ..Contents::default() } }
    }

    /// Sets the time at which the run began. The page shows this time, and the event file begins with it. By
    /// default, the page shows no time and the event file begins in 1970.
    pub fn begun(mut self, time: SystemTime) -> Self {
        self.contents.begun = Some(time);
        self
    }

    /// Sets the history of the fit, which is shown as curves and written to `metrics.csv` and the event file.
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

    /// Sets the learning rate of each epoch, which replaces the rates in the history.
    pub fn learning_rates(mut self, rates: impl IntoIterator<Item = f64>) -> Self {
        self.contents.rates = rates.into_iter().collect();
        self
    }

    /// Adds the class counts of a part of the data, such as the training rows. The counts of the validation and
    /// test rows are computed from their scores.
    pub fn part<C: AsRef<str>>(mut self, name: impl Into<String>, classes: &[C], counts: &[usize]) -> Self {
        let classes = classes.iter().map(|class| class.as_ref().to_string()).collect();
        let counts = counts.iter().map(|&count| count as f64).collect();
        self.contents.parts.push(Part { name: name.into(), classes, counts, weighted: false });
        self
    }

    /// Adds the total weight of each class in a part of the data (number of rows times weight), for a weighted
    /// loss or a sampler that draws some classes more often. The page shows the fraction of the total weight that
    /// each class has, its effective prevalence.
    pub fn weighted_part<C: AsRef<str>>(mut self, name: impl Into<String>, classes: &[C], weights: &[f64]) -> Self {
        let classes = classes.iter().map(|class| class.as_ref().to_string()).collect();
        self.contents.parts.push(Part { name: name.into(), classes, counts: weights.to_vec(), weighted: true });
        self
    }

    /// Sets the scores of the validation rows, on which the decision was fitted.
    pub fn validation(mut self, scores: Scores) -> Self {
        self.contents.validation = Some(scores);
        self
    }

    /// Sets the scores of the test rows, on which the page evaluates the model. Without test rows, the page uses
    /// the validation rows and states that.
    pub fn test(mut self, scores: Scores) -> Self {
        self.contents.test = Some(scores);
        self
    }

    /// Sets the decision, which converts logits to probabilities and classes. Default: [`Decision::default`].
    pub fn decision(mut self, decision: Decision) -> Self {
        self.contents.decision = decision;
        self
    }

    /// Sets the importance of the features; see [`permutation_importance`](super::permutation_importance).
    pub fn importance(mut self, importance: Vec<Importance>) -> Self {
        self.contents.importance = importance;
        self
    }

    /// Adds a note at the top of the page, for example about a value that was not measured.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.contents.notes.push(note.into());
        self
    }

    /// Adds a row, with a name and a value, to the table at the end of the page.
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.contents.facts.push(Fact { name: name.into(), value: value.into() });
        self
    }

    /// Adds the device of the training to the table at the end of the page.
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

    /// Sets the text that describes the model's layers.
    pub fn model(mut self, text: impl Into<String>) -> Self {
        self.contents.model = text.into();
        self
    }

    /// Sets the text that describes the compiled training step: `step.to_string()`.
    pub fn plan(mut self, text: impl Into<String>) -> Self {
        self.contents.plan = text.into();
        self
    }

    /// Sets the command line that repeats the run.
    pub fn command(mut self, command: impl Into<String>) -> Self {
        self.contents.command = command.into();
        self
    }

    /// Sets the seed of the bootstrap intervals.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.contents.seed = seed;
        self
    }

    /// Returns the metrics of the evaluated rows with their 95 % intervals. The list is empty if there are no
    /// rows.
    ///
    /// # Errors
    /// Returns no error if the scores are valid.
    pub fn intervals(&self) -> Result<Vec<MetricInterval>> {
        self.contents.intervals()
    }

    /// Returns the stops of the page's threshold slider (the positions to which it can be moved). `None` without
    /// rows, or with more than two classes.
    ///
    /// # Errors
    /// Returns no error if the scores are valid.
    pub fn stops(&self) -> Result<Option<SliderStops>> {
        let Contents { decision, .. } = &self.contents;
        self.contents.evaluated().map_or(Ok(None), |scores| stops(scores, decision))
    }

    /// Returns the HTML page.
    ///
    /// # Errors
    /// Returns no error if the scores are valid.
    pub fn html(&self) -> Result<String> {
        page::html(&self.contents)
    }

    /// Draws the plots and returns them as SVG files.
    ///
    /// # Errors
    /// Returns no error if the scores are valid.
    pub fn plots(&self) -> Result<Vec<Plot>> {
        let mut figures = page::figures(&self.contents)?;
        if let Some(scores) = self.contents.evaluated() {
            figures.extend(figures::confusion(scores, &self.contents.decision)?);
        }
        Ok(figures.iter().map(|figure| Plot { name: format!("{}.svg", figure.id), svg: figure.file() }).collect())
    }

    /// Returns the contents of `metrics.csv`. It has a row for each epoch with the columns
    /// `epoch,loss,validation_loss,learning_rate,seconds`, followed by two columns for each tracked number
    /// (training and validation).
    pub fn metrics_csv(&self) -> String {
        curves::csv(&self.contents)
    }

    /// Returns an event file for TensorBoard with the statistics of each epoch, and the metrics of the evaluated
    /// rows after the last epoch.
    ///
    /// # Errors
    /// Returns no error if the scores are valid.
    pub fn events(&self) -> Result<Vec<u8>> {
        Ok(curves::events(&self.contents, &self.intervals()?))
    }

    /// Writes all files into a folder: `report.html`, `plots/*.svg`, `metrics.csv` and
    /// `events.out.tfevents.wgrad`. Files of an earlier report are replaced atomically. Plots of the earlier
    /// report that this report does not have are removed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        // All contents are computed before the first file is written, so that an error leaves an earlier report
        // unchanged.
        let files =
            Files { page: self.html()?, plots: self.plots()?, events: self.events()?, metrics: self.metrics_csv() };
        files.write(folder.as_ref())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
