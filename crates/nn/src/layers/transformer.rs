//! Transformer encoder layers.

use std::panic::Location;

use wgrad_core::{InvalidArgument, Params, Tensor};

use super::{
    Dropout, LayerNorm, LayerNormOptions, Linear, LinearOptions, MultiheadAttention, MultiheadAttentionCall,
    MultiheadAttentionOptions,
};
use crate::Module;

/// Activation between the two linear layers of a [`TransformerEncoderLayer`].
#[derive(Clone, Copy, Debug, Default)]
pub enum TransformerActivation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x·Φ(x)`, with the normal distribution function Φ.
    Gelu,
    /// Any other function, as in `TransformerActivation::Other(Tensor::silu)`.
    Other(fn(&Tensor) -> Tensor),
}

impl TransformerActivation {
    #[track_caller]
    fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Relu => x.relu(),
            Self::Gelu => x.gelu(),
            Self::Other(f) => f(x),
        }
    }
}

options! {
    /// Options of a [`TransformerEncoderLayer`].
    #[derive(Clone, Copy, Debug)]
    pub struct TransformerEncoderLayerOptions {
        /// Number of features between the two linear layers. Default: 2048.
        dim_feedforward: usize = 2048,
        /// Probability of all four dropouts, including that of the attention weights. Default: 0.1.
        dropout: f64 = 0.1,
        /// Activation between the two linear layers. Default: [`TransformerActivation::Relu`].
        activation: TransformerActivation = TransformerActivation::Relu,
        /// Number added to the variance in the layer norms. Default: 1e−5.
        layer_norm_eps: f64 = 1e-5,
        /// If `true`, sequences are `[N, L, E]` instead of `[L, N, E]`. Default: `false`.
        batch_first: bool = false,
        /// If `true`, the layer norms come before the attention and the linear layers instead of after the
        /// residual sums. Default: `false`.
        norm_first: bool = false,
        /// If `false`, linear layers, attention and norms have no biases. Default: `true`.
        bias: bool = true,
    }
}

options! {
    /// Masks for the attention of a transformer encoder, with PyTorch's names.
    #[derive(Clone, Copy, Debug)]
    pub struct EncoderMasks<'a> {
        /// Mask of pairs of positions, `[L, L]` or `[N·heads, L, L]`; see [`MultiheadAttentionCall::attn_mask`].
        /// Default: none.
        src_mask: Option<&'a Tensor> as Option<&'a Tensor> = None,
        /// Mask of positions, `[N, L]`; see [`MultiheadAttentionCall::key_padding_mask`]. Default: none.
        src_key_padding_mask: Option<&'a Tensor> as Option<&'a Tensor> = None,
        /// If `true`, position `i` attends only to positions `0` to `i`. Default: `false`.
        is_causal: bool = false,
    }
}

/// Transformer encoder layer: self-attention and two linear layers, each with a residual sum and a [`LayerNorm`];
/// PyTorch's `TransformerEncoderLayer`.
///
/// ```text
/// x = norm1(x + drop(attention(x)))        with norm_first:  x + drop(attention(norm1(x)))
/// y = norm2(x + feed(x))                                     x + feed(norm2(x))
/// feed(x) = drop(linear2(drop(activation(linear1(x)))))
/// ```
///
/// Shapes: the input is `[L, N, E]`, `[N, L, E]` with `batch_first`, or `[L, E]` for one sequence; the output has
/// the same shape. For a position whose keys are all masked, the attention result is `out_proj.bias`, as in
/// PyTorch (except on PyTorch's fast path for evaluation).
///
/// Variables, as in PyTorch: those in the scopes `self_attn` (a [`MultiheadAttention`]), `linear1`, `linear2`,
/// `norm1` and `norm2`.
///
/// Vaswani et al.: "Attention is all you need", 2017.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::{EncoderMasks, TransformerEncoderLayer, TransformerEncoderLayerOptions};
/// let options = TransformerEncoderLayerOptions::new().batch_first(true);
/// let layer = TransformerEncoderLayer::with(&Params::seeded(7).at("0"), 16, 4, options);
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [8, 5, 16], DType::F32);
/// let y = layer.forward(&x, EncoderMasks::new().is_causal(true));
/// assert_eq!(y.shape(), x.shape());
/// ```
#[derive(Clone, Debug)]
pub struct TransformerEncoderLayer {
    scope: String,
    attention: MultiheadAttention,
    linear: [Linear; 2],
    norm: [LayerNorm; 2],
    /// The dropouts between the linear layers, after the attention, and after the second linear layer.
    dropout: [Dropout; 3],
    options: TransformerEncoderLayerOptions,
}

impl TransformerEncoderLayer {
    /// Creates a layer for `d_model` features, with `nhead` attention heads.
    #[track_caller]
    pub fn new(params: &Params, d_model: usize, nhead: usize) -> Self {
        Self::with(params, d_model, nhead, TransformerEncoderLayerOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(params: &Params, d_model: usize, nhead: usize, options: TransformerEncoderLayerOptions) -> Self {
        let TransformerEncoderLayerOptions { dim_feedforward, dropout, layer_norm_eps, batch_first, bias, .. } =
            options;
        let attention = MultiheadAttentionOptions::new().dropout(dropout).bias(bias).batch_first(batch_first);
        let linear = LinearOptions::new().bias(bias);
        let norm = LayerNormOptions::new().eps(layer_norm_eps).bias(bias);
        // The layers are created in PyTorch's order, so that equal seeds draw equal initial values.
        let attention = MultiheadAttention::with(&params.at("self_attn"), d_model, nhead, attention);
        let linear1 = Linear::with(&params.at("linear1"), d_model, dim_feedforward, linear);
        let linear2 = Linear::with(&params.at("linear2"), dim_feedforward, d_model, linear);
        let norm1 = LayerNorm::with(&params.at("norm1"), [d_model], norm);
        let norm2 = LayerNorm::with(&params.at("norm2"), [d_model], norm);
        Self {
            scope: params.path().into(),
            attention,
            linear: [linear1, linear2],
            norm: [norm1, norm2],
            dropout: ["dropout", "dropout1", "dropout2"].map(|name| Dropout::new(&params.at(name), dropout)),
            options,
        }
    }

    /// Returns the output for `x` with the given masks.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: EncoderMasks<'_>) -> Tensor {
        let _scope = x.graph().scope_of_library(&self.scope, Location::caller(), crate::source());
        let [norm1, norm2] = &self.norm;
        if self.options.norm_first {
            let x = x + self.attention(&norm1.forward(x), masks);
            &x + self.feed(&norm2.forward(&x))
        } else {
            let x = norm1.forward(&(x + self.attention(x, masks)));
            norm2.forward(&(&x + self.feed(&x)))
        }
    }

    fn attention(&self, x: &Tensor, masks: EncoderMasks<'_>) -> Tensor {
        let call = MultiheadAttentionCall::new()
            .key_padding_mask(masks.src_key_padding_mask)
            .attn_mask(masks.src_mask)
            .is_causal(masks.is_causal)
            .need_weights(false);
        self.dropout[1].forward(&self.attention.forward(x, x, x, call).0)
    }

    fn feed(&self, x: &Tensor) -> Tensor {
        let hidden = self.options.activation.apply(&self.linear[0].forward(x));
        self.dropout[2].forward(&self.linear[1].forward(&self.dropout[0].forward(&hidden)))
    }
}

module!(TransformerEncoderLayer, |layer, x| layer.forward(x, EncoderMasks::new()));

options! {
    /// Options of a [`TransformerEncoder`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct TransformerEncoderOptions {
        /// Options of a layer norm after the last layer. Default: `None`, no such norm.
        norm: Option<LayerNormOptions> as Option<LayerNormOptions> = None,
    }
}

/// Stack of [`TransformerEncoderLayer`]s, optionally with a final norm; PyTorch's `TransformerEncoder`.
///
/// Variables, as in PyTorch: those in the scopes `layers.0`, `layers.1` and so on, and in `norm`. In PyTorch, all
/// layers are copies of one layer and so have equal initial values. Here each layer draws different initial
/// values, unless [`Params::torch_seed`] is used, which reproduces PyTorch's copies.
///
/// PyTorch's option `enable_nested_tensor`, which does not change results, is not supported.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::{
///     EncoderMasks, LayerNormOptions, TransformerEncoder, TransformerEncoderLayer, TransformerEncoderOptions,
/// };
/// let params = Params::seeded(7);
/// let options = TransformerEncoderOptions::new().norm(LayerNormOptions::new());
/// let layer = |p: &Params| TransformerEncoderLayer::new(p, 16, 4);
/// let encoder = TransformerEncoder::with(&params.at("encoder"), 2, layer, options);
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [5, 8, 16], DType::F32);
/// assert_eq!(encoder.forward(&x, EncoderMasks::new()).shape(), x.shape());
/// assert!(params.get("encoder.layers.1.self_attn.in_proj_weight").is_ok() && params.get("encoder.norm.weight").is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct TransformerEncoder {
    params: Params,
    layers: Vec<TransformerEncoderLayer>,
    norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// Creates `num_layers` layers; calls `layer` once for each, with the layer's scope.
    #[track_caller]
    pub fn new(params: &Params, num_layers: usize, layer: impl Fn(&Params) -> TransformerEncoderLayer) -> Self {
        Self::with(params, num_layers, layer, TransformerEncoderOptions::new())
    }

    /// Creates an encoder with options; see [`Self::new`].
    #[track_caller]
    pub fn with(
        params: &Params,
        num_layers: usize,
        layer: impl Fn(&Params) -> TransformerEncoderLayer,
        options: TransformerEncoderOptions,
    ) -> Self {
        let params = params.clone();
        let at = |i: usize| params.at("layers").at(i);
        let before = params.variables().len();
        let mut layers: Vec<_> = (0..num_layers.min(1)).map(|i| layer(&at(i))).collect();
        let drawn = params.with_torch_random(|random| random.clone());
        let first = params.variables().split_off(before);
        layers.extend((1..num_layers).map(|i| layer(&at(i))));
        if let Some(drawn) = drawn {
            // PyTorch copies the first layer without drawing random numbers, so the generator is reset to its
            // state after that layer.
            params.with_torch_random(|random| *random = drawn);
            let others = params.variables().split_off(before + first.len());
            for (copy, of) in others.iter().zip(first.iter().cycle()) {
                if let Ok(value) = of.value() {
                    let _ = copy.set(wgrad_core::Array::clone(&value));
                }
            }
        }
        let norm = match (options.norm, layers.first()) {
            (Some(norm), Some(layer)) => Some(LayerNorm::with(&params.at("norm"), layer.norm[0].shape().clone(), norm)),
            _ => None,
        };
        Self { params, layers, norm }
    }

    /// Returns the layers.
    pub fn layers(&self) -> &[TransformerEncoderLayer] {
        &self.layers
    }

    /// Returns the output for `x`; all layers use the same masks.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, masks: EncoderMasks<'_>) -> Tensor {
        let _scope = x.graph().scope_of_library(self.params.path(), Location::caller(), crate::source());
        if self.layers.is_empty() {
            let invalid = InvalidArgument::new("the encoder has no layers").fix("set num_layers to at least 1");
            return x.invalid("transformer_encoder", &[], invalid);
        }
        let mut y = x.clone();
        for layer in &self.layers {
            y = layer.forward(&y, masks);
        }
        self.norm.as_ref().map_or_else(|| y.clone(), |norm| norm.forward(&y))
    }
}

module!(TransformerEncoder, |encoder, x| encoder.forward(x, EncoderMasks::new()));
