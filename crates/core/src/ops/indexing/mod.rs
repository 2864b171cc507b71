//! Indexing: embedding, gather and scatter, masks, one-hot encoding and triangular matrices.

pub(crate) mod gather;
pub(crate) mod gather_along;
pub(crate) mod masks;

/// Bits of the result for an index beyond the axis: those of a NaN, in tensors of integers, too.
const NAN_BITS: u32 = 0x7fc0_0000;
