//! Pooling.

pub(crate) mod avg;
pub(crate) mod max;
pub(crate) mod windows;
