//! What a schedule is, and one under way.

use std::fmt;

use wgrad_core::{Error, Result};

/// What a schedule sets for one group of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The learning rate.
    pub lr: f64,
    /// The learning rate from which schedules count: that before the first of them.
    pub initial: f64,
    /// The momentum or the first beta, where the optimizer has one.
    pub momentum: Option<f64>,
}

/// A rule for learning rates from epoch to epoch, or from step to step: PyTorch's `LRScheduler` without the optimizer.
///
/// As there, the next rate mostly follows from the one before, so that schedules can be combined with each other and with
/// changes by hand. Only [`Self::next`] must be written; epochs are whole numbers from 0.
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
    /// The next rates; `base` has the initial ones of each group.
    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]);

    /// What is done before anything else: options are checked against the groups, initial rates set.
    ///
    /// # Errors
    /// What is wrong with the options.
    fn prepare(&mut self, rates: &mut [Rate]) -> std::result::Result<(), String> {
        let _ = rates;
        Ok(())
    }

    /// The rates of epoch 0; those that there are, if not said otherwise.
    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        let _ = (rates, base);
    }

    /// The rates of any epoch, in closed form where there is one.
    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        self.next(epoch, rates, base);
    }

    /// The last epoch that has a rate; none if there is no end.
    fn end(&self) -> Option<f64> {
        None
    }

    /// Whether it cycles the momentum, too.
    fn momentum(&self) -> bool {
        false
    }

    /// Takes note of a metric. False if the schedule follows the epochs instead.
    fn measure(&mut self, metric: f64, rates: &mut [Rate]) -> bool {
        let _ = (metric, rates);
        false
    }

    /// Whether it follows a metric.
    fn measures(&self) -> bool {
        false
    }

    /// Shows every number of its state, to be saved or set.
    fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        let _ = visit;
    }
}

impl Schedule for Box<dyn Schedule> {
    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        (**self).next(epoch, rates, base);
    }

    fn prepare(&mut self, rates: &mut [Rate]) -> std::result::Result<(), String> {
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

/// A schedule under way.
#[derive(Debug)]
pub(super) struct Part {
    pub schedule: Box<dyn Schedule>,
    pub epoch: f64,
    pub base: Vec<f64>,
}

impl Part {
    pub fn new(schedule: impl Schedule + 'static) -> Self {
        Self { schedule: Box::new(schedule), epoch: 0.0, base: vec![] }
    }

    /// Sets the rates of epoch 0.
    pub fn begin(&mut self, rates: &mut [Rate]) -> std::result::Result<(), String> {
        self.prepare(rates)?;
        self.first(rates);
        Ok(())
    }

    /// Checks the options and notes the initial rates.
    pub fn prepare(&mut self, rates: &mut [Rate]) -> std::result::Result<(), String> {
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

    /// Whether `epochs` more steps can be made.
    pub fn check(&self, epochs: f64) -> Result<()> {
        match self.schedule.end() {
            Some(end) if self.epoch + epochs > end => Err(Error::Config(format!(
                "the schedule ends after {end} steps, and has made {}: {} more are too many\n  fix: give it as many steps \
                 as there are: epochs times the steps of an epoch\n  in: {:?}",
                self.epoch, epochs, self.schedule
            ))),
            _ => Ok(()),
        }
    }
}

/// An option of each group: one number for all, or a list with one for each, those in no group first.
#[derive(Clone, Debug, PartialEq)]
pub struct PerGroup(Vec<f64>);

impl PerGroup {
    pub(super) fn of(&self, group: usize) -> f64 {
        self.0.get(group).copied().unwrap_or_else(|| self.0[0])
    }

    /// What is wrong with the length of a list.
    pub(super) fn check(&self, name: &str, rates: &[Rate]) -> std::result::Result<(), String> {
        let (have, groups) = (self.0.len(), rates.len());
        if have == 1 || have == groups {
            return Ok(());
        }
        Err(format!(
            "{name} has {have} numbers, but there are {groups} groups, with that of the parameters in no group"
        ))
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

/// Sets each group's rate from the present and the initial one.
pub(super) fn each(rates: &mut [Rate], base: &[f64], mut lr: impl FnMut(f64, f64) -> f64) {
    rates.iter_mut().zip(base).for_each(|(rate, &base)| rate.lr = lr(rate.lr, base));
}

/// A number of epochs or steps.
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

/// What is wrong with a number.
pub(super) fn wrong(fits: bool, what: impl FnOnce() -> String) -> std::result::Result<(), String> {
    if fits { Ok(()) } else { Err(what()) }
}
