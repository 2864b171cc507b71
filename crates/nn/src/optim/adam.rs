//! The optimizers Adam and `AdamW`.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::{betas, not_negative};
use super::{Descent, Hyperparameter, LearningRate, ParamUpdate, UpdateRule};

/// Adam, which scales a running average of the gradient with a running average of the squared gradient; PyTorch's
/// `Adam`.
///
/// With the gradient `∇`, the parameter `p`, `g = ∇ + weight_decay · p`, `m += (1−β₁)·(g − m)` and
/// `v = β₂·v + (1−β₂)·g²`, step `t` (counted from 1) computes `p −= lr / (1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + eps)`.
///
/// Defaults: betas 0.9 and 0.999, `eps` 1e-8, `weight_decay` 0, `amsgrad` `false`. With weight decay, [`AdamW`]
/// usually generalises better.
///
/// State variables, all in the scope `optim.<parameter>`: `m` in `exp_avg`, `v` in `exp_avg_sq` and, with
/// `amsgrad`, the largest `v` so far in `max_exp_avg_sq`.
///
/// Kingma, Ba: "Adam: a method for stochastic optimization", 2015.
///
/// ```
/// use wgrad_nn::optim::Adam;
/// let adam = Adam::new(1e-3).betas(0.9, 0.98).eps(1e-9);
/// ```
pub type Adam = Descent<AdamRule<false>>;

/// Adam with decoupled weight decay; PyTorch's `AdamW`.
///
/// Same as [`Adam`], except that the weight decay is not added to the gradient. Instead, a step also subtracts
/// `lr · weight_decay · p`, where `p` is the parameter before the step. Default: `weight_decay` 0.01; other
/// defaults are the same as for `Adam`.
///
/// Loshchilov, Hutter: "Decoupled weight decay regularization", 2019.
pub type AdamW = Descent<AdamRule<true>>;

/// Update rule of [`AdamW`] if `DECOUPLED` is `true`, otherwise of [`Adam`].
#[derive(Clone, Debug)]
pub struct AdamRule<const DECOUPLED: bool> {
    betas: (Hyperparameter, f64),
    eps: f64,
    amsgrad: bool,
}

impl<const DECOUPLED: bool> AdamRule<DECOUPLED> {
    fn new() -> Self {
        Self { betas: (0.9.into(), 0.999), eps: 1e-8, amsgrad: false }
    }
}

impl Adam {
    /// Creates Adam with PyTorch's defaults for everything except the learning rate. PyTorch's default learning
    /// rate is 0.001.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdamRule::new(), lr)
    }
}

impl AdamW {
    /// Creates `AdamW` with PyTorch's defaults for everything except the learning rate. PyTorch's default learning
    /// rate is 0.001.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdamRule::new(), lr).weight_decay(1e-2)
    }
}

impl<const DECOUPLED: bool> Descent<AdamRule<DECOUPLED>> {
    /// Sets the decay factors of the running averages of the gradient (`first`) and of the squared gradient
    /// (`second`). Default: 0.9 and 0.999.
    pub fn betas(mut self, first: impl Into<Hyperparameter>, second: f64) -> Self {
        self.rule.betas = (first.into(), second);
        self
    }

    /// Sets the number that is added to the denominator. Default: 1e-8.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }

    /// If `true`, divides by the largest running average of the squared gradient so far instead of the current one
    /// (`AMSGrad`). Default: `false`.
    pub fn amsgrad(mut self, amsgrad: bool) -> Self {
        self.rule.amsgrad = amsgrad;
        self
    }
}

impl<const DECOUPLED: bool> UpdateRule for AdamRule<DECOUPLED> {
    const NAME: &'static str = if DECOUPLED { "AdamW" } else { "Adam" };

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0.get(), self.betas.1).or_else(|| not_negative("eps", self.eps))
    }

    fn momentum(&mut self) -> Option<&mut Hyperparameter> {
        Some(&mut self.betas.0)
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let (first, b2) = (&self.betas.0, self.betas.1);
        let g = if DECOUPLED { at.gradient().clone() } else { at.decayed_gradient() };
        let old = at.state("exp_avg");
        let mean = &old + (&g - &old) * at.derived(first, "1 - b1", |b1| 1.0 - b1);
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
