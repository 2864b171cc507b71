//! Shrinkage functions: soft shrinkage, hard shrinkage and tanh shrinkage.

use crate::ops::pointwise::activations::finite;
use crate::{InvalidArgument, Tensor};

/// Shrinkage functions, element by element.
impl Tensor {
    /// Applies soft shrinkage: `x − lambda` above `lambda`, `x + lambda` below `−lambda`, 0 between.
    ///
    /// PyTorch's default `lambda` is 0.5. Records an error in the graph, which `compile` reports, if `lambda` is
    /// negative or not finite. Equivalent: `torch.nn.functional.softshrink`.
    #[track_caller]
    pub fn softshrink(&self, lambda: f64) -> Tensor {
        let x = self;
        if lambda < 0.0 {
            let invalid = InvalidArgument::new(format!("lambda must not be negative, but is {lambda}"));
            return x.invalid("softshrink", &[], invalid);
        }
        if let Some(invalid) = finite("lambda", lambda) {
            return x.invalid("softshrink", &[], invalid);
        }
        let inside = x.abs().le(lambda);
        inside.where_cond(0.0, &(x - x.sign() * lambda))
    }

    /// Applies hard shrinkage: 0 from `−lambda` to `lambda`, `x` elsewhere.
    ///
    /// A negative `lambda` changes nothing. PyTorch's default is 0.5. Records an error in the graph, which
    /// `compile` reports, if `lambda` is not finite. Equivalent: `torch.nn.functional.hardshrink`.
    #[track_caller]
    pub fn hardshrink(&self, lambda: f64) -> Tensor {
        let x = self;
        match finite("lambda", lambda) {
            Some(invalid) => x.invalid("hardshrink", &[], invalid),
            None => x.abs().le(lambda).where_cond(0.0, x),
        }
    }

    /// Applies tanh shrinkage: `x − tanh(x)`.
    ///
    /// Equivalent: `torch.nn.functional.tanhshrink`.
    #[track_caller]
    pub fn tanhshrink(&self) -> Tensor {
        self - self.tanh()
    }
}
