//! Average and max pooling, sliding and adaptive.

pub(crate) mod avg;
pub(crate) mod max;
pub(crate) mod windows;
