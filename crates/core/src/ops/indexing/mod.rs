//! Elements chosen by indices: rows, elements along an axis, masks.

pub(crate) mod gather;
pub(crate) mod gather_along;
pub(crate) mod masks;
