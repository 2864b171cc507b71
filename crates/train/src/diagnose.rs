//! What made a loss infinite or NaN: the steps are made again from the last good values to the one that failed, which is
//! then looked at node by node.

use std::time::{Duration, Instant};

use wgrad_core::{Array, Error, NonFinite, Params, Result, Tensor};

use super::Trainer;
use super::checkpoint::manifest::Position;
use super::fit::Job;
use super::snapshot::{Snapshot, rates, set_rates};
use super::steps::{Ran, Steps, Tally, Watch};
use wgrad_nn::optim::schedule::ScheduleState;

/// Steps between two looks at the variables.
const STRIDE: usize = 64;

/// From where, and over which epochs, a training came: good values and what the steps since then have seen.
pub(super) struct Trail {
    /// None if the host did not know the values.
    good: Option<Snapshot>,
    epochs: Vec<Mark>,
    taken: Instant,
    cost: Duration,
}

/// The beginning of an epoch, or of what is left of it.
struct Mark {
    epoch: usize,
    step: usize,
    order: Vec<u32>,
    turn: Turn,
}

/// What the host turns.
struct Turn {
    rates: Vec<[u64; 2]>,
    schedule: Option<ScheduleState>,
}

/// What was found about a step that failed.
struct Found {
    epoch: usize,
    step: usize,
    node: Option<NonFinite>,
}

impl Trail {
    /// Begins at the values that the host has, which costs nothing.
    pub fn new(params: &Params) -> Self {
        let (good, taken) = (Snapshot::take(params).ok(), Instant::now());
        Self { good, epochs: vec![], taken, cost: Duration::ZERO }
    }

    /// Takes note of an epoch that begins. Values are copied from the device once in a second at most, and at a fiftieth of
    /// the time at most.
    pub fn epoch(&mut self, trainer: &mut Trainer<'_>, job: &Job<'_>, at: &Position, order: &[u32]) -> Result<()> {
        if !self.epochs.is_empty() && self.taken.elapsed() > Duration::from_secs(1).max(self.cost * 50) {
            let begin = Instant::now();
            trainer.session()?.sync()?;
            self.good = Snapshot::take(&trainer.params).ok();
            self.epochs.clear();
            (self.taken, self.cost) = (Instant::now(), begin.elapsed());
        }
        let (order, turn) = (order.to_vec(), trainer.turn(job));
        self.epochs.push(Mark { epoch: at.epoch, step: at.step, order, turn });
        Ok(())
    }
}

impl Trainer<'_> {
    fn turn(&mut self, job: &Job<'_>) -> Turn {
        Turn { rates: rates(job.optimizer), schedule: self.schedules.state() }
    }

    fn turn_back(&mut self, job: &Job<'_>, turn: &Turn) -> Result<()> {
        set_rates(job.optimizer, &turn.rates);
        turn.schedule.as_ref().map_or(Ok(()), |state| self.schedules.restore(state))
    }

    /// The error about a loss that is not finite. The model is left as it was before the step that is to blame, if that can
    /// be found.
    pub(super) fn explain<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        steps: &mut Steps<'_, L>,
        trail: &Trail,
        job: &Job<'_>,
        (at, step, loss): (&Position, usize, f64),
    ) -> Error {
        let found = match self.replay(steps, trail, job, step) {
            Ok(Some(Found { epoch, step, node })) => {
                let node = node.map_or_else(
                    || "no node by itself does this: the step overflows only where its ops are fused".into(),
                    |node| format!("the first that is not finite there: {node}"),
                );
                format!("before step {step} of epoch {epoch}\n  {node}")
            }
            Ok(None) => {
                "then\n  made again, the steps were finite: the device does not compute the same twice".to_string()
            }
            Err(error) => format!("then\n  what came first could not be found: {error}"),
        };
        let text = format!("the loss is {loss} in step {step} of epoch {}; the model is as it was {found}", at.epoch);
        Error::Data(format!(
            "{text}\n  fixes:\n    1. a smaller learning rate\n    2. standardised features (Table does that unless told not \
             to)\n    3. no log, division or root of what can be 0 or negative in the loss\n    4. clipped gradients: \
             AdamW::new(lr).clip_grad_norm(1.0)"
        ))
    }

    /// Makes the steps of the trail again, until one after which a variable, or in which the loss, is not finite.
    fn replay<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        steps: &mut Steps<'_, L>,
        trail: &Trail,
        job: &Job<'_>,
        failed: usize,
    ) -> Result<Option<Found>> {
        let Some(good) = &trail.good else {
            return Err(Error::Data("the host did not know the values at the beginning".into()));
        };
        // A mask may have infinities from the beginning.
        let suspects: Vec<bool> = good.variables.iter().map(|(_, value)| finite(value)).collect();
        let ruined = |now: &Snapshot| {
            now.variables.iter().zip(&suspects).any(|((_, value), suspect)| *suspect && !finite(value))
        };
        self.session()?.sync()?;
        good.restore(&self.params)?;
        for (i, mark) in trail.epochs.iter().enumerate() {
            self.turn_back(job, &mark.turn)?;
            let to = if i + 1 == trail.epochs.len() { failed } else { job.steps };
            let mut done = mark.step;
            while done < to {
                let (before, turn) = (Snapshot::take(&self.params)?, self.turn(job));
                let next = to.min(done + STRIDE);
                if self.again(steps, &mark.order, done..next, &ruined)? {
                    before.restore(&self.params)?;
                    self.turn_back(job, &turn)?;
                    return self.single_out(steps, mark, job, done..next, &ruined);
                }
                done = next;
            }
        }
        Ok(None)
    }

    /// Makes some steps. True if something is not finite then.
    fn again<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        steps: &mut Steps<'_, L>,
        order: &[u32],
        range: std::ops::Range<usize>,
        ruined: &dyn Fn(&Snapshot) -> bool,
    ) -> Result<bool> {
        let (size, mut tally) = (self.batch_size, Tally { steps: range.start, ..Tally::default() });
        let mut watch = Watch { wait: false, stop: &|| false, seen: &mut |_, _| {} };
        let ran = steps.run(self.session()?, (order, size), &mut tally, range.end, &mut watch)?;
        self.session()?.sync()?;
        Ok(ran != Ran::All || ruined(&Snapshot::take(&self.params)?))
    }

    /// The step of some that is to blame, and what is wrong in it.
    fn single_out<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        steps: &mut Steps<'_, L>,
        mark: &Mark,
        job: &Job<'_>,
        range: std::ops::Range<usize>,
        ruined: &dyn Fn(&Snapshot) -> bool,
    ) -> Result<Option<Found>> {
        for step in range {
            let (before, turn) = (Snapshot::take(&self.params)?, self.turn(job));
            if self.again(steps, &mark.order, step..step + 1, ruined)? {
                before.restore(&self.params)?;
                self.turn_back(job, &turn)?;
                let (traced, arrays) = steps.single(&mark.order, self.batch_size, step)?;
                let feeds: Vec<_> = traced.inputs.iter().zip(&arrays).collect();
                let node = self.session()?.first_non_finite(&traced.graph, &[&traced.loss], &feeds);
                before.restore(&self.params)?;
                self.turn_back(job, &turn)?;
                return Ok(Some(Found { epoch: mark.epoch, step: step + 1, node: node? }));
            }
        }
        Ok(None)
    }
}

fn finite(array: &Array) -> bool {
    array.to_f64().iter().all(|x| x.is_finite())
}
