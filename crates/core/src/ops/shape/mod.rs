//! Views, concatenation, padding, and other ops that move elements without arithmetic.

pub(crate) mod arrange;
pub(crate) mod concat;
pub(crate) mod pad;
pub(crate) mod views;
