//! Learning rate schedules, with the same rates as in PyTorch's `torch.optim.lr_scheduler`.
//!
//! A [`Schedule`] computes learning rates. A [`Scheduler`] connects a schedule to an optimizer and sets the
//! optimizer's rates. Rates are computed on the host in `f64`, and nothing is compiled again when they change.
//! With `Trainer::schedule` of the crate `wgrad-train`, the trainer creates and steps the scheduler.
//!
//! ```
//! use wgrad_nn::optim::{AdamW, schedule::{CosineAnnealingLr, LinearLr, Scheduler, SequentialLr}};
//! let schedule = SequentialLr::new(LinearLr::new(5)).then(5, CosineAnnealingLr::new(25));
//! let mut scheduler = Scheduler::new(&AdamW::new(1e-3), schedule)?;
//! scheduler.step()?;
//! assert_eq!(scheduler.lr().len(), 1);
//! # Ok::<(), wgrad_core::Error>(())
//! ```
//!
//! In your own training loop, call [`Scheduler::step`] after each epoch. If a schedule counts training steps
//! instead of epochs, call [`Scheduler::per_step`] once: the schedule then follows the optimizer's step counter,
//! even within [`Session::run_many`](wgrad_core::Session::run_many).

mod base;
mod combined;
mod cosine;
mod cycles;
mod error;
mod plateau;
mod scheduler;
mod steps;
#[cfg(test)]
mod tests;

pub use base::{PerGroup, Rate, Schedule};
pub use combined::{ChainedScheduler, SequentialLr};
pub use cosine::{CosineAnnealingLr, CosineAnnealingWarmRestarts};
pub use cycles::{Anneal, CyclicLr, OneCycleLr, Scale};
pub use error::ScheduleError;
pub use plateau::{ReduceLrOnPlateau, ThresholdMode};
pub use scheduler::{ScheduleState, Scheduler, StepScheduler};
pub use steps::{ConstantLr, ExponentialLr, LambdaLr, LinearLr, MultiStepLr, MultiplicativeLr, PolynomialLr, StepLr};
