//! Sine and cosine. WGSL allows its own an error of 2⁻¹¹.

use std::borrow::Borrow;

use wgrad_core::{Pointwise, Tensor, pointwise};

use super::pointwise::SPECIAL;

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
/// use wgrad_kernels::ops::TrigonometryOps;
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [64], DType::F32);
/// assert_eq!((x.sin() * x.cos()).shape(), x.shape());
/// ```
pub trait TrigonometryOps: Borrow<Tensor> {
    /// The sine. On a GPU, digits are lost beyond |x| = 25,000.
    #[track_caller]
    fn sin(&self) -> Tensor {
        self.borrow().pointwise(&SIN, &[], &[])
    }

    /// The cosine. On a GPU, digits are lost beyond |x| = 25,000.
    #[track_caller]
    fn cos(&self) -> Tensor {
        self.borrow().pointwise(&COS, &[], &[])
    }
}

impl TrigonometryOps for Tensor {}
