//! The Lion optimizer.

use wgrad_core::{InvalidArgument, Tensor};

use super::rule::betas;
use super::{Descent, Hyperparameter, LearningRate, ParamUpdate, UpdateRule};

/// Lion: changes each element by the learning rate, in the direction of the sign of an average gradient. Lion
/// needs half as much state as Adam.
///
/// With the gradient `∇` and the parameter `p`, a step computes
/// `p −= lr · (sign(β₁·m + (1−β₁)·∇) + weight_decay · p)`, then `m = β₂·m + (1−β₂)·∇`.
///
/// Defaults: betas 0.9 and 0.99, `weight_decay` 0. The authors recommend a learning rate 3 to 10 times smaller
/// than for AdamW, and a weight decay larger by the same factor. PyTorch has no Lion; this implementation follows
/// the authors' code.
///
/// State variable: `m` in `optim.<parameter>.exp_avg`.
///
/// Chen et al.: "Symbolic discovery of optimization algorithms", 2023.
///
/// ```
/// use wgrad_nn::optim::Lion;
/// let optimizer = Lion::new(1e-4).weight_decay(0.1);
/// ```
pub type Lion = Descent<LionRule>;

/// Update rule of [`Lion`].
#[derive(Clone, Debug)]
pub struct LionRule {
    betas: (Hyperparameter, f64),
}

impl Lion {
    /// Creates Lion with the paper's betas and no weight decay.
    pub fn new(lr: impl Into<LearningRate>) -> Self {
        Self::by(LionRule { betas: (0.9.into(), 0.99) }, lr)
    }

    /// Sets the weight of the average gradient in the sum whose sign is the direction of a step (`first`), and the
    /// decay factor of the average (`second`). Default: 0.9 and 0.99.
    pub fn betas(mut self, first: impl Into<Hyperparameter>, second: f64) -> Self {
        self.rule.betas = (first.into(), second);
        self
    }
}

impl UpdateRule for LionRule {
    const NAME: &'static str = "Lion";

    fn invalid(&self) -> Option<InvalidArgument> {
        betas(self.betas.0.get(), self.betas.1)
    }

    fn momentum(&mut self) -> Option<&mut Hyperparameter> {
        Some(&mut self.betas.0)
    }

    fn update(&self, at: &ParamUpdate<'_>) -> Tensor {
        let ((first, b2), g, mean) = (&self.betas, at.gradient(), at.state("exp_avg"));
        let direction = &mean * at.derived(first, "b1", |b1| b1) + g * at.derived(first, "1 - b1", |b1| 1.0 - b1);
        at.keep("exp_avg", &(mean * *b2 + g * (1.0 - b2)));
        at.decayed_minus(direction.sign() * at.lr())
    }
}
