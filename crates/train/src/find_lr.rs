//! Which learning rate to begin with: a short training with a rate that grows, of which nothing stays.

use std::fmt;
use std::panic::Location;

use wgrad_core::{Error, Result, Tensor};

use super::fit::no_optimizer;
use super::snapshot::{Snapshot, rates, set_rates};
use super::steps::{Ran, Steps, Tally, Training, Watch, fits};
use super::{Short, Trainer};
use wgrad_data::Dataset;
use wgrad_nn::optim::Optimizer;

/// How [`Trainer::find_lr`] looks for a rate.
///
/// Update `i` of `n` is made with the rate `from · (to / from)^(i / (n − 1))`. Its loss is smoothed as
/// `avg = β · avg + (1 − β) · loss`, divided by `1 − β^(i + 1)`. Source: Smith, Cyclical Learning Rates for Training Neural
/// Networks, 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrFinder {
    from: f64,
    to: f64,
    updates: usize,
    smoothing: f64,
    diverges: f64,
}

impl Default for LrFinder {
    /// 100 updates from 1e-7 to 10, smoothed with 0.9, until the smoothed loss is 4 times the best.
    fn default() -> Self {
        Self { from: 1e-7, to: 10.0, updates: 100, smoothing: 0.9, diverges: 4.0 }
    }
}

impl LrFinder {
    /// The first and the last rate, both positive.
    #[must_use]
    pub fn range(self, from: f64, to: f64) -> Self {
        Self { from, to, ..self }
    }

    /// How many updates there are at most; at least 2.
    #[must_use]
    pub fn updates(self, updates: usize) -> Self {
        Self { updates, ..self }
    }

    /// The share of the past in the smoothed loss, at least 0 and below 1.
    #[must_use]
    pub fn smoothing(self, smoothing: f64) -> Self {
        Self { smoothing, ..self }
    }

    /// How many times the best smoothed loss ends the search; above 1.
    #[must_use]
    pub fn diverges(self, diverges: f64) -> Self {
        Self { diverges, ..self }
    }

    fn check(&self) -> Result<()> {
        let Self { from, to, updates, smoothing, diverges } = *self;
        let wrong = if !(from > 0.0 && to > from && to.is_finite()) {
            format!("rates from {from} to {to} do not grow: give 0 < from < to")
        } else if updates < 2 {
            format!("{updates} updates are too few: give at least 2")
        } else if !(0.0..1.0).contains(&smoothing) {
            format!("the smoothing must be at least 0 and below 1, not {smoothing}")
        } else if diverges.is_nan() || diverges <= 1.0 {
            format!("a loss diverges by a factor above 1, not {diverges}")
        } else {
            return Ok(());
        };
        Err(Error::Config(wrong))
    }
}

/// One update of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrPoint {
    /// The rate.
    pub lr: f64,
    /// The loss before the update.
    pub loss: f64,
    /// The smoothed loss.
    pub smoothed: f64,
}

/// What [`Trainer::find_lr`] has found; prints as a table.
#[derive(Clone, Debug, PartialEq)]
pub struct LrCurve {
    /// The updates, in order.
    pub points: Vec<LrPoint>,
    /// The rate at which the smoothed loss falls fastest, by the logarithm of the rate; none if it never falls.
    pub suggestion: Option<f64>,
    /// Whether the loss diverged before the last rate.
    pub diverged: bool,
}

impl LrCurve {
    #[allow(clippy::float_cmp, reason = "the least of the same numbers")]
    fn new(points: Vec<LrPoint>, diverged: bool) -> Self {
        let least = points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
        let end = points.iter().position(|point| point.smoothed == least).unwrap_or(0);
        let slope = |i: usize| {
            let (before, after) = (&points[i - 1], &points[i + 1]);
            (after.smoothed - before.smoothed) / (after.lr / before.lr).ln()
        };
        let inner = 1..end.min(points.len().saturating_sub(1));
        let steepest = inner.map(|i| (slope(i), i)).min_by(|(a, _), (b, _)| a.total_cmp(b));
        let suggestion = steepest.filter(|(slope, _)| *slope < 0.0).map(|(_, i)| points[i].lr);
        Self { points, suggestion, diverged }
    }
}

impl fmt::Display for LrCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10}  {:>12}  {:>12}", "lr", "loss", "smoothed")?;
        // At most about 25 lines.
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
    /// Trains with a rate that grows from update to update until the loss diverges, puts weights, optimizer state, counters
    /// and random numbers back as they were, and suggests the rate at which the loss falls fastest.
    ///
    /// Groups of parameters keep the ratio of their rates to that of the first one.
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
    /// Settings that make no sense; an optimizer without a learning rate; a schedule over steps that has begun; every error
    /// of the graph.
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
        let optimizer = self.optimizer.take().ok_or_else(no_optimizer)?;
        let before = rates(&*optimizer);
        let result = self.ramp(data, finder, &loss, &*optimizer, caller);
        set_rates(&*optimizer, &before);
        self.optimizer = Some(optimizer);
        result
    }

    fn ramp<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        data: &Dataset,
        finder: &LrFinder,
        loss: &L,
        optimizer: &dyn Optimizer,
        caller: &'static Location<'static>,
    ) -> Result<LrCurve> {
        let handles = optimizer.handles();
        if handles.is_empty() {
            return Err(Error::Config("this optimizer has no learning rate to be found".into()));
        }
        if self.schedules.is_per_step() {
            let text = "the schedule turns the rate in every step\n  fix: find the rate before the first fit";
            return Err(Error::Config(text.into()));
        }
        let ratios: Vec<f64> = handles.iter().map(|group| group.lr.get() / handles[0].lr.get()).collect();
        let targets = self.targets.of(data)?;
        let limits = self.session()?.limits();
        let (ema, accumulate) = (self.ema.clone(), self.accumulate.max(1));
        let training = Training { optimizer, ema: ema.as_ref(), accumulate };
        let resident = !self.streaming && fits(data, &limits);
        let mut steps = Steps::new(loss, data, targets, Some(training), resident, caller)?;
        // This declares all state, which is then put back, too.
        steps.example(self.batch_size.min(data.rows())).graph.check()?;
        self.session()?.sync()?;
        let begin = Snapshot::take(&self.params)?;
        let curve = (|| {
            let batches = self.batches(data)?;
            let (count, size) = (batches.len() - usize::from(self.drops_one(data)), self.batch_size);
            let (mut points, mut average, mut least) = (vec![], 0.0, f64::INFINITY);
            let (mut epoch, mut number, mut at) = (batches.epoch(0), 0, 0);
            for i in 0..finder.updates {
                #[allow(clippy::cast_precision_loss, reason = "few updates")]
                let (share, done) = (i as f64 / (finder.updates - 1) as f64, i as f64 + 1.0);
                let lr = finder.from * (finder.to / finder.from).powf(share);
                handles.iter().zip(&ratios).for_each(|(group, ratio)| group.lr.set(lr * ratio));
                if at >= count {
                    (number, at) = (number + 1, 0);
                    epoch = batches.epoch(number);
                }
                let (mut losses, to) = (vec![], count.min(at + accumulate));
                let mut watch = Watch { wait: true, stop: &|| false, seen: &mut |_, loss| losses.push(loss) };
                let (order, mut tally) = (epoch.order(), Tally { steps: at, ..Tally::default() });
                let ran = steps.run(self.session()?, (order, size), &mut tally, to, &mut watch)?;
                at = to;
                #[allow(clippy::cast_precision_loss, reason = "few batches")]
                let loss = losses.iter().sum::<f64>() / losses.len() as f64;
                average = finder.smoothing * average + (1.0 - finder.smoothing) * loss;
                let smoothed = average / (1.0 - finder.smoothing.powf(done));
                if ran != Ran::All || !smoothed.is_finite() || smoothed > finder.diverges * least {
                    return Ok(LrCurve::new(points, true));
                }
                least = least.min(smoothed);
                points.push(LrPoint { lr, loss, smoothed });
            }
            Ok(LrCurve::new(points, false))
        })();
        let restored = self.session()?.sync().and_then(|()| begin.restore(&self.params));
        curve.and_then(|curve| restored.map(|()| curve))
    }
}
