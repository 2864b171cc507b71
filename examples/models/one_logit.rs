//! Binary classification with one logit z, or with the two logits [0, z] of a softmax.

use wgrad::prelude::*;

pub struct OneLogit {
    fc: Linear,
}

impl OneLogit {
    pub fn new(p: &Params, features: usize) -> Self {
        Self { fc: Linear::new(&p.at("fc"), features, 1) }
    }
}

impl Module for OneLogit {
    /// Computes the logit of each row, `[N, 1]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        self.fc.forward(x)
    }
}

/// Returns the logits `[0, z]` as `[N, 2]`. Softmax depends only on the difference of two logits, so one of them
/// may be 0.
pub fn two_logits(z: &Tensor) -> Tensor {
    cat(&[&z.number(0.0).expand(z.shape()), z], 1)
}
