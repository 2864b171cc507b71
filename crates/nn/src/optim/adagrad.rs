//! The Adagrad optimizer.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::not_negative;
use super::{Descent, LearningRate, ParamUpdate, UpdateRule};

/// Adagrad: divides each gradient by the square root of the sum of all squared gradients so far; PyTorch's
/// `Adagrad`.
///
/// With the gradient `∇`, the parameter `p`, `g = ∇ + weight_decay · p` and `s += g²`, step `t` (counted from 1)
/// computes `p −= lr / (1 + (t−1)·lr_decay) · g / (√s + eps)`.
///
/// Defaults: `lr_decay` 0, `initial_accumulator_value` 0, `eps` 1e-10, `weight_decay` 0. PyTorch's default learning
/// rate is 0.01.
///
/// State variable: `s` in `optim.<parameter>.sum`.
///
/// Duchi, Hazan, Singer: "Adaptive subgradient methods for online learning and stochastic optimization", 2011.
///
/// ```
/// use wgrad_nn::optim::Adagrad;
/// let optimizer = Adagrad::new(0.01).initial_accumulator_value(0.1);
/// ```
pub type Adagrad = Descent<AdagradRule>;

/// Update rule of [`Adagrad`].
#[derive(Clone, Debug)]
pub struct AdagradRule {
    lr_decay: f64,
    initial: f64,
    eps: f64,
}

impl Adagrad {
    /// Creates Adagrad with PyTorch's defaults for everything except the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(AdagradRule { lr_decay: 0.0, initial: 0.0, eps: 1e-10 }, lr)
    }

    /// Sets the decay of the learning rate: in step `t`, counted from 1, the rate is `lr / (1 + (t−1)·lr_decay)`.
    /// Default: 0.
    pub fn lr_decay(mut self, lr_decay: f64) -> Self {
        self.rule.lr_decay = lr_decay;
        self
    }

    /// Sets the initial value of the sum of squared gradients. Default: 0.
    pub fn initial_accumulator_value(mut self, value: f64) -> Self {
        self.rule.initial = value;
        self
    }

    /// Sets the number that is added to the denominator. Default: 1e-10.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }
}

impl UpdateRule for AdagradRule {
    const NAME: &'static str = "Adagrad";

    fn invalid(&self) -> Option<InvalidArgument> {
        not_negative("lr_decay", self.lr_decay)
            .or_else(|| not_negative("the initial accumulator value", self.initial))
            .or_else(|| not_negative("eps", self.eps))
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let (g, lr_decay) = (at.decayed_gradient(), self.lr_decay);
        let sum = at.state_from("sum", self.initial) + &g * &g;
        at.keep("sum", &sum);
        let step =
            at.number("lr / (1 + (t-1) lr_decay)", &[], move |now, []| now.lr / (1.0 + (now.t - 1.0) * lr_decay));
        at.value() - g * step / (sum.sqrt() + self.eps)
    }
}
