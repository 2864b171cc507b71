//! Fits: epochs of training steps with validation, callbacks and checkpoints.

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
    /// Trains for `epochs` epochs on the loss that `loss` computes from features `x: f32[N, features]` and targets `y`
    /// (see [`Targets`](crate::Targets)). Afterwards the values of all variables are in [`Params`](wgrad_core::Params),
    /// ready to be saved.
    ///
    /// Steps are submitted to the device in chunks (one at a time with [`Self::on_step`]). Their rows are gathered on
    /// the device if the data set fits (see [`Self::streaming`]). `loss` is traced once per batch size, and once
    /// before that to declare all state; the ops that it adds to the graph run in every step. A second call continues
    /// with the optimizer's state and the next shuffles.
    ///
    /// # Errors
    /// Every error of the graph, with its source line; a loss that is not finite, with the first node that is not, and
    /// the model as it was before that step; a lost device; a checkpoint to resume from that is missing, damaged or of
    /// another training; a final checkpoint that cannot be written.
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
