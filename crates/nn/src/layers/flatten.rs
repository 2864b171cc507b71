//! Flatten: the axes of a sample become one.

use wgrad_core::Tensor;

use crate::Module;

/// Makes one axis of all axes but the first: `[N, C, H, W]` becomes `[N, C·H·W]`, and `[N]` becomes `[N, 1]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flatten;

impl Module for Flatten {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        if !x.is_valid() {
            return x.clone();
        }
        let shape = x.shape();
        match shape.dims() {
            [] => x.reshape([1]),
            [n, rest @ ..] => x.reshape([*n, rest.iter().product()]),
        }
    }
}
