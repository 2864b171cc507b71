//! Neural networks on top of the graph: data, layers, losses, optimizers, metrics and training.

pub mod data;
pub mod metrics;
