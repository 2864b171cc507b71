//! Fused losses, without reduction: binary cross-entropy, focal loss and softmax cross-entropy.

pub(crate) mod bce_with_logits;
pub(crate) mod binary;
pub(crate) mod cross_entropy;
