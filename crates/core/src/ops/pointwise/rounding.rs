//! Rounding, and the sign with an estimated gradient.
//!
//! ```
//! use wgrad_core::{DType, Graph, Mode};
//! let graph = Graph::new(Mode::Train);
//! let x = graph.input("x", [64, 30], DType::F32);
//! let weight = graph.input("weight", [10, 30], DType::F32);
//! assert_eq!(x.linear(&weight.binarize(), None).shape().dims(), [64, 10]);
//! ```

use crate::op::pointwise::pointwise_ops;

pointwise_ops! {
    /// The smallest whole number that is not below x; the gradient is 0.
    pub(crate) CEIL = ceil(x: float)[] -> float as ceil {
        wgsl: "ceil(x)",
        reference<F>: -(-x).floor(),
        backward: none,
    }

    // Halves to the even neighbour.
    /// The nearest whole number, of two the even one; the gradient is 0.
    pub(crate) ROUND = round(x: float)[] -> float as round {
        wgsl: "round(x)",
        reference<F>: {
            let below = x.floor();
            let half = F::lit(0.5);
            let odd = (below * half).floor() + (below * half).floor() != below;
            if x - below > half || (x - below == half && odd) { below + F::one() } else { below }
        },
        backward: none,
    }

    /// x without its fraction; the gradient is 0.
    pub(crate) TRUNC = trunc(x: float)[] -> float as trunc {
        wgsl: "trunc(x)",
        reference<F>: if x < F::zero() { -(-x).floor() } else { x.floor() },
        backward: none,
    }

    // The gradient is that of a clamp to [-1, 1], with its ends: an estimate, for the true one is 0.
    /// 1 for `x ≥ 0`, −1 below: binary weights and activations. The gradient passes straight through where `|x| ≤ 1`.
    ///
    /// The true gradient is 0 nearly everywhere; with this estimate of it such networks train. Hubara, Courbariaux,
    /// Soudry, El-Yaniv, Bengio: "Binarized neural networks", 2016.
    pub(crate) SIGN_STE = sign_ste(x: float)[] -> float as binarize {
        wgsl: "select(-1.0, 1.0, x >= 0.0)",
        reference<F>: if x >= F::zero() { F::one() } else { -F::one() },
        estimated: true,
        backward(grad): {
            x: {
                let passes = x.abs().le(1.0);
                passes.where_cond(grad, 0.0)
            },
        },
    }
}
