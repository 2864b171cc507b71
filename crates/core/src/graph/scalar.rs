//! Function arguments that may be tensors or numbers.

use crate::{DType, InvalidArgument, Tensor};

/// Right operand of a binary method: a tensor or a number.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [3], DType::F32);
/// let y = graph.input("y", [3], DType::F32);
/// assert_eq!(x.gt(0.0).shape(), x.gt(&y).shape());
/// ```
#[derive(Clone, Debug)]
pub enum TensorOrScalar {
    /// A tensor.
    Tensor(Tensor),
    /// A number, which is converted to the element type of the left operand.
    Scalar(f64),
}

impl TensorOrScalar {
    /// Returns the tensor, or the number as an `f32` constant in the graph of `other`.
    #[track_caller]
    pub(crate) fn on(self, other: &Tensor) -> Tensor {
        match self {
            Self::Tensor(tensor) => tensor,
            Self::Scalar(value) => other.number(value),
        }
    }

    /// Returns the tensor, or the number as a constant with the element type of `other`.
    #[track_caller]
    pub(crate) fn beside(self, other: &Tensor) -> Tensor {
        match self {
            Self::Tensor(tensor) => tensor,
            Self::Scalar(value) if other.dtype() == DType::U32 => {
                if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
                    other.graph().constant_u32(value as u32)
                } else {
                    other.invalid("constant", &[], InvalidArgument::new(format!("{value} is no u32")))
                }
            }
            Self::Scalar(value) => other.number(value),
        }
    }
}

impl From<Tensor> for TensorOrScalar {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl From<&Tensor> for TensorOrScalar {
    fn from(tensor: &Tensor) -> Self {
        Self::Tensor(tensor.clone())
    }
}

impl From<&&Tensor> for TensorOrScalar {
    fn from(tensor: &&Tensor) -> Self {
        Self::Tensor((*tensor).clone())
    }
}

impl From<f64> for TensorOrScalar {
    fn from(value: f64) -> Self {
        Self::Scalar(value)
    }
}

impl From<f32> for TensorOrScalar {
    fn from(value: f32) -> Self {
        Self::Scalar(value.into())
    }
}

impl From<i32> for TensorOrScalar {
    fn from(value: i32) -> Self {
        Self::Scalar(value.into())
    }
}

impl From<u32> for TensorOrScalar {
    fn from(value: u32) -> Self {
        Self::Scalar(value.into())
    }
}
