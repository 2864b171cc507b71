//! Lowering of the tasks of a plan to compiled kernels.
//!
//! [`launch`] lowers a task to launches. A [`cluster`] (fused pointwise ops) or a [`group`] (the same ops on many
//! sets of buffers) gets a kernel that [`print`] generates; a cluster attached to another op is [`fused`] into
//! that op's kernel. [`reflect`] extracts bindings and parameters from the WGSL, and [`compile`] creates
//! pipelines.

pub(crate) mod bound;
mod cluster;
pub(crate) mod compile;
mod fused;
mod group;
pub(crate) mod launch;
mod print;
pub(crate) mod reflect;
pub(crate) mod trusted;
