//! Elementary functions.

use wgrad_shaders::lib::SPECIAL;

use crate::{Misfit, Pointwise, Tensor, TensorOrScalar, pointwise};

/// The rows of this file.
pub(crate) static ROWS: &[&Pointwise] = &[
    &EXP,
    &LOG,
    &LOG1P,
    &SQRT,
    &RSQRT,
    &RECIP,
    &SQUARE,
    &ABS,
    &SIGN,
    &FLOOR,
    &POW,
    &POWF,
    &POW_BY_EXPONENT,
    &MINIMUM,
    &MAXIMUM,
    &SHARE,
    &CLAMP,
    &CLAMP_BACKWARD,
    &ERF,
    &ERF_BACKWARD,
];

pointwise! {
    pub(crate) EXP = exp(x: float)[] -> float {
        wgsl: "exp(x)",
        steps: 4.0,
        reference<F>: x.exp(),
        backward: Some(|at| at.give_with(0, |at| at.dy() * at.output(0))),
    }
}

pointwise! {
    pub(crate) LOG = log(x: float)[] -> float {
        wgsl: "special_log(x)",
        library: SPECIAL,
        steps: 3.0,
        reference<F>: x.ln(),
        backward: Some(|at| at.give_with(0, |at| at.dy() / at.input(0))),
    }
}

pointwise! {
    pub(crate) LOG1P = log1p(x: float)[] -> float {
        wgsl: "special_log1p(x)",
        library: SPECIAL,
        steps: 4.0,
        reference<F>: x.ln_1p(),
        backward: Some(|at| at.give_with(0, |at| at.dy() / (at.input(0) + 1.0))),
    }
}

pointwise! {
    pub(crate) SQRT = sqrt(x: float)[] -> float {
        wgsl: "sqrt(x)",
        steps: 2.0,
        reference<F>: x.sqrt(),
        backward: Some(|at| at.give_with(0, |at| at.dy() * 0.5 / at.output(0))),
    }
}

pointwise! {
    pub(crate) RSQRT = rsqrt(x: float)[] -> float {
        wgsl: "inverseSqrt(x)",
        steps: 2.0,
        reference<F>: x.sqrt().recip(),
        backward: Some(|at| at.give_with(0, |at| at.dy() * -0.5 * at.output(0) / at.input(0))),
    }
}

pointwise! {
    pub(crate) RECIP = recip(x: float)[] -> float {
        wgsl: "1.0 / x",
        steps: 2.0,
        reference<F>: x.recip(),
        backward: Some(|at| at.give_with(0, |at| -(at.dy() * at.output(0).square()))),
    }
}

pointwise! {
    pub(crate) SQUARE = square(x: float)[] -> float {
        wgsl: "x * x",
        reference<F>: x * x,
        backward: Some(|at| at.give_with(0, |at| at.dy() * (at.input(0) * 2.0))),
    }
}

pointwise! {
    pub(crate) ABS = abs(x: float)[] -> float {
        wgsl: "abs(x)",
        reference<F>: x.abs(),
        backward: Some(|at| at.give_with(0, |at| at.dy() * at.input(0).sign())),
    }
}

pointwise! {
    // WGSL's own `sign` is wrong on some drivers.
    pub(crate) SIGN = sign(x: float)[] -> float {
        wgsl: "select(0.0, 1.0, x > 0.0) - select(0.0, 1.0, x < 0.0)",
        reference<F>: if x > F::zero() { F::one() } else if x < F::zero() { -F::one() } else { F::zero() },
        backward: None,
    }
}

pointwise! {
    pub(crate) FLOOR = floor(x: float)[] -> float {
        wgsl: "floor(x)",
        reference<F>: x.floor(),
        backward: None,
    }
}

pointwise! {
    // d/dx = p·x^(p-1), 0 for p = 0 even at x = 0.
    pub(crate) POW = pow(x: float, p: float)[] -> float {
        wgsl: "special_pow(x, p)",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: x.powf(p),
        backward: Some(|at| {
            at.give_with(0, |at| {
                let p = at.input(1);
                let slope = p * at.input(0).pow(&(p - 1.0));
                at.dy() * p.eq(0.0).where_cond(0.0, &slope)
            });
            at.give_with(1, |at| at.dy() * at.input(0).pointwise(&POW_BY_EXPONENT, &[at.input(1), at.output(0)], &[]));
        }),
    }
}

pointwise! {
    pub(crate) POWF = powf(x: float)[p] -> float {
        wgsl: "special_pow(x, p)",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: x.powf(p),
        backward: Some(|at| at.give_with(0, |at| {
            let p = at.attribute(0);
            if p == 0.0 { at.dy() * 0.0 } else { at.dy() * (at.input(0).pow(p - 1.0) * p) }
        })),
    }
}

pointwise! {
    // d(x^p)/dp = x^p·log(x), with y = x^p; 0 where x = 0 and p ≥ 0, as PyTorch has it.
    pub(crate) POW_BY_EXPONENT = pow_by_exponent(x: float, p: float, y: float)[] -> float {
        wgsl: "select(y * special_log(x), 0.0, x == 0.0 && p >= 0.0)",
        library: SPECIAL,
        steps: 32.0,
        reference<F>: if x == F::zero() && p >= F::zero() { F::zero() } else { y * x.ln() },
        backward: None,
    }
}

pointwise! {
    pub(crate) MAXIMUM = maximum(x: float, y: float)[] -> float {
        wgsl: "select(select(select(x, y, y > x), y, special_is_nan(y)), x, special_is_nan(x))",
        library: SPECIAL,
        reference<F>: if y > x || y.is_nan() && !x.is_nan() { y } else { x },
        backward: Some(|at| {
            at.give_with(0, |at| at.input(0).pointwise(&SHARE, &[at.input(1), &at.dy()], &[]));
            at.give_with(1, |at| at.input(1).pointwise(&SHARE, &[at.input(0), &at.dy()], &[]));
        }),
    }
}

pointwise! {
    pub(crate) MINIMUM = minimum(x: float, y: float)[] -> float {
        wgsl: "select(select(select(x, y, y < x), y, special_is_nan(y)), x, special_is_nan(x))",
        library: SPECIAL,
        reference<F>: if y < x || y.is_nan() && !x.is_nan() { y } else { x },
        backward: Some(|at| {
            at.give_with(0, |at| at.input(1).pointwise(&SHARE, &[at.input(0), &at.dy()], &[]));
            at.give_with(1, |at| at.input(0).pointwise(&SHARE, &[at.input(1), &at.dy()], &[]));
        }),
    }
}

pointwise! {
    // What x gets of the gradient of max(x, y): all when larger, half in a tie.
    pub(crate) SHARE = share(x: float, y: float, dy: float)[] -> float {
        wgsl: "select(select(0.0, dy, x > y), 0.5 * dy, x == y)",
        reference<F>: if x == y { F::lit(0.5) * dy } else if x > y { dy } else { F::zero() },
        backward: Some(|at| {
            at.give_with(2, |at| at.input(0).pointwise(&SHARE, &[at.input(1), &at.dy()], &[]));
        }),
    }
}

pointwise! {
    pub(crate) CLAMP = clamp(x: float)[low, high] -> float {
        wgsl: "select(select(select(x, low, x < low), high, max(x, low) > high), x, special_is_nan(x))",
        library: SPECIAL,
        reference<F>: if x.max(low) > high { high } else if x < low { low } else { x },
        backward: Some(|at| at.give_with(0, |at| {
            at.input(0).pointwise(&CLAMP_BACKWARD, &[&at.dy()], &[at.attribute(0), at.attribute(1)])
        })),
    }
}

pointwise! {
    pub(crate) CLAMP_BACKWARD = clamp_backward(x: float, dy: float)[low, high] -> float {
        wgsl: "select(dy, 0.0, x <= low || x >= high)",
        reference<F>: if x <= low || x >= high { F::zero() } else { dy },
        backward: Some(|at| at.give_with(1, |at| {
            at.input(0).pointwise(&CLAMP_BACKWARD, &[&at.dy()], &[at.attribute(0), at.attribute(1)])
        })),
    }
}

pointwise! {
    pub(crate) ERF = erf(x: float)[] -> float {
        wgsl: "special_erf(x)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: x.erf(),
        backward: Some(|at| at.give_with(0, |at| at.input(0).pointwise(&ERF_BACKWARD, &[&at.dy()], &[]))),
    }
}

pointwise! {
    // dy·(2/√π)·exp(-x²)
    pub(crate) ERF_BACKWARD = erf_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * 1.128379167 * exp(-x * x)",
        steps: 8.0,
        reference<F>: dy * F::lit(std::f64::consts::FRAC_2_SQRT_PI) * (-x * x).exp(),
        backward: Some(|at| {
            at.give_with(0, |at| at.dy() * at.output(0) * at.input(0) * -2.0);
            at.give_with(1, |at| at.input(0).pointwise(&ERF_BACKWARD, &[&at.dy()], &[]));
        }),
    }
}

/// Elementary functions of each element.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2, 3], DType::F32);
/// let y = graph.input("y", [3], DType::F32);
/// assert_eq!(x.exp().maximum(&y).shape().dims(), [2, 3]);
/// ```
impl Tensor {
    /// `eˣ`.
    #[track_caller]
    pub fn exp(&self) -> Tensor {
        self.pointwise(&EXP, &[], &[])
    }

    /// The natural logarithm.
    #[track_caller]
    pub fn log(&self) -> Tensor {
        self.pointwise(&LOG, &[], &[])
    }

    /// `log(1 + x)`, accurate near 0.
    #[track_caller]
    pub fn log1p(&self) -> Tensor {
        self.pointwise(&LOG1P, &[], &[])
    }

    /// `√x`; the gradient at 0 is infinite.
    #[track_caller]
    pub fn sqrt(&self) -> Tensor {
        self.pointwise(&SQRT, &[], &[])
    }

    /// `1 / √x`.
    #[track_caller]
    pub fn rsqrt(&self) -> Tensor {
        self.pointwise(&RSQRT, &[], &[])
    }

    /// `1 / x`.
    #[track_caller]
    pub fn reciprocal(&self) -> Tensor {
        self.pointwise(&RECIP, &[], &[])
    }

    /// `x²`.
    #[track_caller]
    pub fn square(&self) -> Tensor {
        self.pointwise(&SQUARE, &[], &[])
    }

    /// `|x|`; the gradient at 0 is 0.
    #[track_caller]
    pub fn abs(&self) -> Tensor {
        self.pointwise(&ABS, &[], &[])
    }

    /// -1, 0 or 1; the gradient is 0.
    #[track_caller]
    pub fn sign(&self) -> Tensor {
        self.pointwise(&SIGN, &[], &[])
    }

    /// The largest whole number that is not above x; the gradient is 0.
    #[track_caller]
    pub fn floor(&self) -> Tensor {
        self.pointwise(&FLOOR, &[], &[])
    }

    /// The error function.
    #[track_caller]
    pub fn erf(&self) -> Tensor {
        self.pointwise(&ERF, &[], &[])
    }

    /// `xᵖ` for one exponent or a tensor of them. A negative x is fine where p is whole; `x⁰` is 1.
    ///
    /// One exponent that is not finite is an error. Source: `torch.pow`.
    #[track_caller]
    pub fn pow(&self, p: impl Into<TensorOrScalar>) -> Tensor {
        let x = self;
        let p = match p.into() {
            TensorOrScalar::Tensor(p) => return x.pointwise(&POW, &[&p], &[]),
            TensorOrScalar::Scalar(p) => p,
        };
        if !p.is_finite() {
            return x.misfit("pow", &[], Misfit::new(format!("the exponent {p} is not finite")));
        }
        // What has a better kernel of its own.
        match p {
            -1.0 => x.reciprocal(),
            -0.5 => x.rsqrt(),
            0.5 => x.sqrt(),
            1.0 => x.clone(),
            2.0 => x.square(),
            _ => x.pointwise(&POWF, &[], &[p]),
        }
    }

    /// The smaller of two; in a tie each side gets half of the gradient. Source: `torch.minimum`.
    #[track_caller]
    pub fn minimum(&self, other: impl Into<TensorOrScalar>) -> Tensor {
        self.pointwise(&MINIMUM, &[&other.into().beside(self)], &[])
    }

    /// The larger of two; in a tie each side gets half of the gradient. Source: `torch.maximum`.
    #[track_caller]
    pub fn maximum(&self, other: impl Into<TensorOrScalar>) -> Tensor {
        self.pointwise(&MAXIMUM, &[&other.into().beside(self)], &[])
    }

    /// `min(max(x, low), high)`. The gradient passes where `low < x < high`. An infinite bound is no bound.
    #[track_caller]
    pub fn clamp(&self, low: f64, high: f64) -> Tensor {
        let x = self;
        if low.is_nan() || high.is_nan() {
            return x.misfit("clamp", &[], Misfit::new(format!("the bounds are {low} and {high}")));
        }
        // WGSL has no literal for infinity, and not every compiler reads the largest f32.
        let finite = |bound: f64| bound.clamp(-3.0e38, 3.0e38);
        x.pointwise(&CLAMP, &[], &[finite(low), finite(high)])
    }
}
