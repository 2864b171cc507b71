//! Schedules made of others.

use super::part::{Part, Rate, Schedule, count, each, wrong};

fn check(parts: &[Part], name: &str) -> Result<(), String> {
    wrong(!parts.is_empty(), || format!("{name} needs at least one schedule"))?;
    match parts.iter().find(|part| part.schedule.measures()) {
        Some(part) => Err(format!(
            "{name} cannot hold a schedule that follows a metric: {:?}\n  fix: step that with a scheduler of its own",
            part.schedule
        )),
        None => Ok(()),
    }
}

fn state(parts: &mut [Part], visit: &mut dyn FnMut(&mut f64)) {
    for part in parts {
        part.state(visit);
    }
}

/// One schedule after the other, such as a warm-up and what follows; PyTorch's `SequentialLR`.
///
/// When an epoch of `milestones` is reached, the next schedule begins with its epoch 0, from the initial rates. A
/// schedule that has an end may be the last one or end at its milestone.
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
    parts: Vec<Part>,
    milestones: Vec<usize>,
}

impl SequentialLr {
    /// Begins with a schedule.
    pub fn new(first: impl Schedule + 'static) -> Self {
        Self { parts: vec![Part::new(first)], milestones: vec![] }
    }

    /// Goes on with a schedule in epoch `milestone`.
    pub fn then(mut self, milestone: usize, next: impl Schedule + 'static) -> Self {
        self.parts.push(Part::new(next));
        self.milestones.push(milestone);
        self
    }

    fn at(&self, epoch: f64) -> (usize, f64) {
        let part = self.milestones.iter().filter(|&&milestone| count(milestone) <= epoch).count();
        (part, part.checked_sub(1).map_or(0.0, |before| count(self.milestones[before])))
    }
}

impl Schedule for SequentialLr {
    fn prepare(&mut self, rates: &mut [Rate]) -> Result<(), String> {
        check(&self.parts, "SequentialLr")?;
        wrong(self.milestones.is_sorted(), || format!("the milestones must rise, not {:?}", self.milestones))?;
        self.parts.iter_mut().try_for_each(|part| part.begin(rates))?;
        // Each has set its first rate; only the first one's counts.
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
            // One that would end after the next one's begin never gets there.
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

/// Several schedules at once, each changing what the one before has left; PyTorch's `ChainedScheduler`.
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
    parts: Vec<Part>,
}

impl ChainedScheduler {
    /// Begins with a schedule.
    pub fn new(first: impl Schedule + 'static) -> Self {
        Self { parts: vec![Part::new(first)] }
    }

    /// Adds one.
    pub fn and(mut self, next: impl Schedule + 'static) -> Self {
        self.parts.push(Part::new(next));
        self
    }
}

impl Schedule for ChainedScheduler {
    fn prepare(&mut self, rates: &mut [Rate]) -> Result<(), String> {
        check(&self.parts, "ChainedScheduler")?;
        self.parts.iter_mut().try_for_each(|part| part.prepare(rates))
    }

    fn first(&mut self, rates: &mut [Rate], _: &[f64]) {
        self.parts.iter_mut().for_each(|part| part.first(rates));
    }

    fn next(&mut self, _: f64, rates: &mut [Rate], _: &[f64]) {
        self.parts.iter_mut().for_each(|part| part.step(rates));
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        // Closed forms start from the initial rate: each would undo what the one before did. So the steps are made again.
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
