//! Callbacks: user code that the trainer calls during a fit.

use std::ops::ControlFlow;

use wgrad_core::Result;

use crate::history::{EpochStats, History};
use crate::progress::FitInfo;
use crate::trainer::Trainer;

/// User code that is called during a fit. Every method has a default that does nothing.
///
/// If the code needs only losses, use [`Trainer::on_epoch`] or [`Trainer::on_step`]; to display something,
/// implement [`Progress`](crate::Progress). If a method returns an error, the fit ends and returns that error.
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
    /// Called at the beginning of a fit, including a fit that resumes from a checkpoint.
    ///
    /// # Errors
    /// Any error ends the fit.
    fn begin(&mut self, trainer: &mut Trainer<'a>, info: &FitInfo) -> Result<()> {
        let _ = (trainer, info);
        Ok(())
    }

    /// Called after each training step with the number of the step in its epoch, from 1, and its loss. Steps run
    /// on the device in chunks of several steps; after a chunk has run, this method is called once for each of its
    /// steps.
    fn step(&mut self, step: usize, loss: f64) {
        let _ = (step, loss);
    }

    /// Called after each epoch and its validation. The method may call [`Trainer::evaluate`]. If it returns
    /// `Break`, the fit ends.
    ///
    /// # Errors
    /// Any error ends the fit.
    fn epoch(&mut self, trainer: &mut Trainer<'a>, stats: &EpochStats) -> Result<ControlFlow<()>> {
        let _ = (trainer, stats);
        Ok(ControlFlow::Continue(()))
    }

    /// Called at the end of a fit that succeeded.
    ///
    /// # Errors
    /// The fit returns the error of this method.
    fn end(&mut self, trainer: &mut Trainer<'a>, history: &History) -> Result<()> {
        let _ = (trainer, history);
        Ok(())
    }
}
