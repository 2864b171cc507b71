//! Schedules composed of other schedules.

use super::ScheduleError;
use super::base::{Rate, RunningSchedule, Schedule, check, count, each};

fn check_parts(parts: &[RunningSchedule], combination: &'static str) -> Result<(), ScheduleError> {
    if parts.is_empty() {
        return Err(ScheduleError::NoSchedules { combination });
    }
    match parts.iter().find(|part| part.schedule.measures()) {
        Some(part) => Err(ScheduleError::CombinedMetric { combination, schedule: format!("{:?}", part.schedule) }),
        None => Ok(()),
    }
}

fn state(parts: &mut [RunningSchedule], visit: &mut dyn FnMut(&mut f64)) {
    for part in parts {
        part.state(visit);
    }
}

/// Schedule that runs other schedules one after another, such as a warm-up followed by a decay; PyTorch's
/// `SequentialLR`.
///
/// At each milestone, the next schedule begins with its own epoch 0, from the initial rates. If a schedule ends
/// earlier than the next one begins, the sequence ends at that point.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{CosineAnnealingLr, LinearLr, Scheduler, SequentialLr}};
/// let warm_up = LinearLr::new(3).start_factor(0.1);
/// let schedule = SequentialLr::new(warm_up).then(3, CosineAnnealingLr::new(5));
/// let mut scheduler = Scheduler::new(&Sgd::new(1.0), schedule)?;
/// for expected in [0.1, 0.4, 0.7, 1.0, 0.904_508_497_187_473_7] {
///     assert!((scheduler.lr()[0] - expected).abs() < 1e-12);
///     scheduler.step()?;
/// }
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct SequentialLr {
    parts: Vec<RunningSchedule>,
    milestones: Vec<usize>,
}

impl SequentialLr {
    /// Creates a sequence that begins with the schedule `first`.
    pub fn new(first: impl Schedule + 'static) -> Self {
        Self { parts: vec![RunningSchedule::new(first)], milestones: vec![] }
    }

    /// Appends the schedule `next`, which begins in epoch `milestone`.
    pub fn then(mut self, milestone: usize, next: impl Schedule + 'static) -> Self {
        self.parts.push(RunningSchedule::new(next));
        self.milestones.push(milestone);
        self
    }

    fn at(&self, epoch: f64) -> (usize, f64) {
        let part = self.milestones.iter().filter(|&&milestone| count(milestone) <= epoch).count();
        (part, part.checked_sub(1).map_or(0.0, |before| count(self.milestones[before])))
    }
}

impl Schedule for SequentialLr {
    fn prepare(&mut self, rates: &mut [Rate]) -> Result<(), ScheduleError> {
        check_parts(&self.parts, "SequentialLr")?;
        let milestones = format!("{:?}", self.milestones);
        check(self.milestones.is_sorted(), "the milestones", milestones, "in rising order")?;
        self.parts.iter_mut().try_for_each(|part| part.begin(rates))?;
        // While each schedule checked its options, it also set the rates of its epoch 0. The initial rates are
        // restored here; the function `first` then sets the rates of the schedule that runs first.
        for rate in rates {
            rate.lr = rate.initial;
        }
        Ok(())
    }

    fn first(&mut self, rates: &mut [Rate], _: &[f64]) {
        let (part, _) = self.at(0.0);
        self.parts[part].first(rates);
    }

    #[allow(clippy::float_cmp, reason = "epochs are whole numbers")]
    fn next(&mut self, epoch: f64, rates: &mut [Rate], _: &[f64]) {
        let (part, begin) = self.at(epoch);
        if part > 0 && begin == epoch {
            self.parts[part].jump(0.0, rates);
        } else {
            self.parts[part].step(rates);
        }
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], _: &[f64]) {
        let (part, begin) = self.at(epoch);
        self.parts[part].jump(epoch - begin, rates);
    }

    fn end(&self) -> Option<f64> {
        let mut begin = 0.0;
        for (i, part) in self.parts.iter().enumerate() {
            let end = part.schedule.end().map(|end| begin + end);
            let next = self.milestones.get(i).map(|&milestone| count(milestone));
            // A schedule does not reach its end if the next schedule begins earlier.
            if let Some(end) = end.filter(|&end| next.is_none_or(|next| end < next - 1.0)) {
                return Some(end);
            }
            begin = next.unwrap_or(begin);
        }
        None
    }

    fn momentum(&self) -> bool {
        self.parts.iter().any(|part| part.schedule.momentum())
    }

    fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        state(&mut self.parts, visit);
    }
}

/// Schedule that runs several schedules at the same time. In each epoch, each schedule changes the learning rates
/// that the previous schedule has set; PyTorch's `ChainedScheduler`.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{ChainedScheduler, ConstantLr, ExponentialLr, Scheduler}};
/// let schedule = ChainedScheduler::new(ConstantLr::new(0.1, 2)).and(ExponentialLr::new(0.5));
/// let mut scheduler = Scheduler::new(&Sgd::new(1.0), schedule)?;
/// scheduler.step()?;
/// assert!((scheduler.lr()[0] - 0.05).abs() < 1e-15);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct ChainedScheduler {
    parts: Vec<RunningSchedule>,
}

impl ChainedScheduler {
    /// Creates a chain that begins with the schedule `first`.
    pub fn new(first: impl Schedule + 'static) -> Self {
        Self { parts: vec![RunningSchedule::new(first)] }
    }

    /// Appends the schedule `next`.
    pub fn and(mut self, next: impl Schedule + 'static) -> Self {
        self.parts.push(RunningSchedule::new(next));
        self
    }
}

impl Schedule for ChainedScheduler {
    fn prepare(&mut self, rates: &mut [Rate]) -> Result<(), ScheduleError> {
        check_parts(&self.parts, "ChainedScheduler")?;
        self.parts.iter_mut().try_for_each(|part| part.prepare(rates))
    }

    fn first(&mut self, rates: &mut [Rate], _: &[f64]) {
        self.parts.iter_mut().for_each(|part| part.first(rates));
    }

    fn next(&mut self, _: f64, rates: &mut [Rate], _: &[f64]) {
        self.parts.iter_mut().for_each(|part| part.step(rates));
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        // The closed form of a schedule computes its rate from the initial rate, so each schedule would overwrite
        // the result of the previous one. Instead, all steps are repeated from epoch 0.
        each(rates, base, |_, base| base);
        self.first(rates, base);
        let mut reached = 1.0;
        while reached <= epoch {
            self.next(reached, rates, base);
            reached += 1.0;
        }
    }

    fn end(&self) -> Option<f64> {
        self.parts.iter().filter_map(|part| part.schedule.end()).reduce(f64::min)
    }

    fn momentum(&self) -> bool {
        self.parts.iter().any(|part| part.schedule.momentum())
    }

    fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        state(&mut self.parts, visit);
    }
}
