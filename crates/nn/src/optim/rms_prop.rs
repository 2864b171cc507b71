//! The `RMSprop` optimizer.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::not_negative;
use super::{Descent, Hyperparameter, LearningRate, ParamUpdate, UpdateRule};

/// `RmsProp`: divides each gradient by the square root of a running average of the squared gradient; PyTorch's
/// `RMSprop`.
///
/// With the gradient `∇`, the parameter `p`, `g = ∇ + weight_decay · p` and `s = α·s + (1−α)·g²`:
///
/// - the denominator is `d = √s + eps`, or with `centered`, `d = √(s − a²) + eps` with `a += (1−α)·(g − a)`;
/// - without momentum, `p −= lr · g / d`;
/// - with momentum, `buf = momentum · buf + g / d` and `p −= lr · buf`.
///
/// Defaults: `alpha` 0.99, `eps` 1e-8, `momentum` 0, `centered` `false`, `weight_decay` 0. PyTorch's default learning
/// rate is 0.01.
///
/// State variables, all in the scope `optim.<parameter>`: `s` in `square_avg`, with `centered` also `a` in
/// `grad_avg`, and with momentum also `buf` in `momentum_buffer`.
///
/// Tieleman, Hinton: lecture 6.5 of "Neural networks for machine learning", 2012. The centered version: Graves:
/// "Generating sequences with recurrent neural networks", 2013.
///
/// ```
/// use wgrad_nn::optim::RmsProp;
/// let optimizer = RmsProp::new(0.01).alpha(0.9).momentum(0.9).centered(true);
/// ```
pub type RmsProp = Descent<RmsPropRule>;

/// Update rule of [`RmsProp`].
#[derive(Clone, Debug)]
pub struct RmsPropRule {
    alpha: f64,
    eps: f64,
    momentum: Hyperparameter,
    centered: bool,
}

impl RmsProp {
    /// Creates `RmsProp` with PyTorch's defaults for everything except the learning rate.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(RmsPropRule { alpha: 0.99, eps: 1e-8, momentum: 0.0.into(), centered: false }, lr)
    }

    /// Sets the decay factor of the running averages. Default: 0.99.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.rule.alpha = alpha;
        self
    }

    /// Sets the number that is added to the denominator. Default: 1e-8.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }

    /// Sets the momentum, by which the momentum buffer is multiplied in each step. Default: 0.
    pub fn momentum(mut self, momentum: impl Into<Hyperparameter>) -> Self {
        self.rule.momentum = momentum.into();
        self
    }

    /// If `true`, divides by the running standard deviation of the gradient instead of its root mean square. Default:
    /// `false`.
    pub fn centered(mut self, centered: bool) -> Self {
        self.rule.centered = centered;
        self
    }
}

impl UpdateRule for RmsPropRule {
    const NAME: &'static str = "RmsProp";

    fn invalid(&self) -> Option<InvalidArgument> {
        not_negative("alpha", self.alpha)
            .or_else(|| not_negative("eps", self.eps))
            .or_else(|| not_negative("the momentum", self.momentum.get()))
    }

    fn momentum(&mut self) -> Option<&mut Hyperparameter> {
        Some(&mut self.momentum)
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let (g, alpha) = (at.decayed_gradient(), self.alpha);
        let square = at.state("square_avg") * alpha + &g * &g * (1.0 - alpha);
        at.keep("square_avg", &square);
        let variance = if self.centered {
            let old = at.state("grad_avg");
            let mean = &old + (&g - &old) * (1.0 - alpha);
            at.keep("grad_avg", &mean);
            square - &mean * &mean
        } else {
            square
        };
        let mut direction = g / (variance.sqrt() + self.eps);
        if self.momentum.get() != 0.0 || self.momentum.is_shared() {
            let momentum = at.derived(&self.momentum, "momentum", |momentum| momentum);
            direction = at.state("momentum_buffer") * momentum + direction;
            at.keep("momentum_buffer", &direction);
        }
        at.value() - direction * at.lr()
    }
}
