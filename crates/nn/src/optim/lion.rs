//! Lion.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::betas;
use super::{Descent, LearningRate, Rule, Setting, Slot};

/// Lion: steps of one size along the sign of a mean gradient, and half of Adam's state.
///
/// `p −= lr · (sign(β₁·m + (1−β₁)·∇) + weight_decay · p)`, then `m = β₂·m + (1−β₂)·∇`. Chen et al.: "Symbolic discovery
/// of optimization algorithms", 2023, who advise a learning rate 3 to 10 times smaller than AdamW's and a decay as much
/// larger. PyTorch has no such optimizer; this is the paper's program.
///
/// State: `optim.<parameter>.exp_avg`.
///
/// ```
/// use wgrad_nn::optim::Lion;
/// let optimizer = Lion::new(1e-4).weight_decay(0.1);
/// ```
pub type Lion = Descent<LionRule>;

/// The rule of [`Lion`].
#[derive(Clone, Debug)]
pub struct LionRule {
    betas: (Setting, f64),
}

impl Lion {
    /// With the paper's betas, and no decay.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(LionRule { betas: (0.9.into(), 0.99) }, lr)
    }

    /// How much of the mean gradient is in the direction, and how much of it is kept; 0.9 and 0.99 if not set.
    pub fn betas(mut self, first: impl Into<Setting>, second: f64) -> Self {
        self.rule.betas = (first.into(), second);
        self
    }
}

impl Rule for LionRule {
    const NAME: &'static str = "Lion";

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0.get(), self.betas.1)
    }

    fn momentum(&mut self) -> Option<&mut Setting> {
        Some(&mut self.betas.0)
    }

    fn update(&self, at: &Slot<'_>) -> Tensor {
        let ((first, b2), g, mean) = (&self.betas, at.gradient(), at.state("exp_avg"));
        let direction = &mean * at.of(first, "b1", |b1| b1) + g * at.of(first, "1 - b1", |b1| 1.0 - b1);
        at.keep("exp_avg", &(mean * *b2 + g * (1.0 - b2)));
        at.decayed_minus(direction.sign() * at.lr())
    }
}
