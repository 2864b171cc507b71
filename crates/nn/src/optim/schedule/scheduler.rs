//! A schedule bound to the handles of an optimizer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use wgrad_core::{Result, SettingError};

use super::ScheduleError;
use super::part::{Part, Rate, Schedule};
use crate::optim::setting::Drive;
use crate::optim::{Handles, Optimizer, Setting};

/// A schedule that turns the learning rates of an optimizer, and its momentum where the schedule has one.
///
/// It has the rates of epoch 0 at once; [`Self::step`] follows each epoch, as in PyTorch after the optimizer's steps. See
/// [the module](super).
#[derive(Debug)]
#[must_use]
pub struct Scheduler {
    handles: Vec<Handles>,
    part: Part,
}

/// What a scheduler has to know to go on as if it had never stopped; `serde` writes and reads it.
///
/// Numbers are kept as their bits, so that infinities and NaN come back, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    rates: Vec<[u64; 3]>,
    numbers: Vec<u64>,
    /// The optimizer's steps when a schedule over steps began, and how many of its own it has made.
    steps: Option<[u64; 2]>,
}

impl Scheduler {
    /// Binds a schedule to an optimizer and sets the first rates.
    ///
    /// A schedule of the momentum is bound before the step is traced: otherwise the momentum is a constant of it.
    ///
    /// # Errors
    /// [`ScheduleError`] when an option makes no sense, or has another number of values than the optimizer has groups; when
    /// the optimizer has nothing to turn.
    pub fn new(optimizer: &(impl Optimizer + ?Sized), schedule: impl Schedule + 'static) -> Result<Self> {
        let handles = optimizer.handles();
        if handles.is_empty() {
            return Err(ScheduleError::NoLearningRate.into());
        }
        let mut scheduler = Self { handles, part: Part::new(schedule) };
        let mut rates = scheduler.rates();
        let began = scheduler.part.begin(&mut rates);
        began.map_err(|error| scheduler.part.error(error))?;
        if scheduler.part.schedule.momentum() {
            scheduler.handles.iter().filter_map(|group| group.momentum.as_ref()).for_each(|momentum| {
                let _ = momentum.hand_out();
            });
        }
        scheduler.set(&rates);
        Ok(scheduler)
    }

    fn rates(&self) -> Vec<Rate> {
        let rate = |group: &Handles| Rate {
            lr: group.lr.get(),
            initial: group.lr.initial(),
            momentum: group.momentum.as_ref().map(Setting::get),
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

    fn change<T>(&mut self, change: impl FnOnce(&mut Part, &mut [Rate]) -> T) -> T {
        let mut rates = self.rates();
        let result = change(&mut self.part, &mut rates);
        self.set(&rates);
        result
    }

    /// Goes to the next epoch.
    ///
    /// # Errors
    /// [`ScheduleError`] past the end of a schedule that has one, and for a schedule that follows a metric.
    pub fn step(&mut self) -> Result<()> {
        self.part.check(1.0)?;
        if self.follows_metric() {
            return Err(self.part.error(ScheduleError::FollowsMetric));
        }
        self.change(Part::step);
        Ok(())
    }

    /// Goes to an epoch, in closed form where the schedule has one; fractions are for
    /// [`CosineAnnealingWarmRestarts`](super::CosineAnnealingWarmRestarts).
    ///
    /// # Errors
    /// As [`Self::step`], and for an epoch that is negative or no number.
    pub fn step_to(&mut self, epoch: f64) -> Result<()> {
        if !(epoch.is_finite() && epoch >= 0.0) {
            return Err(SettingError::out_of_range("an epoch", epoch, "a number that is not negative").into());
        }
        self.part.check(epoch - self.part.epoch)?;
        self.change(|part, rates| part.jump(epoch, rates));
        Ok(())
    }

    /// Goes to the next epoch by a metric, such as the validation loss.
    ///
    /// # Errors
    /// [`ScheduleError`] for a schedule that follows no metric.
    pub fn measure(&mut self, metric: f64) -> Result<()> {
        if self.change(|part, rates| part.schedule.measure(metric, rates)) {
            return Ok(());
        }
        Err(self.part.error(ScheduleError::FollowsNoMetric))
    }

    /// Whether [`Self::measure`] is to be called instead of [`Self::step`].
    pub fn follows_metric(&self) -> bool {
        self.part.schedule.measures()
    }

    /// The learning rate of each group, that of the parameters in no group first.
    pub fn lr(&self) -> Vec<f64> {
        self.rates().iter().map(|rate| rate.lr).collect()
    }

    /// The momentum or first beta of each group.
    pub fn momentum(&self) -> Vec<Option<f64>> {
        self.rates().iter().map(|rate| rate.momentum).collect()
    }

    /// Where the schedule is, with the rates that it has set.
    pub fn state(&mut self) -> ScheduleState {
        let bits = |rate: Rate| [rate.lr, rate.initial, rate.momentum.unwrap_or(f64::NAN)].map(f64::to_bits);
        let mut numbers = vec![];
        self.part.state(&mut |number| numbers.push(number.to_bits()));
        ScheduleState { rates: self.rates().into_iter().map(bits).collect(), numbers, steps: None }
    }

    /// Goes to where a scheduler of the same schedule and groups was.
    ///
    /// # Errors
    /// [`ScheduleError`] when the state is of another schedule, or of another number of groups.
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

    /// Lets the schedule follow the optimizer's steps by itself from now on: step `i` of the optimizer runs with the rates
    /// of the schedule's epoch `i`, also in the middle of [`Session::run_many`](wgrad_core::Session::run_many). This ends
    /// when the result is dropped.
    ///
    /// # Errors
    /// [`ScheduleError`] for a schedule that follows a metric.
    pub fn per_step(mut self) -> Result<StepScheduler> {
        if self.follows_metric() {
            return Err(self.part.error(ScheduleError::MetricPerStep));
        }
        let begin = self.state();
        let (handles, turns_momentum) = (self.handles.clone(), self.part.schedule.momentum());
        let driver = Arc::new(Driver(Mutex::new(Driven { scheduler: self, begin, origin: None, made: 0 })));
        for Handles { lr, momentum } in handles {
            lr.driven_by(Arc::downgrade(&driver) as _);
            if let Some(momentum) = momentum.filter(|_| turns_momentum) {
                momentum.driven_by(Arc::downgrade(&driver) as _);
            }
        }
        Ok(StepScheduler(driver))
    }
}

/// A schedule that follows the steps of an optimizer; from [`Scheduler::per_step`].
pub struct StepScheduler(Arc<Driver>);

struct Driver(Mutex<Driven>);

struct Driven {
    scheduler: Scheduler,
    begin: ScheduleState,
    /// The optimizer's steps at the first one that the schedule saw.
    origin: Option<u64>,
    made: u64,
}

impl Driver {
    fn lock(&self) -> MutexGuard<'_, Driven> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drive for Driver {
    fn advance_to(&self, steps: u64) {
        let mut driven = self.lock();
        let to = steps.saturating_sub(*driven.origin.get_or_insert(steps));
        if to < driven.made {
            // A run failed, and its steps do not count.
            let begin = driven.begin.clone();
            driven.scheduler.restore(&begin).expect("the state is of this schedule");
            driven.made = 0;
        }
        while driven.made < to {
            // Past its end the last rates stay; who runs the steps asks `check` before.
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
    /// Whether `steps` more steps have rates: a schedule with an end keeps its last ones after it.
    ///
    /// # Errors
    /// [`ScheduleError`] if they have not.
    pub fn check(&self, steps: usize) -> Result<()> {
        let driven = self.0.lock();
        // The first step has the first rates.
        let steps = if driven.origin.is_none() { steps.saturating_sub(1) } else { steps };
        driven.scheduler.part.check(steps as f64)
    }

    /// The learning rate of each group in the last step.
    pub fn lr(&self) -> Vec<f64> {
        self.0.lock().scheduler.lr()
    }

    /// The momentum or first beta of each group in the last step.
    pub fn momentum(&self) -> Vec<Option<f64>> {
        self.0.lock().scheduler.momentum()
    }

    /// Where the schedule is.
    pub fn state(&self) -> ScheduleState {
        let mut driven = self.0.lock();
        let steps = driven.origin.map(|origin| [origin, driven.made]);
        ScheduleState { steps, ..driven.scheduler.state() }
    }

    /// Goes to where a scheduler of the same schedule and groups was; the optimizer's steps are restored, too.
    ///
    /// # Errors
    /// As [`Scheduler::restore`].
    pub fn restore(&self, state: &ScheduleState) -> Result<()> {
        let mut driven = self.0.lock();
        driven.scheduler.restore(state)?;
        (driven.origin, driven.made) = state.steps.map_or((None, 0), |[origin, made]| (Some(origin), made));
        Ok(())
    }
}
