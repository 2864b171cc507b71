//! Spec: a shape and an element type in one value.

use crate::{DType, Shape};

/// Shape and element type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// The shape.
    pub shape: Shape,
    /// The element type.
    pub dtype: DType,
}

impl Spec {
    /// Creates a spec.
    pub fn new(shape: impl Into<Shape>, dtype: DType) -> Self {
        Self { shape: shape.into(), dtype }
    }

    /// Creates the spec of an `f32` value.
    pub fn f32(shape: impl Into<Shape>) -> Self {
        Self::new(shape, DType::F32)
    }

    /// Creates the spec of a `u32` value.
    pub fn u32(shape: impl Into<Shape>) -> Self {
        Self::new(shape, DType::U32)
    }

    /// Returns the number of bytes that the value needs on a device.
    pub fn bytes(&self) -> usize {
        self.shape.numel() * self.dtype.size()
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
