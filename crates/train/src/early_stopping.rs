//! Early stopping: ends a fit that no longer improves.

use std::fmt;

use wgrad_core::Result;

use crate::history::EpochStats;
use crate::patience::Patience;
use crate::trainer::Trainer;

pub(crate) type Metric<'a> = Box<dyn FnMut(&mut Trainer<'a>, &EpochStats) -> Result<f64> + 'a>;

/// Early stopping: ends a fit when its validation loss, or another metric, has not improved for some epochs, and
/// restores the weights of the best epoch.
///
/// An epoch is an improvement if its loss or metric is better than the best so far by more than `min_delta`.
/// Without validation rows, the training loss is used. NaN is never an improvement.
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
/// // The area under the precision-recall curve is maximised.
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
    /// Creates a rule that ends the fit after `patience` epochs in a row without an improvement. With 0 or 1, the
    /// fit ends after the first epoch without an improvement.
    pub fn new(patience: usize) -> Self {
        Self { rule: Patience::new(patience), metric: None }
    }

    /// Sets the amount by which an epoch must be better than the best so far to be an improvement. Default: 0.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.rule.min_delta = min_delta;
        self
    }

    /// Sets whether the weights of the best epoch are restored at the end of the fit. If not, the weights of the
    /// last epoch stay. Default: true.
    pub fn restore_best(mut self, restore: bool) -> Self {
        self.rule.restore = restore;
        self
    }

    /// Ends the fit when `metric` no longer decreases, instead of the loss. `metric` is called after each epoch
    /// and may call [`Trainer::evaluate`].
    pub fn minimize(mut self, metric: impl FnMut(&mut Trainer<'a>, &EpochStats) -> Result<f64> + 'a) -> Self {
        self.metric = Some(Box::new(metric));
        self.rule.maximize = false;
        self
    }

    /// Ends the fit when `metric` no longer increases. `metric` is called as for [`Self::minimize`].
    pub fn maximize(mut self, metric: impl FnMut(&mut Trainer<'a>, &EpochStats) -> Result<f64> + 'a) -> Self {
        self = self.minimize(metric);
        self.rule.maximize = true;
        self
    }
}
