//! From the tasks of a plan to compiled kernels.
//!
//! [`launch`] turns a task into launches: a [`cluster`] or a [`group`] becomes a kernel of its own, written by
//! [`print`]; clusters beside an op are [`fused`] into the op's kernel. [`reflect`] reads from the WGSL what a launch
//! needs to know, [`compile`] makes pipelines of it.

pub(crate) mod bound;
mod cluster;
pub(crate) mod compile;
mod fused;
mod group;
pub(crate) mod launch;
mod print;
pub(crate) mod reflect;
pub(crate) mod trusted;
