//! Conversion of binary numbers in files to arrays.

use std::io::Read;

use wgrad_core::Array;

use crate::error::ArrayFileError;

/// Binary format of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A byte that is 0 for false.
    Bool,
    /// A signed integer with this many bytes.
    Int(usize),
    /// An unsigned integer with this many bytes.
    Uint(usize),
    /// An IEEE 754 float with this many bytes.
    Float(usize),
}

impl Kind {
    fn bytes(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Int(bytes) | Self::Uint(bytes) | Self::Float(bytes) => bytes,
        }
    }

    /// Reads an array of the given shape; the reader must be at the first number.
    ///
    /// Memory use grows only as bytes are read, so a header with too large a shape cannot exhaust the memory.
    pub(super) fn read(self, dims: &[usize], big_endian: bool, from: impl Read) -> Result<Array, ArrayFileError> {
        let numbers = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
        let expected = numbers.and_then(|numbers| numbers.checked_mul(self.bytes()));
        let expected = expected.ok_or_else(|| ArrayFileError::TooLarge { shape: dims.to_vec() })?;
        let mut bytes = vec![];
        let read = from.take((expected as u64).saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| ArrayFileError::Unreadable { reason: error.to_string() })?;
        if bytes.len() != expected {
            let found = Some(bytes.len()).filter(|found| *found < expected);
            return Err(ArrayFileError::Length { shape: dims.to_vec(), size: self.bytes(), expected, found });
        }
        self.array(dims, big_endian, &bytes)
    }

    /// Converts bytes to an array.
    fn array(self, dims: &[usize], big_endian: bool, bytes: &[u8]) -> Result<Array, ArrayFileError> {
        let chunks = bytes.chunks_exact(self.bytes());
        let bits = chunks.map(|chunk| {
            let shifted = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
            if big_endian { chunk.iter().fold(0, shifted) } else { chunk.iter().rev().fold(0, shifted) }
        });
        let array = match self {
            Self::Float(4) => Array::new(dims, bits.map(|bits| f32::from_bits(bits as u32)).collect()),
            Self::Float(8) => Array::new(dims, bits.map(f64::from_bits).collect()),
            Self::Float(_) => Array::new(dims, bits.map(|bits| half(bits as u16)).collect()),
            Self::Bool => Array::new(dims, bits.map(|bits| u32::from(bits != 0)).collect()),
            Self::Uint(_) => integers(dims, bits.map(i128::from)),
            #[allow(clippy::cast_possible_wrap, reason = "the sign is the highest bit")]
            Self::Int(bytes) => {
                let spare = 64 - 8 * bytes;
                integers(dims, bits.map(|bits| i128::from(((bits << spare) as i64) >> spare)))
            }
        };
        array.map_err(|error| ArrayFileError::Array { reason: error.to_string() })
    }
}

/// Creates an array of integers: `u32` if all of them fit, else `f64`.
fn integers(dims: &[usize], values: impl Iterator<Item = i128> + Clone) -> wgrad_core::Result<Array> {
    let small: Option<Vec<u32>> = values.clone().map(|value| u32::try_from(value).ok()).collect();
    match small {
        Some(values) => Array::new(dims, values),
        None => Array::new(dims, values.map(|value| value as f64).collect()),
    }
}

/// Converts the bits of a 16-bit float to a 32-bit float.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, bits & 1023);
    let size = match exponent {
        0 => f32::from(fraction) * 2_f32.powi(-24),
        31 if fraction == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => f32::from(fraction | 1024) * 2_f32.powi(i32::from(exponent) - 25),
    };
    if sign == 1 { -size } else { size }
}
