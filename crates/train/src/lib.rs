//! The trainer: epochs over a data set, checkpoints, early stopping, learning-rate search and reports.
//!
//! [`Trainer`] trains on data sets in which each row has features and one class. For other tasks, write a training
//! loop with [`Session::run_many_later`](wgrad_core::Session::run_many_later), which the trainer also uses.
//!
//! ```
//! use wgrad_core::{CpuBackend, Params};
//! use wgrad_data::{Dataset, Seed};
//! use wgrad_nn::{Module, layers::Linear, losses::{BceWithLogitsLoss, Loss}, optim::AdamW};
//! use wgrad_train::{Silent, Trainer};
//! let (x, y) = (0..40).map(|i| ((i as f32 - 20.0) / 10.0, u32::from(i > 17))).unzip();
//! let data = Dataset::new(["x"], x, y, ["low", "high"])?;
//!
//! let params = Params::seeded(7);
//! let model = Linear::new(&params.at("fc"), 1, 1);
//! let loss = BceWithLogitsLoss::new();
//! let mut trainer =
//!     Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(AdamW::new(0.1)).batch_size(8).progress(Silent);
//! let history = trainer.fit(&data, 30, |x, y| loss.forward(&model.forward(x), y))?;
//! assert!(history.epochs[29].loss < history.epochs[0].loss);
//! assert!(trainer.evaluate(&data, |x| model.forward(x))?.accuracy > 0.9);
//! # Ok::<(), wgrad_core::Error>(())
//! ```
//!
//! [`Graph::track`](wgrad_core::Graph::track) measures metrics on the device along with the loss:
//!
//! ```
//! use wgrad_core::{CpuBackend, Params};
//! use wgrad_metrics::{ConfusionMatrix, batch};
//! use wgrad_nn::{Module, layers::Linear, losses::{CrossEntropyLoss, Loss}, optim::Sgd};
//! use wgrad_data::Dataset;
//! use wgrad_train::{Silent, Trainer};
//! let (x, y) = (0..90u8).map(|i| ([f32::from(i % 3), f32::from(i % 3 / 2)], u32::from(i % 3))).unzip();
//! let x: Vec<[f32; 2]> = x;
//! let data = Dataset::new(["a", "b"], x.concat(), y, ["x", "y", "z"])?;
//! let params = Params::seeded(7);
//! let model = Linear::new(&params.at("fc"), 2, 3);
//! let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(Sgd::new(0.5)).batch_size(30).progress(Silent);
//! let history = trainer.fit(&data, 40, |x, y| {
//!     let logits = model.forward(x);
//!     logits.graph().track("accuracy", &batch::accuracy(&logits, y));
//!     logits.graph().track("confusion", &batch::confusion(&logits, y));
//!     CrossEntropyLoss::new().forward(&logits, y)
//! })?;
//! let last = history.epochs.last().unwrap();
//! assert_eq!(last.tracked["accuracy"], [1.0]);
//! // Each cell is a fraction of the epoch's rows.
//! let counts: Vec<u64> = last.tracked["confusion"].iter().map(|cell| (cell * 90.0).round() as u64).collect();
//! assert_eq!(counts, [30, 0, 0, 0, 30, 0, 0, 0, 30]);
//! # Ok::<(), wgrad_core::Error>(())
//! ```

mod callback;
mod checkpoint;
mod compare;
mod data_source;
mod early_stopping;
pub mod error;
mod find_lr;
mod fit;
mod history;
mod number;
mod options;
mod patience;
mod predict;
pub mod prior;
mod progress;
mod rehearsal;
pub mod report;
#[cfg(test)]
mod resume_tests;
mod run_history;
mod schedules;
mod session;
mod snapshot;
mod steps;
#[cfg(test)]
mod tests;
mod trainer;

pub use callback::Callback;
pub use checkpoint::{CheckpointInfo, Checkpoints, Resumed, info as checkpoint_info, list as checkpoints};
pub use compare::{Compared, ComparedStage, Comparison, Recording};
pub use data_source::Targets;
pub use early_stopping::EarlyStopping;
pub use error::TrainError;
pub use find_lr::{LrCurve, LrFinder, LrPoint};
pub use history::{Ended, EpochStats, History};
#[cfg(feature = "progress")]
pub use progress::Bar;
pub use progress::{FitInfo, Lines, Log, Progress, Silent, automatic};
pub use trainer::{EVALUATION_ROWS, Trainer};

/// Returns the source folder of this crate, as it appears in the source locations of errors.
fn source() -> &'static str {
    file!().trim_end_matches("lib.rs")
}
