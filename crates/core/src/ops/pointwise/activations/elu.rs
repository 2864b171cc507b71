//! Exponential linear units: ELU, CELU and SELU.

use crate::op::pointwise::pointwise_ops;
use crate::{InvalidArgument, Real, Tensor};

use crate::ops::pointwise::activations::finite;
use wgrad_shaders::lib::SPECIAL;

/// Constants of SELU, chosen so that activations keep mean 0 and variance 1 from layer to layer.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

/// Computes `exp(x) - 1` for x ≤ 0, accurate near 0, with the vectorised `tanh`.
#[inline(always)]
fn expm1<F: Real>(x: F) -> F {
    let t = (F::lit(0.5) * x).tanh();
    F::lit(2.0) * t / (F::one() - t)
}

pointwise_ops! {
    // Common form of ELU, CELU and SELU: scale·x where x > 0, scale·alpha·(exp(rate·x) - 1) elsewhere.
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
}

/// Exponential linear units, element by element.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64, 30], DType::F32);
/// assert!(x.elu(1.0).is_valid() && x.mish().is_valid());
/// assert!(!x.celu(0.0).is_valid());
/// ```
impl Tensor {
    /// Applies the exponential linear unit: `x` where x > 0, `alpha·(eˣ − 1)` elsewhere.
    ///
    /// PyTorch's default `alpha` is 1. Records an error in the graph, which `compile` reports, if `alpha` is not
    /// finite. Equivalent: `torch.nn.functional.elu`.
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Tensor {
        let x = self;
        match finite("alpha", alpha) {
            Some(invalid) => x.invalid("elu", &[], invalid),
            None => x.pointwise(&ELU, &[], &[alpha, 1.0, 1.0]),
        }
    }

    /// Applies the continuously differentiable ELU: `x` where x > 0, `alpha·(e^(x/alpha) − 1)` elsewhere.
    ///
    /// The derivative at 0 is 1. PyTorch's default `alpha` is 1. Records an error in the graph, which `compile`
    /// reports, if `alpha` is not positive and finite. Equivalent: `torch.nn.functional.celu`.
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

    /// Applies the scaled exponential linear unit: `1.0507·elu(x)` with an `alpha` of 1.6733.
    ///
    /// Klambauer et al.: "Self-normalizing neural networks", 2017. Equivalent: `torch.nn.functional.selu`.
    #[track_caller]
    pub fn selu(&self) -> Tensor {
        self.pointwise(&ELU, &[], &[SELU_ALPHA, SELU_SCALE, 1.0])
    }
}
