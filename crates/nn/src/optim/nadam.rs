//! The `NAdam` optimizer.

use std::sync::{Mutex, PoisonError};

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::{betas, not_negative};
use super::{Descent, LearningRate, ParamUpdate, UpdateRule};

/// `NAdam`, which is Adam with Nesterov momentum; PyTorch's `NAdam`.
///
/// With the gradient `∇`, the parameter `p`, `g = ∇ + weight_decay · p`, `m += (1−β₁)·(g − m)`,
/// `v = β₂·v + (1−β₂)·g²` and `μₜ = β₁·(1 − ½·0.96^(t·momentum_decay))`, step `t` (counted from 1) computes
/// `p −= lr · ((1−μₜ) / (1 − Π μᵢ) · g + μₜ₊₁ / (1 − μₜ₊₁·Π μᵢ) · m) / (√(v / (1−β₂ᵗ)) + eps)`, where `Π μᵢ` is
/// the product of `μ₁ … μₜ`.
///
/// Defaults: betas 0.9 and 0.999, `eps` 1e-8, `momentum_decay` 0.004, `weight_decay` 0, not decoupled. PyTorch's
/// default learning rate is 0.002.
///
/// State variables: `m` in `optim.<parameter>.exp_avg`, and `v` in `optim.<parameter>.exp_avg_sq`. The products of
/// `μᵢ` are computed from the step number alone, so `β₁` is constant: schedules cannot change it.
///
/// Dozat: "Incorporating Nesterov momentum into Adam", 2016.
///
/// ```
/// use wgrad_nn::optim::NAdam;
/// let optimizer = NAdam::new(2e-3).weight_decay(0.01).decoupled_weight_decay(true);
/// ```
pub type NAdam = Descent<NAdamRule>;

/// Update rule of [`NAdam`].
#[derive(Clone, Debug)]
pub struct NAdamRule {
    betas: (f64, f64),
    eps: f64,
    momentum_decay: f64,
    decoupled: bool,
}

impl NAdam {
    /// Creates `NAdam` with PyTorch's defaults for everything except the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(NAdamRule { betas: (0.9, 0.999), eps: 1e-8, momentum_decay: 4e-3, decoupled: false }, lr)
    }

    /// Sets the decay factors of the running averages of the gradient (`first`) and of the squared gradient
    /// (`second`). Default: 0.9 and 0.999.
    pub fn betas(mut self, first: f64, second: f64) -> Self {
        self.rule.betas = (first, second);
        self
    }

    /// Sets the number that is added to the denominator. Default: 1e-8.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }

    /// Sets the rate at which the momentum grows towards `β₁`. Default: 0.004.
    pub fn momentum_decay(mut self, momentum_decay: f64) -> Self {
        self.rule.momentum_decay = momentum_decay;
        self
    }

    /// If `true`, the weight decay is subtracted from the parameter instead of added to the gradient, as in
    /// [`AdamW`](super::AdamW). Default: `false`.
    pub fn decoupled_weight_decay(mut self, decoupled: bool) -> Self {
        self.rule.decoupled = decoupled;
        self
    }
}

/// Product of `of(1), …, of(t)` for increasing `t`. The last product is stored, so that the next step needs only
/// one more factor.
struct Product<F> {
    of: F,
    last: Mutex<(f64, f64)>,
}

impl<F: Fn(f64) -> f64> Product<F> {
    fn up_to(&self, t: f64) -> f64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 > t {
            *last = (0.0, 1.0);
        }
        while last.0 < t {
            *last = (last.0 + 1.0, last.1 * (self.of)(last.0 + 1.0));
        }
        last.1
    }
}

impl UpdateRule for NAdamRule {
    const NAME: &'static str = "NAdam";

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0, self.betas.1)
            .or_else(|| not_negative("eps", self.eps))
            .or_else(|| not_negative("the momentum decay", self.momentum_decay))
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let ((b1, b2), decay) = (self.betas, self.momentum_decay);
        let g = if self.decoupled { at.gradient().clone() } else { at.decayed_gradient() };
        let old = at.state("exp_avg");
        let mean = &old + (&g - &old) * (1.0 - b1);
        let square = at.state("exp_avg_sq") * b2 + &g * &g * (1.0 - b2);
        at.keep("exp_avg", &mean);
        at.keep("exp_avg_sq", &square);
        let mu = move |t: f64| b1 * (1.0 - 0.5 * 0.96f64.powf(t * decay));
        let product = || Product { of: mu, last: Mutex::new((0.0, 1.0)) };
        let (of_g, of_mean) = (product(), product());
        let of_g = at.number("lr (1 - mu) / (1 - product)", &[], move |now, []| {
            now.lr * (1.0 - mu(now.t)) / (1.0 - of_g.up_to(now.t))
        });
        let of_mean = at.number("lr mu' / (1 - product')", &[], move |now, []| {
            let next = mu(now.t + 1.0);
            now.lr * next / (1.0 - of_mean.up_to(now.t) * next)
        });
        let correction = at.number("1 / sqrt(1 - b2^t)", &[], move |now, []| 1.0 / (1.0 - b2.powf(now.t)).sqrt());
        let change = (g * of_g + mean * of_mean) / (square.sqrt() * correction + self.eps);
        if self.decoupled { at.decayed_minus(change) } else { at.value() - change }
    }
}
