//! Activation functions.
//!
//! Both tails keep their relative accuracy, forward and backward: `1 + tanh(u)` is written `2·sigmoid(2u)`, `1 + erf(u)`
//! is `erfc(-u)`, and gradients of saturating functions are taken from the input, because `1 - y` has lost it.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::op::pointwise::pointwise_ops;
use crate::{InvalidArgument, Real, Tensor};

use wgrad_shaders::lib::SPECIAL;

/// `1 / (1 + exp(-x))` without overflow.
#[inline(always)]
pub(crate) fn sigmoid<F: Real>(x: F) -> F {
    let e = (-x.abs()).exp();
    (if x >= F::zero() { F::one() } else { e }) / (F::one() + e)
}

/// `log(1 + exp(x))` without overflow.
#[inline(always)]
pub(crate) fn softplus<F: Real>(x: F) -> F {
    x.max(F::zero()) + (-x.abs()).exp().ln_1p()
}

/// The probability that a standard normal variable is below x; through `f64`, where the cancellation in the left
/// tail does not show in `f32`.
#[inline(always)]
fn normal_cdf<F: Real>(x: F) -> F {
    F::lit(0.5 * (1.0 + Real::erf(x.wide() * FRAC_1_SQRT_2)))
}

/// The density of a standard normal variable.
#[inline(always)]
fn normal_pdf<F: Real>(x: F) -> F {
    F::lit(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2) * (F::lit(-0.5) * x * x).exp()
}

/// The factors of the tanh form of GELU, x·sigmoid(v) with v = A·(x + B·x³): A is 2·√(2/π).
const GELU_TANH_FACTORS: [f64; 2] = [1.595_769_121_605_730_8, 0.044_715];

/// `sigmoid(v)` and `x·sigmoid'(v)·v'`; x is held within ±10, where they are constant, so that powers stay finite.
#[inline(always)]
fn gelu_tanh<F: Real>(x: F) -> (F, F) {
    let [a, b] = GELU_TANH_FACTORS.map(F::lit);
    let x = x.max(F::lit(-10.0)).min(F::lit(10.0));
    let v = a * (x + b * x * x * x);
    let slope = a * (F::one() + F::lit(3.0) * b * x * x);
    (sigmoid(v), x * sigmoid(v) * sigmoid(-v) * slope)
}

pointwise_ops! {
    // By bits: 0 for everything with a sign but NaN. Compilers make of `x <= 0.0` a maximum, which hides NaN.
    /// `max(x, 0)`; the gradient at 0 is 0.
    pub(crate) RELU = relu(x: float)[] -> float as relu {
        wgsl: "select(x, 0.0, bitcast<u32>(x) - 0x80000000u <= 0x7f800000u)",
        reference<F>: if x <= F::zero() { F::zero() } else { x },
        backward(grad, out): { x: out.pointwise(&RELU_BACKWARD, &[grad], &[]) },
    }

    // dy where y > 0; y may be the input or the output of relu.
    pub(crate) RELU_BACKWARD = relu_backward(y: float, dy: float)[] -> float {
        wgsl: "select(dy, 0.0, y <= 0.0)",
        reference<F>: if y <= F::zero() { F::zero() } else { dy },
        backward(grad): { dy: y.pointwise(&RELU_BACKWARD, &[grad], &[]) },
    }

    pub(crate) LEAKY_RELU = leaky_relu(x: float)[slope] -> float {
        wgsl: "select(x, slope * x, x <= 0.0)",
        reference<F>: if x <= F::zero() { slope * x } else { x },
        backward(grad, out): {
            x: {
                // The output has the sign of the input unless the slope is negative.
                let side = if slope < 0.0 { x } else { out };
                side.pointwise(&LEAKY_RELU_BACKWARD, &[grad], &[slope])
            },
        },
    }

    pub(crate) LEAKY_RELU_BACKWARD = leaky_relu_backward(x: float, dy: float)[slope] -> float {
        wgsl: "select(dy, slope * dy, x <= 0.0)",
        reference<F>: if x <= F::zero() { slope * dy } else { dy },
        backward(grad): {
            dy: {
                x.pointwise(&LEAKY_RELU_BACKWARD, &[grad], &[slope])
            },
        },
    }

    /// `1 / (1 + e⁻ˣ)`.
    pub(crate) SIGMOID = sigmoid(x: float)[] -> float as sigmoid {
        wgsl: "special_sigmoid(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: sigmoid(x),
        backward(grad): { x: x.pointwise(&SIGMOID_BACKWARD, &[grad], &[]) },
    }

    // dy·σ(x)·σ(-x)
    pub(crate) SIGMOID_BACKWARD = sigmoid_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * special_sigmoid(x) * special_sigmoid(-x)",
        library: SPECIAL,
        steps: 12.0,
        reference<F>: dy * sigmoid(x) * sigmoid(-x),
        backward(grad, out): {
            // σ''(x) = σ'(x)·(1 - 2σ(x)) = -σ'(x)·tanh(x/2)
            x: -(grad * out * (x * 0.5).tanh()),
            dy: x.pointwise(&SIGMOID_BACKWARD, &[grad], &[]),
        },
    }

    /// The hyperbolic tangent.
    pub(crate) TANH = tanh(x: float)[] -> float as tanh {
        wgsl: "special_tanh(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: x.tanh(),
        backward(grad): { x: x.pointwise(&TANH_BACKWARD, &[grad], &[]) },
    }

    // dy / cosh²(x) = dy·4·σ(2x)·σ(-2x)
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

    /// `log(1 + eˣ)`, for every x. (PyTorch returns x itself above 20, which differs by less than 3e-9.)
    pub(crate) SOFTPLUS = softplus(x: float)[] -> float as softplus {
        wgsl: "special_softplus(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: softplus(x),
        backward(grad): { x: grad * x.sigmoid() },
    }

    /// `x·sigmoid(x)`, also called swish.
    pub(crate) SILU = silu(x: float)[] -> float as silu {
        wgsl: "x * special_sigmoid(x)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: x * sigmoid(x),
        backward(grad): { x: x.pointwise(&SILU_BACKWARD, &[grad], &[]) },
    }

    // dy·s·(1 + x·(1 - s)) with s = sigmoid(x) and 1 - s = sigmoid(-x)
    pub(crate) SILU_BACKWARD = silu_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * special_sigmoid(x) * (1.0 + x * special_sigmoid(-x))",
        library: SPECIAL,
        steps: 16.0,
        reference<F>: dy * sigmoid(x) * (F::one() + x * sigmoid(-x)),
        backward(grad): {
            x: {
                    // s·(1 - s)·(2 + x·(1 - 2s))
                    let (x, s) = (x, x.sigmoid());
                    grad * dy * (&s * (1.0 - &s) * (x * (1.0 - &s * 2.0) + 2.0))
                },
                dy: x.pointwise(&SILU_BACKWARD, &[grad], &[]),
            },
    }

    /// `x·Φ(x)`, with the distribution function Φ of a standard normal variable.
    ///
    /// Hendrycks, Gimpel: "Gaussian error linear units", 2016.
    pub(crate) GELU = gelu(x: float)[] -> float as gelu {
        wgsl: "x * special_normal_cdf(x)",
        library: SPECIAL,
        steps: 20.0,
        reference<F>: x * normal_cdf(x),
        backward(grad): { x: x.pointwise(&GELU_BACKWARD, &[grad], &[]) },
    }

    // dy·(Φ(x) + x·φ(x))
    pub(crate) GELU_BACKWARD = gelu_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * (special_normal_cdf(x) + x * special_normal_pdf(x))",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: dy * (normal_cdf(x) + x * normal_pdf(x)),
        backward(grad): {
            x: {
                    // φ(x)·(2 - x²)
                    let square = x.square();
                    let density = (&square * -0.5).exp() * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
                    grad * dy * (density * (2.0 - square))
                },
                dy: x.pointwise(&GELU_BACKWARD, &[grad], &[]),
            },
    }

    /// The approximation of [`gelu`](Self::gelu) by `x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2`.
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
        reference<F>: { let (s, slope) = gelu_tanh(x); dy * (s + slope) },
        backward(grad): {
            x: {
                    // s·r·(2v' + x·(r - s)·v'² + x·v'') with r = 1 - s = σ(-v), which keeps its digits where s is near 1
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

    /// `x / (1 + |x|)`: a sigmoid from -1 to 1 that approaches its ends slowly. Source: `torch.nn.Softsign`.
    pub(crate) SOFTSIGN = softsign(x: float)[] -> float as softsign {
        wgsl: "x / (1.0 + abs(x))",
        steps: 3.0,
        reference<F>: x / (F::one() + x.abs()),
        backward(grad): { x: x.pointwise(&SOFTSIGN_BACKWARD, &[grad], &[]) },
    }

    // dy / (1 + |x|)²
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

/// Activation functions of each element.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// assert!(x.relu().is_valid());
/// assert!(!x.leaky_relu(f64::NAN).is_valid());
/// ```
impl Tensor {
    /// `x` above 0, `slope·x` elsewhere; the gradient at 0 is the slope.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        let x = self;
        if !slope.is_finite() {
            return x.invalid("leaky_relu", &[], InvalidArgument::new(format!("the slope {slope} is not finite")));
        }
        x.pointwise(&LEAKY_RELU, &[], &[slope])
    }

    /// `log(sigmoid(x)) = -softplus(-x)`.
    #[track_caller]
    pub fn log_sigmoid(&self) -> Tensor {
        -(-self).softplus()
    }
}
