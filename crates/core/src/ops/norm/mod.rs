//! Normalisation (batch, layer, group, RMS) and vector norms.

pub(crate) mod batch_norm;
pub(crate) mod channels;
pub(crate) mod row_norm;
pub(crate) mod total_norm;
pub(crate) mod vector_norm;
