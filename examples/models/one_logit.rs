//! A yes or no as one logit z, or as the two logits [0, z] of exclusive classes.

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
    /// `[N, 1]`.
    fn forward(&self, x: &Tensor) -> Tensor {
        self.fc.forward(x)
    }
}

/// `[0, z]`, `[N, 2]`: of two exclusive classes only the difference of the logits counts, so one may be 0.
pub fn two_logits(z: &Tensor) -> Tensor {
    cat(&[&z.number(0.0).expand(z.shape()), z], 1)
}
