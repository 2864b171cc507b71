//! The loop: epochs of steps, and what happens between them.

use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::Instant;

use wgrad_core::{Error, Result, Tensor};

use super::checkpoint::manifest::{Fit, Number, Numbers, Position, values};
use super::diagnose::Trail;
use super::progress::Run;
use super::snapshot::{Snapshot, Weights, rates};
use super::steps::{Ran, Steps, Tally, Training, Watch, fits};
use super::trainer::EVALUATION_ROWS;
use super::{Callback, Ended, EpochStats, History, Trainer};
use wgrad_data::{Batches, Dataset, Sampler, Seed};
use wgrad_nn::optim::{LearningRate, Optimizer};

/// What a fit is asked for.
pub(super) struct Job<'j> {
    pub data: &'j Dataset,
    pub epochs: usize,
    pub optimizer: &'j dyn Optimizer,
    pub batches: Batches,
    /// Steps of an epoch.
    pub steps: usize,
    /// Which fit of the trainer, from 0.
    pub fit: usize,
}

/// What a trainer without an optimizer says.
pub(super) fn no_optimizer() -> Error {
    Error::Config("there is no optimizer\n  fix: Trainer::new(…).optimizer(AdamW::new(1e-3))".into())
}

impl Position {
    /// The beginning of a fit.
    pub fn begin(fit: usize, total: u64) -> Self {
        Self { fit, epoch: 1, step: 0, loss_sum: Number(0.0), tracked: Numbers::new(), total, over: false }
    }

    /// How far the epoch is.
    fn tally(&self) -> Tally {
        Tally { steps: self.step, sum: self.loss_sum.0, tracked: self.tracked.clone() }
    }
}

impl<'a> Trainer<'a> {
    /// Trains for some epochs on the loss that `loss` computes from features `x: f32[N, features]` and targets `y`
    /// (see [`Targets`](super::Targets)). Afterwards the values of all variables are in [`Params`](wgrad_core::Params), ready
    /// to be saved.
    ///
    /// Steps go to the device many at a time (one at a time with [`Self::on_step`]), and their rows are picked there if the
    /// data set fits (see [`Self::streaming`]). `loss` is traced once per batch size, and once before, to know
    /// all state; what it does to the graph happens in every step. A second call continues with the optimizer's state and
    /// the next shuffles.
    ///
    /// # Errors
    /// Every error of the graph, with its source line; a loss that is not finite, with the first node that was not, and the
    /// model as it was before that step; a lost device; a checkpoint to resume from that is missing, damaged or of another
    /// training; the checkpoint of the end that cannot be written.
    #[track_caller]
    pub fn fit(&mut self, data: &Dataset, epochs: usize, loss: impl Fn(&Tensor, &Tensor) -> Tensor) -> Result<History> {
        let caller = Location::caller();
        self.session()?;
        let optimizer = self.optimizer.take().ok_or_else(no_optimizer)?;
        let mut history = History::default();
        let result = self.train(data, epochs, &loss, &*optimizer, &mut history, caller);
        self.optimizer = Some(optimizer);
        self.progress.end(&history);
        let synced = self.session()?.sync();
        result.and(synced)?;
        self.past.fits.push(Fit::of(&history, epochs));
        self.each_callback(|callback, trainer| callback.end(trainer, &history))?;
        Ok(history)
    }

    fn train<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        data: &Dataset,
        epochs: usize,
        loss: &L,
        optimizer: &dyn Optimizer,
        history: &mut History,
        caller: &'static Location<'static>,
    ) -> Result<()> {
        let targets = self.targets.of(data)?;
        let batches = self.batches(data)?;
        if self.accumulate == 0 {
            return Err(Error::Config("an update needs at least one batch\n  fix: Trainer::accumulate(1)".into()));
        }
        let steps = batches.len() - usize::from(self.drops_one(data));
        let job = Job { data, epochs, optimizer, batches, steps, fit: self.past.fits.len() };
        let limits = self.session()?.limits();
        let resident = |data: &Dataset| !self.streaming && fits(data, &limits);
        self.schedules.begin(optimizer)?;
        self.past.rates.get_or_insert_with(|| rates(optimizer));
        self.past.lr = optimizer.handles().into_iter().next().map(|group| group.lr);
        let ema = self.ema.clone();
        let training = Training { optimizer, ema: ema.as_ref(), accumulate: self.accumulate };
        let mut steps = Steps::new(loss, data, targets, Some(training), resident(data), caller)?;
        let validation = self.validation.clone();
        let checks = validation.as_ref().map(|data| Steps::new(loss, data, targets, None, resident(data), caller));
        let mut checks = checks.transpose()?;
        let Some(mut at) = self.prepare(&job, &steps, history)? else { return Ok(()) };

        let done = ((at.epoch - 1) * job.steps + at.step).min(epochs * job.steps);
        let run = Run { epochs, steps: job.steps, rows: data.rows(), done };
        self.progress.begin(&run);
        let warnings = self.progress.warnings();
        self.session()?.on_warning(warnings);
        if let Some(f) = self.progress.compiling() {
            self.session()?.on_compile(f);
        }
        self.each_callback(|callback, trainer| callback.begin(trainer, &run))?;

        let mut trail = Trail::new(&self.params);
        let (first, trained) = (at.epoch, self.params.at("train").counter("@epoch"));
        let over = at.over;
        while !over && at.epoch <= epochs {
            let begin = Instant::now();
            // A generator goes on by itself, a seed is told which epoch it is.
            let number = if self.as_torch() { (at.epoch - first) as u64 } else { trained.get() };
            let random = self.params.with_torch_random(|random| random.clone());
            if self.as_torch() && !self.shuffle {
                wgrad_data::begin(&self.params);
            }
            self.schedules.check(job.steps.div_ceil(self.accumulate) - at.step / self.accumulate)?;
            let epoch = job.batches.epoch(number);
            let order = epoch.order();
            let order = &order[..order.len().min(job.steps * self.batch_size)];
            trail.epoch(self, &job, &at, order)?;
            match self.epoch(&mut steps, (order, job.steps), &mut at, |trainer, at| {
                trainer.save(&job, at, history, random.as_ref())
            })? {
                Ran::All => {}
                Ran::Stopped => {
                    history.ended = Ended::Stopped;
                    return self.save_last(&job, &at, history, random.as_ref());
                }
                Ran::NotFinite(step, loss) => return Err(self.explain(&mut steps, &trail, &job, (&at, step, loss))),
            }
            let Tally { sum: loss, tracked, .. } = at.tally().means(order.len());
            let seconds = begin.elapsed().as_secs_f64();
            let lr = optimizer.handles().first().map(|group| group.lr.get());
            trained.set(trained.get() + 1);
            let checked = checks.as_mut().map(|checks| self.validate(checks)).transpose()?;
            let validation_loss = checked.as_ref().map(|tally| tally.sum);
            let validation_tracked = checked.map(|tally| values(&tally.tracked)).unwrap_or_default();
            self.schedules.after_epoch(validation_loss.unwrap_or(loss))?;
            let stats = EpochStats {
                epoch: at.epoch,
                epochs,
                loss,
                validation_loss,
                seconds,
                steps: job.steps,
                lr,
                tracked: values(&tracked),
                validation_tracked,
            };
            history.epochs.push(stats.clone());
            self.progress.epoch(&stats);
            history.ended = self.after_epoch(&stats)?;
            at = Position { total: at.total, epoch: at.epoch + 1, ..Position::begin(job.fit, 0) };
            at.over = history.ended != Ended::Completed || at.epoch > epochs;
            let stop = !at.over && self.is_stopped();
            if stop {
                history.ended = Ended::Stopped;
            }
            self.save_epoch(&job, &at, history, &stats)?;
            if at.over {
                break;
            }
            if stop {
                return self.save_last(&job, &at, history, None);
            }
        }
        self.restore_best(history)
    }

    /// Whether somebody wants the fit to end.
    fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Tells callbacks and early stopping of an epoch.
    fn after_epoch(&mut self, stats: &EpochStats) -> Result<Ended> {
        let mut ended = Ended::Completed;
        if let Some(mut stopping) = self.stopping.take() {
            let measured = match &mut stopping.metric {
                Some(metric) => metric(self, stats),
                None => Ok(stats.validation_loss.unwrap_or(stats.loss)),
            };
            let kept = measured.and_then(|value| {
                if stopping.measure(stats.epoch, value) && stopping.keeps() {
                    self.session()?.sync()?;
                    stopping.state.weights = Some(Weights::of(Snapshot::take(&self.params)?));
                }
                Ok(stopping.is_over())
            });
            self.stopping = Some(stopping);
            if kept? {
                ended = Ended::EarlyStopping;
            }
        }
        self.each_callback(|callback, trainer| {
            if callback.epoch(trainer, stats)?.is_break() {
                ended = Ended::Callback;
            }
            Ok(())
        })?;
        Ok(ended)
    }

    /// Puts back the weights of the best epoch, if that is wanted.
    fn restore_best(&mut self, history: &mut History) -> Result<()> {
        self.session()?.sync()?;
        let Some(stopping) = &self.stopping else { return Ok(()) };
        if let (Some((epoch, _)), Some(weights)) = (stopping.state.best, &stopping.state.weights) {
            weights.restore(&self.params)?;
            history.restored = Some(epoch);
        }
        Ok(())
    }

    fn each_callback(
        &mut self,
        mut f: impl FnMut(&mut (dyn Callback<'a> + 'a), &mut Self) -> Result<()>,
    ) -> Result<()> {
        let mut callbacks = std::mem::take(&mut self.callbacks);
        let result = callbacks.iter_mut().try_for_each(|callback| f(&mut **callback, self));
        // What callbacks have added runs from now on.
        callbacks.append(&mut self.callbacks);
        self.callbacks = callbacks;
        result
    }

    /// Makes the rest of an epoch's steps; `save` is called where a checkpoint is due between them.
    fn epoch<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        steps: &mut Steps<'_, L>,
        (order, count): (&[u32], usize),
        at: &mut Position,
        mut save: impl FnMut(&mut Self, &Position) -> Result<()>,
    ) -> Result<Ran> {
        loop {
            let left = self.saving.checkpoints.as_ref().and_then(|checkpoints| checkpoints.steps_left(at.total));
            let to = left.map_or(count, |left| count.min(at.step + left));
            let ran = self.steps(steps, order, at, to)?;
            if ran != Ran::All || at.step == count {
                return Ok(ran);
            }
            save(self, at)?;
        }
    }

    fn steps<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        steps: &mut Steps<'_, L>,
        order: &[u32],
        at: &mut Position,
        to: usize,
    ) -> Result<Ran> {
        self.session()?;
        let Self { session: Some(session), progress, on_step, callbacks, batch_size, stop, past, .. } = self else {
            unreachable!("there is a session")
        };
        let mut tally = at.tally();
        let wait = on_step.is_some();
        let mut seen = |step: usize, loss: f64| {
            progress.step(step);
            progress.now(loss, past.lr.as_ref().map(LearningRate::get));
            for callback in callbacks.iter_mut() {
                callback.step(step, loss);
            }
            if let Some(f) = &mut *on_step {
                f(step, loss);
            }
        };
        let stop = || stop.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
        let mut watch = Watch { wait, stop: &stop, seen: &mut seen };
        let ran = steps.run(session, (order, *batch_size), &mut tally, to, &mut watch)?;
        at.total += (tally.steps - at.step) as u64;
        (at.step, at.loss_sum, at.tracked) = (tally.steps, Number(tally.sum), tally.tracked);
        Ok(ran)
    }

    /// The mean loss of the validation rows, and of what is tracked.
    fn validate<L: Fn(&Tensor, &Tensor) -> Tensor>(&mut self, checks: &mut Steps<'_, L>) -> Result<Tally> {
        let order: Vec<u32> = (0..).take(checks.rows()).collect();
        if self.as_torch() {
            wgrad_data::begin(&self.params);
        }
        let (mut tally, count) = (Tally::default(), order.len().div_ceil(EVALUATION_ROWS));
        let mut watch = Watch { wait: false, stop: &|| false, seen: &mut |_, _| {} };
        checks.run(self.session()?, (&order, EVALUATION_ROWS), &mut tally, count, &mut watch)?;
        Ok(tally.means(order.len()))
    }

    /// Whether the batches are those of PyTorch's loader.
    pub(super) fn as_torch(&self) -> bool {
        self.seed.is_none() && self.params.with_torch_random(|_| ()).is_some()
    }

    pub(super) fn batches(&self, data: &Dataset) -> Result<Batches> {
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
    pub(super) fn drops_one(&self, data: &Dataset) -> bool {
        let rows = self.sampler.as_ref().map_or(data.rows(), Sampler::samples);
        !self.drop_last
            && !self.as_torch()
            && self.batch_size > 1
            && rows > self.batch_size
            && rows % self.batch_size == 1
    }
}
