//! The Adamax optimizer.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::{betas, not_negative};
use super::{Descent, Hyperparameter, LearningRate, ParamUpdate, UpdateRule};

/// Adamax: Adam with a decaying maximum of the absolute gradient instead of the root mean square; PyTorch's
/// `Adamax`.
///
/// With the gradient `∇`, the parameter `p`, `g = ∇ + weight_decay · p`, `m += (1−β₁)·(g − m)` and
/// `u = max(β₂·u, |g| + eps)`, step `t` (counted from 1) computes `p −= lr / (1−β₁ᵗ) · m / u`.
///
/// Defaults: betas 0.9 and 0.999, `eps` 1e-8, `weight_decay` 0. PyTorch's default learning rate is 0.002.
///
/// State variables: `m` in `optim.<parameter>.exp_avg`, and `u` in `optim.<parameter>.exp_inf`.
///
/// Kingma, Ba: "Adam: a method for stochastic optimization", 2015, section 7.
///
/// ```
/// use wgrad_nn::optim::Adamax;
/// let optimizer = Adamax::new(2e-3).betas(0.9, 0.99);
/// ```
pub type Adamax = Descent<AdamaxRule>;

/// Update rule of [`Adamax`].
#[derive(Clone, Debug)]
pub struct AdamaxRule {
    betas: (Hyperparameter, f64),
    eps: f64,
}

impl Adamax {
    /// Creates Adamax with PyTorch's defaults for everything except the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdamaxRule { betas: (0.9.into(), 0.999), eps: 1e-8 }, lr)
    }

    /// Sets the decay factors of the running average of the gradient (`first`) and of the decaying maximum
    /// (`second`). Default: 0.9 and 0.999.
    pub fn betas(mut self, first: impl Into<Hyperparameter>, second: f64) -> Self {
        self.rule.betas = (first.into(), second);
        self
    }

    /// Sets the number that is added to the absolute gradient. Default: 1e-8.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }
}

impl UpdateRule for AdamaxRule {
    const NAME: &'static str = "Adamax";

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0.get(), self.betas.1).or_else(|| not_negative("eps", self.eps))
    }

    fn momentum(&mut self) -> Option<&mut Hyperparameter> {
        Some(&mut self.betas.0)
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let (first, b2) = (&self.betas.0, self.betas.1);
        let (g, old) = (at.decayed_gradient(), at.state("exp_avg"));
        let mean = &old + (&g - &old) * at.derived(first, "1 - b1", |b1| 1.0 - b1);
        let largest = (at.state("exp_inf") * b2).maximum(&(g.abs() + self.eps));
        at.keep("exp_avg", &mean);
        at.keep("exp_inf", &largest);
        let step = at.number("lr / (1 - b1^t)", &[first], |now, [b1]| now.lr / (1.0 - b1.powf(now.t)));
        at.value() - mean * step / largest
    }
}
