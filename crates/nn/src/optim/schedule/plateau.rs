//! A schedule that lowers the learning rate when a metric stops improving.

use super::ScheduleError;
use super::base::{PerGroup, Rate, Schedule, check};

/// Unit of the smallest improvement of the metric that counts: a fraction of the best value or an absolute amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThresholdMode {
    /// The metric must improve by a fraction of the best value.
    #[default]
    Relative,
    /// The metric must improve by an absolute amount.
    Absolute,
}

/// Schedule that multiplies the learning rate by `factor` when a metric has not improved for `patience` epochs;
/// PyTorch's `ReduceLROnPlateau`.
///
/// The metric has improved if it is below `best · (1 − threshold)`, or with [`Self::largest`], above
/// `best · (1 + threshold)`. With an absolute threshold, the limits are `best − threshold` and `best + threshold`.
/// NaN is never an improvement. In the first `cooldown` epochs after a reduction, epochs without improvement are
/// not counted. A reduction of at most `eps` is skipped.
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
    threshold: (f64, ThresholdMode),
    cooldown: usize,
    min_lr: PerGroup,
    eps: f64,
    /// The best value of the metric so far, the number of epochs without improvement since that value, and the
    /// number of remaining cooldown epochs.
    progress: [f64; 3],
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        Self::new()
    }
}

impl ReduceLrOnPlateau {
    /// Creates a schedule with PyTorch's defaults: smaller metrics are better, `factor` 0.1, `patience` 10.
    pub fn new() -> Self {
        Self {
            largest: false,
            factor: 0.1,
            patience: 10,
            threshold: (1e-4, ThresholdMode::Relative),
            cooldown: 0,
            min_lr: 0.0.into(),
            eps: 1e-8,
            progress: [f64::INFINITY, 0.0, 0.0],
        }
    }

    /// Treats larger values of the metric as better, for metrics such as accuracy. Default: smaller is better.
    pub fn largest(self) -> Self {
        Self { largest: true, progress: [f64::NEG_INFINITY, 0.0, 0.0], ..self }
    }

    /// Sets the factor by which each reduction multiplies the learning rate. Default: 0.1.
    pub fn factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// Sets the number of epochs without improvement that are tolerated before the learning rate is reduced.
    /// Default: 10.
    pub fn patience(self, patience: usize) -> Self {
        Self { patience, ..self }
    }

    /// Sets how much better than the best value a metric must be to count as an improvement. Default: 1e-4,
    /// relative.
    pub fn threshold(self, threshold: f64, mode: ThresholdMode) -> Self {
        Self { threshold: (threshold, mode), ..self }
    }

    /// Sets the number of epochs after a reduction of the learning rate in which a lack of improvement is not
    /// counted. Default: 0.
    pub fn cooldown(self, cooldown: usize) -> Self {
        Self { cooldown, ..self }
    }

    /// Sets the lowest learning rate: one number for all parameter groups, or a list with one number per group.
    /// Default: 0.
    pub fn min_lr(self, min_lr: impl Into<PerGroup>) -> Self {
        Self { min_lr: min_lr.into(), ..self }
    }

    /// Sets the threshold for reductions: a reduction of the learning rate by at most this amount is skipped.
    /// Default: 1e-8.
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    fn is_better(&self, metric: f64, best: f64) -> bool {
        let (by, mode) = self.threshold;
        match (self.largest, mode) {
            (false, ThresholdMode::Relative) => metric < best * (1.0 - by),
            (false, ThresholdMode::Absolute) => metric < best - by,
            (true, ThresholdMode::Relative) => metric > best * (by + 1.0),
            (true, ThresholdMode::Absolute) => metric > best + by,
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
        let [mut best, mut bad, mut cooling] = self.progress;
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
        self.progress = [best, bad, cooling];
        true
    }

    fn measures(&self) -> bool {
        true
    }

    fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        self.progress.iter_mut().for_each(visit);
    }
}
