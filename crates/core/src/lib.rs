//! draft
pub mod array;
pub mod dtype;
pub mod error;
pub mod shape;
pub use {
    array::{Array, Data, Element},
    dtype::DType,
    error::{Error, GraphError, Misfit, Result, Site},
    shape::Shape,
};
