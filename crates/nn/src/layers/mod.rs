//! Layers: modules with PyTorch's options, defaults, initial values and variable names.

mod activations;
mod batch_norm;
mod dropout;
mod flatten;
mod linear;
#[cfg(test)]
mod tests;

pub use activations::{Gelu, LeakyRelu, LogSigmoid, Relu, Sigmoid, Silu, Softplus, Tanh};
pub use batch_norm::{BatchNorm1d, BatchNormOptions};
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use linear::{Linear, LinearOptions};
