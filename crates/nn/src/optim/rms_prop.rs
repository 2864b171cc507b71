//! `RMSprop`.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::not_negative;
use super::{Descent, LearningRate, Rule, Setting, Slot};

/// `RmsProp`: gradients divided by the root of a running mean of their squares; PyTorch's `RMSprop`.
///
/// With `g = ∇ + weight_decay · p` and `s = α·s + (1−α)·g²`, and, if centered, `a += (1−α)·(g − a)` and
/// `d = √(s − a²) + eps`, else `d = √s + eps`: `p −= lr · g / d`; with momentum `buf = momentum · buf + g / d` and
/// `p −= lr · buf`. Tieleman, Hinton: lecture 6.5 of "Neural networks for machine learning", 2012; centered: Graves:
/// "Generating sequences with recurrent neural networks", 2013.
///
/// State: `optim.<parameter>.square_avg`, `grad_avg` if centered, `momentum_buffer` with momentum. PyTorch's own
/// learning rate is 0.01.
///
/// ```
/// use wgrad_nn::optim::RmsProp;
/// let optimizer = RmsProp::new(0.01).alpha(0.9).momentum(0.9).centered(true);
/// ```
pub type RmsProp = Descent<RmsPropRule>;

/// The rule of [`RmsProp`].
#[derive(Clone, Debug)]
pub struct RmsPropRule {
    alpha: f64,
    eps: f64,
    momentum: Setting,
    centered: bool,
}

impl RmsProp {
    /// With PyTorch's defaults for everything but the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(RmsPropRule { alpha: 0.99, eps: 1e-8, momentum: 0.0.into(), centered: false }, lr)
    }

    /// How much of the past mean is kept; 0.99 if not set.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.rule.alpha = alpha;
        self
    }

    /// Added to the root; 1e-8 if not set.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }

    /// How much of the past direction is kept; 0 if not set.
    pub fn momentum(mut self, momentum: impl Into<Setting>) -> Self {
        self.rule.momentum = momentum.into();
        self
    }

    /// Whether to divide by the deviation from the mean gradient instead of the root of the mean square.
    pub fn centered(mut self, centered: bool) -> Self {
        self.rule.centered = centered;
        self
    }
}

impl Rule for RmsPropRule {
    const NAME: &'static str = "RmsProp";

    fn invalid(&self) -> Option<InvalidArgument> {
        not_negative("alpha", self.alpha)
            .or_else(|| not_negative("eps", self.eps))
            .or_else(|| not_negative("the momentum", self.momentum.get()))
    }

    fn momentum(&mut self) -> Option<&mut Setting> {
        Some(&mut self.momentum)
    }

    fn update(&self, at: &Slot<'_>) -> Tensor {
        let (g, alpha) = (at.decayed_gradient(), self.alpha);
        let square = at.state("square_avg") * alpha + &g * &g * (1.0 - alpha);
        at.keep("square_avg", &square);
        let spread = if self.centered {
            let old = at.state("grad_avg");
            let mean = &old + (&g - &old) * (1.0 - alpha);
            at.keep("grad_avg", &mean);
            square - &mean * &mean
        } else {
            square
        };
        let mut direction = g / (spread.sqrt() + self.eps);
        if self.momentum.get() != 0.0 || self.momentum.is_handed_out() {
            let momentum = at.of(&self.momentum, "momentum", |momentum| momentum);
            direction = at.state("momentum_buffer") * momentum + direction;
            at.keep("momentum_buffer", &direction);
        }
        at.value() - direction * at.lr()
    }
}
