//! The [`Schedule`] trait, the state of a running schedule, and functions that several schedules use.

use std::fmt;

use wgrad_core::{Error, Result, SettingError};

use super::ScheduleError;

/// Learning rate and momentum of one parameter group, which a schedule reads and sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The learning rate.
    pub lr: f64,
    /// The initial learning rate, before the first schedule changed it.
    pub initial: f64,
    /// The momentum or the first beta, or `None` if the optimizer has neither.
    pub momentum: Option<f64>,
}

/// A rule that computes learning rates from epoch to epoch, or from step to step. It corresponds to PyTorch's
/// `LRScheduler`, but does not refer to an optimizer.
///
/// As in PyTorch, most schedules compute the next rate from the current rate, so schedules can be combined with
/// each other and with manual changes. Only [`Self::next`] must be implemented. Epochs are whole numbers that
/// count from 0.
///
/// ```
/// use wgrad_nn::optim::{Optimizer, Sgd};
/// use wgrad_nn::optim::schedule::{Rate, Schedule, Scheduler};
///
/// /// Half the rate after each step.
/// #[derive(Debug)]
/// struct Halving;
///
/// impl Schedule for Halving {
///     fn next(&mut self, _epoch: f64, rates: &mut [Rate], _base: &[f64]) {
///         rates.iter_mut().for_each(|rate| rate.lr /= 2.0);
///     }
/// }
///
/// let mut scheduler = Scheduler::new(&Sgd::new(1.0), Halving)?;
/// scheduler.step()?;
/// scheduler.step()?;
/// assert_eq!(scheduler.lr(), [0.25]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
pub trait Schedule: fmt::Debug + Send {
    /// Changes `rates`, one per parameter group, to the rates of `epoch`, which follows the current epoch. `base`
    /// contains the initial rate of each group.
    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]);

    /// Checks whether the options fit the parameter groups, and may set the initial rates. Called before all other
    /// methods.
    ///
    /// # Errors
    /// Returns an error if an option is invalid or does not fit the groups.
    fn prepare(&mut self, rates: &mut [Rate]) -> std::result::Result<(), ScheduleError> {
        let _ = rates;
        Ok(())
    }

    /// Changes `rates` to the rates of epoch 0. Default: no change.
    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        let _ = (rates, base);
    }

    /// Changes `rates` to the rates of any epoch, using a closed form if there is one. Default: calls
    /// [`Self::next`].
    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        self.next(epoch, rates, base);
    }

    /// Returns the last epoch for which the schedule has a rate, or `None` (the default) if the schedule has no
    /// end.
    fn end(&self) -> Option<f64> {
        None
    }

    /// Returns whether the schedule also changes the momentum. Default: `false`.
    fn momentum(&self) -> bool {
        false
    }

    /// Updates the schedule and the rates for a new value of a metric. Returns `false` (the default) if the
    /// schedule depends on epochs instead of a metric.
    fn measure(&mut self, metric: f64, rates: &mut [Rate]) -> bool {
        let _ = (metric, rates);
        false
    }

    /// Returns whether the schedule depends on a metric. Default: `false`.
    fn measures(&self) -> bool {
        false
    }

    /// Calls `visit` with each number of the schedule's state. To save the state, `visit` reads the number; to
    /// restore the state, it writes the number.
    fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        let _ = visit;
    }
}

impl Schedule for Box<dyn Schedule> {
    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        (**self).next(epoch, rates, base);
    }

    fn prepare(&mut self, rates: &mut [Rate]) -> std::result::Result<(), ScheduleError> {
        (**self).prepare(rates)
    }

    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        (**self).first(rates, base);
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        (**self).jump(epoch, rates, base);
    }

    fn end(&self) -> Option<f64> {
        (**self).end()
    }

    fn momentum(&self) -> bool {
        (**self).momentum()
    }

    fn measure(&mut self, metric: f64, rates: &mut [Rate]) -> bool {
        (**self).measure(metric, rates)
    }

    fn measures(&self) -> bool {
        (**self).measures()
    }

    fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        (**self).state(visit);
    }
}

/// A schedule with its current epoch and the initial rates.
#[derive(Debug)]
pub(super) struct RunningSchedule {
    pub schedule: Box<dyn Schedule>,
    pub epoch: f64,
    pub base: Vec<f64>,
}

impl RunningSchedule {
    pub fn new(schedule: impl Schedule + 'static) -> Self {
        Self { schedule: Box::new(schedule), epoch: 0.0, base: vec![] }
    }

    /// Checks the options and sets the rates of epoch 0.
    pub fn begin(&mut self, rates: &mut [Rate]) -> std::result::Result<(), ScheduleError> {
        self.prepare(rates)?;
        self.first(rates);
        Ok(())
    }

    /// Checks the options and stores the initial rates in `base`.
    pub fn prepare(&mut self, rates: &mut [Rate]) -> std::result::Result<(), ScheduleError> {
        self.schedule.prepare(rates)?;
        self.base = rates.iter().map(|rate| rate.initial).collect();
        Ok(())
    }

    pub fn first(&mut self, rates: &mut [Rate]) {
        self.epoch = 0.0;
        self.schedule.first(rates, &self.base);
    }

    pub fn step(&mut self, rates: &mut [Rate]) {
        self.epoch = self.epoch.floor() + 1.0;
        self.schedule.next(self.epoch, rates, &self.base);
    }

    pub fn jump(&mut self, epoch: f64, rates: &mut [Rate]) {
        self.epoch = epoch;
        self.schedule.jump(epoch, rates, &self.base);
    }

    pub fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        visit(&mut self.epoch);
        self.base.iter_mut().for_each(&mut *visit);
        self.schedule.state(visit);
    }

    /// Wraps `error` in an error that names this schedule.
    pub fn error(&self, error: ScheduleError) -> Error {
        ScheduleError::In { error: Box::new(error), schedule: format!("{:?}", self.schedule) }.into()
    }

    /// Returns an error if the schedule ends before `epochs` more epochs have passed.
    pub fn check(&self, epochs: f64) -> Result<()> {
        match self.schedule.end() {
            Some(end) if self.epoch + epochs > end => {
                Err(self.error(ScheduleError::Ended { end, made: self.epoch, more: epochs }))
            }
            _ => Ok(()),
        }
    }
}

/// An option that can differ between parameter groups: one number for all groups, or a list with one number per
/// group. The first number of a list applies to the parameters in no group.
#[derive(Clone, Debug, PartialEq)]
pub struct PerGroup(Vec<f64>);

impl PerGroup {
    pub(super) fn of(&self, group: usize) -> f64 {
        self.0.get(group).copied().unwrap_or_else(|| self.0[0])
    }

    /// Returns an error unless the list has one number, or one number per group.
    pub(super) fn check(&self, setting: &'static str, rates: &[Rate]) -> std::result::Result<(), ScheduleError> {
        let (numbers, groups) = (self.0.len(), rates.len());
        if numbers == 1 || numbers == groups {
            Ok(())
        } else {
            Err(ScheduleError::Numbers { setting, numbers, groups })
        }
    }

    pub(super) fn all(&self, fits: impl Fn(f64) -> bool) -> bool {
        self.0.iter().all(|&number| fits(number))
    }
}

impl From<f64> for PerGroup {
    fn from(number: f64) -> Self {
        Self(vec![number])
    }
}

impl From<Vec<f64>> for PerGroup {
    fn from(numbers: Vec<f64>) -> Self {
        Self(numbers)
    }
}

impl<const N: usize> From<[f64; N]> for PerGroup {
    fn from(numbers: [f64; N]) -> Self {
        Self(numbers.into())
    }
}

/// Sets each group's rate to the result of `lr`, which is called with the group's current rate and initial rate.
pub(super) fn each(rates: &mut [Rate], base: &[f64], mut lr: impl FnMut(f64, f64) -> f64) {
    rates.iter_mut().zip(base).for_each(|(rate, &base)| rate.lr = lr(rate.lr, base));
}

/// Converts a number of epochs or steps to `f64`.
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

/// Returns an error if `fits` is `false`, that is, if the option is outside the permitted range.
pub(super) fn check(
    fits: bool,
    setting: &str,
    value: impl std::fmt::Display,
    allowed: &str,
) -> std::result::Result<(), ScheduleError> {
    if fits { Ok(()) } else { Err(SettingError::out_of_range(setting, value, allowed).into()) }
}

/// Returns an error if an option that counts epochs, steps or repetitions is 0.
pub(super) fn check_positive(setting: &str, value: usize) -> std::result::Result<(), ScheduleError> {
    check(value > 0, setting, value, "at least 1")
}
