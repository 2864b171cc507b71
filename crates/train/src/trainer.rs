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

/// Rows of a step that does not train; their number changes nothing but memory and speed.
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
/// A last batch of one row is left out of an epoch (unless batches have one row): batch norm has no variance to work
/// with, and its gradient would be noise. As rows are shuffled, it is another row each time.
///
/// With parameters of [`Params::torch_seed`], the batches are those of PyTorch's `DataLoader(…, shuffle=True)` in a program
/// that builds the same layers in the same order and then begins to iterate: each epoch draws from the same generator
/// ([`Batches::shuffle_as_torch`](wgrad_data::Batches::shuffle_as_torch)), each pass over the validation rows draws what a loader draws that does not shuffle,
/// and a last batch of one row stays unless [`Self::drop_last`] says otherwise.
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
    /// A trainer of the model whose variables are in `params`. Batches have 64 rows and are shuffled with the seed of
    /// `params`; there is no default optimizer.
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

    /// How parameters are updated.
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.options.optimizer = Some(Box::new(optimizer));
        self
    }

    /// How the optimizer's settings change from epoch to epoch: after each, a schedule that follows a metric is told the
    /// validation loss, or the training loss where there are no validation rows, and any other makes a step. Replaces the
    /// schedule that was set before. See [`schedule`](wgrad_nn::optim::schedule).
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedules = Schedules::per_epoch(schedule);
        self
    }

    /// How the optimizer's settings change from update to update, as for [`OneCycleLr`](wgrad_nn::optim::schedule::OneCycleLr);
    /// [`Self::updates`] says how many of them an epoch has. Steps still go to the device many at a time.
    pub fn schedule_per_step(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedules = Schedules::per_step(schedule);
        self
    }

    /// An average of the weights to be kept up to date, after each update; see [`Ema`].
    pub fn ema(mut self, ema: &Ema) -> Self {
        self.options.ema = Some(ema.clone());
        self
    }

    /// Updates the parameters after every `batches` batches, with the gradient of the mean loss of all their rows: what a
    /// batch of so many times the rows would do, but for layers that look at the whole batch, such as batch norm, and for
    /// losses whose mean is weighted. Each batch counts as a step of the progress.
    ///
    /// At the end of an epoch there may be fewer batches left, or a smaller last one: they are an update of their own,
    /// with the mean over the rows that there are. 1 if not set.
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.options.accumulate = batches;
        self
    }

    /// Rows per step.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.options.batch_size = batch_size;
        self
    }

    /// The seed of the order of the rows, if not that of the parameters.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Whether each epoch has an order of its own.
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.options.shuffle = shuffle;
        self
    }

    /// Who draws the rows of each epoch, in place of a shuffle: see [`Sampler`]. It is of the rows of the dataset that
    /// [`Self::fit`] gets.
    pub fn sampler(mut self, sampler: &Sampler) -> Self {
        self.options.sampler = Some(sampler.clone());
        self
    }

    /// Whether a last batch that is not full is left out of each epoch.
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.options.drop_last = drop_last;
        self
    }

    /// Whether rows are fed from the host even where the data set fits on the device.
    ///
    /// It fits if its features take at most a quarter of what the device binds at once
    /// ([`Limits::binding_bytes`](wgrad_core::Limits)), and 1 GiB. Then it is uploaded once per fit and each step picks its
    /// rows there; the results are the same bits either way.
    pub fn streaming(mut self, streaming: bool) -> Self {
        self.options.streaming = streaming;
        self
    }

    /// In which form the loss gets the classes.
    pub fn targets(mut self, targets: Targets) -> Self {
        self.options.targets = targets;
        self
    }

    /// Rows whose loss is computed after each epoch, without training on them.
    pub fn validation(mut self, data: &Dataset) -> Self {
        self.options.validation = Some(data.clone());
        self
    }

    /// What to show: [`Silent`](crate::Silent), [`Lines`](crate::Lines), [`Bar`](crate::Bar) or an observer of one's
    /// own; [`automatic`] if not set.
    pub fn progress(mut self, progress: impl Progress + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Calls `f` after each epoch; `Break` ends the fit. See [`Callback`] for more. Each call adds one.
    pub fn on_epoch(self, f: impl FnMut(&EpochStats) -> ControlFlow<()> + 'a) -> Self {
        self.callback(OnEpoch(f))
    }

    /// Calls `f` with the number (from 1) and the loss of each step of an epoch. This waits for the device in every
    /// step; [`Callback::step`] is told the same later, and waits for nothing.
    pub fn on_step(mut self, f: impl FnMut(usize, f64) + 'a) -> Self {
        self.on_step = Some(Box::new(f));
        self
    }

    /// Adds code that runs along.
    pub fn callback(mut self, callback: impl Callback<'a> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Ends a fit when it does not get better any more.
    pub fn early_stopping(mut self, stopping: EarlyStopping<'a>) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// A flag that others set to end the fit, such as the handler of a signal: the steps that are under way are finished,
    /// a checkpoint is written if there are [`Checkpoints`], and the fit returns with [`Ended::Stopped`](crate::Ended).
    ///
    /// The trainer looks at it before steps go to the device, which is every quarter of a second or more often.
    pub fn stop_flag(mut self, flag: Arc<AtomicBool>) -> Self {
        self.options.stop = Some(flag);
        self
    }

    /// Saves everything that the training is made of from time to time.
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.saver.set(checkpoints);
        self
    }

    /// Goes on from the latest checkpoint in a folder, or from a file: the training then ends with the bytes with which it
    /// would have ended without the stop. Model, data, optimizer and settings have to be the same; the number of epochs may
    /// be larger. A damaged checkpoint is passed over for the one before, which [`Self::resumed`] tells.
    ///
    /// [`Self::fit`] reads the checkpoint. Where a program has several fits, those before the one that was stopped return
    /// what they returned then.
    pub fn resume(mut self, from: impl AsRef<Path>) -> Self {
        self.resume.set(from.as_ref());
        self
    }

    /// From which checkpoint the training went on, after [`Self::fit`]; none if it did not.
    pub fn resumed(&self) -> Option<&Resumed> {
        self.resume.resumed()
    }

    /// The last checkpoint that was written, if there was one.
    pub fn last_checkpoint(&self) -> Option<&Path> {
        self.saver.last()
    }

    /// The session, to compile and run graphs of one's own over the same variables.
    ///
    /// # Errors
    /// When a name was declared twice.
    pub fn session(&mut self) -> Result<&mut Session> {
        self.session.get()
    }

    /// Updates of the parameters in an epoch of this data.
    ///
    /// # Errors
    /// When there is no row, or a batch has none.
    pub fn updates(&self, data: &Dataset) -> Result<usize> {
        let EpochBatches { steps, .. } = self.options.batches(self.session.params(), data.rows())?;
        Ok(steps.div_ceil(self.options.accumulate.max(1)))
    }

    /// Where the schedule is, to be saved with the variables; none if there is no schedule, or nothing was trained yet.
    pub fn schedule_state(&mut self) -> Option<ScheduleState> {
        self.schedules.state()
    }

    /// Goes to where the schedule of another trainer was, which had the same schedule and groups. The optimizer has to be
    /// set before.
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

    /// Calls `f` with each callback. What callbacks add runs from the next call on.
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

    /// Lets early stopping measure an epoch. Returns whether the fit shall end.
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
