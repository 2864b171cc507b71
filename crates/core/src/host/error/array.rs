//! Errors of host arrays.

use crate::host::text::count;
use crate::{Shape, Spec};

/// Array whose shape, type or number of values does not fit its use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// The number of values is not the number of elements of the shape.
    #[error("{} cannot fill an array of shape {shape}, which holds {}", count(*values, "value"), shape.numel())]
    Count {
        /// The number of values.
        values: usize,
        /// The shape.
        shape: Shape,
    },
    /// The array has not exactly one element.
    #[error("an array of shape {shape} is not a single number")]
    NotScalar {
        /// The array's shape.
        shape: Shape,
    },
    /// The array has another shape or type than its use needs.
    #[error("{what} are {expected}, not {found}")]
    Spec {
        /// The array's purpose, such as `the rows of an embedding`.
        what: String,
        /// The expected shape and type, such as `f32[num_embeddings, embedding_dim]`.
        expected: String,
        /// The array's shape and type.
        found: Spec,
    },
}
