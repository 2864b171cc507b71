//! Adadelta.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::not_negative;
use super::{Descent, LearningRate, Rule, Slot};

/// Adadelta: steps as large as the last ones were, for gradients of the size of the last ones; PyTorch's `Adadelta`.
///
/// With `g = ∇ + weight_decay · p` and `s = ρ·s + (1−ρ)·g²`: `Δ = √(d + eps) / √(s + eps) · g`, then
/// `d = ρ·d + (1−ρ)·Δ²` and `p −= lr · Δ`. Zeiler: "ADADELTA: an adaptive learning rate method", 2012.
///
/// State: `optim.<parameter>.square_avg` and `acc_delta`. PyTorch's own learning rate is 1.
///
/// ```
/// use wgrad_nn::optim::Adadelta;
/// let optimizer = Adadelta::new(1.0).rho(0.95);
/// ```
pub type Adadelta = Descent<AdadeltaRule>;

/// The rule of [`Adadelta`].
#[derive(Clone, Debug)]
pub struct AdadeltaRule {
    rho: f64,
    eps: f64,
}

impl Adadelta {
    /// With PyTorch's defaults for everything but the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdadeltaRule { rho: 0.9, eps: 1e-6 }, lr)
    }

    /// How much of the past means is kept; 0.9 if not set.
    pub fn rho(mut self, rho: f64) -> Self {
        self.rule.rho = rho;
        self
    }

    /// Added below both roots; 1e-6 if not set.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }
}

impl Rule for AdadeltaRule {
    const NAME: &'static str = "Adadelta";

    fn invalid(&self) -> Option<InvalidArgument> {
        let rho = self.rho;
        let wrong = !(0.0..=1.0).contains(&rho);
        wrong
            .then(|| InvalidArgument::new(format!("rho must be between 0 and 1, not {rho}")))
            .or_else(|| not_negative("eps", self.eps))
    }

    fn update(&self, at: &Slot<'_>) -> Tensor {
        let (g, rho, eps) = (at.decayed_gradient(), self.rho, self.eps);
        let square = at.state("square_avg") * rho + &g * &g * (1.0 - rho);
        let steps = at.state("acc_delta");
        let step = (&steps + eps).sqrt() / (&square + eps).sqrt() * g;
        at.keep("square_avg", &square);
        at.keep("acc_delta", &(steps * rho + &step * &step * (1.0 - rho)));
        at.value() - step * at.lr()
    }
}
