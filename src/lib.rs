//! Train neural networks from Rust on any GPU that wgpu reaches, and prove that it computes what the CPU does.
//!
//! Start with [`prelude`]. Below it: [`core`] (graphs, plans, sessions, the CPU reference), [`ops`] (what can be
//! computed), [`gpu`] (devices), [`nn`] (layers, losses, optimizers, data, metrics, training).

pub use wgrad_core as core;
pub use wgrad_core::{Error, Result};
pub use wgrad_kernels::{gpu, ops};
pub use wgrad_nn as nn;
