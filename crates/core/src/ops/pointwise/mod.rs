//! Pointwise ops: one expression per element, fused by the planner, without a shader of their own.

pub(crate) mod activations;
pub(crate) mod arithmetic;
pub(crate) mod compare;
pub(crate) mod dropout;
pub(crate) mod elementary;
pub(crate) mod rounding;
pub(crate) mod trigonometry;
