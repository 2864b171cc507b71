//! Schedules that change the learning rate along a cosine.

use std::f64::consts::PI;

use super::ScheduleError;
use super::base::{Rate, Schedule, check, check_positive, count, each};

/// Schedule that lowers the learning rate along half a cosine to `eta_min` in `t_max` epochs, and raises the rate
/// again in the next `t_max` epochs; PyTorch's `CosineAnnealingLR`.
///
/// As in PyTorch, each rate is computed from the current rate, so changes made by other code between epochs are
/// kept.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{CosineAnnealingLr, Scheduler}};
/// let mut scheduler = Scheduler::new(&Sgd::new(1.0), CosineAnnealingLr::new(4))?;
/// for _ in 0..2 {
///     scheduler.step()?;
/// }
/// assert!((scheduler.lr()[0] - 0.5).abs() < 1e-15);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CosineAnnealingLr {
    t_max: usize,
    eta_min: f64,
}

impl CosineAnnealingLr {
    /// Creates a schedule that lowers the learning rate to 0 in `t_max` epochs.
    pub fn new(t_max: usize) -> Self {
        Self { t_max, eta_min: 0.0 }
    }

    /// Sets the lowest learning rate. Default: 0.
    pub fn eta_min(self, eta_min: f64) -> Self {
        Self { eta_min, ..self }
    }
}

impl Schedule for CosineAnnealingLr {
    fn prepare(&mut self, _: &mut [Rate]) -> Result<(), ScheduleError> {
        check_positive("t_max", self.t_max)?;
        check(self.eta_min.is_finite(), "eta_min", self.eta_min, "a number")
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let (t_max, low) = (count(self.t_max), self.eta_min);
        // At the minimum, the rate may be 0, which no factor can raise, so a difference is added instead.
        if (epoch - 1.0 - t_max) % (2.0 * t_max) == 0.0 {
            each(rates, base, |lr, base| lr + (base - low) * (1.0 - (PI / t_max).cos()) / 2.0);
        } else {
            let ratio = (1.0 + (PI * epoch / t_max).cos()) / (1.0 + (PI * (epoch - 1.0) / t_max).cos());
            each(rates, base, |lr, _| ratio * (lr - low) + low);
        }
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let (t_max, low) = (count(self.t_max), self.eta_min);
        each(rates, base, |_, base| low + (base - low) * (1.0 + (PI * epoch / t_max).cos()) / 2.0);
    }
}

/// Schedule that lowers the learning rate along half a cosine to `eta_min` in cycles that restart from the initial
/// rate. The first cycle lasts `t_0` epochs, and each further cycle lasts `t_mult` times as long as the previous
/// one; PyTorch's `CosineAnnealingWarmRestarts`.
///
/// To change the rate within an epoch, call [`Scheduler::step_to`](super::Scheduler::step_to) with a fractional
/// epoch, such as `epoch + batch / batches`.
///
/// Loshchilov, Hutter: "SGDR: stochastic gradient descent with warm restarts", 2017.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{CosineAnnealingWarmRestarts, Scheduler}};
/// let mut scheduler = Scheduler::new(&Sgd::new(1.0), CosineAnnealingWarmRestarts::new(2).t_mult(2))?;
/// scheduler.step_to(1.0)?;
/// assert!((scheduler.lr()[0] - 0.5).abs() < 1e-15);
/// scheduler.step_to(2.0)?;
/// assert_eq!(scheduler.lr(), [1.0]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CosineAnnealingWarmRestarts {
    t_0: usize,
    t_mult: usize,
    eta_min: f64,
    /// Position in the current cycle, and length of the current cycle, both in epochs.
    cycle: (f64, f64),
}

impl CosineAnnealingWarmRestarts {
    /// Creates a schedule with cycles of `t_0` epochs, each of which lowers the learning rate to 0.
    pub fn new(t_0: usize) -> Self {
        Self { t_0, t_mult: 1, eta_min: 0.0, cycle: (0.0, count(t_0)) }
    }

    /// Sets the length of each cycle as a multiple of the length of the previous cycle. Default: 1.
    pub fn t_mult(self, t_mult: usize) -> Self {
        Self { t_mult, ..self }
    }

    /// Sets the lowest learning rate. Default: 0.
    pub fn eta_min(self, eta_min: f64) -> Self {
        Self { eta_min, ..self }
    }

    fn set(&self, rates: &mut [Rate], base: &[f64]) {
        let ((at, length), low) = (self.cycle, self.eta_min);
        each(rates, base, |_, base| low + (base - low) * (1.0 + (PI * at / length).cos()) / 2.0);
    }
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn prepare(&mut self, _: &mut [Rate]) -> Result<(), ScheduleError> {
        check_positive("t_0", self.t_0)?;
        check_positive("t_mult", self.t_mult)?;
        check(self.eta_min.is_finite(), "eta_min", self.eta_min, "a number")
    }

    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        self.jump(0.0, rates, base);
    }

    fn next(&mut self, _: f64, rates: &mut [Rate], base: &[f64]) {
        let (at, length) = &mut self.cycle;
        *at += 1.0;
        if *at >= *length {
            *at %= *length;
            *length *= count(self.t_mult);
        }
        self.set(rates, base);
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let (t_0, t_mult) = (count(self.t_0), count(self.t_mult));
        if epoch < t_0 {
            self.cycle = (epoch, t_0);
        } else if self.t_mult == 1 {
            self.cycle.0 = epoch % t_0;
        } else {
            let cycles = ((epoch / t_0 * (t_mult - 1.0) + 1.0).ln() / t_mult.ln()).trunc();
            let longer = t_mult.powf(cycles);
            self.cycle = (epoch - t_0 * (longer - 1.0) / (t_mult - 1.0), t_0 * longer);
        }
        self.set(rates, base);
    }

    fn state(&mut self, visit: &mut dyn FnMut(&mut f64)) {
        visit(&mut self.cycle.0);
        visit(&mut self.cycle.1);
    }
}
