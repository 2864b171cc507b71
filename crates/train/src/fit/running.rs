//! State of a running fit, from its first step (or the checkpoint that it resumes from) to its end.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Instant;

use wgrad_core::{Counter, Result, Tensor, TorchRandom};

use super::diagnose::{Replay, StepHistory};
use crate::checkpoint::capture::Capture;
use crate::checkpoint::manifest::Position;
use crate::checkpoint::resume::{RestoreTarget, ResumedFit};
use crate::checkpoint::saver::{Measure, Saver};
use crate::checkpoint::settings::{Settings, SettingsSource, Subject};
use crate::data_source::DataSource;
use crate::history::{Ended, EpochStats, History};
use crate::number::{BestEpoch, Number, values};
use crate::patience::PatienceState;
use crate::progress::{FitInfo, Progress};
use crate::steps::{EpochOrder, StepObserver, Steps, StepsOutcome, Tally};
use crate::trainer::{EVALUATION_ROWS, Trainer};
use wgrad_data::Batches;
use wgrad_nn::optim::{LearningRate, Optimizer};

/// Options of one fit.
pub(super) struct FitOptions<'f> {
    pub source: DataSource<'f>,
    pub epochs: usize,
    pub optimizer: &'f dyn Optimizer,
    pub batches: Batches,
    /// Number of steps per epoch.
    pub steps: usize,
    /// Index of the fit within the trainer, from 0.
    pub fit: usize,
}

/// Fit that is running.
pub(super) struct Fit<'f, L> {
    options: FitOptions<'f>,
    steps: Steps<'f, L>,
    /// Evaluation steps over the validation rows. `None` without validation rows.
    checks: Option<Steps<'f, L>>,
    subject: Subject<'f>,
    at: Position,
    history: &'f mut History,
    recent: StepHistory,
    settings: Option<Settings>,
    /// Learning rate of the parameters that belong to no parameter group, for the progress display.
    lr: Option<LearningRate>,
}

impl<'f, L: Fn(&Tensor, &Tensor) -> Tensor> Fit<'f, L> {
    /// Prepares a fit that begins with its first step or continues from a checkpoint. Returns `None` if the
    /// checkpoint was written in a later fit, so that this fit is already complete.
    pub fn prepare(
        trainer: &mut Trainer<'_>,
        options: FitOptions<'f>,
        steps: Steps<'f, L>,
        checks: Option<Steps<'f, L>>,
        history: &'f mut History,
    ) -> Result<Option<Self>> {
        if let Some(stopping) = &mut trainer.stopping {
            stopping.rule.set_state(PatienceState::default());
        }
        let resumes = trainer.resume.is_requested();
        trainer.resume.read(&mut *trainer.progress)?;
        if let Some(finished) = trainer.resume.finished(options.fit) {
            *history = finished;
            return Ok(None);
        }
        // Tracing a step declares the optimizer's state and the weight averages, with their initial values.
        let step = steps.example(trainer.options.batch_size).graph;
        let mut fit = Self {
            at: Position::begin(options.fit, trainer.runs.steps()),
            recent: StepHistory::empty(),
            lr: options.optimizer.handles().into_iter().next().map(|group| group.lr),
            subject: Subject { data: options.source.data(), params: trainer.session.params().clone(), step },
            settings: None,
            options,
            steps,
            checks,
            history,
        };
        fit.resume(trainer)?;
        trainer.saver.begin(resumes)?;
        Ok(Some(fit))
    }

    /// Restores the checkpoint of this fit, if there is one.
    fn resume(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        let Some(checkpoint) = trainer.resume.take() else { return Ok(()) };
        self.subject.step.check()?;
        let FitOptions { fit, epochs, steps, optimizer, .. } = self.options;
        let Trainer { session, options, schedules, runs, saver, resume, progress, stopping, .. } = trainer;
        let rule = stopping.as_ref().map(|stopping| stopping as &dyn fmt::Debug);
        let settings =
            SettingsSource::new(&self.subject, options, runs, schedules, rule).get_or_describe(&mut self.settings)?;
        let patience = stopping.as_mut().map(|stopping| &mut stopping.rule);
        let training = RestoreTarget { session, schedules, optimizer, patience, runs, saver, history: self.history };
        let fit = ResumedFit { fit, epochs, steps };
        self.at = resume.restore(checkpoint, fit, &settings, training, &mut **progress)?;
        Ok(())
    }

    /// Announces the fit to the progress observer and the callbacks.
    pub fn begin(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        let FitOptions { epochs, steps, source, .. } = self.options;
        let done = ((self.at.epoch - 1) * steps + self.at.step).min(epochs * steps);
        let run = FitInfo { epochs, steps, rows: source.rows(), done };
        trainer.progress.begin(&run);
        let warnings = trainer.progress.warnings();
        trainer.session()?.on_warning(warnings);
        if let Some(f) = trainer.progress.compiling() {
            trainer.session()?.on_compile(f);
        }
        trainer.each_callback(|callback, trainer| callback.begin(trainer, &run))?;
        self.recent = StepHistory::new(&self.subject.params);
        self.trained();
        Ok(())
    }

    /// Returns the counter of epochs, which counts over all fits. The first call declares the counter. It must
    /// come after a checkpoint is restored and before the first step runs.
    fn trained(&self) -> Counter {
        self.subject.params.at("train").counter("@epoch")
    }

    /// Runs the remaining epochs of the fit.
    pub fn run(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        let first = self.at.epoch;
        while !self.at.over && self.at.epoch <= self.options.epochs {
            if self.epoch(trainer, (self.at.epoch - first) as u64)?.is_break() {
                return Ok(());
            }
        }
        self.restore_best(trainer)
    }

    /// Runs the remaining steps of an epoch. `nth` is the number of epochs that this call of `fit` has already
    /// run. Returns `Break` if the fit was stopped.
    fn epoch(&mut self, trainer: &mut Trainer<'_>, nth: u64) -> Result<ControlFlow<()>> {
        let begin = Instant::now();
        let random = self.subject.params.with_torch_random(|random| random.clone());
        let random = random.as_ref();
        let batch_size = trainer.options.batch_size;
        let epoch = self.draw(trainer, nth)?;
        let rows = epoch.order();
        let order = EpochOrder { rows: &rows[..rows.len().min(self.options.steps * batch_size)], batch_size };
        self.recent.refresh(&mut trainer.session)?;
        self.recent.epoch(&self.at, order.rows, trainer.schedules.host(self.options.optimizer));
        match self.steps(trainer, order, random)? {
            StepsOutcome::Completed => {}
            StepsOutcome::Stopped => {
                self.history.ended = Ended::Stopped;
                self.save_with(trainer, random, |saver, capture, _| saver.save_last(capture))?;
                return Ok(ControlFlow::Break(()));
            }
            StepsOutcome::NotFinite { step, loss } => {
                let Trainer { session, schedules, .. } = trainer;
                let FitOptions { optimizer, steps: epoch_steps, .. } = self.options;
                let steps = &mut self.steps;
                let replay = Replay { session, schedules, optimizer, steps, batch_size, epoch_steps };
                return Err(self.recent.explain(replay, self.at.epoch, step, loss));
            }
        }
        let stats = self.measure(trainer, order.rows.len(), begin)?;
        self.after_epoch(trainer, &stats)
    }

    /// Chooses the rows of an epoch and their order.
    fn draw(&self, trainer: &Trainer<'_>, nth: u64) -> Result<wgrad_data::Epoch> {
        let Trainer { options, schedules, .. } = trainer;
        // Each epoch must have a new order of rows. PyTorch's random generator has a new state in each epoch. A
        // seed stays the same, so it is combined with the number of epochs trained so far.
        let as_torch = options.as_torch(&self.subject.params);
        let number = if as_torch { nth } else { self.trained().get() };
        if as_torch && !options.shuffle {
            wgrad_data::begin(&self.subject.params);
        }
        schedules.check(self.options.steps.div_ceil(options.accumulate) - self.at.step / options.accumulate)?;
        Ok(self.options.batches.epoch(number))
    }

    /// Runs the remaining steps of an epoch, and writes the checkpoints that are due between two steps.
    fn steps(
        &mut self,
        trainer: &mut Trainer<'_>,
        order: EpochOrder<'_>,
        random: Option<&TorchRandom>,
    ) -> Result<StepsOutcome> {
        let count = self.options.steps;
        loop {
            let left = trainer.saver.steps_left(self.at.total);
            let to = left.map_or(count, |left| count.min(self.at.step + left));
            let ran = self.some_steps(trainer, order, to)?;
            if ran != StepsOutcome::Completed || self.at.step == count {
                return Ok(ran);
            }
            self.save_with(trainer, random, |saver, capture, progress| saver.save(capture, progress))?;
        }
    }

    /// Runs the steps of an epoch up to step `to`.
    fn some_steps(&mut self, trainer: &mut Trainer<'_>, order: EpochOrder<'_>, to: usize) -> Result<StepsOutcome> {
        let Trainer { session, options, progress, on_step, callbacks, .. } = trainer;
        let mut tally = self.tally();
        let wait = on_step.is_some();
        let lr = self.lr.as_ref();
        let mut step_is_over = |step: usize, loss: f64| {
            progress.step(step);
            progress.now(loss, lr.map(LearningRate::get));
            for callback in callbacks.iter_mut() {
                callback.step(step, loss);
            }
            if let Some(f) = &mut *on_step {
                f(step, loss);
            }
        };
        let mut watch = StepObserver { wait, stop: &|| options.is_stopped(), on_step: &mut step_is_over };
        let ran = self.steps.run(session.get()?, order, &mut tally, to, &mut watch)?;
        self.at.total += (tally.steps - self.at.step) as u64;
        (self.at.step, self.at.loss_sum, self.at.tracked) = (tally.steps, Number(tally.sum), tally.tracked);
        Ok(ran)
    }

    /// Returns the sums of the losses and tracked values of the current epoch so far.
    fn tally(&self) -> Tally {
        let Position { step, loss_sum, tracked, .. } = &self.at;
        Tally { steps: *step, sum: loss_sum.0, tracked: tracked.clone() }
    }

    /// Runs the validation after the last step of an epoch, returns the statistics of the epoch, and advances the
    /// schedule.
    fn measure(&mut self, trainer: &mut Trainer<'_>, rows: usize, begin: Instant) -> Result<EpochStats> {
        let Tally { sum: loss, tracked, .. } = self.tally().means(rows);
        let seconds = begin.elapsed().as_secs_f64();
        let lr = self.options.optimizer.handles().first().map(|group| group.lr.get());
        let counter = self.trained();
        counter.set(counter.get() + 1);
        let validation = self.validate(trainer)?;
        let validation_loss = validation.as_ref().map(|tally| tally.sum);
        trainer.schedules.after_epoch(validation_loss.unwrap_or(loss))?;
        Ok(EpochStats {
            epoch: self.at.epoch,
            epochs: self.options.epochs,
            loss,
            validation_loss,
            seconds,
            steps: self.options.steps,
            lr,
            tracked: values(&tracked),
            validation_tracked: validation.map(|tally| values(&tally.tracked)).unwrap_or_default(),
        })
    }

    /// Returns the means of the loss and the tracked values over the validation rows, if there are any.
    fn validate(&mut self, trainer: &mut Trainer<'_>) -> Result<Option<Tally>> {
        let Some(checks) = &mut self.checks else { return Ok(None) };
        let rows: Vec<u32> = (0..).take(checks.rows()).collect();
        if trainer.options.as_torch(&self.subject.params) {
            wgrad_data::begin(&self.subject.params);
        }
        let (mut tally, count) = (Tally::default(), rows.len().div_ceil(EVALUATION_ROWS));
        let order = EpochOrder { rows: &rows, batch_size: EVALUATION_ROWS };
        let session = trainer.session.get()?;
        StepObserver::ignore(false, |watch| checks.run(session, order, &mut tally, count, watch))?;
        Ok(Some(tally.means(rows.len())))
    }

    /// Reports an epoch, lets early stopping and callbacks decide whether it was the last epoch, and writes the
    /// checkpoints that are due. Returns `Break` if the fit was stopped.
    fn after_epoch(&mut self, trainer: &mut Trainer<'_>, stats: &EpochStats) -> Result<ControlFlow<()>> {
        self.history.epochs.push(stats.clone());
        trainer.progress.epoch(stats);
        self.history.ended = decided(trainer, stats)?;
        let (total, epoch) = (self.at.total, self.at.epoch + 1);
        let over = self.history.ended != Ended::Completed || epoch > self.options.epochs;
        self.at = Position { epoch, over, ..Position::begin(self.options.fit, total) };
        let stop = !over && trainer.options.is_stopped();
        if stop {
            self.history.ended = Ended::Stopped;
        }
        let measure = saved_measure(trainer, stats);
        self.save_with(trainer, None, |saver, capture, progress| saver.save_epoch(capture, measure, progress))?;
        if stop {
            self.save_with(trainer, None, |saver, capture, _| saver.save_last(capture))?;
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Restores the weights of the best epoch, if they were kept.
    fn restore_best(&mut self, trainer: &mut Trainer<'_>) -> Result<()> {
        trainer.session.sync()?;
        if let Some(patience) = trainer.patience()
            && let Some(epoch) = patience.restore_best(&self.subject.params)?
        {
            self.history.restored = Some(epoch);
        }
        Ok(())
    }

    /// Calls `save` with the state of the training, if checkpoints are enabled. `random` is the state of PyTorch's
    /// generator at the beginning of the epoch; `None` means its current state.
    fn save_with(
        &mut self,
        trainer: &mut Trainer<'_>,
        random: Option<&TorchRandom>,
        save: impl FnOnce(&mut Saver, &mut Capture<'_>, &mut dyn Progress) -> Result<()>,
    ) -> Result<()> {
        if !trainer.saver.is_on() {
            return Ok(());
        }
        let Trainer { session, options, schedules, runs, saver, progress, stopping, .. } = trainer;
        let rule = stopping.as_ref().map(|stopping| stopping as &dyn fmt::Debug);
        let described = SettingsSource::new(&self.subject, options, runs, schedules, rule);
        let mut capture = Capture {
            session,
            schedules,
            optimizer: self.options.optimizer,
            patience: stopping.as_ref().map(|stopping| &stopping.rule),
            described,
            settings: &mut self.settings,
            at: &self.at,
            fits: runs.fits(),
            history: self.history,
            epochs: self.options.epochs,
            random,
        };
        save(saver, &mut capture, &mut **progress)
    }
}

/// Lets early stopping and callbacks decide whether the fit ends after an epoch. Returns the reason for the end,
/// or `Completed` if the fit continues.
fn decided(trainer: &mut Trainer<'_>, stats: &EpochStats) -> Result<Ended> {
    let mut ended = if trainer.measure(stats)? { Ended::EarlyStopping } else { Ended::Completed };
    trainer.each_callback(|callback, trainer| {
        if callback.epoch(trainer, stats)?.is_break() {
            ended = Ended::Callback;
        }
        Ok(())
    })?;
    Ok(ended)
}

/// Returns the loss or metric that decides whether an epoch is saved as the best epoch.
fn saved_measure(trainer: &Trainer<'_>, stats: &EpochStats) -> Measure {
    let epoch = stats.epoch;
    let Some(patience) = trainer.patience() else {
        return Measure { epoch, value: stats.validation_loss.unwrap_or(stats.loss), maximize: false };
    };
    // An epoch that is better by less than `min_delta` does not replace the best epoch.
    let best = patience.state().best.filter(|best| best.epoch == epoch);
    Measure { epoch, value: best.map_or(f64::NAN, BestEpoch::value), maximize: patience.maximize }
}
