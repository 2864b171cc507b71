//! The Adadelta optimizer.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::not_negative;
use super::{Descent, LearningRate, ParamUpdate, UpdateRule};

/// Adadelta: scales the gradient by the ratio of the root mean squares of past steps and past gradients; PyTorch's
/// `Adadelta`.
///
/// With the gradient `∇`, the parameter `p`, `g = ∇ + weight_decay · p` and `s = ρ·s + (1−ρ)·g²`, a step computes
/// `Δ = √(d + eps) / √(s + eps) · g`, then `d = ρ·d + (1−ρ)·Δ²` and `p −= lr · Δ`.
///
/// Defaults: `rho` 0.9, `eps` 1e-6, `weight_decay` 0. PyTorch's default learning rate is 1.
///
/// State variables: `s` in `optim.<parameter>.square_avg`, and `d` in `optim.<parameter>.acc_delta`.
///
/// Zeiler: "ADADELTA: an adaptive learning rate method", 2012.
///
/// ```
/// use wgrad_nn::optim::Adadelta;
/// let optimizer = Adadelta::new(1.0).rho(0.95);
/// ```
pub type Adadelta = Descent<AdadeltaRule>;

/// Update rule of [`Adadelta`].
#[derive(Clone, Debug)]
pub struct AdadeltaRule {
    rho: f64,
    eps: f64,
}

impl Adadelta {
    /// Creates Adadelta with PyTorch's defaults for everything except the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdadeltaRule { rho: 0.9, eps: 1e-6 }, lr)
    }

    /// Sets the decay factor of both running averages. Default: 0.9.
    pub fn rho(mut self, rho: f64) -> Self {
        self.rule.rho = rho;
        self
    }

    /// Sets the number that is added to both running averages before their square roots are computed. Default:
    /// 1e-6.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }
}

impl UpdateRule for AdadeltaRule {
    const NAME: &'static str = "Adadelta";

    fn invalid(&self) -> Option<InvalidArgument> {
        let rho = self.rho;
        let wrong = !(0.0..=1.0).contains(&rho);
        wrong
            .then(|| InvalidArgument::new(format!("rho must be between 0 and 1, not {rho}")))
            .or_else(|| not_negative("eps", self.eps))
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let (g, rho, eps) = (at.decayed_gradient(), self.rho, self.eps);
        let square = at.state("square_avg") * rho + &g * &g * (1.0 - rho);
        let steps = at.state("acc_delta");
        let step = (&steps + eps).sqrt() / (&square + eps).sqrt() * g;
        at.keep("square_avg", &square);
        at.keep("acc_delta", &(steps * rho + &step * &step * (1.0 - rho)));
        at.value() - step * at.lr()
    }
}
