//! Rounding, and the sign with an estimated gradient.

use crate::{Pointwise, Tensor, pointwise};

/// The rows of this file.
pub(crate) static ROWS: &[&Pointwise] = &[&CEIL, &ROUND, &TRUNC, &SIGN_STE];

pointwise! {
    pub(crate) CEIL = ceil(x: float)[] -> float {
        wgsl: "ceil(x)",
        reference<F>: -(-x).floor(),
        backward: None,
    }
}

pointwise! {
    // Halves to the even neighbour.
    pub(crate) ROUND = round(x: float)[] -> float {
        wgsl: "round(x)",
        reference<F>: {
            let below = x.floor();
            let half = F::lit(0.5);
            let odd = (below * half).floor() + (below * half).floor() != below;
            if x - below > half || (x - below == half && odd) { below + F::one() } else { below }
        },
        backward: None,
    }
}

pointwise! {
    pub(crate) TRUNC = trunc(x: float)[] -> float {
        wgsl: "trunc(x)",
        reference<F>: if x < F::zero() { -(-x).floor() } else { x.floor() },
        backward: None,
    }
}

pointwise! {
    // The gradient is that of a clamp to [-1, 1], with its ends: an estimate, for the true one is 0.
    pub(crate) SIGN_STE = sign_ste(x: float)[] -> float {
        wgsl: "select(-1.0, 1.0, x >= 0.0)",
        reference<F>: if x >= F::zero() { F::one() } else { -F::one() },
        estimated: true,
        backward: Some(|at| at.give_with(0, |at| {
            let passes = at.input(0).abs().le(1.0);
            passes.where_cond(&at.dy(), 0.0)
        })),
    }
}

/// Rounding.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [64, 30], DType::F32);
/// let weight = graph.input("weight", [10, 30], DType::F32);
/// assert_eq!(x.linear(&weight.binarize(), None).shape().dims(), [64, 10]);
/// ```
impl Tensor {
    /// The smallest whole number that is not below x; the gradient is 0.
    #[track_caller]
    pub fn ceil(&self) -> Tensor {
        self.pointwise(&CEIL, &[], &[])
    }

    /// The nearest whole number, of two the even one; the gradient is 0.
    #[track_caller]
    pub fn round(&self) -> Tensor {
        self.pointwise(&ROUND, &[], &[])
    }

    /// x without its fraction; the gradient is 0.
    #[track_caller]
    pub fn trunc(&self) -> Tensor {
        self.pointwise(&TRUNC, &[], &[])
    }

    /// 1 for `x ≥ 0`, −1 below: binary weights and activations. The gradient passes straight through where `|x| ≤ 1`.
    ///
    /// The true gradient is 0 nearly everywhere; with this estimate of it such networks train. Hubara, Courbariaux,
    /// Soudry, El-Yaniv, Bengio: "Binarized neural networks", 2016.
    #[track_caller]
    pub fn binarize(&self) -> Tensor {
        self.pointwise(&SIGN_STE, &[], &[])
    }
}
