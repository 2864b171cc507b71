//! The trainer: trains models on data sets, evaluates them and makes predictions.

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wgrad_core::{Backend, Params, Result, Session};

use crate::callback::Callback;
use crate::checkpoint::folder::{Checkpoints, Resumed};
use crate::checkpoint::resume::Resume;
use crate::checkpoint::saver::Saver;
use crate::data_source::Targets;
use crate::early_stopping::EarlyStopping;
use crate::history::EpochStats;
use crate::options::{EpochBatches, TrainerOptions};
use crate::patience::Patience;
use crate::progress::{Progress, automatic};
use crate::run_history::RunHistory;
use crate::schedules::Schedules;
use crate::session::LazySession;
use wgrad_data::{Dataset, Sampler, Seed};
use wgrad_nn::optim::schedule::{Schedule, ScheduleState};
use wgrad_nn::optim::{Ema, Optimizer};

/// Number of rows per step in evaluation and prediction. It affects only memory and speed.
pub const EVALUATION_ROWS: usize = 1024;

pub(crate) type OnStep<'a> = Box<dyn FnMut(usize, f64) + 'a>;

/// Callback of [`Trainer::on_epoch`].
struct OnEpoch<F>(F);

impl<F: FnMut(&EpochStats) -> ControlFlow<()>> Callback<'_> for OnEpoch<F> {
    fn epoch(&mut self, _trainer: &mut Trainer<'_>, stats: &EpochStats) -> Result<ControlFlow<()>> {
        Ok((self.0)(stats))
    }
}

/// Trainer of a model: trains it on a data set and evaluates it.
///
/// With the same seed, data, device and driver, training ends with exactly the same weights. The order of the rows
/// depends on the seed and the number of epochs trained so far; dropout depends on the seed and the number of
/// steps. See [the crate](crate) for an example.
///
/// If the last batch of an epoch would have only one row, that row is left out (unless the batch size is 1),
/// because batch norm cannot compute a variance from one row and the gradient of one row is noisy. Rows are
/// shuffled, so a different row is left out in each epoch.
///
/// If the parameters were created with [`Params::torch_seed`] and no [`Self::seed`] is set, the batches are the
/// same as those of PyTorch's `DataLoader(…, shuffle=True)`, in a program that builds the same layers in the same
/// order before it iterates over the loader. Each epoch draws from the same random generator as the layers
/// ([`Batches::shuffle_as_torch`](wgrad_data::Batches::shuffle_as_torch)). Each pass over the validation rows
/// draws the same numbers as a PyTorch loader without shuffling. A last batch of one row is kept unless
/// [`Self::drop_last`] is set.
#[must_use]
pub struct Trainer<'a> {
    pub(crate) session: LazySession,
    pub(crate) options: TrainerOptions,
    pub(crate) schedules: Schedules,
    pub(crate) runs: RunHistory,
    pub(crate) saver: Saver,
    pub(crate) resume: Resume,
    pub(crate) progress: Box<dyn Progress + 'a>,
    pub(crate) on_step: Option<OnStep<'a>>,
    pub(crate) callbacks: Vec<Box<dyn Callback<'a> + 'a>>,
    pub(crate) stopping: Option<EarlyStopping<'a>>,
}

impl fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params = self.session.params();
        let Self { options, .. } = self;
        write!(f, "Trainer({params:?}, batches of {}, {:?})", options.batch_size, options.order_seed(params))
    }
}

impl<'a> Trainer<'a> {
    /// Creates a trainer for the model whose variables are in `params`. By default, batches have 64 rows and are
    /// shuffled with the seed of `params`. There is no default optimizer.
    pub fn new(device: impl Into<Box<dyn Backend>>, params: &Params) -> Self {
        Self {
            session: LazySession::new(device.into(), params),
            options: TrainerOptions::default(),
            schedules: Schedules::default(),
            runs: RunHistory::default(),
            saver: Saver::default(),
            resume: Resume::default(),
            progress: automatic(),
            on_step: None,
            callbacks: vec![],
            stopping: None,
        }
    }

    /// Sets the optimizer, which updates the parameters.
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.options.optimizer = Some(Box::new(optimizer));
        self
    }

    /// Sets a schedule that changes the optimizer's settings after each epoch. A schedule that follows a metric
    /// receives the validation loss, or the training loss if there are no validation rows; any other schedule
    /// advances by one step. Replaces any earlier schedule. See [`schedule`](wgrad_nn::optim::schedule).
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedules = Schedules::per_epoch(schedule);
        self
    }

    /// Sets a schedule that changes the optimizer's settings after each update, such as
    /// [`OneCycleLr`](wgrad_nn::optim::schedule::OneCycleLr). [`Self::updates`] returns the number of updates per
    /// epoch. Steps are still submitted to the device several at a time.
    pub fn schedule_per_step(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedules = Schedules::per_step(schedule);
        self
    }

    /// Sets a moving average of the weights, which is updated after each update of the parameters; see [`Ema`].
    pub fn ema(mut self, ema: &Ema) -> Self {
        self.options.ema = Some(ema.clone());
        self
    }

    /// Accumulates gradients: updates the parameters after every `batches` batches, with the gradient of the mean
    /// loss over all rows of these batches. The result is the same as with batches that are `batches` times as
    /// large, except for layers that use statistics of the batch, such as batch norm, and for losses that are
    /// weighted means. The progress display counts each batch as one step. Default: 1.
    ///
    /// Batches left over at the end of an epoch are used for one more update, with the mean loss over their rows.
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.options.accumulate = batches;
        self
    }

    /// Sets the number of rows per batch. Default: 64.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.options.batch_size = batch_size;
        self
    }

    /// Sets the seed for the order of the rows. Default: the seed of the parameters.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Sets whether the rows are shuffled before each epoch. Default: true.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.options.shuffle = shuffle;
        self
    }

    /// Sets a sampler, which chooses the rows of each epoch and replaces shuffling; see [`Sampler`]. The sampler
    /// must have been created for the data set that is passed to [`Self::fit`].
    pub fn sampler(mut self, sampler: &Sampler) -> Self {
        self.options.sampler = Some(sampler.clone());
        self
    }

    /// Sets whether the last batch of each epoch is left out if it is not full. Default: false.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.options.drop_last = drop_last;
        self
    }

    /// Sets whether the host uploads the rows of each batch even if the complete data set fits on the device.
    /// Default: false.
    ///
    /// A data set fits if it is in memory and its features take at most 1 GiB and at most a quarter of the
    /// device's largest buffer binding ([`Limits::binding_bytes`](wgrad_core::Limits)). It is then uploaded once
    /// per fit, and the device gathers the rows of each step. The results have the same bits in both cases.
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.options.streaming = streaming;
        self
    }

    /// Sets the form in which the loss function receives the classes of the rows.
    pub fn targets(mut self, targets: Targets) -> Self {
        self.options.targets = targets;
        self
    }

    /// Sets the validation rows. Their loss is computed after each epoch; the model is not trained on them.
    pub fn validation(mut self, data: &Dataset) -> Self {
        self.options.validation = Some(data.clone());
        self
    }

    /// Sets the progress observer: [`Silent`](crate::Silent), [`Lines`](crate::Lines), [`Bar`](crate::Bar) or an
    /// implementation of [`Progress`]. Default: [`automatic`].
    pub fn progress(mut self, progress: impl Progress + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Adds a callback that is called after each epoch. If it returns `Break`, the fit ends. For other events,
    /// implement [`Callback`].
    pub fn on_epoch(self, f: impl FnMut(&EpochStats) -> ControlFlow<()> + 'a) -> Self {
        self.callback(OnEpoch(f))
    }

    /// Sets a function that is called after each step with the number of the step in its epoch, from 1, and its
    /// loss. This makes the trainer wait for the device after every step. [`Callback::step`] receives the same
    /// values later, without waiting.
    pub fn on_step(mut self, f: impl FnMut(usize, f64) + 'a) -> Self {
        self.on_step = Some(Box::new(f));
        self
    }

    /// Adds a callback.
    pub fn callback(mut self, callback: impl Callback<'a> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Sets early stopping, which ends a fit when its validation loss, or another metric, no longer improves.
    pub fn early_stopping(mut self, stopping: EarlyStopping<'a>) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// Sets a flag that ends the fit when it becomes true, for example because a signal handler sets it. The fit
    /// finishes the steps that were already submitted, writes a checkpoint if [`Checkpoints`] are set, and returns
    /// with [`Ended::Stopped`](crate::Ended).
    ///
    /// The trainer reads the flag each time before it submits steps to the device, about every quarter of a
    /// second.
    pub fn stop_flag(mut self, flag: Arc<AtomicBool>) -> Self {
        self.options.stop = Some(flag);
        self
    }

    /// Sets the folder and the intervals at which the state of the training is saved.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.saver.set(checkpoints);
        self
    }

    /// Resumes from the latest checkpoint in a folder, or from a checkpoint file. The training then ends with the
    /// same bytes as if it had not been stopped. Model, data, optimizer and settings must be the same as before;
    /// the number of epochs may be larger. If a checkpoint is damaged, the one before it is used;
    /// [`Self::resumed`] lists the skipped checkpoints.
    ///
    /// [`Self::fit`] reads the checkpoint. If a program calls `fit` several times, the calls before the one that
    /// was stopped do not train again; they return their recorded histories.
    pub fn resume(mut self, from: impl AsRef<Path>) -> Self {
        self.resume.set(from.as_ref());
        self
    }

    /// Returns the checkpoint that [`Self::fit`] resumed from. `None` if it did not resume.
    pub fn resumed(&self) -> Option<&Resumed> {
        self.resume.resumed()
    }

    /// Returns the path of the last checkpoint that was written, if any.
    pub fn last_checkpoint(&self) -> Option<&Path> {
        self.saver.last()
    }

    /// Returns the session, with which other graphs can be compiled and run with the same variables.
    ///
    /// # Errors
    /// When a name was declared twice, when the session cannot be opened, or when an earlier attempt to open it
    /// failed. After a failed attempt, this trainer cannot use the device again.
    pub fn session(&mut self) -> Result<&mut Session> {
        self.session.get()
    }

    /// Returns the number of parameter updates in one epoch over this data set.
    ///
    /// # Errors
    /// When the data set has no rows, or the batch size is 0.
    pub fn updates(&self, data: &Dataset) -> Result<usize> {
        let EpochBatches { steps, .. } = self.options.batches(self.session.params(), data.rows())?;
        Ok(steps.div_ceil(self.options.accumulate.max(1)))
    }

    /// Returns the state of the schedule, which can be saved along with the variables. `None` without a schedule,
    /// or before the first fit.
    pub fn schedule_state(&mut self) -> Option<ScheduleState> {
        self.schedules.state()
    }

    /// Restores the state of a schedule that [`Self::schedule_state`] of another trainer returned. The schedule
    /// and the parameter groups must be the same, and the optimizer must already be set.
    ///
    /// # Errors
    /// When there is no schedule or no optimizer, or the state belongs to another schedule.
    pub fn restore_schedule(&mut self, state: &ScheduleState) -> Result<()> {
        self.schedules.begin(self.options.optimizer()?)?;
        self.schedules.restore(state)
    }

    /// Returns the rule of early stopping, if early stopping is set.
    pub(crate) fn patience(&self) -> Option<&Patience> {
        self.stopping.as_ref().map(|stopping| &stopping.rule)
    }

    /// Calls `f` with each callback. If `f` adds a callback, the new callback is not called before the next call
    /// of this function.
    pub(crate) fn each_callback(
        &mut self,
        mut f: impl FnMut(&mut (dyn Callback<'a> + 'a), &mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut callbacks = std::mem::take(&mut self.callbacks);
        let result = callbacks.iter_mut().try_for_each(|callback| f(&mut **callback, self));
        callbacks.append(&mut self.callbacks);
        self.callbacks = callbacks;
        result
    }

    /// Passes the statistics of an epoch to early stopping. Returns whether the fit must end.
    pub(crate) fn measure(&mut self, stats: &EpochStats) -> Result<bool> {
        let Some(mut stopping) = self.stopping.take() else { return Ok(false) };
        let EarlyStopping { rule, metric } = &mut stopping;
        let measured = match metric {
            Some(metric) => metric(self, stats),
            None => Ok(stats.validation_loss.unwrap_or(stats.loss)),
        };
        let over = measured.and_then(|value| {
            if rule.measure(stats.epoch, value) && rule.restore {
                rule.keep(self.session.snapshot()?);
            }
            Ok(rule.is_over())
        });
        self.stopping = Some(stopping);
        over
    }
}
