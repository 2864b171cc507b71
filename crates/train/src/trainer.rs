//! The trainer: seeded epochs of batches through compiled steps.

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

/// Rows per step of evaluation and prediction. The number affects memory and speed only.
pub const EVALUATION_ROWS: usize = 1024;

pub(crate) type OnStep<'a> = Box<dyn FnMut(usize, f64) + 'a>;

/// Callback of [`Trainer::on_epoch`].
struct OnEpoch<F>(F);

impl<F: FnMut(&EpochStats) -> ControlFlow<()>> Callback<'_> for OnEpoch<F> {
    fn epoch(&mut self, _trainer: &mut Trainer<'_>, stats: &EpochStats) -> Result<ControlFlow<()>> {
        Ok((self.0)(stats))
    }
}

/// Trains and evaluates a model on datasets.
///
/// The same seed, data, device and driver give the same bits: the order of the rows depends on the seed and the number
/// of epochs trained so far, dropout on the seed and the number of steps. See [the crate](crate) for an example.
///
/// A last batch of one row is left out of an epoch (unless the batch size is 1): batch norm has no variance to work
/// with, and its gradient would be noise. As rows are shuffled, it is a different row in each epoch.
///
/// With parameters of [`Params::torch_seed`], the batches are those of PyTorch's `DataLoader(…, shuffle=True)` in a
/// program that builds the same layers in the same order and then begins to iterate: each epoch draws from the same
/// generator ([`Batches::shuffle_as_torch`](wgrad_data::Batches::shuffle_as_torch)), each pass over the validation rows
/// draws the same numbers as a loader without shuffling, and a last batch of one row stays unless [`Self::drop_last`]
/// is set.
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
    /// Creates a trainer of the model whose variables are in `params`. Batches have 64 rows and are shuffled with the
    /// seed of `params`; there is no default optimizer.
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
    /// receives the validation loss, or the training loss if there are no validation rows; any other makes a step.
    /// Replaces any earlier schedule. See [`schedule`](wgrad_nn::optim::schedule).
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedules = Schedules::per_epoch(schedule);
        self
    }

    /// Sets a schedule that changes the optimizer's settings after each update, as for
    /// [`OneCycleLr`](wgrad_nn::optim::schedule::OneCycleLr). [`Self::updates`] returns the number of updates per
    /// epoch. Steps are still submitted to the device in chunks.
    pub fn schedule_per_step(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedules = Schedules::per_step(schedule);
        self
    }

    /// Sets an average of the weights, which is updated after each update of the parameters; see [`Ema`].
    pub fn ema(mut self, ema: &Ema) -> Self {
        self.options.ema = Some(ema.clone());
        self
    }

    /// Accumulates gradients: updates the parameters after every `batches` batches, with the gradient of the mean loss
    /// of all their rows. The result is that of one batch `batches` times as large, except for layers that use
    /// statistics of the whole batch, such as batch norm, and for losses with a weighted mean. Each batch counts as one
    /// step of the progress. Default: 1.
    ///
    /// Batches left over at the end of an epoch form an update of their own, with the mean over their rows.
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.options.accumulate = batches;
        self
    }

    /// Sets the number of rows per batch. Default: 64.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.options.batch_size = batch_size;
        self
    }

    /// Sets the seed of the order of the rows. Default: that of the parameters.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Shuffles the rows anew in each epoch. Default: true.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.options.shuffle = shuffle;
        self
    }

    /// Sets a sampler, which draws the rows of each epoch instead of a shuffle; see [`Sampler`]. It must be made for
    /// the data set that is passed to [`Self::fit`].
    pub fn sampler(mut self, sampler: &Sampler) -> Self {
        self.options.sampler = Some(sampler.clone());
        self
    }

    /// Leaves a last batch that is not full out of each epoch. Default: false.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.options.drop_last = drop_last;
        self
    }

    /// Feeds rows from the host even if the data set fits on the device. Default: false.
    ///
    /// A data set fits if its features take at most 1 GiB and at most a quarter of the largest buffer binding of the
    /// device ([`Limits::binding_bytes`](wgrad_core::Limits)). Then it is uploaded once per fit and each step gathers
    /// its rows on the device; the results are the same bits either way.
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.options.streaming = streaming;
        self
    }

    /// Sets the form in which the loss receives the classes.
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

    /// Calls `f` after each epoch; `Break` ends the fit. See [`Callback`] for more. Each call adds one.
    pub fn on_epoch(self, f: impl FnMut(&EpochStats) -> ControlFlow<()> + 'a) -> Self {
        self.callback(OnEpoch(f))
    }

    /// Calls `f` with the number (from 1) and the loss of each step of an epoch. This waits for the device in every
    /// step. [`Callback::step`] receives the same values later and does not wait.
    pub fn on_step(mut self, f: impl FnMut(usize, f64) + 'a) -> Self {
        self.on_step = Some(Box::new(f));
        self
    }

    /// Adds a callback.
    pub fn callback(mut self, callback: impl Callback<'a> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Ends a fit when its validation loss, or another metric, no longer improves.
    pub fn early_stopping(mut self, stopping: EarlyStopping<'a>) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// Sets a flag that ends the fit when it becomes true, for example from a signal handler. The submitted steps are
    /// finished, a checkpoint is written if [`Checkpoints`] are set, and the fit returns with
    /// [`Ended::Stopped`](crate::Ended).
    ///
    /// The trainer reads the flag before it submits steps to the device, at least every quarter of a second.
    pub fn stop_flag(mut self, flag: Arc<AtomicBool>) -> Self {
        self.options.stop = Some(flag);
        self
    }

    /// Saves the state of the training at intervals.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.saver.set(checkpoints);
        self
    }

    /// Resumes from the latest checkpoint in a folder, or from a file. The training then ends with the same bytes as
    /// if it had not been stopped. Model, data, optimizer and settings must be the same; the number of epochs may be
    /// larger. A damaged checkpoint is skipped for the one before; [`Self::resumed`] lists those.
    ///
    /// [`Self::fit`] reads the checkpoint. If a program has several fits, those before the one that was stopped return
    /// their recorded histories at once.
    pub fn resume(mut self, from: impl AsRef<Path>) -> Self {
        self.resume.set(from.as_ref());
        self
    }

    /// Returns the checkpoint that [`Self::fit`] resumed from; none if it did not resume.
    pub fn resumed(&self) -> Option<&Resumed> {
        self.resume.resumed()
    }

    /// Returns the last checkpoint that was written, if any.
    pub fn last_checkpoint(&self) -> Option<&Path> {
        self.saver.last()
    }

    /// Returns the session, to compile and run other graphs over the same variables.
    ///
    /// # Errors
    /// When a name was declared twice, or an earlier error has taken the device.
    pub fn session(&mut self) -> Result<&mut Session> {
        self.session.get()
    }

    /// Returns the number of updates of the parameters in an epoch of this data.
    ///
    /// # Errors
    /// When there is no row, or a batch has none.
    pub fn updates(&self, data: &Dataset) -> Result<usize> {
        let EpochBatches { steps, .. } = self.options.batches(self.session.params(), data.rows())?;
        Ok(steps.div_ceil(self.options.accumulate.max(1)))
    }

    /// Returns the state of the schedule, to be saved with the variables; none without a schedule or before the first
    /// fit.
    pub fn schedule_state(&mut self) -> Option<ScheduleState> {
        self.schedules.state()
    }

    /// Restores the state of a schedule that another trainer has saved. Schedule and parameter groups must be the same,
    /// and the optimizer must be set before.
    ///
    /// # Errors
    /// When there is no schedule or no optimizer, or the state is of another schedule.
    pub fn restore_schedule(&mut self, state: &ScheduleState) -> Result<()> {
        self.schedules.begin(self.options.optimizer()?)?;
        self.schedules.restore(state)
    }

    /// Returns the rule of early stopping, if there is one.
    pub(crate) fn patience(&self) -> Option<&Patience> {
        self.stopping.as_ref().map(|stopping| &stopping.rule)
    }

    /// Calls `f` with each callback. Callbacks that are added meanwhile are called from the next time on.
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

    /// Passes an epoch to early stopping. Returns whether the fit must end.
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
