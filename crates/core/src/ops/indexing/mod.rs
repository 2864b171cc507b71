//! Indexing: embedding, gather and scatter, masks, one-hot and triangles.

pub(crate) mod gather;
pub(crate) mod gather_along;
pub(crate) mod masks;

/// Result of an index beyond the axis: the bits of a NaN, for integers too.
const NAN_BITS: u32 = 0x7fc0_0000;
