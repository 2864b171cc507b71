//! Stochastic gradient descent.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::not_negative;
use super::{Descent, Hyperparameter, LearningRate, ParamUpdate, UpdateRule};

/// Stochastic gradient descent, optionally with momentum; PyTorch's `SGD`.
///
/// With the gradient `∇`, the parameter `p` and `g = ∇ + weight_decay · p`:
///
/// - without momentum, `p −= lr · g`;
/// - with momentum, `buf = g` in the first step, then `buf = momentum · buf + (1 − dampening) · g`, and
///   `p −= lr · buf`;
/// - with Nesterov momentum, `p −= lr · (g + momentum · buf)`.
///
/// Defaults: `momentum` 0, `dampening` 0, `nesterov` `false`, `weight_decay` 0.
///
/// State variable, only with momentum: `buf` in `optim.<parameter>.momentum_buffer`.
///
/// ```
/// use wgrad_nn::optim::Sgd;
/// let sgd = Sgd::new(0.1).momentum(0.9).nesterov(true).weight_decay(1e-4);
/// ```
pub type Sgd = Descent<SgdRule>;

/// Update rule of [`Sgd`].
#[derive(Clone, Debug)]
pub struct SgdRule {
    momentum: Hyperparameter,
    dampening: f64,
    nesterov: bool,
}

impl Sgd {
    /// Creates plain gradient descent, without momentum.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(SgdRule { momentum: 0.0.into(), dampening: 0.0, nesterov: false }, lr)
    }

    /// Sets the momentum, by which the momentum buffer is multiplied in each step. Default: 0; 0.9 is usual.
    pub fn momentum(mut self, momentum: impl Into<Hyperparameter>) -> Self {
        self.rule.momentum = momentum.into();
        self
    }

    /// Sets the dampening: gradients are multiplied by `1 − dampening` before they are added to the momentum
    /// buffer. Default: 0.
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.rule.dampening = dampening;
        self
    }

    /// Enables Nesterov momentum, which requires a momentum above 0 and no dampening. Default: `false`.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.rule.nesterov = nesterov;
        self
    }
}

impl UpdateRule for SgdRule {
    const NAME: &'static str = "Sgd";

    fn invalid(&self) -> Option<InvalidArgument> {
        let momentum = self.momentum.get();
        if let Some(wrong) = not_negative("the momentum", momentum) {
            return Some(wrong);
        }
        if !self.dampening.is_finite() {
            return Some(InvalidArgument::new("the dampening must be a number"));
        }
        (self.nesterov && (momentum <= 0.0 || self.dampening != 0.0)).then(|| {
            InvalidArgument::new("Nesterov's momentum needs a momentum above 0 and no dampening")
                .fix("add `.momentum(0.9)`, or leave `.nesterov(true)` out")
        })
    }

    fn momentum(&mut self) -> Option<&mut Hyperparameter> {
        Some(&mut self.momentum)
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let (mut g, dampening) = (at.decayed_gradient(), self.dampening);
        if self.momentum.get() != 0.0 || self.momentum.is_shared() {
            let momentum = at.derived(&self.momentum, "momentum", |momentum| momentum);
            // The buffer is initially 0, so the first step is a special case only if there is dampening.
            let part = match dampening {
                0.0 => g.clone(),
                _ => {
                    &g * at.number(
                        "1 - dampening",
                        &[],
                        move |now, []| if now.t <= 1.0 { 1.0 } else { 1.0 - dampening },
                    )
                }
            };
            let buffer = at.state("momentum_buffer") * &momentum + part;
            at.keep("momentum_buffer", &buffer);
            g = if self.nesterov { g + buffer * momentum } else { buffer };
        }
        at.value() - g * at.lr()
    }
}
