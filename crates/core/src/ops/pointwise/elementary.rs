//! Elementary functions: exponentials, logarithms, roots, powers, element-wise maximum and minimum, clamp and erf.

use wgrad_shaders::lib::SPECIAL;

use crate::op::pointwise::pointwise_ops;
use crate::{InvalidArgument, Tensor, TensorOrScalar};

pointwise_ops! {
    /// Computes the exponential of each element: `eˣ`.
    ///
    /// Equivalent: `torch.exp`.
    pub(crate) EXP = exp(x: float)[] -> float as exp {
        wgsl: "exp(x)",
        steps: 4.0,
        reference<F>: x.exp(),
        backward(grad, out): { x: grad * out },
    }

    /// Computes the exponential minus 1 of each element: `eˣ − 1`, accurate near 0.
    ///
    /// Equivalent: `torch.expm1`.
    pub(crate) EXPM1 = expm1(x: float)[] -> float as expm1 {
        // Above 0.5 nothing cancels; below, `special_expm1` is accurate.
        wgsl: "select(special_expm1(select(x, 0.0, x > 0.5)), exp(x) - 1.0, x > 0.5)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: F::lit(x.wide().exp_m1()),
        backward(grad, out): { x: grad * (out + 1.0) },
    }

    /// Computes the natural logarithm of each element.
    ///
    /// Equivalent: `torch.log`.
    pub(crate) LOG = log(x: float)[] -> float as log {
        wgsl: "special_log(x)",
        library: SPECIAL,
        steps: 3.0,
        reference<F>: x.ln(),
        backward(grad): { x: grad / x },
    }

    /// Computes the natural logarithm of 1 + x for each element: `log(1 + x)`, accurate near 0.
    ///
    /// Equivalent: `torch.log1p`.
    pub(crate) LOG1P = log1p(x: float)[] -> float as log1p {
        wgsl: "special_log1p(x)",
        library: SPECIAL,
        steps: 4.0,
        reference<F>: x.ln_1p(),
        backward(grad): { x: grad / (x + 1.0) },
    }

    /// Computes the square root of each element: `√x`.
    ///
    /// The gradient at 0 is infinite. Equivalent: `torch.sqrt`.
    pub(crate) SQRT = sqrt(x: float)[] -> float as sqrt {
        wgsl: "sqrt(x)",
        steps: 2.0,
        reference<F>: x.sqrt(),
        backward(grad, out): { x: grad * 0.5 / out },
    }

    /// Computes the reciprocal of the square root of each element: `1 / √x`.
    ///
    /// Equivalent: `torch.rsqrt`.
    pub(crate) RSQRT = rsqrt(x: float)[] -> float as rsqrt {
        wgsl: "inverseSqrt(x)",
        steps: 2.0,
        reference<F>: x.sqrt().recip(),
        backward(grad, out): { x: grad * -0.5 * out / x },
    }

    /// Computes the reciprocal of each element: `1 / x`.
    ///
    /// Equivalent: `torch.reciprocal`.
    pub(crate) RECIPROCAL = reciprocal(x: float)[] -> float as reciprocal {
        wgsl: "1.0 / x",
        steps: 2.0,
        reference<F>: x.recip(),
        backward(grad, out): { x: -(grad * out.square()) },
    }

    /// Computes the square of each element: `x²`.
    ///
    /// Equivalent: `torch.square`.
    pub(crate) SQUARE = square(x: float)[] -> float as square {
        wgsl: "x * x",
        reference<F>: x * x,
        backward(grad): { x: grad * (x * 2.0) },
    }

    /// Computes the absolute value of each element: `|x|`.
    ///
    /// The gradient at 0 is 0. Equivalent: `torch.abs`.
    pub(crate) ABS = abs(x: float)[] -> float as abs {
        wgsl: "abs(x)",
        reference<F>: x.abs(),
        backward(grad): { x: grad * x.sign() },
    }

    // WGSL's own `sign` is wrong on some drivers.
    /// Computes the sign of each element: −1, 0 or 1.
    ///
    /// The gradient is 0. Equivalent: `torch.sign`.
    pub(crate) SIGN = sign(x: float)[] -> float as sign {
        wgsl: "select(0.0, 1.0, x > 0.0) - select(0.0, 1.0, x < 0.0)",
        reference<F>: if x > F::zero() { F::one() } else if x < F::zero() { -F::one() } else { F::zero() },
        backward: none,
    }

    /// Rounds each element x down, to the largest integer that is not above x.
    ///
    /// The gradient is 0. Equivalent: `torch.floor`.
    pub(crate) FLOOR = floor(x: float)[] -> float as floor {
        wgsl: "floor(x)",
        reference<F>: x.floor(),
        backward: none,
    }

    // The derivative of x^p with respect to x is p·x^(p-1); for p = 0 it is 0, even at x = 0.
    pub(crate) POW = pow(x: float, p: float)[] -> float {
        wgsl: "special_pow(x, p)",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: x.powf(p),
        backward(grad, out): {
            x: {
                    let derivative = p * x.pow(&(p - 1.0));
                    grad * p.eq(0.0).where_cond(0.0, &derivative)
                },
                p: grad * x.pointwise(&POW_BY_EXPONENT, &[p, out], &[]),
            },
    }

    pub(crate) POWF = powf(x: float)[p] -> float {
        wgsl: "special_pow(x, p)",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: x.powf(p),
        backward(grad): {
            x: {
                if p == 0.0 { grad * 0.0 } else { grad * (x.pow(p - 1.0) * p) }
            },
        },
    }

    // Derivative of y = x^p with respect to p: y·log(x), but 0 where x = 0 and p ≥ 0, as in PyTorch.
    pub(crate) POW_BY_EXPONENT = pow_by_exponent(x: float, p: float, y: float)[] -> float {
        wgsl: "select(y * special_log(x), 0.0, x == 0.0 && p >= 0.0)",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: if x == F::zero() && p >= F::zero() { F::zero() } else { y * x.ln() },
        backward: none,
    }

    /// Computes the element-wise maximum of two tensors.
    ///
    /// NaN if either element is NaN. In a tie each side gets half of the gradient. Equivalent: `torch.maximum`.
    pub(crate) MAXIMUM = maximum(x: float, y: float)[] -> float as maximum {
        wgsl: "select(select(select(x, y, y > x), y, special_is_nan(y)), x, special_is_nan(x))",
        library: SPECIAL,
        reference<F>: if y > x || y.is_nan() && !x.is_nan() { y } else { x },
        backward(grad): {
            x: x.pointwise(&SHARE, &[y, grad], &[]),
            y: y.pointwise(&SHARE, &[x, grad], &[]),
        },
    }

    /// Computes the element-wise minimum of two tensors.
    ///
    /// NaN if either element is NaN. In a tie each side gets half of the gradient. Equivalent: `torch.minimum`.
    pub(crate) MINIMUM = minimum(x: float, y: float)[] -> float as minimum {
        wgsl: "select(select(select(x, y, y < x), y, special_is_nan(y)), x, special_is_nan(x))",
        library: SPECIAL,
        reference<F>: if y < x || y.is_nan() && !x.is_nan() { y } else { x },
        backward(grad): {
            x: y.pointwise(&SHARE, &[x, grad], &[]),
            y: x.pointwise(&SHARE, &[y, grad], &[]),
        },
    }

    // Gradient of max(x, y) for x: all of dy where x is larger, half of dy in a tie.
    pub(crate) SHARE = share(x: float, y: float, dy: float)[] -> float {
        wgsl: "select(select(0.0, dy, x > y), 0.5 * dy, x == y)",
        reference<F>: if x == y { F::lit(0.5) * dy } else if x > y { dy } else { F::zero() },
        backward(grad): { dy: x.pointwise(&SHARE, &[y, grad], &[]) },
    }

    pub(crate) CLAMP = clamp(x: float)[low, high] -> float {
        wgsl: "select(select(select(x, low, x < low), high, max(x, low) > high), x, special_is_nan(x))",
        library: SPECIAL,
        reference<F>: if x.max(low) > high { high } else if x < low { low } else { x },
        backward(grad): {
            x: {
                x.pointwise(&CLAMP_BACKWARD, &[grad], &[low, high])
            },
        },
    }

    pub(crate) CLAMP_BACKWARD = clamp_backward(x: float, dy: float)[low, high] -> float {
        wgsl: "select(dy, 0.0, x <= low || x >= high)",
        reference<F>: if x <= low || x >= high { F::zero() } else { dy },
        backward(grad): {
            dy: {
                x.pointwise(&CLAMP_BACKWARD, &[grad], &[low, high])
            },
        },
    }

    /// Computes the error function of each element.
    ///
    /// Equivalent: `torch.erf`.
    pub(crate) ERF = erf(x: float)[] -> float as erf {
        wgsl: "special_erf(x)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: x.erf(),
        backward(grad): { x: x.pointwise(&ERF_BACKWARD, &[grad], &[]) },
    }

    // dy·(2/√π)·exp(-x²)
    pub(crate) ERF_BACKWARD = erf_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * 1.128379167 * exp(-x * x)",
        steps: 8.0,
        reference<F>: dy * F::lit(std::f64::consts::FRAC_2_SQRT_PI) * (-x * x).exp(),
        backward(grad, out): {
            x: grad * out * x * -2.0,
            dy: x.pointwise(&ERF_BACKWARD, &[grad], &[]),
        },
    }
}

/// Powers and clamp, element by element.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 3], DType::F32);
/// let y = graph.input("y", [3], DType::F32);
/// assert_eq!(x.exp().maximum(&y).shape().dims(), [2, 3]);
/// ```
impl Tensor {
    /// Raises each element to a power: `xᵖ`, where `p` is a number or a tensor that broadcasts.
    ///
    /// A negative x needs an integer p, else the result is NaN. `x⁰` is 1. Records an error in the graph, which
    /// `compile` reports, if `p` is a number that is not finite. Equivalent: `torch.pow`.
    #[track_caller]
    pub fn pow(&self, p: impl Into<TensorOrScalar>) -> Tensor {
        let x = self;
        let p = match p.into() {
            TensorOrScalar::Tensor(p) => return x.pointwise(&POW, &[&p], &[]),
            TensorOrScalar::Scalar(p) => p,
        };
        if !p.is_finite() {
            return x.invalid("pow", &[], InvalidArgument::new(format!("the exponent {p} is not finite")));
        }
        // These powers have simpler and more accurate expressions.
        match p {
            -1.0 => x.reciprocal(),
            -0.5 => x.rsqrt(),
            0.5 => x.sqrt(),
            1.0 => x.clone(),
            2.0 => x.square(),
            _ => x.pointwise(&POWF, &[], &[p]),
        }
    }

    /// Clamps each element to `[low, high]`: `min(max(x, low), high)`.
    ///
    /// The gradient is that of the result where `low < x < high`, else 0. An infinite bound has no effect. Records
    /// an error in the graph, which `compile` reports, if a bound is NaN. Equivalent: `torch.clamp`.
    #[track_caller]
    pub fn clamp(&self, low: f64, high: f64) -> Tensor {
        let x = self;
        if low.is_nan() || high.is_nan() {
            return x.invalid("clamp", &[], InvalidArgument::new(format!("the bounds are {low} and {high}")));
        }
        // WGSL has no literal for infinity, and not every shader compiler accepts the largest f32.
        let finite = |bound: f64| bound.clamp(-3.0e38, 3.0e38);
        x.pointwise(&CLAMP, &[], &[finite(low), finite(high)])
    }
}
