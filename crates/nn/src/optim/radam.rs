//! The `RAdam` optimizer.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::{betas, not_negative};
use super::{Descent, Hyperparameter, LearningRate, ParamUpdate, UpdateRule};

/// `RAdam`: Adam that rectifies the variance of its scaling factor, and does not scale the gradients at all in the
/// first steps; PyTorch's `RAdam`.
///
/// With the gradient `∇`, the parameter `p`, `g = ∇ + weight_decay · p`, `m += (1−β₁)·(g − m)`,
/// `v = β₂·v + (1−β₂)·g²`, `ρ = 2/(1−β₂) − 1` and `ρₜ = ρ − 2t·β₂ᵗ/(1−β₂ᵗ)`, step `t` (counted from 1) computes
/// `p −= lr / (1−β₁ᵗ) · m · f`, where `f = 1` while `ρₜ ≤ 5`, then
/// `f = √((ρₜ−4)(ρₜ−2)ρ / ((ρ−4)(ρ−2)ρₜ)) · √(1−β₂ᵗ) / (√v + eps)`.
///
/// Defaults: betas 0.9 and 0.999, `eps` 1e-8, `weight_decay` 0, not decoupled. PyTorch's default learning rate is
/// 0.001.
///
/// State variables: `m` in `optim.<parameter>.exp_avg`, and `v` in `optim.<parameter>.exp_avg_sq`.
///
/// Liu et al.: "On the variance of the adaptive learning rate and beyond", 2020.
///
/// ```
/// use wgrad_nn::optim::RAdam;
/// let optimizer = RAdam::new(1e-3).weight_decay(0.01).decoupled_weight_decay(true);
/// ```
pub type RAdam = Descent<RAdamRule>;

/// Update rule of [`RAdam`].
#[derive(Clone, Debug)]
pub struct RAdamRule {
    betas: (Hyperparameter, f64),
    eps: f64,
    decoupled: bool,
}

impl RAdam {
    /// Creates `RAdam` with PyTorch's defaults for everything except the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(RAdamRule { betas: (0.9.into(), 0.999), eps: 1e-8, decoupled: false }, lr)
    }

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

    /// If `true`, the weight decay is subtracted from the parameter instead of added to the gradient, as in
    /// [`AdamW`](super::AdamW). Default: `false`.
    pub fn decoupled_weight_decay(mut self, decoupled: bool) -> Self {
        self.rule.decoupled = decoupled;
        self
    }
}

/// Returns the factor by which `1 / (√v + eps)` is multiplied in step `t`, or `None` in the first steps, in which
/// the gradients are not scaled.
fn scale(b2: f64, t: f64) -> Option<f64> {
    let (power, all) = (b2.powf(t), 2.0 / (1.0 - b2) - 1.0);
    let now = all - 2.0 * t * power / (1.0 - power);
    let rectified = (now - 4.0) * (now - 2.0) * all / ((all - 4.0) * (all - 2.0) * now);
    (now > 5.0).then(|| (rectified * (1.0 - power)).sqrt())
}

impl UpdateRule for RAdamRule {
    const NAME: &'static str = "RAdam";

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0.get(), self.betas.1).or_else(|| not_negative("eps", self.eps))
    }

    fn momentum(&mut self) -> Option<&mut Hyperparameter> {
        Some(&mut self.betas.0)
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let (first, b2) = (&self.betas.0, self.betas.1);
        let g = if self.decoupled { at.gradient().clone() } else { at.decayed_gradient() };
        let old = at.state("exp_avg");
        let mean = &old + (&g - &old) * at.derived(first, "1 - b1", |b1| 1.0 - b1);
        let square = at.state("exp_avg_sq") * b2 + &g * &g * (1.0 - b2);
        at.keep("exp_avg", &mean);
        at.keep("exp_avg_sq", &square);
        // The update is a sum of the scaled and the unscaled gradient. In each step, the host sets the factor of
        // one of them to 0, so the same ops compute both cases.
        let plain = at.number("lr / (1 - b1^t), unscaled", &[first], move |now, [b1]| match scale(b2, now.t) {
            Some(_) => 0.0,
            None => now.lr / (1.0 - b1.powf(now.t)),
        });
        let scaled = at.number("lr / (1 - b1^t), rectified", &[first], move |now, [b1]| {
            now.lr / (1.0 - b1.powf(now.t)) * scale(b2, now.t).unwrap_or(0.0)
        });
        let change = mean * (plain + scaled / (square.sqrt() + self.eps));
        if self.decoupled { at.decayed_minus(change) } else { at.value() - change }
    }
}
