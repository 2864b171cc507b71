//! Search for the cause of a loss that is infinite or NaN. The trainer restores the last saved values of all
//! variables, and repeats the steps since then, up to the step that failed. That step is then checked node by
//! node.

use std::ops::Range;
use std::time::{Duration, Instant};

use wgrad_core::{Array, Error, NonFinite, Params, Result, Tensor};

use crate::checkpoint::manifest::Position;
use crate::error::{NonFiniteLoss, NonFiniteOrigin};
use crate::schedules::{HostSettings, Schedules};
use crate::session::LazySession;
use crate::snapshot::{SavedVariable, Snapshot};
use crate::steps::{EpochOrder, FedStep, StepObserver, Steps, StepsOutcome, Tally};
use wgrad_nn::optim::Optimizer;

/// Number of repeated steps between two checks of the variables for infinities and NaN.
const STRIDE: usize = 64;

/// Data for repeating the last steps: the values of all variables before these steps, and the rows and learning
/// rates of the epochs since then.
pub(super) struct StepHistory {
    /// Values before the first recorded step. `None` if the host did not have them.
    good: Option<Snapshot>,
    epochs: Vec<EpochStart>,
    /// Time of the last snapshot.
    taken: Instant,
    /// Time that the last snapshot took.
    cost: Duration,
}

/// Start of an epoch, or of the remaining part of an epoch that was resumed.
struct EpochStart {
    epoch: usize,
    step: usize,
    order: Vec<u32>,
    host: HostSettings,
}

/// First step with a result that is not finite, and the first graph node in it with such a result.
struct Culprit {
    epoch: usize,
    step: usize,
    node: Option<NonFinite>,
}

/// Parts of a training run that are needed to repeat steps.
pub(super) struct Replay<'r, 's, L> {
    pub session: &'r mut LazySession,
    pub schedules: &'r mut Schedules,
    pub optimizer: &'r dyn Optimizer,
    pub steps: &'r mut Steps<'s, L>,
    pub batch_size: usize,
    /// Number of steps per epoch.
    pub epoch_steps: usize,
}

impl StepHistory {
    /// Returns an empty history.
    pub fn empty() -> Self {
        Self { good: None, epochs: vec![], taken: Instant::now(), cost: Duration::ZERO }
    }

    /// Begins a history with the values that are on the host. Copies nothing.
    pub fn new(params: &Params) -> Self {
        Self { good: Snapshot::take(params).ok(), ..Self::empty() }
    }

    /// Begins a new history with the current values, at most once per second. If snapshots are slow, waits longer
    /// between them, so that they take at most 2 % of the time.
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

    /// Records the beginning of an epoch.
    pub fn epoch(&mut self, at: &Position, order: &[u32], host: HostSettings) {
        self.epochs.push(EpochStart { epoch: at.epoch, step: at.step, order: order.to_vec(), host });
    }

    /// Searches for the cause of a loss that is not finite, and returns an error that describes it. If the step
    /// that caused the loss is found, the model is restored to its values before that step.
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

    /// Repeats the recorded steps until the loss or a variable is not finite.
    fn find<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &self,
        good: &Snapshot,
        replay: &mut Replay<'_, '_, L>,
        failed: usize,
    ) -> Result<Option<Culprit>> {
        // Variables that are infinite or NaN from the beginning, such as masks, are not checked.
        let checked: Vec<bool> = good.variables.iter().map(is_finite).collect();
        let ruined =
            |now: &Snapshot| now.variables.iter().zip(&checked).any(|(now, checked)| *checked && !is_finite(now));
        replay.session.sync()?;
        good.restore(replay.session.params())?;
        for (i, start) in self.epochs.iter().enumerate() {
            replay.schedules.set_host(replay.optimizer, &start.host)?;
            let to = if i + 1 == self.epochs.len() { failed } else { replay.epoch_steps };
            let mut done = start.step;
            while done < to {
                let before = replay.save()?;
                let next = to.min(done + STRIDE);
                if replay.repeat(&start.order, done..next, &ruined)? {
                    replay.restore(&before)?;
                    return replay.localise(start, done..next, &ruined);
                }
                done = next;
            }
        }
        Ok(None)
    }
}

/// Values and learning rates that are saved while steps are repeated, and can be restored.
struct ReplayState {
    values: Snapshot,
    host: HostSettings,
}

impl<L: Fn(&Tensor, &Tensor) -> Tensor> Replay<'_, '_, L> {
    fn save(&mut self) -> Result<ReplayState> {
        let values = Snapshot::take(self.session.params())?;
        Ok(ReplayState { values, host: self.schedules.host(self.optimizer) })
    }

    fn restore(&mut self, state: &ReplayState) -> Result<()> {
        state.values.restore(self.session.params())?;
        self.schedules.set_host(self.optimizer, &state.host)
    }

    /// Repeats a range of steps. Returns whether the loss or a variable is not finite afterwards.
    fn repeat(&mut self, order: &[u32], range: Range<usize>, ruined: &dyn Fn(&Snapshot) -> bool) -> Result<bool> {
        let order = EpochOrder { rows: order, batch_size: self.batch_size };
        let (session, steps, mut tally) = (self.session.get()?, &mut *self.steps, Tally::from_step(range.start));
        let ran = StepObserver::ignore(false, |watch| steps.run(session, order, &mut tally, range.end, watch))?;
        self.session.sync()?;
        Ok(ran != StepsOutcome::Completed || ruined(&Snapshot::take(self.session.params())?))
    }

    /// Finds the first step in a range with a result that is not finite, and the graph node that caused this.
    fn localise(
        &mut self,
        start: &EpochStart,
        range: Range<usize>,
        ruined: &dyn Fn(&Snapshot) -> bool,
    ) -> Result<Option<Culprit>> {
        for step in range {
            let before = self.save()?;
            if self.repeat(&start.order, step..step + 1, ruined)? {
                self.restore(&before)?;
                let order = EpochOrder { rows: &start.order, batch_size: self.batch_size };
                let FedStep { traced, arrays } = self.steps.single(order, step)?;
                let feeds: Vec<_> = traced.inputs.iter().zip(&arrays).collect();
                let node = self.session.get()?.first_non_finite(&traced.graph, &[&traced.loss], &feeds);
                self.restore(&before)?;
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
