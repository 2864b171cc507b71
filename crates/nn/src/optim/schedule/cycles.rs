//! Schedules that raise and lower the learning rate and the momentum in cycles.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use super::ScheduleError;
use super::base::{PerGroup, Rate, Schedule, check, check_positive};

/// Curve along which [`OneCycleLr`] moves from the start value to the end value of a phase; PyTorch's
/// `anneal_strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anneal {
    /// Half a period of a cosine.
    #[default]
    Cosine,
    /// A straight line.
    Linear,
}

impl Anneal {
    fn at(self, start: f64, end: f64, fraction: f64) -> f64 {
        match self {
            Self::Cosine => end + (start - end) / 2.0 * ((PI * fraction).cos() + 1.0),
            Self::Linear => (end - start) * fraction + start,
        }
    }
}

/// Returns an error if the optimizer has no momentum to cycle.
fn require_momentum(rates: &[Rate]) -> Result<(), ScheduleError> {
    if rates.iter().all(|rate| rate.momentum.is_some()) { Ok(()) } else { Err(ScheduleError::NoMomentum) }
}

/// Schedule that raises the learning rate to `max_lr` and lowers it to almost 0 in one cycle, and changes the
/// momentum in the opposite direction; PyTorch's `OneCycleLR`.
///
/// The rate begins at `max_lr / div_factor`, reaches `max_lr` after the fraction `pct_start` of the steps and ends
/// at `max_lr / div_factor / final_div_factor`. With `three_phase`, the rate returns to the first rate before it
/// falls further. The momentum, or the first beta, goes from `max_momentum` to `base_momentum` and back. The
/// learning rate that was passed to the optimizer has no effect.
///
/// Call [`Scheduler::step`](super::Scheduler::step) after every training step. A call after the end of the cycle
/// returns an error.
///
/// Smith, Topin: "Super-convergence: very fast training of neural networks using large learning rates", 2019.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{OneCycleLr, Scheduler}};
/// let mut scheduler = Scheduler::new(&Sgd::new(0.1).momentum(0.9), OneCycleLr::new(1.0, 10))?;
/// assert!((scheduler.lr()[0] - 0.04).abs() < 1e-15 && scheduler.momentum() == [Some(0.95)]);
/// scheduler.step()?;
/// scheduler.step()?;
/// assert_eq!((scheduler.lr(), scheduler.momentum()), (vec![1.0], vec![Some(0.85)]));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OneCycleLr {
    max_lr: PerGroup,
    total_steps: usize,
    pct_start: f64,
    anneal: Anneal,
    cycle_momentum: bool,
    momentum: (PerGroup, PerGroup),
    div_factor: f64,
    final_div_factor: f64,
    three_phase: bool,
}

impl OneCycleLr {
    /// Creates a cycle over `total_steps` steps, with PyTorch's defaults. `max_lr` is one rate for all parameter
    /// groups, or a list with one rate per group.
    pub fn new(max_lr: impl Into<PerGroup>, total_steps: usize) -> Self {
        Self {
            max_lr: max_lr.into(),
            total_steps,
            pct_start: 0.3,
            anneal: Anneal::Cosine,
            cycle_momentum: true,
            momentum: (0.85.into(), 0.95.into()),
            div_factor: 25.0,
            final_div_factor: 1e4,
            three_phase: false,
        }
    }

    /// Sets the fraction of the steps in which the learning rate rises. Default: 0.3.
    pub fn pct_start(self, pct_start: f64) -> Self {
        Self { pct_start, ..self }
    }

    /// Sets the curve along which learning rate and momentum change in each phase. Default: [`Anneal::Cosine`].
    pub fn anneal(self, anneal: Anneal) -> Self {
        Self { anneal, ..self }
    }

    /// If `false`, the momentum does not change. Default: `true`.
    pub fn cycle_momentum(self, cycle_momentum: bool) -> Self {
        Self { cycle_momentum, ..self }
    }

    /// Sets the lowest momentum. Default: 0.85.
    pub fn base_momentum(self, momentum: impl Into<PerGroup>) -> Self {
        Self { momentum: (momentum.into(), self.momentum.1), ..self }
    }

    /// Sets the highest momentum. Default: 0.95.
    pub fn max_momentum(self, momentum: impl Into<PerGroup>) -> Self {
        Self { momentum: (self.momentum.0, momentum.into()), ..self }
    }

    /// Sets the ratio of `max_lr` to the first learning rate. Default: 25.
    pub fn div_factor(self, div_factor: f64) -> Self {
        Self { div_factor, ..self }
    }

    /// Sets the ratio of the first learning rate to the last one. Default: 10⁴.
    pub fn final_div_factor(self, final_div_factor: f64) -> Self {
        Self { final_div_factor, ..self }
    }

    /// If `true`, the learning rate first falls to its initial value, in as many steps as it rose, and then to its
    /// last value. Default: `false`.
    pub fn three_phase(self, three_phase: bool) -> Self {
        Self { three_phase, ..self }
    }

    fn total(&self) -> f64 {
        self.total_steps as f64
    }

    /// Returns the number of the phase to which `step` belongs, and the fraction of the phase that has passed
    /// before `step`.
    fn phase(&self, step: f64) -> (usize, f64) {
        let (total, rise) = (self.total(), self.pct_start * self.total() - 1.0);
        let ends = if self.three_phase {
            vec![rise, 2.0 * self.pct_start * total - 2.0, total - 1.0]
        } else {
            vec![rise, total - 1.0]
        };
        let phase = ends.iter().position(|&end| step <= end).unwrap_or(ends.len() - 1);
        let start = if phase == 0 { 0.0 } else { ends[phase - 1] };
        (phase, (step - start) / (ends[phase] - start))
    }
}

impl Schedule for OneCycleLr {
    fn prepare(&mut self, rates: &mut [Rate]) -> Result<(), ScheduleError> {
        let pct = self.pct_start;
        check_positive("total_steps", self.total_steps)?;
        check((0.0..=1.0).contains(&pct), "pct_start", pct, "between 0 and 1")?;
        check(self.div_factor > 0.0, "div_factor", self.div_factor, "above 0")?;
        check(self.final_div_factor > 0.0, "final_div_factor", self.final_div_factor, "above 0")?;
        let fits = self.max_lr.all(|lr| lr.is_finite() && lr >= 0.0);
        check(fits, "max_lr", format!("{:?}", self.max_lr), "a number that is not negative")?;
        self.max_lr.check("max_lr", rates)?;
        if self.cycle_momentum {
            require_momentum(rates)?;
            self.momentum.0.check("base_momentum", rates)?;
            self.momentum.1.check("max_momentum", rates)?;
        }
        for (i, rate) in rates.iter_mut().enumerate() {
            rate.initial = self.max_lr.of(i) / self.div_factor;
        }
        Ok(())
    }

    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        self.next(0.0, rates, base);
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let (phase, fraction) = self.phase(epoch);
        for ((i, rate), &begin) in rates.iter_mut().enumerate().zip(base) {
            let (high, end) = (self.max_lr.of(i), begin / self.final_div_factor);
            let (from, to) = match (phase, self.three_phase) {
                (0, _) => (begin, high),
                (1, true) => (high, begin),
                (1, false) => (high, end),
                _ => (begin, end),
            };
            rate.lr = self.anneal.at(from, to, fraction);
            if self.cycle_momentum {
                let (low, high) = (self.momentum.0.of(i), self.momentum.1.of(i));
                let (from, to) = match phase {
                    0 => (high, low),
                    1 => (low, high),
                    _ => (high, high),
                };
                rate.momentum = Some(self.anneal.at(from, to, fraction));
            }
        }
    }

    fn end(&self) -> Option<f64> {
        Some(self.total())
    }

    fn momentum(&self) -> bool {
        self.cycle_momentum
    }
}

/// Rule by which the amplitude of a [`CyclicLr`], the difference between the highest and the lowest learning rate,
/// changes over time.
#[derive(Clone)]
pub enum Scale {
    /// The amplitude is constant; PyTorch's mode `triangular`.
    Constant,
    /// Each cycle has half the amplitude of the one before; PyTorch's mode `triangular2`.
    Halving,
    /// In each step, the amplitude is multiplied by this number; PyTorch's mode `exp_range`.
    Exponential(f64),
    /// The amplitude is multiplied by a function of the number of the cycle, counted from 1.
    OfCycle(Arc<dyn Fn(f64) -> f64 + Send + Sync>),
    /// The amplitude is multiplied by a function of the number of the step.
    OfStep(Arc<dyn Fn(f64) -> f64 + Send + Sync>),
}

impl fmt::Debug for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("Constant"),
            Self::Halving => f.write_str("Halving"),
            Self::Exponential(gamma) => write!(f, "Exponential({gamma})"),
            Self::OfCycle(_) => f.write_str("OfCycle"),
            Self::OfStep(_) => f.write_str("OfStep"),
        }
    }
}

/// Schedule that moves the learning rate linearly from `base_lr` to `max_lr` and back in repeated cycles;
/// PyTorch's `CyclicLR`.
///
/// Call [`Scheduler::step`](super::Scheduler::step) after every training step. The momentum moves in the opposite
/// direction. The learning rate that was passed to the optimizer has no effect.
///
/// Smith: "Cyclical learning rates for training neural networks", 2017.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{CyclicLr, Scheduler}};
/// let mut scheduler = Scheduler::new(&Sgd::new(0.1), CyclicLr::new(0.0, 1.0).step_size_up(4).cycle_momentum(false))?;
/// scheduler.step()?;
/// assert_eq!(scheduler.lr(), [0.25]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CyclicLr {
    lr: (PerGroup, PerGroup),
    up: usize,
    down: Option<usize>,
    scale: Scale,
    cycle_momentum: bool,
    momentum: (PerGroup, PerGroup),
}

impl CyclicLr {
    /// Creates cycles between `base_lr` and `max_lr`, with PyTorch's defaults.
    pub fn new(base_lr: impl Into<PerGroup>, max_lr: impl Into<PerGroup>) -> Self {
        Self {
            lr: (base_lr.into(), max_lr.into()),
            up: 2000,
            down: None,
            scale: Scale::Constant,
            cycle_momentum: true,
            momentum: (0.8.into(), 0.9.into()),
        }
    }

    /// Sets the number of steps in which the learning rate rises. Default: 2000.
    pub fn step_size_up(self, up: usize) -> Self {
        Self { up, ..self }
    }

    /// Sets the number of steps in which the learning rate falls. Default: the number of steps in which it rises.
    pub fn step_size_down(self, down: usize) -> Self {
        Self { down: Some(down), ..self }
    }

    /// Sets how the amplitude changes over time. Default: [`Scale::Constant`].
    pub fn scale(self, scale: Scale) -> Self {
        Self { scale, ..self }
    }

    /// If `false`, the momentum does not change. Default: `true`.
    pub fn cycle_momentum(self, cycle_momentum: bool) -> Self {
        Self { cycle_momentum, ..self }
    }

    /// Sets the lowest momentum. Default: 0.8.
    pub fn base_momentum(self, momentum: impl Into<PerGroup>) -> Self {
        Self { momentum: (momentum.into(), self.momentum.1), ..self }
    }

    /// Sets the highest momentum. Default: 0.9.
    pub fn max_momentum(self, momentum: impl Into<PerGroup>) -> Self {
        Self { momentum: (self.momentum.0, momentum.into()), ..self }
    }
}

impl Schedule for CyclicLr {
    fn prepare(&mut self, rates: &mut [Rate]) -> Result<(), ScheduleError> {
        check_positive("the number of steps in which a cycle rises", self.up)?;
        check_positive("the number of steps in which a cycle falls", self.down.unwrap_or(self.up))?;
        self.lr.0.check("base_lr", rates)?;
        self.lr.1.check("max_lr", rates)?;
        if self.cycle_momentum {
            require_momentum(rates)?;
            self.momentum.0.check("base_momentum", rates)?;
            self.momentum.1.check("max_momentum", rates)?;
        }
        Ok(())
    }

    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        self.next(0.0, rates, base);
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], _: &[f64]) {
        let (up, down) = (self.up as f64, self.down.unwrap_or(self.up) as f64);
        let (total, ratio) = (up + down, up / (up + down));
        let cycle = (1.0 + epoch / total).floor();
        let at = 1.0 + epoch / total - cycle;
        let height = if at <= ratio { at / ratio } else { (at - 1.0) / (ratio - 1.0) };
        let scale = match &self.scale {
            Scale::Constant => 1.0,
            Scale::Halving => 1.0 / 2f64.powf(cycle - 1.0),
            Scale::Exponential(gamma) => gamma.powf(epoch),
            Scale::OfCycle(of) => of(cycle),
            Scale::OfStep(of) => of(epoch),
        };
        for (i, rate) in rates.iter_mut().enumerate() {
            let (low, high) = (self.lr.0.of(i), self.lr.1.of(i));
            rate.lr = low + (high - low) * height * scale;
            if self.cycle_momentum {
                let (low, high) = (self.momentum.0.of(i), self.momentum.1.of(i));
                rate.momentum = Some(high - (high - low) * height * scale);
            }
        }
    }

    fn momentum(&self) -> bool {
        self.cycle_momentum
    }
}
