//! Schedules that multiply the learning rate by a factor, change it linearly, or compute it with a function.

use std::fmt;
use std::sync::Arc;

use super::ScheduleError;
use super::base::{Rate, Schedule, check, check_positive, count, each};

type Checked = Result<(), ScheduleError>;

fn factor(name: &str, gamma: f64) -> Checked {
    check(gamma.is_finite(), name, gamma, "a number")
}

/// Schedule that multiplies the learning rate by `gamma` every `step_size` epochs; PyTorch's `StepLR`.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{Scheduler, StepLr}};
/// let mut scheduler = Scheduler::new(&Sgd::new(1.0), StepLr::new(2).gamma(0.5))?;
/// let rates: Vec<f64> = (0..5).map(|_| { let lr = scheduler.lr()[0]; scheduler.step().unwrap(); lr }).collect();
/// assert_eq!(rates, [1.0, 1.0, 0.5, 0.5, 0.25]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct StepLr {
    step_size: usize,
    gamma: f64,
}

impl StepLr {
    /// Creates a schedule that multiplies the learning rate by 0.1 every `step_size` epochs.
    pub fn new(step_size: usize) -> Self {
        Self { step_size, gamma: 0.1 }
    }

    /// Sets the factor by which the learning rate is multiplied. Default: 0.1.
    pub fn gamma(self, gamma: f64) -> Self {
        Self { gamma, ..self }
    }
}

impl Schedule for StepLr {
    fn prepare(&mut self, _: &mut [Rate]) -> Checked {
        check_positive("step_size", self.step_size)?;
        factor("gamma", self.gamma)
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        if epoch != 0.0 && epoch % count(self.step_size) == 0.0 {
            each(rates, base, |lr, _| lr * self.gamma);
        }
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let steps = (epoch / count(self.step_size)).floor();
        each(rates, base, |_, base| base * self.gamma.powf(steps));
    }
}

/// Schedule that multiplies the learning rate by `gamma` at each epoch in `milestones`; PyTorch's `MultiStepLR`.
#[derive(Clone, Debug)]
#[must_use]
pub struct MultiStepLr {
    milestones: Vec<usize>,
    gamma: f64,
}

impl MultiStepLr {
    /// Creates a schedule that multiplies the learning rate by 0.1 at each milestone. If a milestone is listed
    /// twice, the rate is multiplied twice.
    pub fn new(milestones: impl Into<Vec<usize>>) -> Self {
        Self { milestones: milestones.into(), gamma: 0.1 }
    }

    /// Sets the factor by which the learning rate is multiplied. Default: 0.1.
    pub fn gamma(self, gamma: f64) -> Self {
        Self { gamma, ..self }
    }

    fn count_milestones(&self, of: impl Fn(f64) -> bool) -> f64 {
        count(self.milestones.iter().filter(|&&milestone| of(count(milestone))).count())
    }
}

#[allow(clippy::float_cmp, reason = "epochs are whole numbers")]
impl Schedule for MultiStepLr {
    fn prepare(&mut self, _: &mut [Rate]) -> Checked {
        factor("gamma", self.gamma)
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let reached = self.count_milestones(|milestone| milestone == epoch);
        if reached > 0.0 {
            each(rates, base, |lr, _| lr * self.gamma.powf(reached));
        }
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let passed = self.count_milestones(|milestone| milestone <= epoch);
        each(rates, base, |_, base| base * self.gamma.powf(passed));
    }
}

/// Schedule that multiplies the learning rate by `gamma` every epoch; PyTorch's `ExponentialLR`.
#[derive(Clone, Debug)]
pub struct ExponentialLr {
    gamma: f64,
}

impl ExponentialLr {
    /// Creates a schedule that multiplies the learning rate by `gamma` every epoch.
    pub fn new(gamma: f64) -> Self {
        Self { gamma }
    }
}

impl Schedule for ExponentialLr {
    fn prepare(&mut self, _: &mut [Rate]) -> Checked {
        factor("gamma", self.gamma)
    }

    fn next(&mut self, _: f64, rates: &mut [Rate], base: &[f64]) {
        each(rates, base, |lr, _| lr * self.gamma);
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        each(rates, base, |_, base| base * self.gamma.powf(epoch));
    }
}

/// Schedule that multiplies the learning rate by `factor` in all epochs before `total_iters`, as a warm-up with a
/// constant rate; PyTorch's `ConstantLR`.
#[derive(Clone, Debug)]
pub struct ConstantLr {
    factor: f64,
    total_iters: usize,
}

impl ConstantLr {
    /// Creates a schedule. PyTorch's defaults are `factor` 1/3 and `total_iters` 5.
    pub fn new(factor: f64, total_iters: usize) -> Self {
        Self { factor, total_iters }
    }
}

#[allow(clippy::float_cmp, reason = "epochs are whole numbers")]
impl Schedule for ConstantLr {
    fn prepare(&mut self, _: &mut [Rate]) -> Checked {
        let factor = self.factor;
        check((0.0..=1.0).contains(&factor), "the factor", factor, "between 0 and 1")
    }

    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        each(rates, base, |lr, _| lr * self.factor);
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        if epoch == count(self.total_iters) {
            each(rates, base, |lr, _| lr * (1.0 / self.factor));
        }
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let passed = f64::from(u8::from(epoch >= count(self.total_iters)));
        each(rates, base, |_, base| base * (self.factor + passed * (1.0 - self.factor)));
    }
}

/// Schedule that multiplies the learning rate by a factor that changes linearly from `start_factor` to
/// `end_factor` over `total_iters` epochs, which is the usual warm-up; PyTorch's `LinearLR`.
///
/// ```
/// use wgrad_nn::optim::{Sgd, schedule::{LinearLr, Scheduler}};
/// let mut scheduler = Scheduler::new(&Sgd::new(1.0), LinearLr::new(2).start_factor(0.5))?;
/// assert_eq!(scheduler.lr(), [0.5]);
/// scheduler.step()?;
/// assert_eq!(scheduler.lr(), [0.75]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LinearLr {
    start_factor: f64,
    end_factor: f64,
    total_iters: usize,
}

impl LinearLr {
    /// Creates a schedule whose learning rate rises from 1/3 of the initial rate to the initial rate. PyTorch's
    /// default of `total_iters` is 5.
    pub fn new(total_iters: usize) -> Self {
        Self { start_factor: 1.0 / 3.0, end_factor: 1.0, total_iters }
    }

    /// Sets the factor in epoch 0. Default: 1/3.
    pub fn start_factor(self, start_factor: f64) -> Self {
        Self { start_factor, ..self }
    }

    /// Sets the factor from epoch `total_iters` on. Default: 1.
    pub fn end_factor(self, end_factor: f64) -> Self {
        Self { end_factor, ..self }
    }
}

impl Schedule for LinearLr {
    fn prepare(&mut self, _: &mut [Rate]) -> Checked {
        let (start, end) = (self.start_factor, self.end_factor);
        check(start > 0.0 && start <= 1.0, "start_factor", start, "above 0 and at most 1")?;
        check((0.0..=1.0).contains(&end), "end_factor", end, "between 0 and 1")?;
        check_positive("total_iters", self.total_iters)
    }

    fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
        each(rates, base, |lr, _| lr * self.start_factor);
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let (total, rise) = (count(self.total_iters), self.end_factor - self.start_factor);
        if epoch <= total {
            let before = total * self.start_factor + (epoch - 1.0) * rise;
            each(rates, base, |lr, _| lr * (1.0 + rise / before));
        }
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let (total, rise) = (count(self.total_iters), self.end_factor - self.start_factor);
        each(rates, base, |_, base| base * (self.start_factor + rise * epoch.min(total) / total));
    }
}

/// Schedule that multiplies the initial learning rate by `(1 − epoch / total_iters)^power`, and by 0 after epoch
/// `total_iters`; PyTorch's `PolynomialLR`.
#[derive(Clone, Debug)]
#[must_use]
pub struct PolynomialLr {
    total_iters: usize,
    power: f64,
}

impl PolynomialLr {
    /// Creates a linear decay to 0. PyTorch's default of `total_iters` is 5.
    pub fn new(total_iters: usize) -> Self {
        Self { total_iters, power: 1.0 }
    }

    /// Sets the exponent `power` of the factor. Default: 1.
    pub fn power(self, power: f64) -> Self {
        Self { power, ..self }
    }
}

impl Schedule for PolynomialLr {
    fn prepare(&mut self, _: &mut [Rate]) -> Checked {
        let power = self.power;
        check_positive("total_iters", self.total_iters)?;
        check(power.is_finite(), "the power", power, "a number")
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let total = count(self.total_iters);
        if epoch <= total {
            let ratio = (1.0 - epoch / total) / (1.0 - (epoch - 1.0) / total);
            each(rates, base, |lr, _| lr * ratio.powf(self.power));
        }
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let total = count(self.total_iters);
        each(rates, base, |_, base| base * (1.0 - epoch.min(total) / total).powf(self.power));
    }
}

type Factor = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

macro_rules! by_function {
    ($(#[$doc:meta])* $Name:ident, |$lr:ident, $base:ident, $factor:ident| $new:expr, $first:expr) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $Name(Vec<Factor>);

        impl $Name {
            /// Creates a schedule with the function `factor` for all parameter groups.
            pub fn new(factor: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
                Self(vec![Arc::new(factor)])
            }

            /// Adds the function for the next parameter group. The function passed to `new` then applies only to
            /// the parameters in no group.
            pub fn and(mut self, factor: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
                self.0.push(Arc::new(factor));
                self
            }
        }

        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($Name), "({} functions)"), self.0.len())
            }
        }

        impl Schedule for $Name {
            fn prepare(&mut self, rates: &mut [Rate]) -> Checked {
                let (functions, groups) = (self.0.len(), rates.len());
                let fits = functions == 1 || functions == groups;
                if fits { Ok(()) } else { Err(ScheduleError::Functions { functions, groups }) }
            }

            fn first(&mut self, rates: &mut [Rate], base: &[f64]) {
                if $first {
                    self.next(0.0, rates, base);
                }
            }

            fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
                for ((i, rate), &$base) in rates.iter_mut().enumerate().zip(base) {
                    let ($lr, $factor) = (rate.lr, self.0.get(i).unwrap_or(&self.0[0])(epoch));
                    rate.lr = $new;
                }
            }
        }
    };
}

by_function! {
    /// Schedule that multiplies the initial learning rate by a function of the epoch; PyTorch's `LambdaLR`.
    ///
    /// ```
    /// use wgrad_nn::optim::{Sgd, schedule::{LambdaLr, Scheduler}};
    /// let mut scheduler = Scheduler::new(&Sgd::new(1.0), LambdaLr::new(|epoch| 1.0 / (1.0 + epoch)))?;
    /// scheduler.step()?;
    /// assert_eq!(scheduler.lr(), [0.5]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    LambdaLr, |_lr, base, factor| base * factor, true
}

by_function! {
    /// Schedule that multiplies the current learning rate, in every epoch, by a function of the epoch; PyTorch's
    /// `MultiplicativeLR`.
    MultiplicativeLr, |lr, _base, factor| lr * factor, false
}
