//! Code of the user's that runs along with a training.

use std::ops::ControlFlow;

use wgrad_core::Result;

use crate::history::{EpochStats, History};
use crate::progress::Run;
use crate::trainer::Trainer;

/// Is called while a model is trained. Every method may be left out.
///
/// What only looks at losses is simpler with [`Trainer::on_epoch`] and [`Trainer::on_step`]; what shows something is a
/// [`Progress`](crate::Progress). An error ends the fit with that error.
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
    /// A fit begins; a resumed one, too.
    ///
    /// # Errors
    /// What ends the fit.
    fn begin(&mut self, trainer: &mut Trainer<'a>, run: &Run) -> Result<()> {
        let _ = (trainer, run);
        Ok(())
    }

    /// Step number `step` of the epoch, from 1, has run. Steps go to the device many at a time and are told likewise.
    fn step(&mut self, step: usize, loss: f64) {
        let _ = (step, loss);
    }

    /// An epoch is over, with its validation. The trainer may [evaluate](Trainer::evaluate); `Break` ends the fit.
    ///
    /// # Errors
    /// What ends the fit.
    fn epoch(&mut self, trainer: &mut Trainer<'a>, stats: &EpochStats) -> Result<ControlFlow<()>> {
        let _ = (trainer, stats);
        Ok(ControlFlow::Continue(()))
    }

    /// The fit is over without an error.
    ///
    /// # Errors
    /// What the fit returns then.
    fn end(&mut self, trainer: &mut Trainer<'a>, history: &History) -> Result<()> {
        let _ = (trainer, history);
        Ok(())
    }
}
