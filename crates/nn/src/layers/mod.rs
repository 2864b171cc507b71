//! Layers: modules with PyTorch's options, defaults, initial values and variable names.

mod activations;
mod attention;
mod batch_norm;
mod bilinear;
mod binary;
#[cfg(test)]
mod composed_tests;
mod conv;
mod coral;
mod dropout;
mod embedding;
mod flatten;
mod linear;
mod multihead_attention;
mod pool;
mod recurrent;
mod rnn;
mod row_norms;
#[cfg(test)]
mod tests;
mod transformer;

pub use activations::{
    Celu, Elu, Gelu, Glu, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyRelu, LogSigmoid, LogSoftmax,
    Mish, Prelu, Relu, Relu6, Selu, Sigmoid, Silu, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign, Tanh,
    Tanhshrink, Threshold,
};
pub use attention::{AttentionCall, scaled_dot_product_attention};
pub use batch_norm::{BatchNorm1d, BatchNorm2d, BatchNormOptions};
pub use bilinear::{Bilinear, bilinear};
pub use binary::{BinaryConv2d, BinaryLinear, BinaryOptions};
pub use conv::{Conv, Conv1d, Conv2d, ConvTranspose, ConvTranspose1d, ConvTranspose2d, PaddingMode};
pub use coral::Coral;
pub use dropout::{AlphaDropout, Dropout, Dropout1d, Dropout2d};
pub use embedding::{Embedding, EmbeddingOptions};
pub use flatten::Flatten;
pub use linear::{Linear, LinearOptions};
pub use multihead_attention::{Attend, MultiheadAttention, MultiheadAttentionOptions};
pub use pool::{
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AvgPool1d, AvgPool2d, MaxPool1d,
    MaxPool2d,
};
pub use recurrent::RecurrentOptions;
pub use rnn::{Gru, GruCell, Lstm, LstmCell, Nonlinearity, Rnn, RnnCell};
pub use row_norms::{GroupNorm, GroupNormOptions, LayerNorm, LayerNormOptions, RmsNorm, RmsNormOptions};
pub use transformer::{
    EncoderMasks, TransformerActivation, TransformerEncoder, TransformerEncoderLayer, TransformerEncoderLayerOptions,
};
