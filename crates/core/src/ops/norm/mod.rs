//! Norms: over channels, over rows, of vectors, of lists of tensors.

pub(crate) mod batch_norm;
pub(crate) mod channels;
pub(crate) mod row_norm;
pub(crate) mod total_norm;
pub(crate) mod vector_norm;
