//! The scheduler, which applies a schedule to an optimizer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use wgrad_core::{Result, SettingError};

use super::ScheduleError;
use super::base::{Rate, RunningSchedule, Schedule};
use crate::optim::setting::HyperparameterDriver;
use crate::optim::{Handles, Hyperparameter, Optimizer};

/// Scheduler that applies a schedule to the learning rates of an optimizer, and to the momentum if the schedule
/// changes the momentum.
///
/// [`Self::new`] sets the rates of epoch 0. Call [`Self::step`] after each epoch, as in PyTorch. See [the
/// module](super).
#[derive(Debug)]
#[must_use]
pub struct Scheduler {
    handles: Vec<Handles>,
    part: RunningSchedule,
}

/// State from which a scheduler can resume; serializable with `serde`.
///
/// Numbers are stored as bits, so that infinities and NaN are preserved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    rates: Vec<[u64; 3]>,
    numbers: Vec<u64>,
    /// For a [`StepScheduler`]: the value of the optimizer's step counter when the schedule began, and the number
    /// of steps since then.
    steps: Option<[u64; 2]>,
}

impl Scheduler {
    /// Creates a scheduler and sets the rates of epoch 0.
    ///
    /// If the schedule changes the momentum, create the scheduler before the training step is traced. Otherwise
    /// the momentum is a constant of that step.
    ///
    /// # Errors
    /// Returns a [`ScheduleError`] if an option is invalid, if the length of an option's list does not fit the
    /// optimizer's number of parameter groups, or if the optimizer has no learning rate or momentum that the
    /// schedule can change.
    pub fn new(optimizer: &(impl Optimizer + ?Sized), schedule: impl Schedule + 'static) -> Result<Self> {
        let handles = optimizer.handles();
        if handles.is_empty() {
            return Err(ScheduleError::NoLearningRate.into());
        }
        let mut scheduler = Self { handles, part: RunningSchedule::new(schedule) };
        let mut rates = scheduler.rates();
        let began = scheduler.part.begin(&mut rates);
        began.map_err(|error| scheduler.part.error(error))?;
        if scheduler.part.schedule.momentum() {
            scheduler.handles.iter().filter_map(|group| group.momentum.as_ref()).for_each(|momentum| {
                let _ = momentum.shared();
            });
        }
        scheduler.set(&rates);
        Ok(scheduler)
    }

    fn rates(&self) -> Vec<Rate> {
        let rate = |group: &Handles| Rate {
            lr: group.lr.get(),
            initial: group.lr.initial(),
            momentum: group.momentum.as_ref().map(Hyperparameter::get),
        };
        self.handles.iter().map(rate).collect()
    }

    fn set(&self, rates: &[Rate]) {
        for (group, rate) in self.handles.iter().zip(rates) {
            group.lr.set(rate.lr);
            group.lr.set_initial(rate.initial);
            if let (Some(handle), Some(momentum)) = (&group.momentum, rate.momentum) {
                handle.set(momentum);
            }
        }
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut RunningSchedule, &mut [Rate]) -> T) -> T {
        let mut rates = self.rates();
        let result = change(&mut self.part, &mut rates);
        self.set(&rates);
        result
    }

    /// Advances to the next epoch and sets the rates of that epoch.
    ///
    /// # Errors
    /// Returns a [`ScheduleError`] if the schedule has ended, or if it depends on a metric.
    pub fn step(&mut self) -> Result<()> {
        self.part.check(1.0)?;
        if self.follows_metric() {
            return Err(self.part.error(ScheduleError::FollowsMetric));
        }
        self.change(RunningSchedule::step);
        Ok(())
    }

    /// Advances to the given epoch and sets the rates of that epoch, computed with a closed form if the schedule
    /// has one.
    ///
    /// Fractional epochs are meant for [`CosineAnnealingWarmRestarts`](super::CosineAnnealingWarmRestarts).
    ///
    /// # Errors
    /// Returns an error if the schedule ends before `epoch`, or if `epoch` is negative or not finite.
    pub fn step_to(&mut self, epoch: f64) -> Result<()> {
        if !(epoch.is_finite() && epoch >= 0.0) {
            return Err(SettingError::out_of_range("an epoch", epoch, "a number that is not negative").into());
        }
        self.part.check(epoch - self.part.epoch)?;
        self.change(|part, rates| part.jump(epoch, rates));
        Ok(())
    }

    /// Advances a schedule that depends on a metric, such as the validation loss, to the next epoch; `metric` is
    /// the new value.
    ///
    /// # Errors
    /// Returns a [`ScheduleError`] if the schedule does not depend on a metric.
    pub fn measure(&mut self, metric: f64) -> Result<()> {
        if self.change(|part, rates| part.schedule.measure(metric, rates)) {
            return Ok(());
        }
        Err(self.part.error(ScheduleError::FollowsNoMetric))
    }

    /// Returns whether the schedule depends on a metric, so that [`Self::measure`] must be called instead of
    /// [`Self::step`].
    pub fn follows_metric(&self) -> bool {
        self.part.schedule.measures()
    }

    /// Returns the learning rate of each parameter group. The first rate is that of the parameters in no group.
    pub fn lr(&self) -> Vec<f64> {
        self.rates().iter().map(|rate| rate.lr).collect()
    }

    /// Returns the momentum or first beta of each parameter group.
    pub fn momentum(&self) -> Vec<Option<f64>> {
        self.rates().iter().map(|rate| rate.momentum).collect()
    }

    /// Returns the state of the schedule, with the current rates.
    pub fn state(&mut self) -> ScheduleState {
        let bits = |rate: Rate| [rate.lr, rate.initial, rate.momentum.unwrap_or(f64::NAN)].map(f64::to_bits);
        let mut numbers = vec![];
        self.part.state(&mut |number| numbers.push(number.to_bits()));
        ScheduleState { rates: self.rates().into_iter().map(bits).collect(), numbers, steps: None }
    }

    /// Restores a state that was saved from a scheduler with the same schedule and parameter groups, and sets the
    /// rates.
    ///
    /// # Errors
    /// Returns a [`ScheduleError`] if the state belongs to another schedule or has another number of groups.
    pub fn restore(&mut self, state: &ScheduleState) -> Result<()> {
        let mut count = 0;
        self.part.state(&mut |_| count += 1);
        if state.rates.len() != self.handles.len() || state.numbers.len() != count {
            return Err(self.part.error(ScheduleError::State {
                groups: state.rates.len(),
                numbers: state.numbers.len(),
                expected_groups: self.handles.len(),
                expected_numbers: count,
            }));
        }
        let mut numbers = state.numbers.iter().map(|&bits| f64::from_bits(bits));
        self.part.state(&mut |number| *number = numbers.next().unwrap_or(*number));
        let rates = state.rates.iter().map(|bits| bits.map(f64::from_bits)).map(|[lr, initial, momentum]| Rate {
            lr,
            initial,
            momentum: (!momentum.is_nan()).then_some(momentum),
        });
        self.set(&rates.collect::<Vec<_>>());
        Ok(())
    }

    /// Connects the schedule to the optimizer's step counter: step `i` of the optimizer runs with the rates of the
    /// schedule's epoch `i`, even within [`Session::run_many`](wgrad_core::Session::run_many).
    ///
    /// Keep the returned scheduler: when it is dropped, the rates stop changing.
    ///
    /// # Errors
    /// Returns a [`ScheduleError`] if the schedule depends on a metric.
    pub fn per_step(mut self) -> Result<StepScheduler> {
        if self.follows_metric() {
            return Err(self.part.error(ScheduleError::MetricPerStep));
        }
        let begin = self.state();
        let (handles, changes_momentum) = (self.handles.clone(), self.part.schedule.momentum());
        let driver = Arc::new(StepDriver(Mutex::new(DriverState { scheduler: self, begin, origin: None, made: 0 })));
        for Handles { lr, momentum } in handles {
            lr.set_driver(Arc::downgrade(&driver) as _);
            if let Some(momentum) = momentum.filter(|_| changes_momentum) {
                momentum.set_driver(Arc::downgrade(&driver) as _);
            }
        }
        Ok(StepScheduler(driver))
    }
}

/// A scheduler that follows the step counter of an optimizer; returned by [`Scheduler::per_step`].
pub struct StepScheduler(Arc<StepDriver>);

struct StepDriver(Mutex<DriverState>);

struct DriverState {
    scheduler: Scheduler,
    begin: ScheduleState,
    /// Value of the optimizer's step counter when the schedule first read it.
    origin: Option<u64>,
    made: u64,
}

impl StepDriver {
    fn lock(&self) -> MutexGuard<'_, DriverState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HyperparameterDriver for StepDriver {
    fn advance_to(&self, steps: u64) {
        let mut driven = self.lock();
        let to = steps.saturating_sub(*driven.origin.get_or_insert(steps));
        if to < driven.made {
            // The counter is lower than before, because a run failed, and the steps of a failed run do not count.
            // So the schedule starts again from its first state.
            let begin = driven.begin.clone();
            driven.scheduler.restore(&begin).expect("the state is of this schedule");
            driven.made = 0;
        }
        while driven.made < to {
            // After the end of a schedule, the last rates stay. Code that runs steps calls `check` first to report
            // the end.
            let _ = driven.scheduler.step();
            driven.made += 1;
        }
    }
}

impl fmt::Debug for StepScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driven = self.0.lock();
        write!(f, "StepScheduler({:?}, {} steps)", driven.scheduler.part.schedule, driven.made)
    }
}

impl StepScheduler {
    /// Checks that the schedule does not end within the next `steps` steps. Without this check, steps after the
    /// end use the last rates.
    ///
    /// # Errors
    /// Returns a [`ScheduleError`] if the schedule ends earlier.
    pub fn check(&self, steps: usize) -> Result<()> {
        let driven = self.0.lock();
        // The first step runs with the rates that are already set, so it does not advance the schedule.
        let steps = if driven.origin.is_none() { steps.saturating_sub(1) } else { steps };
        driven.scheduler.part.check(steps as f64)
    }

    /// Returns the learning rate of each parameter group in the last step.
    pub fn lr(&self) -> Vec<f64> {
        self.0.lock().scheduler.lr()
    }

    /// Returns the momentum or first beta of each parameter group in the last step.
    pub fn momentum(&self) -> Vec<Option<f64>> {
        self.0.lock().scheduler.momentum()
    }

    /// Returns the state of the schedule.
    pub fn state(&self) -> ScheduleState {
        let mut driven = self.0.lock();
        let steps = driven.origin.map(|origin| [origin, driven.made]);
        ScheduleState { steps, ..driven.scheduler.state() }
    }

    /// Restores a state that was saved from a scheduler with the same schedule and parameter groups. The
    /// optimizer's step counter must be restored separately.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Scheduler::restore`].
    pub fn restore(&self, state: &ScheduleState) -> Result<()> {
        let mut driven = self.0.lock();
        driven.scheduler.restore(state)?;
        (driven.origin, driven.made) = state.steps.map_or((None, 0), |[origin, made]| (Some(origin), made));
        Ok(())
    }
}
