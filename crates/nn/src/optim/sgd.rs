//! Stochastic gradient descent.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::not_negative;
use super::{Descent, LearningRate, Rule, Setting, Slot};

/// Stochastic gradient descent, with momentum if asked for; PyTorch's `SGD`.
///
/// With `g = ∇ + weight_decay · p`: without momentum `p −= lr · g`; with it, `buf = g` in the first step and
/// `buf = momentum · buf + (1 − dampening) · g` afterwards, then `p −= lr · buf`, or with Nesterov's
/// `p −= lr · (g + momentum · buf)`.
///
/// State: `optim.<parameter>.momentum_buffer`.
///
/// ```
/// use wgrad_nn::optim::Sgd;
/// let sgd = Sgd::new(0.1).momentum(0.9).nesterov(true).weight_decay(1e-4);
/// ```
pub type Sgd = Descent<SgdRule>;

/// The rule of [`Sgd`].
#[derive(Clone, Debug)]
pub struct SgdRule {
    momentum: Setting,
    dampening: f64,
    nesterov: bool,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(SgdRule { momentum: 0.0.into(), dampening: 0.0, nesterov: false }, lr)
    }

    /// How much of the past direction is kept; 0.9 is usual.
    pub fn momentum(mut self, momentum: impl Into<Setting>) -> Self {
        self.rule.momentum = momentum.into();
        self
    }

    /// How much less of the gradient enters the momentum.
    pub fn dampening(mut self, dampening: f64) -> Self {
        self.rule.dampening = dampening;
        self
    }

    /// Nesterov's momentum; needs momentum, and no dampening.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.rule.nesterov = nesterov;
        self
    }
}

impl Rule for SgdRule {
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

    fn momentum(&mut self) -> Option<&mut Setting> {
        Some(&mut self.momentum)
    }

    fn update(&self, at: &Slot<'_>) -> Tensor {
        let (mut g, dampening) = (at.decayed_gradient(), self.dampening);
        if self.momentum.get() != 0.0 || self.momentum.is_handed_out() {
            let momentum = at.of(&self.momentum, "momentum", |momentum| momentum);
            // The buffer begins at 0, so the first step needs no rule of its own but for the dampening.
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
