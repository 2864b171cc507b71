//! Adamax.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::{betas, not_negative};
use super::{Descent, LearningRate, Rule, Setting, Slot};

/// Adamax: Adam with the largest gradient in place of the root of the mean square; PyTorch's `Adamax`.
///
/// With `g = ∇ + weight_decay · p`, `m += (1−β₁)·(g − m)` and `u = max(β₂·u, |g| + eps)` in step `t`, from 1:
/// `p −= lr / (1−β₁ᵗ) · m / u`. Kingma, Ba: "Adam: a method for stochastic optimization", 2015, section 7.
///
/// State: `optim.<parameter>.exp_avg` and `exp_inf`. PyTorch's own learning rate is 0.002.
///
/// ```
/// use wgrad_nn::optim::Adamax;
/// let optimizer = Adamax::new(2e-3).betas(0.9, 0.99);
/// ```
pub type Adamax = Descent<AdamaxRule>;

/// The rule of [`Adamax`].
#[derive(Clone, Debug)]
pub struct AdamaxRule {
    betas: (Setting, f64),
    eps: f64,
}

impl Adamax {
    /// With PyTorch's defaults for everything but the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdamaxRule { betas: (0.9.into(), 0.999), eps: 1e-8 }, lr)
    }

    /// How much of the mean gradient and of the largest gradient is kept; 0.9 and 0.999 if not set.
    pub fn betas(mut self, first: impl Into<Setting>, second: f64) -> Self {
        self.rule.betas = (first.into(), second);
        self
    }

    /// Added to the absolute gradient; 1e-8 if not set.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }
}

impl Rule for AdamaxRule {
    const NAME: &'static str = "Adamax";

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0.get(), self.betas.1).or_else(|| not_negative("eps", self.eps))
    }

    fn momentum(&mut self) -> Option<&mut Setting> {
        Some(&mut self.betas.0)
    }

    fn update(&self, at: &Slot<'_>) -> Tensor {
        let (first, b2) = (&self.betas.0, self.betas.1);
        let (g, old) = (at.decayed_gradient(), at.state("exp_avg"));
        let mean = &old + (&g - &old) * at.of(first, "1 - b1", |b1| 1.0 - b1);
        let largest = (at.state("exp_inf") * b2).maximum(&(g.abs() + self.eps));
        at.keep("exp_avg", &mean);
        at.keep("exp_inf", &largest);
        let step = at.number("lr / (1 - b1^t)", &[first], |now, [b1]| now.lr / (1.0 - b1.powf(now.t)));
        at.value() - mean * step / largest
    }
}
