//! Fused losses: one pass over the logits.

pub(crate) mod bce_with_logits;
pub(crate) mod binary;
pub(crate) mod cross_entropy;
