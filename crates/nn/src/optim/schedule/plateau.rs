//! A schedule that follows a metric.

use super::ScheduleError;
use super::part::{PerGroup, Rate, Schedule, check};

/// How a metric is compared with the best one so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threshold {
    /// Better by a share of the best.
    #[default]
    Relative,
    /// Better by a number.
    Absolute,
}

/// The rate times `factor` when a metric has not become better for `patience` epochs; PyTorch's `ReduceLROnPlateau`.
///
/// The metric is better if it is below `best · (1 − threshold)`, or for a largest metric above `best · (1 + threshold)`;
/// with an absolute threshold, `best ∓ threshold`. NaN is never better. After a reduction, `cooldown` epochs do not count.
/// A change of at most `eps` is not made.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{ReduceLrOnPlateau, Scheduler}};
/// let mut scheduler = Scheduler::new(&Sgd::new(1.0), ReduceLrOnPlateau::new().patience(1))?;
/// for loss in [1.0, 0.5, 0.5, 0.5] {
///     scheduler.measure(loss)?;
/// }
/// assert_eq!(scheduler.lr(), [0.1]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ReduceLrOnPlateau {
    largest: bool,
    factor: f64,
    patience: usize,
    threshold: (f64, Threshold),
    cooldown: usize,
    min_lr: PerGroup,
    eps: f64,
    /// The best metric, the epochs since, the epochs left to cool down.
    seen: [f64; 3],
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        Self::new()
    }
}

impl ReduceLrOnPlateau {
    /// With PyTorch's defaults: the smallest metric is the best, factor 0.1, patience 10.
    pub fn new() -> Self {
        Self {
            largest: false,
            factor: 0.1,
            patience: 10,
            threshold: (1e-4, Threshold::Relative),
            cooldown: 0,
            min_lr: 0.0.into(),
            eps: 1e-8,
            seen: [f64::INFINITY, 0.0, 0.0],
        }
    }

    /// For a metric whose largest value is the best, such as accuracy.
    pub fn largest(self) -> Self {
        Self { largest: true, seen: [f64::NEG_INFINITY, 0.0, 0.0], ..self }
    }

    /// The factor of a reduction; 0.1 if not set.
    pub fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// Epochs without a better metric that are borne; 10 if not set.
    pub fn patience(self, patience: usize) -> Self {
        Self { patience, ..self }
    }

    /// What counts as better; 1e-4, relative, if not set.
    pub fn threshold(self, threshold: f64, mode: Threshold) -> Self {
        Self { threshold: (threshold, mode), ..self }
    }

    /// Epochs after a reduction that do not count; 0 if not set.
    pub fn cooldown(self, cooldown: usize) -> Self {
        Self { cooldown, ..self }
    }

    /// The lowest rate, one for all or one per group; 0 if not set.
    pub fn min_lr(self, min_lr: impl Into<PerGroup>) -> Self {
        Self { min_lr: min_lr.into(), ..self }
    }

    /// The smallest change that is made; 1e-8 if not set.
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    fn is_better(&self, metric: f64, best: f64) -> bool {
        let (by, mode) = self.threshold;
        match (self.largest, mode) {
            (false, Threshold::Relative) => metric < best * (1.0 - by),
            (false, Threshold::Absolute) => metric < best - by,
            (true, Threshold::Relative) => metric > best * (by + 1.0),
            (true, Threshold::Absolute) => metric > best + by,
        }
    }
}

impl Schedule for ReduceLrOnPlateau {
    fn prepare(&mut self, rates: &mut [Rate]) -> Result<(), ScheduleError> {
        check(self.factor < 1.0, "the factor", self.factor, "below 1")?;
        self.min_lr.check("min_lr", rates)
    }

    fn next(&mut self, _: f64, _: &mut [Rate], _: &[f64]) {}

    fn measure(&mut self, metric: f64, rates: &mut [Rate]) -> bool {
        let [mut best, mut bad, mut cooling] = self.seen;
        if self.is_better(metric, best) {
            (best, bad) = (metric, 0.0);
        } else {
            bad += 1.0;
        }
        if cooling > 0.0 {
            (cooling, bad) = (cooling - 1.0, 0.0);
        }
        if bad > self.patience as f64 {
            for (i, rate) in rates.iter_mut().enumerate() {
                let lr = (rate.lr * self.factor).max(self.min_lr.of(i));
                if rate.lr - lr > self.eps {
                    rate.lr = lr;
                }
            }
            (cooling, bad) = (self.cooldown as f64, 0.0);
        }
        self.seen = [best, bad, cooling];
        true
    }

    fn measures(&self) -> bool {
        true
    }

    fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        self.seen.iter_mut().for_each(visit);
    }
}
