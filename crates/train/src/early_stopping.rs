//! The end of a training that no longer gets better.

use std::fmt;

use wgrad_core::Result;

use crate::history::EpochStats;
use crate::patience::Patience;
use crate::trainer::Trainer;

pub(crate) type Metric<'a> = Box<dyn FnMut(&mut Trainer<'a>, &EpochStats) -> Result<f64> + 'a>;

/// Ends a fit when its validation loss, or a metric of one's own, has not got better for some epochs, and puts the weights
/// of the best epoch back.
///
/// An epoch is better than the best so far if it is so by more than `min_delta`. Without validation rows the training loss
/// is followed. A measure that is NaN is never better.
///
/// ```
/// use wgrad_core::{CpuBackend, Params};
/// use wgrad_data::Dataset;
/// use wgrad_nn::{Module, layers::Linear, losses::{BceWithLogitsLoss, Loss}, optim::Sgd};
/// use wgrad_train::{EarlyStopping, Ended, Silent, Trainer};
/// let (x, y) = (0..40).map(|i| ((i as f32 - 20.0) / 10.0, u32::from(i > 17))).unzip();
/// let data = Dataset::new(["x"], x, y, ["low", "high"])?;
/// let params = Params::seeded(7);
/// let model = Linear::new(&params.at("fc"), 1, 1);
/// let loss = BceWithLogitsLoss::new();
/// // The area under the precision-recall curve shall grow, and no metric is above 1.
/// let stopping = EarlyStopping::new(3).maximize(|trainer, _| {
///     Ok(trainer.evaluate(&data, |x| model.forward(x))?.pr_auc.unwrap_or(0.0))
/// });
/// let mut trainer = Trainer::new(CpuBackend::<f32>::new(), &params)
///     .optimizer(Sgd::new(0.1)).batch_size(8).progress(Silent).early_stopping(stopping);
/// let history = trainer.fit(&data, 50, |x, y| loss.forward(&model.forward(x), y))?;
/// assert_eq!(history.ended, Ended::EarlyStopping);
/// assert_eq!(history.restored, Some(history.epochs.len() - 3));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[must_use]
pub struct EarlyStopping<'a> {
    pub(crate) rule: Patience,
    pub(crate) metric: Option<Metric<'a>>,
}

impl fmt::Debug for EarlyStopping<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule: Patience { patience, min_delta, restore, maximize, .. }, metric } = self;
        let of = if metric.is_some() { "a metric" } else { "the loss" };
        write!(f, "EarlyStopping(patience {patience}, min_delta {min_delta}, of {of}, ")?;
        write!(f, "{}, restores: {restore})", if *maximize { "maximal" } else { "minimal" })
    }
}

impl<'a> EarlyStopping<'a> {
    /// Ends the fit after `patience` epochs in a row that were not better than the best; 0 ends it with the first.
    pub fn new(patience: usize) -> Self {
        Self { rule: Patience::new(patience), metric: None }
    }

    /// By how much an epoch must be better to count; 0 if not set.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.rule.min_delta = min_delta;
        self
    }

    /// Whether the fit ends with the weights of the best epoch; true if not set. Otherwise it ends with those of the last.
    pub fn restore_best(mut self, restore: bool) -> Self {
        self.rule.restore = restore;
        self
    }

    /// Follows a number that shall become small instead of the loss. It is asked after each epoch, and may evaluate with the
    /// trainer.
    pub fn minimize(mut self, metric: impl FnMut(&mut Trainer<'a>, &EpochStats) -> Result<f64> + 'a) -> Self {
        self.metric = Some(Box::new(metric));
        self.rule.maximize = false;
        self
    }

    /// As [`Self::minimize`], with a number that shall become large.
    pub fn maximize(mut self, metric: impl FnMut(&mut Trainer<'a>, &EpochStats) -> Result<f64> + 'a) -> Self {
        self = self.minimize(metric);
        self.rule.maximize = true;
        self
    }
}
