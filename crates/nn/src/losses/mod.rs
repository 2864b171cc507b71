//! Losses: PyTorch's options, defaults and reductions.
//!
//! | the model gives | the targets are | loss |
//! |---|---|---|
//! | one logit per row, `[N, 1]` | `f32[N, 1]`, 0 or 1 (or between) | [`BceWithLogitsLoss`] |
//! | `K` independent logits, `[N, K]` | `f32[N, K]` | [`BceWithLogitsLoss`] |
//! | `C` logits, one per exclusive class, `[N, C]` | `u32[N]`, the class | [`CrossEntropyLoss`] |
//! | the same | `f32[N, C]`, probabilities | [`CrossEntropyLoss`] |
//!
//! Losses take logits: no sigmoid and no softmax at the end of the model.

mod bce_with_logits;
mod cross_entropy;
#[cfg(test)]
mod tests;

pub use bce_with_logits::BceWithLogitsLoss;
pub use cross_entropy::{CrossEntropyLoss, IGNORE};

use wgrad_core::{Array, Graph, Tensor};

/// How the losses of the elements become the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// They stay apart.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

/// Weights of a loss: one number, or an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// The same everywhere.
    Number(f64),
    /// An array, as the loss says.
    Array(Array),
}

impl Weights {
    #[track_caller]
    fn tensor(&self, graph: &Graph) -> Tensor {
        match self {
            Self::Number(value) => graph.constant(*value),
            Self::Array(array) if array.dtype().is_float() => graph.array(array.clone()),
            Self::Array(array) => graph.array(Array::new(array.shape(), array.to_f64()).expect("the same shape")),
        }
    }
}

impl From<f64> for Weights {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}

impl From<f32> for Weights {
    fn from(value: f32) -> Self {
        Self::Number(value.into())
    }
}

impl From<Vec<f32>> for Weights {
    fn from(values: Vec<f32>) -> Self {
        Self::Array(Array::vector(values))
    }
}

impl From<Vec<f64>> for Weights {
    fn from(values: Vec<f64>) -> Self {
        Self::Array(Array::vector(values))
    }
}

impl From<&[f32]> for Weights {
    fn from(values: &[f32]) -> Self {
        values.to_vec().into()
    }
}

impl<const N: usize> From<[f32; N]> for Weights {
    fn from(values: [f32; N]) -> Self {
        values.to_vec().into()
    }
}

impl From<Array> for Weights {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}
