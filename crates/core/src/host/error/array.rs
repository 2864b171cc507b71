//! Errors of host arrays.

use crate::host::text::count;
use crate::{Shape, Spec};

/// Error: an array's shape, element type or number of values does not fit its use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// The number of values differs from the number of elements of the shape.
    #[error("{} cannot fill an array of shape {shape}, which holds {}", count(*values, "value"), shape.numel())]
    Count {
        /// The number of values.
        values: usize,
        /// The shape.
        shape: Shape,
    },
    /// The array does not have exactly one element.
    #[error("an array of shape {shape} is not a single number")]
    NotScalar {
        /// The array's shape.
        shape: Shape,
    },
    /// The array does not have the required shape or element type.
    #[error("{what} are {expected}, not {found}")]
    Spec {
        /// The purpose of the array, such as `the rows of an embedding`.
        what: String,
        /// The expected shape and type, such as `f32[num_embeddings, embedding_dim]`.
        expected: String,
        /// The array's shape and type.
        found: Spec,
    },
}
