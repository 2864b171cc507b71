//! The cause of a loss that is infinite or NaN: the steps are made again from the last good values to the one that failed,
//! which is then looked at node by node.

use std::ops::Range;
use std::time::{Duration, Instant};

use wgrad_core::{Array, Error, NonFinite, Params, Result, Tensor};

use crate::checkpoint::manifest::Position;
use crate::error::{NonFiniteLoss, NonFiniteOrigin};
use crate::schedules::{HostSettings, Schedules};
use crate::session::LazySession;
use crate::snapshot::{SavedVariable, Snapshot};
use crate::steps::{EpochOrder, FedStep, Ran, Steps, Tally, Watch};
use wgrad_nn::optim::Optimizer;

/// Steps between two looks at the variables.
const STRIDE: usize = 64;

/// History of the last steps: good values, and the rows and host settings of the epochs since then.
pub(super) struct StepHistory {
    /// None if the host did not know the values.
    good: Option<Snapshot>,
    epochs: Vec<EpochStart>,
    taken: Instant,
    cost: Duration,
}

/// The beginning of an epoch, or of what is left of it.
struct EpochStart {
    epoch: usize,
    step: usize,
    order: Vec<u32>,
    host: HostSettings,
}

/// A step that failed.
struct Culprit {
    epoch: usize,
    step: usize,
    node: Option<NonFinite>,
}

/// The parts of a training with which steps are made again.
pub(super) struct Replay<'r, 's, L> {
    pub session: &'r mut LazySession,
    pub schedules: &'r mut Schedules,
    pub optimizer: &'r dyn Optimizer,
    pub steps: &'r mut Steps<'s, L>,
    pub batch_size: usize,
    /// Steps of an epoch.
    pub epoch_steps: usize,
}

impl StepHistory {
    /// Returns a history without values.
    pub fn empty() -> Self {
        Self { good: None, epochs: vec![], taken: Instant::now(), cost: Duration::ZERO }
    }

    /// Begins at the values that the host has, which costs nothing.
    pub fn new(params: &Params) -> Self {
        Self { good: Snapshot::take(params).ok(), ..Self::empty() }
    }

    /// Begins anew at the present values, once in a second at most, and for a fiftieth of the time at most.
    pub fn refresh(&mut self, session: &mut LazySession) -> Result<()> {
        if !self.epochs.is_empty() && self.taken.elapsed() > Duration::from_secs(1).max(self.cost * 50) {
            let begin = Instant::now();
            session.sync()?;
            self.good = Snapshot::take(session.params()).ok();
            self.epochs.clear();
            (self.taken, self.cost) = (Instant::now(), begin.elapsed());
        }
        Ok(())
    }

    /// Notes an epoch that begins.
    pub fn epoch(&mut self, at: &Position, order: &[u32], host: HostSettings) {
        self.epochs.push(EpochStart { epoch: at.epoch, step: at.step, order: order.to_vec(), host });
    }

    /// Returns the error about a loss that is not finite. The model is left as it was before the step that is the cause,
    /// if that can be found.
    pub fn explain<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &self,
        mut replay: Replay<'_, '_, L>,
        epoch: usize,
        step: usize,
        loss: f64,
    ) -> Error {
        let origin = match &self.good {
            None => NonFiniteOrigin::NoValues,
            Some(good) => match self.find(good, &mut replay, step) {
                Ok(Some(Culprit { epoch, step, node })) => NonFiniteOrigin::Step { epoch, step, node },
                Ok(None) => NonFiniteOrigin::NotReproduced,
                Err(error) => NonFiniteOrigin::Failed(Box::new(error)),
            },
        };
        NonFiniteLoss { loss, epoch, step, origin }.into()
    }

    /// Makes the noted steps again, until one after which a variable, or in which the loss, is not finite.
    fn find<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &self,
        good: &Snapshot,
        replay: &mut Replay<'_, '_, L>,
        failed: usize,
    ) -> Result<Option<Culprit>> {
        // A mask may have infinities from the beginning.
        let suspects: Vec<bool> = good.variables.iter().map(is_finite).collect();
        let ruined =
            |now: &Snapshot| now.variables.iter().zip(&suspects).any(|(now, suspect)| *suspect && !is_finite(now));
        replay.session.sync()?;
        good.restore(replay.session.params())?;
        for (i, start) in self.epochs.iter().enumerate() {
            replay.schedules.set_host(replay.optimizer, &start.host)?;
            let to = if i + 1 == self.epochs.len() { failed } else { replay.epoch_steps };
            let mut done = start.step;
            while done < to {
                let before = replay.moment()?;
                let next = to.min(done + STRIDE);
                if replay.again(&start.order, done..next, &ruined)? {
                    replay.back(&before)?;
                    return replay.single_out(start, done..next, &ruined);
                }
                done = next;
            }
        }
        Ok(None)
    }
}

/// A point of a replay that it can go back to.
struct Moment {
    values: Snapshot,
    host: HostSettings,
}

impl<L: Fn(&Tensor, &Tensor) -> Tensor> Replay<'_, '_, L> {
    fn moment(&mut self) -> Result<Moment> {
        let values = Snapshot::take(self.session.params())?;
        Ok(Moment { values, host: self.schedules.host(self.optimizer) })
    }

    fn back(&mut self, to: &Moment) -> Result<()> {
        to.values.restore(self.session.params())?;
        self.schedules.set_host(self.optimizer, &to.host)
    }

    /// Makes some steps. Returns whether something is not finite then.
    fn again(&mut self, order: &[u32], range: Range<usize>, ruined: &dyn Fn(&Snapshot) -> bool) -> Result<bool> {
        let order = EpochOrder { rows: order, batch_size: self.batch_size };
        let (session, steps, mut tally) = (self.session.get()?, &mut *self.steps, Tally::from_step(range.start));
        let ran = Watch::nothing(false, |watch| steps.run(session, order, &mut tally, range.end, watch))?;
        self.session.sync()?;
        Ok(ran != Ran::All || ruined(&Snapshot::take(self.session.params())?))
    }

    /// Finds the step of some that is the cause, and the node in it.
    fn single_out(
        &mut self,
        start: &EpochStart,
        range: Range<usize>,
        ruined: &dyn Fn(&Snapshot) -> bool,
    ) -> Result<Option<Culprit>> {
        for step in range {
            let before = self.moment()?;
            if self.again(&start.order, step..step + 1, ruined)? {
                self.back(&before)?;
                let order = EpochOrder { rows: &start.order, batch_size: self.batch_size };
                let FedStep { traced, arrays } = self.steps.single(order, step)?;
                let feeds: Vec<_> = traced.inputs.iter().zip(&arrays).collect();
                let node = self.session.get()?.first_non_finite(&traced.graph, &[&traced.loss], &feeds);
                self.back(&before)?;
                return Ok(Some(Culprit { epoch: start.epoch, step: step + 1, node: node? }));
            }
        }
        Ok(None)
    }
}

fn is_finite(saved: &SavedVariable) -> bool {
    let array: &Array = &saved.value;
    array.to_f64().iter().all(|x| x.is_finite())
}
