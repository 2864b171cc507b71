//! Lowering of the tasks of a plan to compiled kernels.
//!
//! [`launch`] lowers a task to launches: a [`cluster`] or a [`group`] becomes a kernel of its own, written by
//! [`print`]; clusters attached to an op are [`fused`] into the op's kernel. [`reflect`] reads bindings and
//! parameters from the WGSL, and [`compile`] creates pipelines.

pub(crate) mod bound;
mod cluster;
pub(crate) mod compile;
mod fused;
mod group;
pub(crate) mod launch;
mod print;
pub(crate) mod reflect;
pub(crate) mod trusted;
