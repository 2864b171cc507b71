//! Layers: modules with PyTorch's options, defaults, initial values and variable names.
//!
//! All layers are created and called in the same way:
//!
//! - A layer with variables is created by `X::new(&p, required…)` with PyTorch's defaults, or by
//!   `X::with(&p, required…, XOptions::new().stride(2).bias(false))`. The setters of `XOptions` have the names of
//!   PyTorch's keyword arguments, and their documentation states the defaults.
//! - A layer without variables has no separate options type: its own setters follow `X::new(required…)`, as in
//!   `MaxPool2d::new(3).stride(2)` or `Elu::new().alpha(0.5)`. A layer without variables and options, such as
//!   `Relu`, is a unit struct.
//! - `forward` computes the output. [`Module::forward`](crate::Module::forward) has one input. Layers with more
//!   inputs ([`Lstm`], [`MultiheadAttention`], [`Bilinear`] …) have another method `forward` with PyTorch's
//!   arguments. Where such a layer is also a module, `Module::forward(&lstm, &x)` uses PyTorch's defaults for the
//!   other arguments.
//!
//! ```
//! use wgrad_core::{DType, Graph, Mode, Params};
//! use wgrad_nn::{Module, layers::{Conv2d, Conv2dOptions, LeakyRelu, MaxPool2d, PaddingMode}};
//! let p = Params::seeded(7);
//! let options = Conv2dOptions::new().padding(1).bias(false).padding_mode(PaddingMode::Reflect);
//! let conv = Conv2d::with(&p.at("conv1"), 3, 16, 3, options);
//! let graph = Graph::new(Mode::Evaluate);
//! let y = conv.forward(&graph.input("x", [8, 3, 32, 32], DType::F32));
//! let y = MaxPool2d::new(2).forward(&LeakyRelu::new().negative_slope(0.1).forward(&y));
//! assert_eq!(y.shape().dims(), [8, 16, 16, 16]);
//! ```

mod activations;
mod affine;
mod batch_norm;
mod bilinear;
mod binary;
#[cfg(test)]
mod composed_tests;
mod conv;
mod conv_transpose;
mod coral;
mod dropout;
mod embedding;
mod flatten;
mod group_norm;
mod gru;
mod layer_norm;
mod linear;
mod lstm;
mod multihead_attention;
mod pool;
mod recurrent;
mod recurrent_cell;
mod rms_norm;
mod rnn;
mod scaled_dot_product_attention;
#[cfg(test)]
mod tests;
mod transformer;

pub use activations::{
    Celu, Elu, Gelu, GeluApproximation, Glu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyRelu,
    LogSigmoid, LogSoftmax, Mish, Prelu, PreluOptions, Relu, Relu6, Selu, Sigmoid, Silu, Softmax, Softmax2d, Softmin,
    Softplus, Softshrink, Softsign, Tanh, Tanhshrink, Threshold,
};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNormOptions};
pub use bilinear::{Bilinear, BilinearOptions, bilinear};
pub use binary::{BinaryConv2d, BinaryConv2dOptions, BinaryLinear, BinaryLinearOptions};
pub use conv::{Conv, Conv1d, Conv1dOptions, Conv2d, Conv2dOptions, ConvLayerOptions, PaddingMode};
pub use conv_transpose::{
    ConvTranspose, ConvTranspose1d, ConvTranspose1dOptions, ConvTranspose2d, ConvTranspose2dOptions,
    ConvTransposeLayerOptions,
};
pub use coral::Coral;
pub use dropout::{AlphaDropout, ChannelDropout, Dropout, Dropout1d, Dropout2d};
pub use embedding::{Embedding, EmbeddingOptions, PretrainedOptions};
pub use flatten::Flatten;
pub use group_norm::{GroupNorm, GroupNormOptions};
pub use gru::{Gru, GruCell};
pub use layer_norm::{LayerNorm, LayerNormOptions};
pub use linear::{Linear, LinearOptions};
pub use lstm::{Lstm, LstmCell};
pub use multihead_attention::{MultiheadAttention, MultiheadAttentionCall, MultiheadAttentionOptions};
pub use pool::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
    AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d,
};
pub use recurrent::{Nonlinearity, Recurrent, RecurrentOptions};
pub use recurrent_cell::{RecurrentCell, RecurrentCellOptions};
pub use rms_norm::{RmsNorm, RmsNormOptions};
pub use rnn::{Rnn, RnnCell};
pub use scaled_dot_product_attention::{AttentionCall, scaled_dot_product_attention};
pub use transformer::{
    EncoderMasks, TransformerActivation, TransformerEncoder, TransformerEncoderLayer, TransformerEncoderLayerOptions,
    TransformerEncoderOptions,
};
