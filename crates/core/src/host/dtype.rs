//! Element types of host arrays and of tensors.

use std::fmt;

/// Element type.
///
/// The tensors of a graph are `F32` (any floating-point tensor) or `U32` (labels, indices, masks). Only host
/// arrays can be `F64`: the CPU backend returns such arrays when it runs in double precision, and an `F64` array
/// can be fed to an `F32` input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit floating point; the type of every floating-point tensor of a graph.
    F32,
    /// 64-bit floating point; only for host arrays.
    F64,
    /// 32-bit unsigned integers: class labels, indices, and masks of 0 and 1.
    U32,
}

impl DType {
    /// Returns whether a host array of this type can be fed to a graph input of type `graph`.
    pub fn feeds(self, graph: Self) -> bool {
        self == graph || (self.is_float() && graph.is_float())
    }

    /// Returns whether this is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }

    /// Returns the size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F64 => 8,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::U32 => "u32",
        })
    }
}
