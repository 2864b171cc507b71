//! The trainer: seeded epochs of batches through compiled steps.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wgrad_core::{Backend, Error, Graph, Params, Result, Session};

use super::checkpoint::manifest::Fit;
use super::checkpoint::{Checkpoint, Checkpoints, Resumed};
use super::progress::{Progress, automatic};
use super::schedules::Schedules;
use super::settings::Settings;
use super::steps::Targets;
use super::{Callback, EarlyStopping, EpochStats};
use wgrad_data::{Dataset, Sampler, Seed};
use wgrad_nn::optim::schedule::{Schedule, ScheduleState};
use wgrad_nn::optim::{Ema, LearningRate, Optimizer};

/// Rows of a step that does not train; their number changes nothing but memory and speed.
pub const EVALUATION_ROWS: usize = 1024;

type OnStep<'a> = Box<dyn FnMut(usize, f64) + 'a>;

/// What [`Trainer::on_epoch`] is.
struct OnEpoch<F>(F);

impl<F: FnMut(&EpochStats) -> ControlFlow<()>> Callback<'_> for OnEpoch<F> {
    fn epoch(&mut self, _trainer: &mut Trainer<'_>, stats: &EpochStats) -> Result<ControlFlow<()>> {
        Ok((self.0)(stats))
    }
}

/// Where a trainer's checkpoints go, and from where it goes on.
#[derive(Default)]
pub(super) struct Saving {
    pub checkpoints: Option<Checkpoints>,
    /// Where to go on from, until that is read.
    pub resume: Option<PathBuf>,
    /// What was read, until the fit that it is of.
    pub pending: Option<Checkpoint>,
    pub resumed: Option<Resumed>,
    /// The step of the fit under way, and what of it has to be the same to go on, once that was asked.
    pub step: Option<Graph>,
    pub settings: Option<Settings>,
    /// Whether the folder was looked at.
    pub begun: bool,
    /// Files of another training, to be removed.
    pub others: Vec<PathBuf>,
    /// The last file that was written.
    pub last: Option<PathBuf>,
    /// The steps after which that was.
    pub saved: Option<u64>,
    /// Epoch and measure of the best checkpoint.
    pub best: Option<(usize, f64)>,
}

/// What a trainer has done before the fit under way.
#[derive(Default)]
pub(super) struct Past {
    /// All fits before.
    pub fits: Vec<Fit>,
    /// Steps of all fits.
    pub steps: u64,
    /// The rates with which the first fit began.
    pub rates: Option<Vec<[u64; 2]>>,
    /// The schedule as it was given.
    pub schedule: Option<String>,
    /// The rate of the parameters in no group, to be shown.
    pub lr: Option<LearningRate>,
}

/// Trains and evaluates a model on datasets.
///
/// The same seed, data, device and driver give the same bits: the order of the rows depends on the seed and the number
/// of epochs trained so far, dropout on the seed and the number of steps. See [the module](super) for an example.
///
/// A last batch of one row is left out of an epoch (unless batches have one row): batch norm has no variance to work
/// with, and its gradient would be noise. As rows are shuffled, it is another row each time.
///
/// With parameters of [`Params::torch_seed`], the batches are those of PyTorch's `DataLoader(…, shuffle=True)` in a program
/// that builds the same layers in the same order and then begins to iterate: each epoch draws from the same generator
/// ([`Batches::shuffle_as_torch`](wgrad_data::Batches::shuffle_as_torch)), each pass over the validation rows draws what a loader draws that does not shuffle,
/// and a last batch of one row stays unless [`Self::drop_last`] says otherwise.
pub struct Trainer<'a> {
    backend: Option<Box<dyn Backend>>,
    pub(super) session: Option<Session>,
    pub(super) params: Params,
    pub(super) optimizer: Option<Box<dyn Optimizer>>,
    pub(super) schedules: Schedules,
    pub(super) ema: Option<Ema>,
    pub(super) accumulate: usize,
    pub(super) batch_size: usize,
    /// None for the order that goes with the parameters.
    pub(super) seed: Option<Seed>,
    pub(super) shuffle: bool,
    pub(super) sampler: Option<Sampler>,
    pub(super) drop_last: bool,
    pub(super) streaming: bool,
    pub(super) targets: Targets,
    pub(super) validation: Option<Dataset>,
    pub(super) progress: Box<dyn Progress + 'a>,
    pub(super) callbacks: Vec<Box<dyn Callback<'a> + 'a>>,
    pub(super) on_step: Option<OnStep<'a>>,
    pub(super) stopping: Option<EarlyStopping<'a>>,
    pub(super) stop: Option<Arc<AtomicBool>>,
    pub(super) saving: Saving,
    pub(super) past: Past,
}

impl fmt::Debug for Trainer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed.unwrap_or(Seed(self.params.seed()));
        write!(f, "Trainer({:?}, batches of {}, {seed:?})", self.params, self.batch_size)
    }
}

impl<'a> Trainer<'a> {
    /// A trainer of the model whose variables are in `params`. Batches have 64 rows and are shuffled with the seed of
    /// `params`; there is no default optimizer.
    #[must_use]
    pub fn new(device: impl Into<Box<dyn Backend>>, params: &Params) -> Self {
        Self {
            backend: Some(device.into()),
            session: None,
            params: params.clone(),
            optimizer: None,
            schedules: Schedules::default(),
            ema: None,
            accumulate: 1,
            batch_size: 64,
            seed: None,
            shuffle: true,
            sampler: None,
            drop_last: false,
            streaming: false,
            targets: Targets::Automatic,
            validation: None,
            progress: automatic(),
            callbacks: vec![],
            on_step: None,
            stopping: None,
            stop: None,
            saving: Saving::default(),
            past: Past::default(),
        }
    }

    /// How parameters are updated.
    #[must_use]
    pub fn optimizer(mut self, optimizer: impl Optimizer + 'static) -> Self {
        self.optimizer = Some(Box::new(optimizer));
        self
    }

    /// How the optimizer's settings change from epoch to epoch: after each, a schedule that follows a metric is told the
    /// validation loss, or the training loss where there are no validation rows, and any other makes a step. Replaces the
    /// schedule that was set before. See [`schedule`](wgrad_nn::optim::schedule).
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.past.schedule = Some(format!("{schedule:?} per epoch"));
        self.schedules = Schedules::per_epoch(schedule);
        self
    }

    /// How the optimizer's settings change from update to update, as for [`OneCycleLr`](wgrad_nn::optim::schedule::OneCycleLr);
    /// [`Self::updates`] says how many of them an epoch has. Steps still go to the device many at a time.
    #[must_use]
    pub fn schedule_per_step(mut self, schedule: impl Schedule + 'static) -> Self {
        self.past.schedule = Some(format!("{schedule:?} per step"));
        self.schedules = Schedules::per_step(schedule);
        self
    }

    /// An average of the weights to be kept up to date, after each update; see [`Ema`].
    #[must_use]
    pub fn ema(mut self, ema: &Ema) -> Self {
        self.ema = Some(ema.clone());
        self
    }

    /// Updates the parameters after every `batches` batches, with the gradient of the mean loss of all their rows: what a
    /// batch of so many times the rows would do, but for layers that look at the whole batch, such as batch norm, and for
    /// losses whose mean is weighted. Each batch counts as a step of the progress.
    ///
    /// At the end of an epoch there may be fewer batches left, or a smaller last one: they are an update of their own,
    /// with the mean over the rows that there are. 1 if not set.
    #[must_use]
    pub fn accumulate(self, batches: usize) -> Self {
        Self { accumulate: batches, ..self }
    }

    /// Rows per step.
    #[must_use]
    pub fn batch_size(self, batch_size: usize) -> Self {
        Self { batch_size, ..self }
    }

    /// The seed of the order of the rows, if not that of the parameters.
    #[must_use]
    pub fn seed(self, seed: Seed) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Whether each epoch has an order of its own.
    #[must_use]
    pub fn shuffle(self, shuffle: bool) -> Self {
        Self { shuffle, ..self }
    }

    /// Who draws the rows of each epoch, in place of a shuffle: see [`Sampler`]. It is of the rows of the dataset that
    /// [`Self::fit`] gets.
    #[must_use]
    pub fn sampler(self, sampler: &Sampler) -> Self {
        Self { sampler: Some(sampler.clone()), ..self }
    }

    /// Whether a last batch that is not full is left out of each epoch.
    #[must_use]
    pub fn drop_last(self, drop_last: bool) -> Self {
        Self { drop_last, ..self }
    }

    /// Whether rows are fed from the host even where the data set fits on the device.
    ///
    /// It fits if its features take at most a quarter of what the device binds at once
    /// ([`Limits::binding_bytes`](wgrad_core::Limits)), and 1 GiB. Then it is uploaded once per fit and each step picks its
    /// rows there; the results are the same bits either way.
    #[must_use]
    pub fn streaming(self, streaming: bool) -> Self {
        Self { streaming, ..self }
    }

    /// In which form the loss gets the classes.
    #[must_use]
    pub fn targets(self, targets: Targets) -> Self {
        Self { targets, ..self }
    }

    /// Rows whose loss is computed after each epoch, without training on them.
    #[must_use]
    pub fn validation(mut self, data: &Dataset) -> Self {
        self.validation = Some(data.clone());
        self
    }

    /// What to show: [`Silent`](super::Silent), [`Lines`](super::Lines), [`Bar`](super::Bar) or an observer of one's
    /// own; [`automatic`] if not set.
    #[must_use]
    pub fn progress(mut self, progress: impl Progress + 'a) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Calls `f` after each epoch; `Break` ends the fit. See [`Callback`] for more. Each call adds one.
    #[must_use]
    pub fn on_epoch(self, f: impl FnMut(&EpochStats) -> ControlFlow<()> + 'a) -> Self {
        self.callback(OnEpoch(f))
    }

    /// Calls `f` with the number (from 1) and the loss of each step of an epoch. This waits for the device in every
    /// step; [`Callback::step`] is told the same later, and waits for nothing.
    #[must_use]
    pub fn on_step(mut self, f: impl FnMut(usize, f64) + 'a) -> Self {
        self.on_step = Some(Box::new(f));
        self
    }

    /// Adds code that runs along.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback<'a> + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Ends a fit when it does not get better any more.
    #[must_use]
    pub fn early_stopping(mut self, stopping: EarlyStopping<'a>) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// A flag that others set to end the fit, such as the handler of a signal: the steps that are under way are finished,
    /// a checkpoint is written if there are [`Checkpoints`], and the fit returns with [`Ended::Stopped`](super::Ended).
    ///
    /// The trainer looks at it before steps go to the device, which is every quarter of a second or more often.
    #[must_use]
    pub fn stop_flag(mut self, flag: Arc<AtomicBool>) -> Self {
        self.stop = Some(flag);
        self
    }

    /// Saves everything that the training is made of from time to time.
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.saving.checkpoints = Some(checkpoints);
        self
    }

    /// Goes on from the latest checkpoint in a folder, or from a file: the training then ends with the bytes with which it
    /// would have ended without the stop. Model, data, optimizer and settings have to be the same; the number of epochs may
    /// be larger. A damaged checkpoint is passed over for the one before, which [`Self::resumed`] tells.
    ///
    /// [`Self::fit`] reads the checkpoint. Where a program has several fits, those before the one that was stopped return
    /// what they returned then.
    #[must_use]
    pub fn resume(mut self, from: impl AsRef<Path>) -> Self {
        self.saving.resume = Some(from.as_ref().into());
        self
    }

    /// From which checkpoint the training went on, after [`Self::fit`]; none if it did not.
    #[must_use]
    pub fn resumed(&self) -> Option<&Resumed> {
        self.saving.resumed.as_ref()
    }

    /// The last checkpoint that was written, if there was one.
    #[must_use]
    pub fn last_checkpoint(&self) -> Option<&Path> {
        self.saving.last.as_deref()
    }

    /// The session, to compile and run graphs of one's own over the same variables.
    ///
    /// # Errors
    /// When a name was declared twice.
    pub fn session(&mut self) -> Result<&mut Session> {
        self.params.check()?;
        if let Some(backend) = self.backend.take() {
            self.session = Some(Session::new(backend, &self.params)?);
        }
        self.session.as_mut().ok_or_else(|| Error::Device("the trainer's device was lost by an earlier error".into()))
    }

    /// Updates of the parameters in an epoch of this data.
    ///
    /// # Errors
    /// When there is no row, or a batch has none.
    pub fn updates(&self, data: &Dataset) -> Result<usize> {
        let steps = self.batches(data)?.len() - usize::from(self.drops_one(data));
        Ok(steps.div_ceil(self.accumulate.max(1)))
    }

    /// Where the schedule is, to be saved with the variables; none if there is no schedule, or nothing was trained yet.
    #[must_use]
    pub fn schedule_state(&mut self) -> Option<ScheduleState> {
        self.schedules.state()
    }

    /// Goes to where the schedule of another trainer was, which had the same schedule and groups. The optimizer has to be
    /// set before.
    ///
    /// # Errors
    /// When there is no schedule or no optimizer, or the state is of another schedule.
    pub fn restore_schedule(&mut self, state: &ScheduleState) -> Result<()> {
        let optimizer = self.optimizer.as_ref().ok_or_else(|| {
            Error::Config("there is no optimizer\n  fix: Trainer::new(…).optimizer(AdamW::new(1e-3))".into())
        })?;
        self.schedules.begin(&**optimizer)?;
        self.schedules.restore(state)
    }
}
