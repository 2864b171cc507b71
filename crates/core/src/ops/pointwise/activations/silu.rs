//! `SiLU` (swish), its piecewise approximation hardswish, and Mish.

use crate::op::pointwise::pointwise_ops;
use crate::ops::pointwise::activations::sigmoid::sigmoid;
use crate::{Real, Tensor};

use wgrad_shaders::lib::SPECIAL;

/// Computes `t = tanh(log(1 + exp(x)))` and its derivative, both accurate relative to their size; for the method,
/// see `special_mish` in the shaders.
#[inline(always)]
fn mish<F: Real>(x: F) -> (F, F) {
    let (s, q, one) = (sigmoid(x), sigmoid(-x), F::one());
    let below = one + q * q;
    (s * (one + q) / below, F::lit(4.0) * (q / below) * (q / below) * s)
}

pointwise_ops! {
    /// Applies the sigmoid linear unit (swish) to each element: `x·sigmoid(x)`.
    ///
    /// Equivalent: `torch.nn.functional.silu`.
    pub(crate) SILU = silu(x: float)[] -> float as silu {
        wgsl: "x * special_sigmoid(x)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: x * sigmoid(x),
        backward(grad): { x: x.pointwise(&SILU_BACKWARD, &[grad], &[]) },
    }

    // Gradient of SiLU: dy·s·(1 + x·(1 - s)), with s = sigmoid(x) and 1 - s = sigmoid(-x)
    pub(crate) SILU_BACKWARD = silu_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * special_sigmoid(x) * (1.0 + x * special_sigmoid(-x))",
        library: SPECIAL,
        steps: 16.0,
        reference<F>: dy * sigmoid(x) * (F::one() + x * sigmoid(-x)),
        backward(grad): {
            x: {
                    // Second derivative of SiLU, with s = sigmoid(x): s·(1 - s)·(2 + x·(1 - 2s))
                    let (x, s) = (x, x.sigmoid());
                    grad * dy * (&s * (1.0 - &s) * (x * (1.0 - &s * 2.0) + 2.0))
                },
                dy: x.pointwise(&SILU_BACKWARD, &[grad], &[]),
            },
    }

    /// Applies Mish to each element: `x·tanh(log(1 + eˣ))`.
    ///
    /// Misra: "Mish: a self regularized non-monotonic activation function", 2019. Equivalent:
    /// `torch.nn.functional.mish`.
    pub(crate) MISH = mish(x: float)[] -> float as mish {
        wgsl: "x * special_mish(x).x",
        library: SPECIAL,
        steps: 12.0,
        reference<F>: x * mish(x).0,
        backward(grad): { x: x.pointwise(&MISH_BACKWARD, &[grad], &[]) },
    }

    // Gradient of Mish: dy·(t + x·t'), with t = tanh(log(1 + exp(x)))
    pub(crate) MISH_BACKWARD = mish_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * dot(special_mish(x), vec2(1.0, x))",
        library: SPECIAL,
        steps: 24.0,
        reference<F>: { let (t, derivative) = mish(x); dy * (t + x * derivative) },
        backward(grad): {
            x: {
                    // Second derivative of Mish, x·t with t = tanh(log(1 + exp(x))): 2·t' + x·t'',
                    // where t' = 4·q²·s / (1 + q²)² and t'' = t'·(q - 2s + 4·q²·s / (1 + q²)),
                    // with s = sigmoid(x) and q = sigmoid(-x)
                    let (s, q) = (&x.sigmoid(), &(-x).sigmoid());
                    let below = &(q.square() + 1.0);
                    let ratio = &(q / below);
                    let derivative = ratio.square() * s * 4.0;
                    let curve = q - s * 2.0 + ratio * q * s * 4.0;
                    grad * dy * derivative * (x * curve + 2.0)
                },
                dy: x.pointwise(&MISH_BACKWARD, &[grad], &[]),
            },
    }
}

/// `SiLU` and its relatives, element by element.
impl Tensor {
    /// Applies the piecewise approximation of [`silu`](Self::silu): `x·hardsigmoid(x)`.
    ///
    /// Howard et al.: "Searching for `MobileNetV3`", 2019. Equivalent: `torch.nn.functional.hardswish`.
    #[track_caller]
    pub fn hardswish(&self) -> Tensor {
        self * self.hardsigmoid()
    }
}
