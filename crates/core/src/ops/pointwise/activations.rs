//! Activation functions.
//!
//! Both tails keep their relative accuracy, forward and backward: `1 + tanh(u)` is written `2·sigmoid(2u)`, `1 + erf(u)`
//! is `erfc(-u)`, and gradients of saturating functions are taken from the input, because `1 - y` has lost it.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use crate::{Misfit, Pointwise, Real, Tensor, pointwise};

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

/// The rows of this file.
pub(crate) static ROWS: &[&Pointwise] = &[
    &RELU,
    &RELU_BACKWARD,
    &LEAKY_RELU,
    &LEAKY_RELU_BACKWARD,
    &SIGMOID,
    &SIGMOID_BACKWARD,
    &TANH,
    &TANH_BACKWARD,
    &SOFTPLUS,
    &SILU,
    &SILU_BACKWARD,
    &GELU,
    &GELU_BACKWARD,
    &GELU_TANH,
    &GELU_TANH_BACKWARD,
    &SOFTSIGN,
    &SOFTSIGN_BACKWARD,
];

pointwise! {
    // By bits: 0 for everything with a sign but NaN. Compilers make of `x <= 0.0` a maximum, which hides NaN.
    pub(crate) RELU = relu(x: float)[] -> float {
        wgsl: "select(x, 0.0, bitcast<u32>(x) - 0x80000000u <= 0x7f800000u)",
        reference<F>: if x <= F::zero() { F::zero() } else { x },
        backward: Some(|at| at.give_with(0, |at| at.output(0).pointwise(&RELU_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    // dy where y > 0; y may be the input or the output of relu.
    pub(crate) RELU_BACKWARD = relu_backward(y: float, dy: float)[] -> float {
        wgsl: "select(dy, 0.0, y <= 0.0)",
        reference<F>: if y <= F::zero() { F::zero() } else { dy },
        backward: Some(|at| at.give_with(1, |at| at.input(0).pointwise(&RELU_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    pub(crate) LEAKY_RELU = leaky_relu(x: float)[slope] -> float {
        wgsl: "select(x, slope * x, x <= 0.0)",
        reference<F>: if x <= F::zero() { slope * x } else { x },
        backward: Some(|at| at.give_with(0, |at| {
            let slope = at.attribute(0);
            // The output has the sign of the input unless the slope is negative.
            let side = if slope < 0.0 { at.input(0) } else { at.output(0) };
            side.pointwise(&LEAKY_RELU_BACKWARD, &[&at.dy()], &[slope])
        })),
    }
}

pointwise! {
    pub(crate) LEAKY_RELU_BACKWARD = leaky_relu_backward(x: float, dy: float)[slope] -> float {
        wgsl: "select(dy, slope * dy, x <= 0.0)",
        reference<F>: if x <= F::zero() { slope * dy } else { dy },
        backward: Some(|at| at.give_with(1, |at| {
            at.input(0).pointwise(&LEAKY_RELU_BACKWARD, &[&at.dy()], &[at.attribute(0)])
        })),
    }
}

pointwise! {
    pub(crate) SIGMOID = sigmoid(x: float)[] -> float {
        wgsl: "special_sigmoid(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: sigmoid(x),
        backward: Some(|at| at.give_with(0, |at| at.input(0).pointwise(&SIGMOID_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    // dy·σ(x)·σ(-x)
    pub(crate) SIGMOID_BACKWARD = sigmoid_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * special_sigmoid(x) * special_sigmoid(-x)",
        library: SPECIAL,
        steps: 12.0,
        reference<F>: dy * sigmoid(x) * sigmoid(-x),
        backward: Some(|at| {
            // σ''(x) = σ'(x)·(1 - 2σ(x)) = -σ'(x)·tanh(x/2)
            at.give_with(0, |at| -(at.dy() * at.output(0) * (at.input(0) * 0.5).tanh()));
            at.give_with(1, |at| at.input(0).pointwise(&SIGMOID_BACKWARD, &[&at.dy()], &[]));
        }),
    }
}

pointwise! {
    pub(crate) TANH = tanh(x: float)[] -> float {
        wgsl: "special_tanh(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: x.tanh(),
        backward: Some(|at| at.give_with(0, |at| at.input(0).pointwise(&TANH_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    // dy / cosh²(x) = dy·4·σ(2x)·σ(-2x)
    pub(crate) TANH_BACKWARD = tanh_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * 4.0 * special_sigmoid(2.0 * x) * special_sigmoid(-2.0 * x)",
        library: SPECIAL,
        steps: 12.0,
        reference<F>: dy * F::lit(4.0) * sigmoid(x + x) * sigmoid(-x - x),
        backward: Some(|at| {
            at.give_with(0, |at| at.dy() * at.output(0) * at.input(0).tanh() * -2.0);
            at.give_with(1, |at| at.input(0).pointwise(&TANH_BACKWARD, &[&at.dy()], &[]));
        }),
    }
}

pointwise! {
    pub(crate) SOFTPLUS = softplus(x: float)[] -> float {
        wgsl: "special_softplus(x)",
        library: SPECIAL,
        steps: 6.0,
        reference<F>: softplus(x),
        backward: Some(|at| at.give_with(0, |at| at.dy() * at.input(0).sigmoid())),
    }
}

pointwise! {
    pub(crate) SILU = silu(x: float)[] -> float {
        wgsl: "x * special_sigmoid(x)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: x * sigmoid(x),
        backward: Some(|at| at.give_with(0, |at| at.input(0).pointwise(&SILU_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    // dy·s·(1 + x·(1 - s)) with s = sigmoid(x) and 1 - s = sigmoid(-x)
    pub(crate) SILU_BACKWARD = silu_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * special_sigmoid(x) * (1.0 + x * special_sigmoid(-x))",
        library: SPECIAL,
        steps: 16.0,
        reference<F>: dy * sigmoid(x) * (F::one() + x * sigmoid(-x)),
        backward: Some(|at| {
            at.give_with(0, |at| {
                // s·(1 - s)·(2 + x·(1 - 2s))
                let (x, s) = (at.input(0), at.input(0).sigmoid());
                at.dy() * at.input(1) * (&s * (1.0 - &s) * (x * (1.0 - &s * 2.0) + 2.0))
            });
            at.give_with(1, |at| at.input(0).pointwise(&SILU_BACKWARD, &[&at.dy()], &[]));
        }),
    }
}

pointwise! {
    pub(crate) GELU = gelu(x: float)[] -> float {
        wgsl: "x * special_normal_cdf(x)",
        library: SPECIAL,
        steps: 20.0,
        reference<F>: x * normal_cdf(x),
        backward: Some(|at| at.give_with(0, |at| at.input(0).pointwise(&GELU_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    // dy·(Φ(x) + x·φ(x))
    pub(crate) GELU_BACKWARD = gelu_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * (special_normal_cdf(x) + x * special_normal_pdf(x))",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: dy * (normal_cdf(x) + x * normal_pdf(x)),
        backward: Some(|at| {
            at.give_with(0, |at| {
                // φ(x)·(2 - x²)
                let square = at.input(0).square();
                let density = (&square * -0.5).exp() * (0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
                at.dy() * at.input(1) * (density * (2.0 - square))
            });
            at.give_with(1, |at| at.input(0).pointwise(&GELU_BACKWARD, &[&at.dy()], &[]));
        }),
    }
}

pointwise! {
    pub(crate) GELU_TANH = gelu_tanh(x: float)[] -> float {
        wgsl: "x * special_gelu_tanh(x).x",
        library: SPECIAL,
        steps: 20.0,
        reference<F>: x * gelu_tanh(x).0,
        backward: Some(|at| at.give_with(0, |at| at.input(0).pointwise(&GELU_TANH_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    pub(crate) GELU_TANH_BACKWARD = gelu_tanh_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * dot(special_gelu_tanh(x), vec2(1.0))",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: { let (s, slope) = gelu_tanh(x); dy * (s + slope) },
        backward: Some(|at| {
            at.give_with(0, |at| {
                // s·r·(2v' + x·(r - s)·v'² + x·v'') with r = 1 - s = σ(-v), which keeps its digits where s is near 1
                let [a, b] = GELU_TANH_FACTORS;
                let x = &at.input(0).clamp(-10.0, 10.0);
                let v = &((x + x.square() * x * b) * a);
                let (s, r) = (&v.sigmoid(), &(-v).sigmoid());
                let first = &((x.square() * (3.0 * b) + 1.0) * a);
                let curve = first * 2.0 + x * (r - s) * first.square() + x.square() * (6.0 * a * b);
                at.dy() * at.input(1) * (s * r * curve)
            });
            at.give_with(1, |at| at.input(0).pointwise(&GELU_TANH_BACKWARD, &[&at.dy()], &[]));
        }),
    }
}

pointwise! {
    pub(crate) SOFTSIGN = softsign(x: float)[] -> float {
        wgsl: "x / (1.0 + abs(x))",
        steps: 3.0,
        reference<F>: x / (F::one() + x.abs()),
        backward: Some(|at| at.give_with(0, |at| at.input(0).pointwise(&SOFTSIGN_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    // dy / (1 + |x|)²
    pub(crate) SOFTSIGN_BACKWARD = softsign_backward(x: float, dy: float)[] -> float {
        wgsl: "dy / ((1.0 + abs(x)) * (1.0 + abs(x)))",
        steps: 4.0,
        reference<F>: dy / ((F::one() + x.abs()) * (F::one() + x.abs())),
        backward: Some(|at| {
            at.give_with(0, |at| {
                let x = at.input(0);
                at.dy() * at.output(0) * -2.0 * x.sign() / (x.abs() + 1.0)
            });
            at.give_with(1, |at| at.input(0).pointwise(&SOFTSIGN_BACKWARD, &[&at.dy()], &[]));
        }),
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
    /// `max(x, 0)`; the gradient at 0 is 0.
    #[track_caller]
    pub fn relu(&self) -> Tensor {
        self.pointwise(&RELU, &[], &[])
    }

    /// `x` above 0, `slope·x` elsewhere; the gradient at 0 is the slope.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        let x = self;
        if !slope.is_finite() {
            return x.misfit("leaky_relu", &[], Misfit::new(format!("the slope {slope} is not finite")));
        }
        x.pointwise(&LEAKY_RELU, &[], &[slope])
    }

    /// `1 / (1 + e⁻ˣ)`.
    #[track_caller]
    pub fn sigmoid(&self) -> Tensor {
        self.pointwise(&SIGMOID, &[], &[])
    }

    /// The hyperbolic tangent.
    #[track_caller]
    pub fn tanh(&self) -> Tensor {
        self.pointwise(&TANH, &[], &[])
    }

    /// `log(1 + eˣ)`, for every x. (PyTorch returns x itself above 20, which differs by less than 3e-9.)
    #[track_caller]
    pub fn softplus(&self) -> Tensor {
        self.pointwise(&SOFTPLUS, &[], &[])
    }

    /// `log(sigmoid(x)) = -softplus(-x)`.
    #[track_caller]
    pub fn log_sigmoid(&self) -> Tensor {
        -(-self).softplus()
    }

    /// `x / (1 + |x|)`: a sigmoid from -1 to 1 that approaches its ends slowly. Source: `torch.nn.Softsign`.
    #[track_caller]
    pub fn softsign(&self) -> Tensor {
        self.pointwise(&SOFTSIGN, &[], &[])
    }

    /// `x·sigmoid(x)`, also called swish.
    #[track_caller]
    pub fn silu(&self) -> Tensor {
        self.pointwise(&SILU, &[], &[])
    }

    /// `x·Φ(x)`, with the distribution function Φ of a standard normal variable.
    ///
    /// Hendrycks, Gimpel: "Gaussian error linear units", 2016.
    #[track_caller]
    pub fn gelu(&self) -> Tensor {
        self.pointwise(&GELU, &[], &[])
    }

    /// The approximation of [`gelu`](Self::gelu) by `x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2`.
    #[track_caller]
    pub fn gelu_tanh(&self) -> Tensor {
        self.pointwise(&GELU_TANH, &[], &[])
    }
}
