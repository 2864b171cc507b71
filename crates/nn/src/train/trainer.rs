//! The trainer: seeded epochs of batches through compiled steps.

use std::fmt;
use std::ops::ControlFlow;
use std::panic::Location;
use std::time::Instant;

use wgrad_core::{Backend, Error, Params, Result, Session, Tensor};

use super::progress::{Progress, Run, automatic};
use super::schedules::Schedules;
use super::steps::{Steps, Targets, Training, fits};
use super::{EpochStats, History};
use crate::data::{Batches, Dataset, Epoch, Sampler, Seed, loader};
use crate::optim::schedule::{Schedule, ScheduleState};
use crate::optim::{Ema, Optimizer};

/// Rows of a step that does not train; their number changes nothing but memory and speed.
pub const EVALUATION_ROWS: usize = 1024;

type OnEpoch = Box<dyn FnMut(&EpochStats) -> ControlFlow<()>>;
type OnStep = Box<dyn FnMut(usize, f64)>;

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
/// ([`Batches::shuffle_as_torch`]), each pass over the validation rows draws what a loader draws that does not shuffle,
/// and a last batch of one row stays unless [`Self::drop_last`] says otherwise.
pub struct Trainer {
    backend: Option<Box<dyn Backend>>,
    session: Option<Session>,
    params: Params,
    optimizer: Option<Box<dyn Optimizer>>,
    schedules: Schedules,
    ema: Option<Ema>,
    accumulate: usize,
    batch_size: usize,
    /// None for the order that goes with the parameters.
    seed: Option<Seed>,
    shuffle: bool,
    sampler: Option<Sampler>,
    drop_last: bool,
    streaming: bool,
    targets: Targets,
    validation: Option<Dataset>,
    progress: Box<dyn Progress>,
    on_epoch: Option<OnEpoch>,
    on_step: Option<OnStep>,
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed.unwrap_or(Seed(self.params.seed()));
        write!(f, "Trainer({:?}, batches of {}, {seed:?})", self.params, self.batch_size)
    }
}

impl Trainer {
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
            on_epoch: None,
            on_step: None,
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
    /// schedule that was set before. See [`schedule`](crate::optim::schedule).
    #[must_use]
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedules = Schedules::per_epoch(schedule);
        self
    }

    /// How the optimizer's settings change from update to update, as for [`OneCycleLr`](crate::optim::schedule::OneCycleLr);
    /// [`Self::updates`] says how many of them an epoch has. Steps still go to the device many at a time.
    #[must_use]
    pub fn schedule_per_step(mut self, schedule: impl Schedule + 'static) -> Self {
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
    pub fn progress(mut self, progress: impl Progress + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// Calls `f` after each epoch; `Break` ends the fit.
    #[must_use]
    pub fn on_epoch(mut self, f: impl FnMut(&EpochStats) -> ControlFlow<()> + 'static) -> Self {
        self.on_epoch = Some(Box::new(f));
        self
    }

    /// Calls `f` with the number (from 1) and the loss of each step of an epoch. This waits for the device in every
    /// step.
    #[must_use]
    pub fn on_step(mut self, f: impl FnMut(usize, f64) + 'static) -> Self {
        self.on_step = Some(Box::new(f));
        self
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

    /// Trains for some epochs on the loss that `loss` computes from features `x: f32[N, features]` and targets `y`
    /// (see [`Targets`]). Afterwards the values of all variables are in [`Params`], ready to be saved.
    ///
    /// Steps go to the device many at a time (one at a time with [`Self::on_step`]), and their rows are picked there if the
    /// data set fits (see [`Self::streaming`]). `loss` is traced once per batch size; what it does to the graph happens in every step. A second call continues
    /// with the optimizer's state and the next shuffles.
    ///
    /// # Errors
    /// Every error of the graph, with its source line; a loss that is not finite; a lost device.
    #[track_caller]
    pub fn fit(&mut self, data: &Dataset, epochs: usize, loss: impl Fn(&Tensor, &Tensor) -> Tensor) -> Result<History> {
        let caller = Location::caller();
        self.session()?;
        let optimizer = self.optimizer.take().ok_or_else(|| {
            Error::Config("there is no optimizer\n  fix: Trainer::new(…).optimizer(AdamW::new(1e-3))".into())
        })?;
        let mut history = History::default();
        let result = self.epochs(data, epochs, &loss, &*optimizer, &mut history, caller);
        self.optimizer = Some(optimizer);
        self.progress.end(&history);
        let synced = self.session()?.sync();
        result.and(synced).map(|()| history)
    }

    fn epochs(
        &mut self,
        data: &Dataset,
        epochs: usize,
        loss: &impl Fn(&Tensor, &Tensor) -> Tensor,
        optimizer: &dyn Optimizer,
        history: &mut History,
        caller: &'static Location<'static>,
    ) -> Result<()> {
        let targets = self.targets.of(data)?;
        let batches = self.batches(data)?;
        let run = Run { epochs, steps: batches.len() - usize::from(self.drops_one(data)), rows: data.rows() };
        self.progress.begin(&run);
        let warnings = self.progress.warnings();
        self.session()?.on_warning(warnings);
        if let Some(f) = self.progress.compiling() {
            self.session()?.on_compile(f);
        }
        let limits = self.session()?.limits();
        let resident = |data: &Dataset| !self.streaming && fits(data, &limits);
        if self.accumulate == 0 {
            return Err(Error::Config("an update needs at least one batch\n  fix: Trainer::accumulate(1)".into()));
        }
        self.schedules.begin(optimizer)?;
        let ema = self.ema.clone();
        let training = Training { optimizer, ema: ema.as_ref(), accumulate: self.accumulate };
        let mut steps = Steps::new(loss, data, targets, Some(training), resident(data), caller)?;
        let validation = self.validation.clone();
        let checks = validation.as_ref().map(|data| Steps::new(loss, data, targets, None, resident(data), caller));
        let mut checks = checks.transpose()?;
        let trained = self.params.at("train").counter("@epoch");
        for epoch in 1..=epochs {
            let begin = Instant::now();
            // A generator goes on by itself, a seed is told which epoch it is.
            let number = if self.as_torch() { epoch as u64 - 1 } else { trained.get() };
            if self.as_torch() && !self.shuffle {
                loader::begin(&self.params);
            }
            self.schedules.check(run.steps.div_ceil(self.accumulate))?;
            let loss = self.epoch(&mut steps, &batches.epoch(number), run.steps)?;
            let seconds = begin.elapsed().as_secs_f64();
            trained.set(trained.get() + 1);
            if !loss.is_finite() {
                return Err(not_finite(epoch, loss));
            }
            let validation_loss = checks.as_mut().map(|checks| self.validate(checks)).transpose()?;
            self.schedules.after_epoch(validation_loss.unwrap_or(loss))?;
            let stats = EpochStats { epoch, epochs, loss, validation_loss, seconds };
            history.epochs.push(stats);
            self.progress.epoch(&stats);
            if self.on_epoch.as_mut().is_some_and(|f| f(&stats).is_break()) {
                break;
            }
        }
        Ok(())
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

    /// Whether the batches are those of PyTorch's loader.
    fn as_torch(&self) -> bool {
        self.seed.is_none() && self.params.with_torch_random(|_| ()).is_some()
    }

    fn batches(&self, data: &Dataset) -> Result<Batches> {
        let mut batches = Batches::new(data.rows(), self.batch_size)?;
        if let Some(sampler) = &self.sampler {
            let seed = self.seed.unwrap_or(Seed(self.params.seed()));
            batches = batches.sampler(sampler, seed)?;
            return if self.drop_last { batches.drop_last() } else { Ok(batches) };
        }
        let batches = if self.drop_last { batches.drop_last()? } else { batches };
        match (self.shuffle, self.as_torch()) {
            (true, true) => batches.shuffle_as_torch(&self.params),
            (true, false) => Ok(batches.shuffle(self.seed.unwrap_or(Seed(self.params.seed())))),
            (false, _) => Ok(batches),
        }
    }

    /// Whether an epoch goes without its last row, which would be a batch of its own.
    fn drops_one(&self, data: &Dataset) -> bool {
        let rows = self.sampler.as_ref().map_or(data.rows(), Sampler::samples);
        !self.drop_last
            && !self.as_torch()
            && self.batch_size > 1
            && rows > self.batch_size
            && rows % self.batch_size == 1
    }

    /// The mean loss of an epoch's first `count` batches.
    fn epoch<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        steps: &mut Steps<'_, L>,
        epoch: &Epoch,
        count: usize,
    ) -> Result<f64> {
        self.session()?;
        let Self { session: Some(session), progress, on_step, batch_size, .. } = self else {
            unreachable!("there is a session")
        };
        let order = epoch.order();
        let order = &order[..order.len().min(count * *batch_size)];
        steps.run(session, order, *batch_size, on_step.is_some(), |step, loss| {
            progress.step(step);
            if let Some(f) = on_step {
                f(step, loss);
            }
        })
    }

    /// The mean loss of the validation rows.
    fn validate<L: Fn(&Tensor, &Tensor) -> Tensor>(&mut self, checks: &mut Steps<'_, L>) -> Result<f64> {
        let order: Vec<u32> = (0..).take(checks.rows()).collect();
        if self.as_torch() {
            loader::begin(&self.params);
        }
        checks.run(self.session()?, &order, EVALUATION_ROWS, false, |_, _| {})
    }
}

fn not_finite(epoch: usize, loss: f64) -> Error {
    Error::Data(format!(
        "the loss is {loss} in epoch {epoch}; the model is as it was then\n  fixes:\n    1. a smaller learning rate\n    \
         2. standardised features (Table does that unless told not to)\n    \
         3. no log, division or root of what can be 0 or negative in the loss"
    ))
}
