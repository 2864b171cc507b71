//! Fits: training over some epochs, with validation, callbacks and checkpoints.

mod diagnose;
mod running;

use std::panic::Location;

use wgrad_core::{Result, Tensor};

use crate::data_source::DataSource;
use crate::error::TrainSettingError;
use crate::history::History;
use crate::options::EpochBatches;
use crate::steps::{Steps, Training};
use crate::trainer::Trainer;
use running::{Fit, FitOptions};
use wgrad_data::Dataset;

impl Trainer<'_> {
    /// Trains the model for `epochs` epochs. `loss` computes the loss of a batch from features
    /// `x: f32[N, features]` and targets `y` (see [`Targets`](crate::Targets)). Afterwards,
    /// [`Params`](wgrad_core::Params) contains the values of all variables, ready to be saved.
    ///
    /// Steps are submitted to the device several at a time, or one at a time with [`Self::on_step`]. If the data
    /// set fits on the device, the device gathers the rows of each step (see [`Self::streaming`]). `loss` is
    /// called once to declare all state, and then once for each batch size; the ops that it adds to the graph run
    /// in every step. A second call of `fit` continues with the optimizer's state and new shuffles.
    ///
    /// # Errors
    /// Returns errors of the ops in a step, such as mismatched shapes, with their source lines. If the loss is not
    /// finite, returns an error and restores the model to its state before the step that caused this. The error
    /// names the first graph node whose result is not finite, if it can be found. Also returns an error if the
    /// device is lost, if the checkpoint to resume from is missing, damaged or from another training run, or if
    /// the final checkpoint cannot be written.
    #[track_caller]
    pub fn fit(&mut self, data: &Dataset, epochs: usize, loss: impl Fn(&Tensor, &Tensor) -> Tensor) -> Result<History> {
        let caller = Location::caller();
        self.session()?;
        let optimizer = self.options.lend_optimizer()?;
        let mut history = History::default();
        let result =
            self.planned(data, epochs, &*optimizer).and_then(|fit| self.train(fit, &loss, &mut history, caller));
        self.options.optimizer = Some(optimizer);
        self.progress.end(&history);
        let synced = self.session()?.sync();
        result.and(synced)?;
        self.runs.finish(&history, epochs);
        self.each_callback(|callback, trainer| callback.end(trainer, &history))?;
        Ok(history)
    }

    /// Checks the options of a fit and divides the data into batches.
    fn planned<'f>(
        &self,
        data: &'f Dataset,
        epochs: usize,
        optimizer: &'f dyn wgrad_nn::optim::Optimizer,
    ) -> Result<FitOptions<'f>> {
        let source = DataSource::new(data, self.options.targets)?;
        let EpochBatches { batches, steps } = self.options.batches(self.session.params(), data.rows())?;
        if self.options.accumulate == 0 {
            return Err(TrainSettingError::NoBatches.into());
        }
        Ok(FitOptions { source, epochs, optimizer, batches, steps, fit: self.runs.fits().len() })
    }

    fn train<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        fit: FitOptions<'_>,
        loss: &L,
        history: &mut History,
        caller: &'static Location<'static>,
    ) -> Result<()> {
        let (source, optimizer) = (fit.source, fit.optimizer);
        let limits = self.session()?.limits();
        self.schedules.begin(optimizer)?;
        self.runs.begin(optimizer);
        let (ema, validation) = (self.options.ema.clone(), self.options.validation.clone());
        let training = Training { optimizer, ema: ema.as_ref(), accumulate: self.options.accumulate };
        let resident = |data: &Dataset| self.options.keeps_on_device(data, &limits);
        let steps = Steps::new(loss, source, Some(training), resident(source.data()), caller)?;
        let checks = validation.as_ref().map(|data| Steps::new(loss, source.like(data), None, resident(data), caller));
        let Some(mut fit) = Fit::prepare(self, fit, steps, checks.transpose()?, history)? else { return Ok(()) };
        fit.begin(self)?;
        fit.run(self)
    }
}
