//! Hyperbolic tangent and softsign.

use crate::op::pointwise::pointwise_ops;
use crate::ops::pointwise::activations::sigmoid::sigmoid;

use wgrad_shaders::lib::SPECIAL;

pointwise_ops! {
    /// Applies the hyperbolic tangent to each element.
    ///
    /// Equivalent: `torch.tanh`.
    pub(crate) TANH = tanh(x: float)[] -> float as tanh {
        wgsl: "special_tanh(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: x.tanh(),
        backward(grad): { x: x.pointwise(&TANH_BACKWARD, &[grad], &[]) },
    }

    // Gradient of tanh: dy / cosh²(x) = dy·4·σ(2x)·σ(-2x)
    pub(crate) TANH_BACKWARD = tanh_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * 4.0 * special_sigmoid(2.0 * x) * special_sigmoid(-2.0 * x)",
        library: SPECIAL,
        steps: 12.0,
        reference<F>: dy * F::lit(4.0) * sigmoid(x + x) * sigmoid(-x - x),
        backward(grad, out): {
            x: grad * out * x.tanh() * -2.0,
            dy: x.pointwise(&TANH_BACKWARD, &[grad], &[]),
        },
    }

    /// Applies softsign to each element: `x / (1 + |x|)`.
    ///
    /// The result lies between −1 and 1 and approaches both ends slowly. Equivalent:
    /// `torch.nn.functional.softsign`.
    pub(crate) SOFTSIGN = softsign(x: float)[] -> float as softsign {
        wgsl: "x / (1.0 + abs(x))",
        steps: 3.0,
        reference<F>: x / (F::one() + x.abs()),
        backward(grad): { x: x.pointwise(&SOFTSIGN_BACKWARD, &[grad], &[]) },
    }

    // Gradient of softsign: dy / (1 + |x|)²
    pub(crate) SOFTSIGN_BACKWARD = softsign_backward(x: float, dy: float)[] -> float {
        wgsl: "dy / ((1.0 + abs(x)) * (1.0 + abs(x)))",
        steps: 4.0,
        reference<F>: dy / ((F::one() + x.abs()) * (F::one() + x.abs())),
        backward(grad, out): {
            x: {
                    grad * out * -2.0 * x.sign() / (x.abs() + 1.0)
                },
                dy: x.pointwise(&SOFTSIGN_BACKWARD, &[grad], &[]),
            },
    }
}
