//! Binary classification with one logit z, or with the two logits [0, z] of exclusive classes.

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
    /// Returns `[N, 1]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        self.fc.forward(x)
    }
}

/// Returns `[0, z]`, `[N, 2]`. Of two exclusive classes only the difference of the logits matters, so one may be 0.
pub fn two_logits(z: &Tensor) -> Tensor {
    cat(&[&z.number(0.0).expand(z.shape()), z], 1)
}
