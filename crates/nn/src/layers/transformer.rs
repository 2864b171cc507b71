//! Transformer encoders.

use std::panic::Location;

use wgrad_core::{Misfit, Params, Tensor};

use super::{
    Attend, Dropout, LayerNorm, LayerNormOptions, Linear, LinearOptions, MultiheadAttention, MultiheadAttentionOptions,
};
use crate::Module;

/// The activation between the two linear layers of a [`TransformerEncoderLayer`].
#[derive(Clone, Copy, Debug, Default)]
pub enum TransformerActivation {
    /// `max(x, 0)`.
    #[default]
    Relu,
    /// `x·Φ(x)`.
    Gelu,
    /// Any other: `TransformerActivation::Other(Tensor::silu)`.
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

/// How a [`TransformerEncoderLayer`] is made; the default is PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct TransformerEncoderLayerOptions {
    /// Features between the two linear layers.
    pub dim_feedforward: usize,
    /// The probability of dropout, at all four places.
    pub dropout: f64,
    /// The activation between the two linear layers.
    pub activation: TransformerActivation,
    /// Added to the variance in the norms.
    pub layer_norm_eps: f64,
    /// Whether sequences are `[N, L, E]`; PyTorch's default is `[L, N, E]`.
    pub batch_first: bool,
    /// Whether norms stand before attention and linear layers, instead of behind the sums.
    pub norm_first: bool,
    /// Whether linear layers, attention and norms have biases.
    pub bias: bool,
}

impl Default for TransformerEncoderLayerOptions {
    fn default() -> Self {
        Self {
            dim_feedforward: 2048,
            dropout: 0.1,
            activation: TransformerActivation::Relu,
            layer_norm_eps: 1e-5,
            batch_first: false,
            norm_first: false,
            bias: true,
        }
    }
}

/// The masks of an encoder's call; what they are is said at [`Attend`].
#[derive(Clone, Copy, Debug, Default)]
pub struct EncoderMasks<'a> {
    /// The pairs of positions to leave out, `[L, L]` or `[N·heads, L, L]`.
    pub src_mask: Option<&'a Tensor>,
    /// The positions to leave out, `[N, L]`.
    pub src_key_padding_mask: Option<&'a Tensor>,
    /// Whether position `i` attends to the positions up to `i` only.
    pub is_causal: bool,
}

/// Self-attention, then two linear layers, each with a sum around it and a [`LayerNorm`]:
///
/// ```text
/// x = norm1(x + drop(attention(x)))        with norm_first:  x + drop(attention(norm1(x)))
/// y = norm2(x + feed(x))                                     x + feed(norm2(x))
/// feed(x) = drop(linear2(drop(activation(linear1(x)))))
/// ```
///
/// Sequences are `[L, N, E]`, with `batch_first` `[N, L, E]`, or one `[L, E]`. A position all of whose keys are masked
/// gets nothing from attention but `out_proj.bias`. (PyTorch's layer does the same, except on the fast path of its
/// evaluation.)
///
/// Variables, as in PyTorch: those of `self_attn` ([`MultiheadAttention`]), `linear1`, `linear2`, `norm1` and `norm2`.
///
/// Vaswani et al.: "Attention is all you need", 2017. Source: `torch.nn.TransformerEncoderLayer`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::{EncoderMasks, TransformerEncoderLayer, TransformerEncoderLayerOptions};
/// let options = TransformerEncoderLayerOptions { batch_first: true, ..TransformerEncoderLayerOptions::default() };
/// let layer = TransformerEncoderLayer::with(&Params::seeded(7).at("0"), 16, 4, options);
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [8, 5, 16], DType::F32);
/// let y = layer.encode(&x, EncoderMasks { is_causal: true, ..EncoderMasks::default() });
/// assert_eq!(y.shape(), x.shape());
/// ```
#[derive(Clone, Debug)]
pub struct TransformerEncoderLayer {
    scope: String,
    attention: MultiheadAttention,
    linear: [Linear; 2],
    norm: [LayerNorm; 2],
    /// Between the linear layers, behind attention, behind the second linear layer.
    dropout: [Dropout; 3],
    options: TransformerEncoderLayerOptions,
}

impl TransformerEncoderLayer {
    /// A layer of `d_model` features with attention in `nhead` heads.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, d_model: usize, nhead: usize) -> Self {
        Self::with(params, d_model, nhead, TransformerEncoderLayerOptions::default())
    }

    /// A layer with options.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, d_model: usize, nhead: usize, options: TransformerEncoderLayerOptions) -> Self {
        let TransformerEncoderLayerOptions { dim_feedforward, dropout, layer_norm_eps, batch_first, bias, .. } =
            options;
        let attention =
            MultiheadAttentionOptions { dropout, bias, batch_first, ..MultiheadAttentionOptions::default() };
        let linear = LinearOptions { bias, ..LinearOptions::default() };
        let norm = LayerNormOptions { eps: layer_norm_eps, bias, ..LayerNormOptions::default() };
        // In PyTorch's order, which a seed of PyTorch's needs.
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

    /// The options.
    #[must_use]
    pub fn options(&self) -> &TransformerEncoderLayerOptions {
        &self.options
    }

    /// The output for `x`, with masks.
    #[track_caller]
    #[must_use]
    pub fn encode(&self, x: &Tensor, masks: EncoderMasks<'_>) -> Tensor {
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
        let call = Attend {
            key_padding_mask: masks.src_key_padding_mask,
            attn_mask: masks.src_mask,
            is_causal: masks.is_causal,
            need_weights: false,
            ..Attend::default()
        };
        self.dropout[1].forward(&self.attention.attend(x, x, x, call).0)
    }

    fn feed(&self, x: &Tensor) -> Tensor {
        let hidden = self.options.activation.apply(&self.linear[0].forward(x));
        self.dropout[2].forward(&self.linear[1].forward(&self.dropout[0].forward(&hidden)))
    }
}

impl Module for TransformerEncoderLayer {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.encode(x, EncoderMasks::default())
    }
}

/// [`TransformerEncoderLayer`]s one after the other, and perhaps a norm at the end.
///
/// Variables, as in PyTorch: those of `layers.0`, `layers.1` and so on, and of `norm`. PyTorch begins all layers with the
/// same values, copies of one layer's; here each has its own, but with [`Params::torch_seed`] they are PyTorch's copies.
/// Nested tensors are not here: they change no result.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::{LayerNorm, TransformerEncoder, TransformerEncoderLayer}};
/// let params = Params::seeded(7);
/// let encoder = TransformerEncoder::new(&params.at("encoder"), 2, |p| TransformerEncoderLayer::new(p, 16, 4))
///     .norm(|p| LayerNorm::new(p, [16]));
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [5, 8, 16], DType::F32);
/// assert_eq!(encoder.forward(&x).shape(), x.shape());
/// assert!(params.get("encoder.layers.1.self_attn.in_proj_weight").is_ok() && params.get("encoder.norm.weight").is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct TransformerEncoder {
    params: Params,
    layers: Vec<TransformerEncoderLayer>,
    norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// `num_layers` layers, each made by `layer` in its scope.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, num_layers: usize, layer: impl Fn(&Params) -> TransformerEncoderLayer) -> Self {
        let params = params.clone();
        let at = |i: usize| params.at("layers").at(i);
        let before = params.variables().len();
        let mut layers: Vec<_> = (0..num_layers.min(1)).map(|i| layer(&at(i))).collect();
        let drawn = params.with_torch_random(|random| random.clone());
        let first = params.variables().split_off(before);
        layers.extend((1..num_layers).map(|i| layer(&at(i))));
        if let Some(drawn) = drawn {
            // PyTorch's copies draw nothing.
            params.with_torch_random(|random| *random = drawn);
            let others = params.variables().split_off(before + first.len());
            for (copy, of) in others.iter().zip(first.iter().cycle()) {
                if let Ok(value) = of.value() {
                    let _ = copy.set(wgrad_core::Array::clone(&value));
                }
            }
        }
        Self { params, layers, norm: None }
    }

    /// A norm at the end, made by `norm` in the scope `norm`.
    #[must_use]
    pub fn norm(mut self, norm: impl FnOnce(&Params) -> LayerNorm) -> Self {
        self.norm = Some(norm(&self.params.at("norm")));
        self
    }

    /// The layers.
    #[must_use]
    pub fn layers(&self) -> &[TransformerEncoderLayer] {
        &self.layers
    }

    /// The output for `x`, with masks that all layers share.
    #[track_caller]
    #[must_use]
    pub fn encode(&self, x: &Tensor, masks: EncoderMasks<'_>) -> Tensor {
        let _scope = x.graph().scope_of_library(self.params.path(), Location::caller(), crate::source());
        if self.layers.is_empty() {
            let misfit = Misfit::new("the encoder has no layers").fix("num_layers is 1 at least");
            return x.misfit("transformer_encoder", &[], misfit);
        }
        let mut y = x.clone();
        for layer in &self.layers {
            y = layer.encode(&y, masks);
        }
        self.norm.as_ref().map_or_else(|| y.clone(), |norm| norm.forward(&y))
    }
}

impl Module for TransformerEncoder {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.encode(x, EncoderMasks::default())
    }
}
