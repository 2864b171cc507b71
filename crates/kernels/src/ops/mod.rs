//! The ops, one file each; `build.rs` declares every file of this folder as a module.
//!
//! A file exports the trait that adds its methods to [`Tensor`](wgrad_core::Tensor) and nothing else; a structured
//! op has a shader of the same stem in `shaders/`. Pointwise ops are rows of the table in `pointwise.rs`.

include!(concat!(env!("OUT_DIR"), "/ops.rs"));
