//! Pointwise ops: each is a WGSL expression for one element. They have no shaders; the planner fuses them into
//! kernels.

pub(crate) mod activations;
pub(crate) mod arithmetic;
pub(crate) mod compare;
pub(crate) mod dropout;
pub(crate) mod elementary;
pub(crate) mod rounding;
pub(crate) mod trigonometry;
