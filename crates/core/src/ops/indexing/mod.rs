//! Elements chosen by indices: rows, elements along an axis, masks.

pub(crate) mod gather;
pub(crate) mod gather_along;
pub(crate) mod masks;

/// What an index beyond the axis reads: the bits of a NaN, also of integers.
const NAN_BITS: u32 = 0x7fc0_0000;
