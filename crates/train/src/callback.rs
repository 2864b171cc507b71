//! Callbacks of the trainer.

use std::ops::ControlFlow;

use wgrad_core::Result;

use crate::history::{EpochStats, History};
use crate::progress::FitInfo;
use crate::trainer::Trainer;

/// User code that is called during a fit. Every method has a default that does nothing.
///
/// Code that needs only losses is simpler with [`Trainer::on_epoch`] and [`Trainer::on_step`]; code that displays
/// something is a [`Progress`](crate::Progress). An error ends the fit with that error.
///
/// ```
/// use std::ops::ControlFlow;
/// use wgrad_core::{CpuBackend, Params, Result};
/// use wgrad_nn::StateDict;
/// use wgrad_train::{Callback, EpochStats, Trainer};
///
/// /// Ends the training when the loss is small enough.
/// struct Until(f64);
///
/// impl Callback<'_> for Until {
///     fn epoch(&mut self, _trainer: &mut Trainer<'_>, stats: &EpochStats) -> Result<ControlFlow<()>> {
///         Ok(if stats.loss < self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
///     }
/// }
///
/// let trainer = Trainer::new(CpuBackend::<f32>::new(), &Params::seeded(7)).callback(Until(0.1));
/// ```
pub trait Callback<'a> {
    /// Called at the beginning of a fit, also of a resumed one.
    ///
    /// # Errors
    /// Any error ends the fit.
    fn begin(&mut self, trainer: &mut Trainer<'a>, info: &FitInfo) -> Result<()> {
        let _ = (trainer, info);
        Ok(())
    }

    /// Called after step number `step` of the epoch, from 1, with its loss. Steps are submitted in chunks, so the calls
    /// of a chunk come together, after it has run.
    fn step(&mut self, step: usize, loss: f64) {
        let _ = (step, loss);
    }

    /// Called after an epoch and its validation. The trainer may [evaluate](Trainer::evaluate); `Break` ends the fit.
    ///
    /// # Errors
    /// Any error ends the fit.
    fn epoch(&mut self, trainer: &mut Trainer<'a>, stats: &EpochStats) -> Result<ControlFlow<()>> {
        let _ = (trainer, stats);
        Ok(ControlFlow::Continue(()))
    }

    /// Called at the end of a fit without an error.
    ///
    /// # Errors
    /// The fit returns the error.
    fn end(&mut self, trainer: &mut Trainer<'a>, history: &History) -> Result<()> {
        let _ = (trainer, history);
        Ok(())
    }
}
