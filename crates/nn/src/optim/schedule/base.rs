//! The [`Schedule`] trait, a running schedule, and functions that schedules share.

use std::fmt;

use wgrad_core::{Error, Result, SettingError};

use super::ScheduleError;

/// Learning rate and momentum of one parameter group, as a schedule sets them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The learning rate.
    pub lr: f64,
    /// The initial learning rate: the one before the first schedule changed it.
    pub initial: f64,
    /// The momentum or the first beta, if the optimizer has one.
    pub momentum: Option<f64>,
}

/// A rule for learning rates from epoch to epoch, or from step to step: PyTorch's `LRScheduler` without the optimizer.
///
/// As there, most schedules compute the next rate from the one before, so schedules can be combined with each other
/// and with manual changes. Only [`Self::next`] is required; epochs are whole numbers from 0.
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
    /// Computes the rates of the next epoch; `base` contains the initial rate of each group.
    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]);

    /// Checks the options against the groups, and may set the initial rates. It is called before all other methods.
    ///
    /// # Errors
    /// What is wrong with the options.
    fn prepare(&mut self, rates: &mut [Rate]) -> std::result::Result<(), ScheduleError> {
        let _ = rates;
        Ok(())
    }

    /// Computes the rates of epoch 0. Default: no change.
    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        let _ = (rates, base);
    }

    /// Computes the rates of any epoch, in closed form if there is one. Default: [`Self::next`].
    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        self.next(epoch, rates, base);
    }

    /// Returns the last epoch that has a rate; `None` (the default) if the schedule has no end.
    fn end(&self) -> Option<f64> {
        None
    }

    /// Returns whether the schedule also changes the momentum. Default: `false`.
    fn momentum(&self) -> bool {
        false
    }

    /// Updates the schedule and the rates by a new value of a metric. Returns `false` (the default) if the schedule
    /// follows the epochs instead.
    fn measure(&mut self, metric: f64, rates: &mut [Rate]) -> bool {
        let _ = (metric, rates);
        false
    }

    /// Returns whether the schedule follows a metric. Default: `false`.
    fn measures(&self) -> bool {
        false
    }

    /// Calls `visit` with each number of the schedule's state, which `visit` reads to save or writes to restore.
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

    /// Sets the rates of epoch 0.
    pub fn begin(&mut self, rates: &mut [Rate]) -> std::result::Result<(), ScheduleError> {
        self.prepare(rates)?;
        self.first(rates);
        Ok(())
    }

    /// Checks the options and notes the initial rates.
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

    /// Returns an error about this schedule.
    pub fn error(&self, error: ScheduleError) -> Error {
        ScheduleError::In { error: Box::new(error), schedule: format!("{:?}", self.schedule) }.into()
    }

    /// Checks that `epochs` more steps can be made.
    pub fn check(&self, epochs: f64) -> Result<()> {
        match self.schedule.end() {
            Some(end) if self.epoch + epochs > end => {
                Err(self.error(ScheduleError::Ended { end, made: self.epoch, more: epochs }))
            }
            _ => Ok(()),
        }
    }
}

/// An option per parameter group: one number for all groups, or a list with one for each. The first number of a list
/// is for the parameters in no group.
#[derive(Clone, Debug, PartialEq)]
pub struct PerGroup(Vec<f64>);

impl PerGroup {
    pub(super) fn of(&self, group: usize) -> f64 {
        self.0.get(group).copied().unwrap_or_else(|| self.0[0])
    }

    /// Checks that a list has one number, or one per group.
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

/// Sets each group's rate from its current rate and its initial rate.
pub(super) fn each(rates: &mut [Rate], base: &[f64], mut lr: impl FnMut(f64, f64) -> f64) {
    rates.iter_mut().zip(base).for_each(|(rate, &base)| rate.lr = lr(rate.lr, base));
}

/// A number of epochs or steps.
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

/// Checks the range of an option.
pub(super) fn check(
    fits: bool,
    setting: &str,
    value: impl std::fmt::Display,
    allowed: &str,
) -> std::result::Result<(), ScheduleError> {
    if fits { Ok(()) } else { Err(SettingError::out_of_range(setting, value, allowed).into()) }
}

/// Checks that a number of epochs, steps or repetitions is not 0.
pub(super) fn check_positive(setting: &str, value: usize) -> std::result::Result<(), ScheduleError> {
    check(value > 0, setting, value, "at least 1")
}
