//! Adam and AdamW.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::{betas, not_negative};
use super::{Descent, LearningRate, Rule, Setting, Slot};

/// Adam: gradients scaled by a running estimate of their size; PyTorch's `Adam`.
///
/// With `g = ∇ + weight_decay · p`, `m += (1−β₁)·(g − m)` and `v = β₂·v + (1−β₂)·g²` in step `t`, from 1:
/// `p −= lr / (1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + eps)`. Kingma, Ba: "Adam: a method for stochastic optimization", 2015.
///
/// State: `optim.<parameter>.exp_avg`, `exp_avg_sq` and, for amsgrad, `max_exp_avg_sq`. No weight decay if not set;
/// [`AdamW`] decays better.
///
/// ```
/// use wgrad_nn::optim::Adam;
/// let adam = Adam::new(1e-3).betas(0.9, 0.98).eps(1e-9);
/// ```
pub type Adam = Descent<AdamRule<false>>;

/// Adam with decoupled weight decay, 0.01 if not set; PyTorch's `AdamW`.
///
/// As [`Adam`], but the decay is no part of the gradient: `p −= lr · weight_decay · p` with the old `p`.
/// Loshchilov, Hutter: "Decoupled weight decay regularization", 2019.
pub type AdamW = Descent<AdamRule<true>>;

/// The rule of [`Adam`] and, with its decay decoupled from the gradient, of [`AdamW`].
#[derive(Clone, Debug)]
pub struct AdamRule<const DECOUPLED: bool> {
    betas: (Setting, f64),
    eps: f64,
    amsgrad: bool,
}

impl<const DECOUPLED: bool> AdamRule<DECOUPLED> {
    fn new() -> Self {
        Self { betas: (0.9.into(), 0.999), eps: 1e-8, amsgrad: false }
    }
}

impl Adam {
    /// With PyTorch's defaults for everything but the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdamRule::new(), lr)
    }
}

impl AdamW {
    /// With PyTorch's defaults for everything but the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdamRule::new(), lr).weight_decay(1e-2)
    }
}

impl<const DECOUPLED: bool> Descent<AdamRule<DECOUPLED>> {
    /// How much of the past averages of the gradient and of its square is kept; 0.9 and 0.999 if not set.
    pub fn betas(mut self, first: impl Into<Setting>, second: f64) -> Self {
        self.rule.betas = (first.into(), second);
        self
    }

    /// Added to the root of the squared gradient's average; 1e-8 if not set.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }

    /// Whether to divide by the largest average so far instead of the present one.
    pub fn amsgrad(mut self, amsgrad: bool) -> Self {
        self.rule.amsgrad = amsgrad;
        self
    }
}

impl<const DECOUPLED: bool> Rule for AdamRule<DECOUPLED> {
    const NAME: &'static str = if DECOUPLED { "AdamW" } else { "Adam" };

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0.get(), self.betas.1).or_else(|| not_negative("eps", self.eps))
    }

    fn momentum(&mut self) -> Option<&mut Setting> {
        Some(&mut self.betas.0)
    }

    fn update(&self, at: &Slot<'_>) -> Tensor {
        let (first, b2) = (&self.betas.0, self.betas.1);
        let g = if DECOUPLED { at.gradient().clone() } else { at.decayed_gradient() };
        let old = at.state("exp_avg");
        let mean = &old + (&g - &old) * at.of(first, "1 - b1", |b1| 1.0 - b1);
        let mut square = at.state("exp_avg_sq") * b2 + &g * &g * (1.0 - b2);
        at.keep("exp_avg", &mean);
        at.keep("exp_avg_sq", &square);
        if self.amsgrad {
            square = at.state("max_exp_avg_sq").maximum(&square);
            at.keep("max_exp_avg_sq", &square);
        }
        let step = at.number("lr / (1 - b1^t)", &[first], |now, [b1]| now.lr / (1.0 - b1.powf(now.t)));
        let correction = at.number("1 / sqrt(1 - b2^t)", &[], move |now, []| 1.0 / (1.0 - b2.powf(now.t)).sqrt());
        let change = mean * step / (square.sqrt() * correction + self.eps);
        if DECOUPLED { at.decayed_minus(change) } else { at.value() - change }
    }
}
