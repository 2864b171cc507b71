//! GELU, exact and in its tanh approximation.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::Real;
use crate::op::pointwise::pointwise_ops;
use crate::ops::pointwise::activations::sigmoid::sigmoid;

use wgrad_shaders::lib::SPECIAL;

/// Computes the cumulative distribution function of the standard normal distribution. The computation is in
/// `f64`, so that cancellation in the left tail does not affect the digits of an `f32` result.
#[inline(always)]
fn normal_cdf<F: Real>(x: F) -> F {
    F::lit(0.5 * (1.0 + Real::erf(x.wide() * FRAC_1_SQRT_2)))
}

/// Computes the density of the standard normal distribution.
#[inline(always)]
fn normal_pdf<F: Real>(x: F) -> F {
    F::lit(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2) * (F::lit(-0.5) * x * x).exp()
}

/// Factors `[A, B]` of the tanh form of GELU, `x·sigmoid(v)` with `v = A·(x + B·x³)`; A is 2·√(2/π).
const GELU_TANH_FACTORS: [f64; 2] = [1.595_769_121_605_730_8, 0.044_715];

/// Returns the two terms of the derivative of `x·sigmoid(v)`, the tanh form of GELU: `sigmoid(v)` and
/// `x·sigmoid'(v)·v'`. x is clamped to ±10, beyond which both terms are constant, so that powers stay finite.
#[inline(always)]
fn gelu_tanh<F: Real>(x: F) -> (F, F) {
    let [a, b] = GELU_TANH_FACTORS.map(F::lit);
    let x = x.max(F::lit(-10.0)).min(F::lit(10.0));
    let v = a * (x + b * x * x * x);
    let derivative = a * (F::one() + F::lit(3.0) * b * x * x);
    (sigmoid(v), x * sigmoid(v) * sigmoid(-v) * derivative)
}

pointwise_ops! {
    /// Applies the Gaussian error linear unit to each element: `x·Φ(x)`.
    ///
    /// Φ is the distribution function of the standard normal distribution. Hendrycks, Gimpel: "Gaussian error
    /// linear units", 2016. Equivalent: `torch.nn.functional.gelu`.
    pub(crate) GELU = gelu(x: float)[] -> float as gelu {
        wgsl: "x * special_normal_cdf(x)",
        library: SPECIAL,
        steps: 20.0,
        reference<F>: x * normal_cdf(x),
        backward(grad): { x: x.pointwise(&GELU_BACKWARD, &[grad], &[]) },
    }

    // Gradient of GELU: dy·(Φ(x) + x·φ(x)), where φ is the density of the standard normal distribution.
    pub(crate) GELU_BACKWARD = gelu_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * (special_normal_cdf(x) + x * special_normal_pdf(x))",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: dy * (normal_cdf(x) + x * normal_pdf(x)),
        backward(grad): {
            x: {
                    // Second derivative of GELU: φ(x)·(2 - x²)
                    let square = x.square();
                    let density = (&square * -0.5).exp() * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
                    grad * dy * (density * (2.0 - square))
                },
                dy: x.pointwise(&GELU_BACKWARD, &[grad], &[]),
            },
    }

    /// Applies the tanh approximation of [`gelu`](Self::gelu): `x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2`.
    ///
    /// Equivalent: `torch.nn.functional.gelu(approximate="tanh")`.
    pub(crate) GELU_TANH = gelu_tanh(x: float)[] -> float as gelu_tanh {
        wgsl: "x * special_gelu_tanh(x).x",
        library: SPECIAL,
        steps: 20.0,
        reference<F>: x * gelu_tanh(x).0,
        backward(grad): { x: x.pointwise(&GELU_TANH_BACKWARD, &[grad], &[]) },
    }

    pub(crate) GELU_TANH_BACKWARD = gelu_tanh_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * dot(special_gelu_tanh(x), vec2(1.0))",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: { let (s, derivative) = gelu_tanh(x); dy * (s + derivative) },
        backward(grad): {
            x: {
                    // Second derivative of x·σ(v), with s = σ(v) and r = 1 - s: s·r·(2v' + x·(r - s)·v'² + x·v'').
                    // r is computed as σ(-v), which keeps its digits where s is near 1.
                    let [a, b] = GELU_TANH_FACTORS;
                    let x = &x.clamp(-10.0, 10.0);
                    let v = &((x + x.square() * x * b) * a);
                    let (s, r) = (&v.sigmoid(), &(-v).sigmoid());
                    let first = &((x.square() * (3.0 * b) + 1.0) * a);
                    let curve = first * 2.0 + x * (r - s) * first.square() + x.square() * (6.0 * a * b);
                    grad * dy * (s * r * curve)
                },
                dy: x.pointwise(&GELU_TANH_BACKWARD, &[grad], &[]),
            },
    }
}
