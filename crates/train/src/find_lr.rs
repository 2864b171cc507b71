//! Learning-rate search: trains for a short time with a growing learning rate, then undoes this training.

use std::fmt;
use std::panic::Location;

use wgrad_core::{Result, Tensor};

use crate::error::TrainSettingError;
use crate::history::Short;
use crate::options::EpochBatches;
use crate::rehearsal::Rehearsal;
use crate::steps::{EpochOrder, StepObserver, StepsOutcome, Tally};
use crate::trainer::Trainer;
use wgrad_data::{Batches, Dataset, Epoch};
use wgrad_nn::optim::Handles;

/// Settings of the learning-rate search of [`Trainer::find_lr`].
///
/// Update `i` of `n`, counted from 0, uses the learning rate `from · (to / from)^(i / (n − 1))`. The losses are
/// smoothed with the moving average `avg = β · avg + (1 − β) · loss`, which begins at 0; the smoothed loss is
/// `avg / (1 − β^(i + 1))`. Source: Smith, Cyclical Learning Rates for Training Neural Networks, 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct LrFinder {
    from: f64,
    to: f64,
    updates: usize,
    smoothing: f64,
    diverges: f64,
}

impl Default for LrFinder {
    /// Returns the default settings: 100 updates with learning rates from 1e-7 to 10, and smoothing 0.9. The
    /// search ends early if the smoothed loss exceeds 4 times its lowest value so far.
    fn default() -> Self {
        Self { from: 1e-7, to: 10.0, updates: 100, smoothing: 0.9, diverges: 4.0 }
    }
}

impl LrFinder {
    /// Sets the first and the last learning rate. Both are positive, and the last is larger.
    pub fn range(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    /// Sets the largest number of updates, at least 2.
    pub fn updates(self, updates: usize) -> Self {
        Self { updates, ..self }
    }

    /// Sets `β`, the weight of earlier losses in the smoothed loss; at least 0 and below 1.
    pub fn smoothing(self, smoothing: f64) -> Self {
        Self { smoothing, ..self }
    }

    /// Sets the factor, above 1, at which the search ends early: it ends if the smoothed loss exceeds its lowest
    /// value so far times this factor.
    pub fn diverges(self, diverges: f64) -> Self {
        Self { diverges, ..self }
    }

    fn check(&self) -> Result<()> {
        let Self { from, to, updates, smoothing, diverges } = *self;
        let wrong = if !(from > 0.0 && to > from && to.is_finite()) {
            TrainSettingError::Rates { from, to }
        } else if updates < 2 {
            TrainSettingError::Updates { updates }
        } else if !(0.0..1.0).contains(&smoothing) {
            TrainSettingError::Smoothing { smoothing }
        } else if diverges.is_nan() || diverges <= 1.0 {
            TrainSettingError::Divergence { factor: diverges }
        } else {
            return Ok(());
        };
        Err(wrong.into())
    }
}

/// One update of a learning-rate search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrPoint {
    /// Learning rate.
    pub lr: f64,
    /// Loss before the update.
    pub loss: f64,
    /// Smoothed loss.
    pub smoothed: f64,
}

/// Result of [`Trainer::find_lr`]. `Display` writes it as a table.
#[derive(Clone, Debug, PartialEq)]
pub struct LrCurve {
    /// Updates, in order.
    pub points: Vec<LrPoint>,
    /// Learning rate at which the smoothed loss falls fastest as a function of the logarithm of the rate. `None`
    /// if the loss never falls.
    pub suggestion: Option<f64>,
    /// True if the search ended before the last learning rate because the loss diverged.
    pub diverged: bool,
}

impl LrCurve {
    #[allow(clippy::float_cmp, reason = "the least of the same numbers")]
    fn new(points: Vec<LrPoint>, diverged: bool) -> Self {
        let least = points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
        let end = points.iter().position(|point| point.smoothed == least).unwrap_or(0);
        let derivative = |i: usize| {
            let (before, after) = (&points[i - 1], &points[i + 1]);
            (after.smoothed - before.smoothed) / (after.lr / before.lr).ln()
        };
        let inner = 1..end.min(points.len().saturating_sub(1));
        let steepest = inner.map(|i| (derivative(i), i)).min_by(|(a, _), (b, _)| a.total_cmp(b));
        let suggestion = steepest.filter(|(derivative, _)| *derivative < 0.0).map(|(_, i)| points[i].lr);
        Self { points, suggestion, diverged }
    }
}

impl fmt::Display for LrCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10}  {:>12}  {:>12}", "lr", "loss", "smoothed")?;
        // Skips updates, so that the table has at most 25 rows.
        for point in self.points.iter().step_by(self.points.len().div_ceil(25).max(1)) {
            writeln!(f, "{:>10}  {:>12.5}  {:>12.5}", Short(point.lr).to_string(), point.loss, point.smoothed)?;
        }
        if self.diverged {
            let last = self.points.last().map_or(f64::NAN, |point| point.lr);
            writeln!(f, "diverged after lr {}", Short(last))?;
        }
        match self.suggestion {
            Some(lr) => write!(f, "suggested lr: {} (the loss falls fastest there)", Short(lr)),
            None => f.write_str("no suggestion: the loss does not fall at any of these rates"),
        }
    }
}

impl Trainer<'_> {
    /// Trains with a learning rate that grows with each update until the loss diverges, and suggests the rate at
    /// which the loss falls fastest. Weights, optimizer state, counters and random numbers are restored
    /// afterwards.
    ///
    /// The growing rate is that of the first parameter group. The ratio between the rates of any other group and
    /// the first group stays the same.
    ///
    /// ```
    /// use wgrad_core::{CpuBackend, Params};
    /// use wgrad_data::Dataset;
    /// use wgrad_nn::{Module, layers::Linear, losses::{BceWithLogitsLoss, Loss}, optim::Sgd};
    /// use wgrad_train::{LrFinder, Silent, Trainer};
    /// let (x, y) = (0..40).map(|i| ((i as f32 - 20.0) / 10.0, u32::from(i > 17))).unzip();
    /// let data = Dataset::new(["x"], x, y, ["low", "high"])?;
    /// let params = Params::seeded(7);
    /// let model = Linear::new(&params.at("fc"), 1, 1);
    /// let mut trainer =
    ///     Trainer::new(CpuBackend::<f32>::new(), &params).optimizer(Sgd::new(0.1)).batch_size(8).progress(Silent);
    /// let curve = trainer.find_lr(&data, &LrFinder::default(), |x, y| {
    ///     BceWithLogitsLoss::new().forward(&model.forward(x), y)
    /// })?;
    /// println!("{curve}");
    /// assert!(curve.suggestion.is_some_and(|lr| lr > 1e-4));
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if a setting of `finder` is outside its range, if the optimizer has no learning rate, or
    /// if a schedule per step has already begun. Also returns errors of the ops in a step, such as mismatched
    /// shapes.
    #[track_caller]
    pub fn find_lr(
        &mut self,
        data: &Dataset,
        finder: &LrFinder,
        loss: impl Fn(&Tensor, &Tensor) -> Tensor,
    ) -> Result<LrCurve> {
        let caller = Location::caller();
        finder.check()?;
        self.session()?;
        let handles = self.options.optimizer()?.handles();
        if handles.is_empty() {
            return Err(TrainSettingError::NoLearningRate.into());
        }
        if self.schedules.is_per_step() {
            return Err(TrainSettingError::ScheduleSetsRate.into());
        }
        let limits = self.session()?.limits();
        let resident = self.options.keeps_on_device(data, &limits);
        self.rehearse(data, loss, resident, caller, |trainer, rehearsal| {
            let EpochBatches { batches, steps } = trainer.options.batches(trainer.session.params(), data.rows())?;
            let cursor = Cursor { epoch: batches.epoch(0), batches, steps, number: 0, at: 0 };
            ramp(trainer, finder, &handles, rehearsal, cursor)
        })
    }
}

/// Position of a search: the current epoch and the next step in it.
struct Cursor {
    batches: Batches,
    epoch: Epoch,
    /// Steps per epoch.
    steps: usize,
    number: u64,
    at: usize,
}

impl Cursor {
    /// Moves to the next epoch if the current epoch has no steps left.
    fn advance(&mut self) {
        if self.at >= self.steps {
            (self.number, self.at) = (self.number + 1, 0);
            self.epoch = self.batches.epoch(self.number);
        }
    }
}

/// Runs updates with growing learning rates until the last rate is reached or the loss diverges.
fn ramp<L: Fn(&Tensor, &Tensor) -> Tensor>(
    trainer: &mut Trainer<'_>,
    finder: &LrFinder,
    handles: &[Handles],
    rehearsal: &mut Rehearsal<'_, L>,
    mut cursor: Cursor,
) -> Result<LrCurve> {
    let (batch_size, accumulate) = (trainer.options.batch_size, trainer.options.accumulate.max(1));
    let ratios: Vec<f64> = handles.iter().map(|group| group.lr.get() / handles[0].lr.get()).collect();
    let (mut points, mut average, mut least) = (vec![], 0.0, f64::INFINITY);
    for i in 0..finder.updates {
        let (fraction, done) = (i as f64 / (finder.updates - 1) as f64, i as f64 + 1.0);
        let lr = finder.from * (finder.to / finder.from).powf(fraction);
        handles.iter().zip(&ratios).for_each(|(group, ratio)| group.lr.set(lr * ratio));
        cursor.advance();
        let (mut losses, to) = (vec![], cursor.steps.min(cursor.at + accumulate));
        let mut watch = StepObserver { wait: true, stop: &|| false, on_step: &mut |_, loss| losses.push(loss) };
        let order = EpochOrder { rows: cursor.epoch.order(), batch_size };
        let mut tally = Tally::from_step(cursor.at);
        let ran = rehearsal.steps.run(trainer.session()?, order, &mut tally, to, &mut watch)?;
        cursor.at = to;
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        average = finder.smoothing * average + (1.0 - finder.smoothing) * loss;
        let smoothed = average / (1.0 - finder.smoothing.powf(done));
        if ran != StepsOutcome::Completed || !smoothed.is_finite() || smoothed > finder.diverges * least {
            return Ok(LrCurve::new(points, true));
        }
        least = least.min(smoothed);
        points.push(LrPoint { lr, loss, smoothed });
    }
    Ok(LrCurve::new(points, false))
}
