//! Rounding, and the sign with a straight-through gradient.
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
    /// Rounds each element x up, to the smallest integer that is not below x.
    ///
    /// The gradient is 0. Equivalent: `torch.ceil`.
    pub(crate) CEIL = ceil(x: float)[] -> float as ceil {
        wgsl: "ceil(x)",
        reference<F>: -(-x).floor(),
        backward: none,
    }

    /// Rounds each element to the nearest integer, and halves to the nearest even integer.
    ///
    /// The gradient is 0. Equivalent: `torch.round`.
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

    /// Rounds each element towards 0, by dropping its fraction.
    ///
    /// The gradient is 0. Equivalent: `torch.trunc`.
    pub(crate) TRUNC = trunc(x: float)[] -> float as trunc {
        wgsl: "trunc(x)",
        reference<F>: if x < F::zero() { -(-x).floor() } else { x.floor() },
        backward: none,
    }

    // The estimated gradient is that of a clamp to [-1, 1], including both ends.
    /// Binarizes each element: 1 for `x ≥ 0`, −1 below, with a straight-through gradient.
    ///
    /// This op is meant for binary weights and activations. The true gradient is 0 nearly everywhere; the
    /// straight-through estimator passes the gradient unchanged where `|x| ≤ 1`. Hubara, Courbariaux, Soudry,
    /// El-Yaniv, Bengio: "Binarized neural networks", 2016.
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
