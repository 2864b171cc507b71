//! Sine and cosine. WGSL allows its own an error of 2⁻¹¹.

use crate::{Pointwise, Tensor, pointwise};

use wgrad_shaders::lib::SPECIAL;

/// The rows of this file.
pub(crate) static ROWS: &[&Pointwise] = &[&SIN, &COS];

pointwise! {
    pub(crate) SIN = sin(x: float)[] -> float {
        wgsl: "special_sin(x, 0u)",
        library: SPECIAL,
        steps: 4.0,
        reference<F>: F::lit(x.wide().sin()),
        backward: Some(|at| at.give_with(0, |at| at.dy() * at.input(0).cos())),
    }
}

pointwise! {
    pub(crate) COS = cos(x: float)[] -> float {
        wgsl: "special_sin(x, 1u)",
        library: SPECIAL,
        steps: 4.0,
        reference<F>: F::lit(x.wide().cos()),
        backward: Some(|at| at.give_with(0, |at| -(at.dy() * at.input(0).sin()))),
    }
}

/// Sine and cosine of each element.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64], DType::F32);
/// assert_eq!((x.sin() * x.cos()).shape(), x.shape());
/// ```
impl Tensor {
    /// The sine. On a GPU, digits are lost beyond |x| = 25,000.
    #[track_caller]
    pub fn sin(&self) -> Tensor {
        self.pointwise(&SIN, &[], &[])
    }

    /// The cosine. On a GPU, digits are lost beyond |x| = 25,000.
    #[track_caller]
    pub fn cos(&self) -> Tensor {
        self.pointwise(&COS, &[], &[])
    }
}
