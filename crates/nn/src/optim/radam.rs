//! `RAdam`.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::{betas, not_negative};
use super::{Descent, LearningRate, Rule, Setting, Slot};

/// `RAdam`: Adam that begins without scaling, until the size of the gradients is known well; PyTorch's `RAdam`.
///
/// With `g = ∇ + weight_decay · p`, `m += (1−β₁)·(g − m)`, `v = β₂·v + (1−β₂)·g²`, `ρ = 2/(1−β₂) − 1` and
/// `ρₜ = ρ − 2t·β₂ᵗ/(1−β₂ᵗ)` in step `t`, from 1: `p −= lr / (1−β₁ᵗ) · m · f`, where `f = 1` while `ρₜ ≤ 5` and then
/// `f = √((ρₜ−4)(ρₜ−2)ρ / ((ρ−4)(ρ−2)ρₜ)) · √(1−β₂ᵗ) / (√v + eps)`.
/// Liu et al.: "On the variance of the adaptive learning rate and beyond", 2020.
///
/// State: `optim.<parameter>.exp_avg` and `exp_avg_sq`. PyTorch's own learning rate is 0.001.
///
/// ```
/// use wgrad_nn::optim::RAdam;
/// let optimizer = RAdam::new(1e-3).weight_decay(0.01).decoupled_weight_decay(true);
/// ```
pub type RAdam = Descent<RAdamRule>;

/// The rule of [`RAdam`].
#[derive(Clone, Debug)]
pub struct RAdamRule {
    betas: (Setting, f64),
    eps: f64,
    decoupled: bool,
}

impl RAdam {
    /// With PyTorch's defaults for everything but the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(RAdamRule { betas: (0.9.into(), 0.999), eps: 1e-8, decoupled: false }, lr)
    }

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

    /// Whether the weight decay stays out of the gradient, as [`AdamW`](super::AdamW)'s.
    pub fn decoupled_weight_decay(mut self, decoupled: bool) -> Self {
        self.rule.decoupled = decoupled;
        self
    }
}

/// The factor of `1 / (√v + eps)` in step `t`; none while the rule does not scale.
fn scale(b2: f64, t: f64) -> Option<f64> {
    let (power, all) = (b2.powf(t), 2.0 / (1.0 - b2) - 1.0);
    let now = all - 2.0 * t * power / (1.0 - power);
    let rectified = (now - 4.0) * (now - 2.0) * all / ((all - 4.0) * (all - 2.0) * now);
    (now > 5.0).then(|| (rectified * (1.0 - power)).sqrt())
}

impl Rule for RAdamRule {
    const NAME: &'static str = "RAdam";

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0.get(), self.betas.1).or_else(|| not_negative("eps", self.eps))
    }

    fn momentum(&mut self) -> Option<&mut Setting> {
        Some(&mut self.betas.0)
    }

    fn update(&self, at: &Slot<'_>) -> Tensor {
        let (first, b2) = (&self.betas.0, self.betas.1);
        let g = if self.decoupled { at.gradient().clone() } else { at.decayed_gradient() };
        let old = at.state("exp_avg");
        let mean = &old + (&g - &old) * at.of(first, "1 - b1", |b1| 1.0 - b1);
        let square = at.state("exp_avg_sq") * b2 + &g * &g * (1.0 - b2);
        at.keep("exp_avg", &mean);
        at.keep("exp_avg_sq", &square);
        // One of the two is 0: the step is a sum, so that it is one formula.
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
