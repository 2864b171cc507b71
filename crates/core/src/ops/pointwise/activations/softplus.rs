//! Softplus, a smooth approximation of ReLU.

use crate::op::pointwise::pointwise_ops;
use crate::{InvalidArgument, Real, Tensor};

use crate::ops::pointwise::activations::finite;
use wgrad_shaders::lib::SPECIAL;

/// Computes `log(1 + exp(x))` without overflow.
#[inline(always)]
pub(crate) fn softplus<F: Real>(x: F) -> F {
    x.max(F::zero()) + (-x.abs()).exp().ln_1p()
}

pointwise_ops! {
    /// Applies softplus to each element: `log(1 + eˣ)`.
    ///
    /// PyTorch returns x itself above 20, which differs by less than 3e-9. Equivalent:
    /// `torch.nn.functional.softplus`.
    pub(crate) SOFTPLUS = softplus(x: float)[] -> float as softplus {
        wgsl: "special_softplus(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: softplus(x),
        backward(grad): { x: grad * x.sigmoid() },
    }
}

/// Softplus with options.
impl Tensor {
    /// Applies softplus with a scale and a threshold: `log(1 + e^(beta·x)) / beta`, and x where
    /// `beta·x > threshold`.
    ///
    /// PyTorch's defaults are `beta` 1 and `threshold` 20. Records an error in the graph, which `compile` reports,
    /// if `beta` is 0 or an option is not finite. Equivalent: `torch.nn.functional.softplus`.
    #[track_caller]
    pub fn softplus_with(&self, beta: f64, threshold: f64) -> Tensor {
        let x = self;
        let _line = x.graph().line_of_caller();
        if let Some(invalid) = finite("beta", beta).or_else(|| finite("the threshold", threshold)) {
            return x.invalid("softplus", &[], invalid);
        }
        if beta == 0.0 {
            let invalid =
                InvalidArgument::new("beta must not be 0: the result is divided by it").fix("1 is PyTorch's default");
            return x.invalid("softplus", &[], invalid);
        }
        #[allow(clippy::float_cmp, reason = "by exactly 1 nothing changes")]
        let times = |x: &Tensor, factor: f64| if factor == 1.0 { x.clone() } else { x * factor };
        let scaled = times(x, beta);
        let soft = times(&scaled.softplus(), 1.0 / beta);
        scaled.gt(threshold).where_cond(x, &soft)
    }
}
