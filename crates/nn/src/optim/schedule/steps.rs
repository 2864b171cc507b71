//! Schedules that change the rate by a factor now and then, or along a line.

use std::fmt;
use std::sync::Arc;

use super::ScheduleError;
use super::part::{Rate, Schedule, check, check_positive, count, each};

type Checked = Result<(), ScheduleError>;

fn factor(name: &str, gamma: f64) -> Checked {
    check(gamma.is_finite(), name, gamma, "a number")
}

/// The rate times `gamma` after every `step_size` epochs; PyTorch's `StepLR`.
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
    /// With `gamma` 0.1.
    pub fn new(step_size: usize) -> Self {
        Self { step_size, gamma: 0.1 }
    }

    /// The factor; 0.1 if not set.
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

/// The rate times `gamma` when an epoch of `milestones` is reached; PyTorch's `MultiStepLR`.
#[derive(Clone, Debug)]
#[must_use]
pub struct MultiStepLr {
    milestones: Vec<usize>,
    gamma: f64,
}

impl MultiStepLr {
    /// With `gamma` 0.1. A milestone that is given twice counts twice.
    pub fn new(milestones: impl Into<Vec<usize>>) -> Self {
        Self { milestones: milestones.into(), gamma: 0.1 }
    }

    /// The factor; 0.1 if not set.
    pub fn gamma(self, gamma: f64) -> Self {
        Self { gamma, ..self }
    }

    fn how_many(&self, of: impl Fn(f64) -> bool) -> f64 {
        count(self.milestones.iter().filter(|&&milestone| of(count(milestone))).count())
    }
}

#[allow(clippy::float_cmp, reason = "epochs are whole numbers")]
impl Schedule for MultiStepLr {
    fn prepare(&mut self, _: &mut [Rate]) -> Checked {
        factor("gamma", self.gamma)
    }

    fn next(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let here = self.how_many(|milestone| milestone == epoch);
        if here > 0.0 {
            each(rates, base, |lr, _| lr * self.gamma.powf(here));
        }
    }

    fn jump(&mut self, epoch: f64, rates: &mut [Rate], base: &[f64]) {
        let passed = self.how_many(|milestone| milestone <= epoch);
        each(rates, base, |_, base| base * self.gamma.powf(passed));
    }
}

/// The rate times `gamma` after every epoch; PyTorch's `ExponentialLR`.
#[derive(Clone, Debug)]
pub struct ExponentialLr {
    gamma: f64,
}

impl ExponentialLr {
    /// With this factor.
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

/// The rate times `factor` until epoch `total_iters`; PyTorch's `ConstantLR`, a warm-up in one jump.
#[derive(Clone, Debug)]
pub struct ConstantLr {
    factor: f64,
    total_iters: usize,
}

impl ConstantLr {
    /// PyTorch's defaults are a factor of 1/3 and 5 epochs.
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

/// The rate along a line from `start_factor` to `end_factor` of it, over `total_iters` epochs; PyTorch's `LinearLR`, the
/// usual warm-up.
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
    /// From 1/3 of the rate to all of it; PyTorch's own number of epochs is 5.
    pub fn new(total_iters: usize) -> Self {
        Self { start_factor: 1.0 / 3.0, end_factor: 1.0, total_iters }
    }

    /// Where the line begins; 1/3 if not set.
    pub fn start_factor(self, start_factor: f64) -> Self {
        Self { start_factor, ..self }
    }

    /// Where the line ends; 1 if not set.
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

/// The rate times `(1 − epoch / total_iters)^power`, then 0; PyTorch's `PolynomialLR`.
#[derive(Clone, Debug)]
#[must_use]
pub struct PolynomialLr {
    total_iters: usize,
    power: f64,
}

impl PolynomialLr {
    /// A line to 0; PyTorch's own number of epochs is 5.
    pub fn new(total_iters: usize) -> Self {
        Self { total_iters, power: 1.0 }
    }

    /// The power; 1 if not set.
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
            /// One function for all groups.
            pub fn new(factor: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Self {
                Self(vec![Arc::new(factor)])
            }

            /// A function for the next group; the first is for the parameters in no group.
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
    /// The initial rate times a function of the epoch; PyTorch's `LambdaLR`.
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
    /// The rate times a function of the epoch, after every epoch; PyTorch's `MultiplicativeLR`.
    MultiplicativeLr, |lr, _base, factor| lr * factor, false
}
