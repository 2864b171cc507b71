//! Sine and cosine, computed with wgrad's own WGSL functions, because WGSL allows its built-in functions an error
//! of 2⁻¹¹.
//!
//! ```
//! use wgrad_core::{DType, Graph, Mode};
//! let graph = Graph::new(Mode::Evaluate);
//! let x = graph.input("x", [64], DType::F32);
//! assert_eq!((x.sin() * x.cos()).shape(), x.shape());
//! ```

use crate::op::pointwise::pointwise_ops;

use wgrad_shaders::lib::SPECIAL;

pointwise_ops! {
    /// Computes the sine of each element, in radians.
    ///
    /// On a GPU, digits are lost beyond |x| = 25,000. Equivalent: `torch.sin`.
    pub(crate) SIN = sin(x: float)[] -> float as sin {
        wgsl: "special_sin(x, 0u)",
        library: SPECIAL,
        steps: 4.0,
        reference<F>: F::lit(x.wide().sin()),
        backward(grad): { x: grad * x.cos() },
    }

    /// Computes the cosine of each element, in radians.
    ///
    /// On a GPU, digits are lost beyond |x| = 25,000. Equivalent: `torch.cos`.
    pub(crate) COS = cos(x: float)[] -> float as cos {
        wgsl: "special_sin(x, 1u)",
        library: SPECIAL,
        steps: 4.0,
        reference<F>: F::lit(x.wide().cos()),
        backward(grad): { x: -(grad * x.sin()) },
    }
}
