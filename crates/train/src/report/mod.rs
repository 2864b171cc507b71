//! Report of a training run: an HTML page, its plots, and statistics that other programs can read.
//!
//! [`RunReport`] combines a history, [`Scores`] of validation and test rows, a
//! [`Decision`](wgrad_metrics::Decision), feature importances and facts, all of which are optional. It writes
//! `report.html`, which opens from disk without a network, `plots/*.svg`, `metrics.csv` and an event file for
//! TensorBoard. [`intervals`] computes all metrics of one model with bootstrap intervals. [`paired`] computes
//! the differences between two models' metrics, also with bootstrap intervals.
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

mod contents;
mod curves;
mod figures;
mod files;
mod importance;
mod page;
mod resample;
mod run_report;
mod scores;
mod slider;
mod svg;
mod tables;

pub use files::{EVENTS, METRICS, PAGE, PLOTS, Plot};
pub use importance::{Importance, permutation_importance};
pub use page::{date, document};
pub use resample::{DecidedScores, MetricInterval, intervals, paired};
pub use run_report::RunReport;
pub use scores::Scores;
pub use slider::{SliderStop, SliderStops};
pub use svg::escape;
