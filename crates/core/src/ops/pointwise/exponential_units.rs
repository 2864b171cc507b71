//! Activation functions that saturate exponentially: ELU and its kin, Mish, and softplus with PyTorch's options.

use crate::op::pointwise::pointwise_ops;
use crate::{InvalidArgument, Real, Tensor};

use crate::ops::pointwise::activations::sigmoid;
use wgrad_shaders::lib::SPECIAL;

/// SELU's two numbers: with them, means 0 and variances 1 are kept from layer to layer.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// `exp(x) - 1` for x ≤ 0, accurate near 0, in the vectors that `tanh` has.
#[inline(always)]
fn expm1<F: Real>(x: F) -> F {
    let t = (F::lit(0.5) * x).tanh();
    F::lit(2.0) * t / (F::one() - t)
}

/// `t = tanh(log(1 + exp(x)))` and its slope, both with relative accuracy; see `special_mish`.
#[inline(always)]
fn mish<F: Real>(x: F) -> (F, F) {
    let (s, q, one) = (sigmoid(x), sigmoid(-x), F::one());
    let below = one + q * q;
    (s * (one + q) / below, F::lit(4.0) * (q / below) * (q / below) * s)
}

pointwise_ops! {
    // scale·x above 0, scale·alpha·(exp(rate·x) - 1) elsewhere
    pub(crate) ELU = elu(x: float)[alpha, scale, rate] -> float {
        wgsl: "scale * select(alpha * special_expm1(rate * select(x, 0.0, x > 0.0)), x, x > 0.0)",
        library: SPECIAL,
        steps: 8.0,
        reference<F>: scale * if x > F::zero() { x } else { alpha * expm1(rate * x) },
        backward(grad): {
            x: x.pointwise(&ELU_BACKWARD, &[grad], &[alpha, scale, rate]),
        },
    }

    pub(crate) ELU_BACKWARD = elu_backward(x: float, dy: float)[alpha, scale, rate] -> float {
        wgsl: "dy * scale * select(alpha * rate * exp(rate * select(x, 0.0, x > 0.0)), 1.0, x > 0.0)",
        steps: 8.0,
        reference<F>: dy * scale * if x > F::zero() { F::one() } else { alpha * rate * (rate * x).exp() },
        backward(grad, out): {
            x: x.gt(0.0).where_cond(0.0, grad * out * rate),
            dy: x.pointwise(&ELU_BACKWARD, &[grad], &[alpha, scale, rate]),
        },
    }

    /// `x·tanh(log(1 + eˣ))`. Misra: "Mish: a self regularized non-monotonic activation function", 2019.
    pub(crate) MISH = mish(x: float)[] -> float as mish {
        wgsl: "x * special_mish(x).x",
        library: SPECIAL,
        steps: 12.0,
        reference<F>: x * mish(x).0,
        backward(grad): { x: x.pointwise(&MISH_BACKWARD, &[grad], &[]) },
    }

    // dy·(t + x·t')
    pub(crate) MISH_BACKWARD = mish_backward(x: float, dy: float)[] -> float {
        wgsl: "dy * dot(special_mish(x), vec2(1.0, x))",
        library: SPECIAL,
        steps: 24.0,
        reference<F>: { let (t, slope) = mish(x); dy * (t + x * slope) },
        backward(grad): {
            x: {
                    // 2·t' + x·t'' with t'' = t'·(q - 2s + 4·q²·s / (1 + q²))
                    let (s, q) = (&x.sigmoid(), &(-x).sigmoid());
                    let below = &(q.square() + 1.0);
                    let share = &(q / below);
                    let slope = share.square() * s * 4.0;
                    let curve = q - s * 2.0 + share * q * s * 4.0;
                    grad * dy * slope * (x * curve + 2.0)
                },
                dy: x.pointwise(&MISH_BACKWARD, &[grad], &[]),
            },
    }
}

/// Why an option of an activation cannot be what it is.
pub(crate) fn finite(option: &str, value: f64) -> Option<InvalidArgument> {
    (!value.is_finite()).then(|| InvalidArgument::new(format!("{option} must be a number, not {value}")))
}

/// Activation functions that saturate exponentially.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// assert!(x.elu(1.0).is_valid() && x.mish().is_valid());
/// assert!(!x.celu(0.0).is_valid());
/// ```
impl Tensor {
    /// `x` above 0, `alpha·(eˣ − 1)` elsewhere. Source: `torch.nn.functional.elu`.
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Tensor {
        let x = self;
        match finite("alpha", alpha) {
            Some(invalid) => x.invalid("elu", &[], invalid),
            None => x.pointwise(&ELU, &[], &[alpha, 1.0, 1.0]),
        }
    }

    /// `x` above 0, `alpha·(e^(x/alpha) − 1)` elsewhere, which has the slope 1 at 0; an alpha of 0 is an error.
    ///
    /// Source: `torch.nn.functional.celu`.
    #[track_caller]
    pub fn celu(&self, alpha: f64) -> Tensor {
        let x = self;
        if alpha == 0.0 {
            let invalid = InvalidArgument::new("alpha must not be 0: x is divided by it").fix("1 is PyTorch's default");
            return x.invalid("celu", &[], invalid);
        }
        if alpha < 0.0 {
            let invalid =
                InvalidArgument::new(format!("alpha must be positive, not {alpha}")).fix("1 is PyTorch's default");
            return x.invalid("celu", &[], invalid);
        }
        match finite("alpha", alpha) {
            Some(invalid) => x.invalid("celu", &[], invalid),
            None => x.pointwise(&ELU, &[], &[alpha, 1.0, 1.0 / alpha]),
        }
    }

    /// `1.0507·elu(x)` with an alpha of 1.6733: Klambauer et al., "Self-normalizing neural networks", 2017.
    #[track_caller]
    pub fn selu(&self) -> Tensor {
        self.pointwise(&ELU, &[], &[SELU_ALPHA, SELU_SCALE, 1.0])
    }

    /// `log(1 + e^(beta·x)) / beta`, and x itself where `beta·x > threshold`. A beta of 0 is an error.
    ///
    /// Source: `torch.nn.functional.softplus`, whose defaults are 1 and 20.
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
