//! Learning rate schedules: PyTorch's, value by value.
//!
//! A schedule says how rates change; a [`Scheduler`] binds it to an optimizer's handles and steps it. Everything is
//! computed on the host in `f64`, and nothing is compiled again. `Trainer::schedule` of `wgrad-train` does all of it.
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
//! In a loop of one's own, [`Scheduler::step`] follows each epoch; or, for a schedule over steps, [`Scheduler::per_step`]
//! lets it follow the optimizer's steps by itself, also within
//! [`Session::run_many`](wgrad_core::Session::run_many).

mod combined;
mod cosine;
mod cycles;
mod error;
mod part;
mod plateau;
mod scheduler;
mod steps;
#[cfg(test)]
mod tests;

pub use combined::{ChainedScheduler, SequentialLr};
pub use cosine::{CosineAnnealingLr, CosineAnnealingWarmRestarts};
pub use cycles::{Anneal, CyclicLr, OneCycleLr, Scale};
pub use error::ScheduleError;
pub use part::{PerGroup, Rate, Schedule};
pub use plateau::{ReduceLrOnPlateau, Threshold};
pub use scheduler::{ScheduleState, Scheduler, StepScheduler};
pub use steps::{ConstantLr, ExponentialLr, LambdaLr, LinearLr, MultiStepLr, MultiplicativeLr, PolynomialLr, StepLr};
