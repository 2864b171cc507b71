//! Layers: modules with PyTorch's options, defaults, initial values and variable names.

mod activations;
mod batch_norm;
mod conv;
mod coral;
mod dropout;
mod flatten;
mod linear;
mod pool;
mod row_norms;
#[cfg(test)]
mod tests;

pub use activations::{
    Celu, Elu, Gelu, Glu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyRelu, LogSigmoid, LogSoftmax,
    Mish, Prelu, Relu, Relu6, Selu, Sigmoid, Silu, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign, Tanh,
    Tanhshrink, Threshold,
};
pub use batch_norm::{BatchNorm1d, BatchNorm2d, BatchNormOptions};
pub use conv::{Conv, Conv1d, Conv2d, ConvTranspose, ConvTranspose1d, ConvTranspose2d, PaddingMode};
pub use coral::Coral;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use linear::{Linear, LinearOptions};
pub use pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AvgPool1d, AvgPool2d, MaxPool1d,
    MaxPool2d,
};
pub use row_norms::{GroupNorm, GroupNormOptions, LayerNorm, LayerNormOptions, RmsNorm, RmsNormOptions};
