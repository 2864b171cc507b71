//! What a run leaves for people: one page with everything, its plots, and its numbers for other programs.
//!
//! [`RunReport`] takes what there is (a history, [`Scores`] of validation and test rows, a
//! [`Decision`], importances, facts) and writes `report.html`, which
//! opens from disk without a network, `plots/*.svg`, `metrics.csv` and an event file for TensorBoard. [`intervals`] and
//! [`paired`] give all metrics with bootstrap intervals, of one model and of the difference of two.
//!
//! ```
//! use wgrad_core::{CpuBackend, Params};
//! use wgrad_data::{Dataset, Seed};
//! use wgrad_metrics::{Calibrate, Rule};
//! use wgrad_train::report::{RunReport, Scores, permutation_importance};
//! use wgrad_nn::{Module, layers::Linear, losses::{BceWithLogitsLoss, Loss}, optim::AdamW};
//! use wgrad_train::{Silent, Trainer};
//! let (x, y) = (0..90).map(|i| ((i as f32 - 45.0) / 20.0, u32::from(i + i % 7 * 5 > 60))).unzip();
//! let (train, rest) = Dataset::new(["x"], x, y, ["low", "high"])?.split(0.6, Seed(7))?;
//! let (validation, test) = rest.split(0.5, Seed(8))?;
//!
//! let params = Params::seeded(7);
//! let model = Linear::new(&params.at("fc"), 1, 1);
//! let loss = BceWithLogitsLoss::new();
//! let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(AdamW::new(0.1)).progress(Silent);
//! let history = trainer.fit(&train, 5, |x, y| loss.forward(&model.forward(x), y))?;
//!
//! let mut scores = |data: &Dataset| {
//!     Scores::of(data, &trainer.predict_logits(data, |x| model.forward(x))?)
//! };
//! let (validation, test) = (scores(&validation)?, scores(&test)?);
//! let decision = validation.decide(Calibrate::Platt, Rule::FBeta(1.0))?;
//! let folder = tempfile::tempdir().unwrap();
//! RunReport::new("low or high")
//!     .history(&history)
//!     .part("training", train.classes(), &train.class_counts())
//!     .validation(validation)
//!     .test(test)
//!     .decision(decision)
//!     .fact("seed", "7")
//!     .write(folder.path())?;
//! assert!(folder.path().join("report.html").is_file() && folder.path().join("plots/roc.svg").is_file());
//! # Ok::<(), wgrad_core::Error>(())
//! ```

mod curves;
mod figures;
mod files;
mod importance;
mod page;
mod resample;
mod scores;
mod slider;
mod svg;
mod tables;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use wgrad_core::{DeviceInfo, Result};

pub use importance::{Importance, permutation_importance};
pub use page::{date, document};
pub use resample::{Measured, intervals, paired};
pub use scores::Scores;
pub use slider::Stop;
pub use svg::escape;

use crate::History;
use wgrad_data::Seed;
use wgrad_metrics::Decision;

/// The page.
pub const PAGE: &str = "report.html";
/// The numbers of each epoch.
pub const METRICS: &str = "metrics.csv";
/// The event file: a fixed name, so that a run in the same folder replaces it.
pub const EVENTS: &str = "events.out.tfevents.wgrad";
/// The folder of the plots.
pub const PLOTS: &str = "plots";

/// What one epoch leaves.
#[derive(Clone, Debug, PartialEq)]
struct Epoch {
    loss: f64,
    validation_loss: Option<f64>,
    seconds: f64,
    /// What was tracked as one number: of the training rows, and of the validation rows.
    tracked: Vec<(String, f64, Option<f64>)>,
}

/// Rows of one part of the data.
#[derive(Clone, Debug)]
struct Part {
    name: String,
    classes: Vec<String>,
    /// Rows per class, or what they count for.
    counts: Vec<f64>,
    weighted: bool,
}

/// The report of a run; see [the module](self) for an example. Everything may be left out: what is not given is not shown.
///
/// The same things give the same bytes; only [`Self::begun`] and the history have times in them. Names may hold any text.
#[derive(Clone, Debug)]
pub struct RunReport {
    title: String,
    begun: Option<SystemTime>,
    history: Vec<Epoch>,
    rates: Vec<f64>,
    parts: Vec<Part>,
    validation: Option<Scores>,
    test: Option<Scores>,
    decision: Decision,
    importance: Vec<Importance>,
    notes: Vec<String>,
    facts: Vec<(String, String)>,
    model: String,
    plan: String,
    command: String,
    seed: Seed,
}

impl RunReport {
    /// An empty report of this name.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            begun: None,
            history: vec![],
            rates: vec![],
            parts: vec![],
            validation: None,
            test: None,
            decision: Decision::default(),
            importance: vec![],
            notes: vec![],
            facts: vec![],
            model: String::new(),
            plan: String::new(),
            command: String::new(),
            seed: Seed::default(),
        }
    }

    /// When the run began: shown, and the first time of the event file (without it, 1970).
    #[must_use]
    pub fn begun(self, time: SystemTime) -> Self {
        Self { begun: Some(time), ..self }
    }

    /// The epochs: curves, `metrics.csv` and events.
    #[must_use]
    pub fn history(self, history: &History) -> Self {
        let epochs = history.epochs.iter();
        let history = epochs.clone().map(|e| Epoch {
            loss: e.loss,
            validation_loss: e.validation_loss,
            seconds: e.seconds,
            tracked: e.numbers().map(|(name, value, validation)| (name.to_string(), value, validation)).collect(),
        });
        let rates = epochs.clone().map(|epoch| epoch.lr).collect::<Option<_>>().unwrap_or_default();
        Self { history: history.collect(), rates, ..self }
    }

    /// The learning rate of each epoch, where the history does not know it or another one is meant.
    #[must_use]
    pub fn learning_rates(self, rates: impl IntoIterator<Item = f64>) -> Self {
        Self { rates: rates.into_iter().collect(), ..self }
    }

    /// How many rows of each class a part of the data has. Those of validation and test scores need not be told.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "counts of rows")]
    pub fn part<C: AsRef<str>>(mut self, name: impl Into<String>, classes: &[C], counts: &[usize]) -> Self {
        let classes = classes.iter().map(|class| class.as_ref().to_string()).collect();
        let counts = counts.iter().map(|&count| count as f64).collect();
        self.parts.push(Part { name: name.into(), classes, counts, weighted: false });
        self
    }

    /// What the rows of each class count for in the loss, where classes are weighted or drawn more often than others: rows
    /// times weight. The effective prevalence is a class's share of that.
    #[must_use]
    pub fn weighted_part<C: AsRef<str>>(mut self, name: impl Into<String>, classes: &[C], weights: &[f64]) -> Self {
        let classes = classes.iter().map(|class| class.as_ref().to_string()).collect();
        self.parts.push(Part { name: name.into(), classes, counts: weights.to_vec(), weighted: true });
        self
    }

    /// What the model says about the rows that the decision was fitted on.
    #[must_use]
    pub fn validation(self, scores: Scores) -> Self {
        Self { validation: Some(scores), ..self }
    }

    /// What the model says about the rows that it is judged on. Without them the page judges on the validation rows, and
    /// says so.
    #[must_use]
    pub fn test(self, scores: Scores) -> Self {
        Self { test: Some(scores), ..self }
    }

    /// How logits become probabilities and classes; the default decision if not said.
    #[must_use]
    pub fn decision(self, decision: Decision) -> Self {
        Self { decision, ..self }
    }

    /// What features are worth; see [`permutation_importance`].
    #[must_use]
    pub fn importance(self, importance: Vec<Importance>) -> Self {
        Self { importance, ..self }
    }

    /// Something that readers should know, such as what was not measured; shown at the top.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// A line of the table at the end: a name and what it is.
    #[must_use]
    pub fn fact(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.facts.push((name.into(), value.into()));
        self
    }

    /// The device that trained: lines of the table at the end.
    #[must_use]
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
    #[must_use]
    pub fn model(self, text: impl Into<String>) -> Self {
        Self { model: text.into(), ..self }
    }

    /// The plan of the training step: `step.to_string()`.
    #[must_use]
    pub fn plan(self, text: impl Into<String>) -> Self {
        Self { plan: text.into(), ..self }
    }

    /// The command line that repeats the run.
    #[must_use]
    pub fn command(self, command: impl Into<String>) -> Self {
        Self { command: command.into(), ..self }
    }

    /// The seed of the resampled rows, from which the intervals come.
    #[must_use]
    pub fn seed(self, seed: Seed) -> Self {
        Self { seed, ..self }
    }

    /// The rows that the page judges on.
    fn judged(&self) -> Option<&Scores> {
        self.test.as_ref().or(self.validation.as_ref())
    }

    /// The metrics of the rows that the page judges on, with their 95 % intervals; none without rows.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn intervals(&self) -> Result<Vec<Measured>> {
        self.judged().map_or(Ok(vec![]), |scores| intervals(scores, &self.decision, 0.95, self.seed))
    }

    /// The stops of the page's slider, by rising threshold, and which is that of the decision; none without rows, or with
    /// more than two classes.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn stops(&self) -> Result<Option<(Vec<Stop>, usize)>> {
        self.judged().map_or(Ok(None), |scores| slider::stops(scores, &self.decision))
    }

    /// The page.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn html(&self) -> Result<String> {
        page::html(self)
    }

    /// The plots: the name of the file, and the SVG.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn plots(&self) -> Result<Vec<(String, String)>> {
        let mut figures = page::figures(self)?;
        if let Some(scores) = self.judged() {
            figures.extend(figures::confusion(scores, &self.decision)?);
        }
        Ok(figures.iter().map(|figure| (format!("{}.svg", figure.id), figure.file())).collect())
    }

    /// A row per epoch: `epoch,loss,validation_loss,learning_rate,seconds`.
    #[must_use]
    pub fn metrics_csv(&self) -> String {
        curves::csv(&self.history, &self.rates)
    }

    /// An event file for TensorBoard: the numbers of each epoch, and the metrics of the test rows at the last.
    ///
    /// # Errors
    /// None that a report of valid scores has.
    pub fn events(&self) -> Result<Vec<u8>> {
        let begin =
            self.begun.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0.0, |time| time.as_secs_f64());
        let part = if self.test.is_some() { "test" } else { "validation" };
        let last = self.intervals()?;
        let last = last.iter().filter_map(|m| Some((format!("{part}/{}", m.name), m.interval?.value)));
        Ok(curves::events(begin, &self.history, &self.rates, &last.collect::<Vec<_>>()))
    }

    /// Writes everything into a folder: `report.html`, `plots/*.svg`, `metrics.csv` and `events.out.tfevents.wgrad`. Files of
    /// an earlier report are replaced, each in one move, and plots that this one does not have are removed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>) -> Result<()> {
        files::write(self, folder.as_ref())
    }
}
