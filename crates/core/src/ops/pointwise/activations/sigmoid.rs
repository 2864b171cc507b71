//! Sigmoid, its logarithm and its piecewise linear approximation.

use crate::op::pointwise::pointwise_ops;
use crate::{Real, Tensor};

use wgrad_shaders::lib::SPECIAL;

/// Computes `1 / (1 + exp(-x))` without overflow.
#[inline(always)]
pub(crate) fn sigmoid<F: Real>(x: F) -> F {
    let e = (-x.abs()).exp();
    (if x >= F::zero() { F::one() } else { e }) / (F::one() + e)
}

pointwise_ops! {
    /// Applies the logistic sigmoid to each element: `1 / (1 + e⁻ˣ)`.
    ///
    /// Equivalent: `torch.sigmoid`.
    pub(crate) SIGMOID = sigmoid(x: float)[] -> float as sigmoid {
        wgsl: "special_sigmoid(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: sigmoid(x),
        backward(grad): { x: x.pointwise(&SIGMOID_BACKWARD, &[grad], &[]) },
    }

    // Gradient of the sigmoid: dy·σ(x)·σ(-x)
    pub(crate) SIGMOID_BACKWARD = sigmoid_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * special_sigmoid(x) * special_sigmoid(-x)",
        library: SPECIAL,
        steps: 12.0,
        reference<F>: dy * sigmoid(x) * sigmoid(-x),
        backward(grad, out): {
            // Second derivative of the sigmoid: σ''(x) = σ'(x)·(1 - 2σ(x)) = -σ'(x)·tanh(x/2)
            x: -(grad * out * (x * 0.5).tanh()),
            dy: x.pointwise(&SIGMOID_BACKWARD, &[grad], &[]),
        },
    }
}

/// Sigmoid-like functions, element by element.
impl Tensor {
    /// Computes the logarithm of the sigmoid: `log(sigmoid(x)) = -softplus(-x)`.
    ///
    /// Equivalent: `torch.nn.functional.logsigmoid`.
    #[track_caller]
    pub fn log_sigmoid(&self) -> Tensor {
        -(-self).softplus()
    }

    /// Applies the piecewise linear approximation of the sigmoid: `min(max(x/6 + 1/2, 0), 1)`.
    ///
    /// Equivalent: `torch.nn.functional.hardsigmoid`.
    #[track_caller]
    pub fn hardsigmoid(&self) -> Tensor {
        (self + 3.0).clamp(0.0, 6.0) / 6.0
    }
}
