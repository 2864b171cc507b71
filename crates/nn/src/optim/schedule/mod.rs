//! Learning rate schedules; PyTorch's `torch.optim.lr_scheduler`, with equal values.
//!
//! A [`Schedule`] computes learning rates; a [`Scheduler`] applies one to an optimizer's handles and steps it. Rates
//! are computed on the host in `f64`, and changing them compiles nothing again. `Trainer::schedule` of `wgrad-train`
//! does all of this for a training.
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
//! In your own training loop, call [`Scheduler::step`] after each epoch. For a schedule over steps,
//! [`Scheduler::per_step`] makes it follow the optimizer's step counter, also within
//! [`Session::run_many`](wgrad_core::Session::run_many).

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
pub use plateau::{ReduceLrOnPlateau, Threshold};
pub use scheduler::{ScheduleState, Scheduler, StepScheduler};
pub use steps::{ConstantLr, ExponentialLr, LambdaLr, LinearLr, MultiStepLr, MultiplicativeLr, PolynomialLr, StepLr};
