//! The multi-head attention layer.

use std::panic::Location;

use wgrad_core::ops::cat;
use wgrad_core::{DType, Init, InvalidArgument, Kind, Params, Shape, Tensor, Variable};

use super::scaled_dot_product_attention::{Empty, ScoreMasks, attend};
use super::{Dropout, Linear, LinearOptions};
use crate::{Module, init};

options! {
    /// Options of a [`MultiheadAttention`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[allow(clippy::struct_excessive_bools, reason = "PyTorch's options")]
    pub struct MultiheadAttentionOptions {
        /// Dropout probability of the attention weights. Default: 0.
        dropout: f64 = 0.0,
        /// If `false`, the projections have no biases. Default: `true`.
        bias: bool = true,
        /// If `true`, a trainable key and value are appended to the keys and values of each sequence. Default:
        /// `false`.
        add_bias_kv: bool = false,
        /// If `true`, a key and a value of zeros are appended to the keys and values of each sequence. Default:
        /// `false`.
        add_zero_attn: bool = false,
        /// Number of features of the keys. Default: `embed_dim`, the number of features of the queries.
        kdim: Option<usize> as Option<usize> = None,
        /// Number of features of the values. Default: `embed_dim`.
        vdim: Option<usize> as Option<usize> = None,
        /// If `true`, sequences are `[N, L, E]` instead of `[L, N, E]`. Default: `false`.
        batch_first: bool = false,
    }
}

options! {
    /// Optional arguments of [`MultiheadAttention::forward`].
    #[derive(Clone, Copy, Debug)]
    pub struct MultiheadAttentionCall<'a> {
        /// Mask of the keys, `[N, S]`, or `[S]` without a batch. In a `u32` mask, a nonzero number excludes the
        /// key; a float mask is added to the scores. Default: none.
        key_padding_mask: Option<&'a Tensor> as Option<&'a Tensor> = None,
        /// Mask of the pairs of a query and a key, `[L, S]` or `[N·heads, L, S]`. In a `u32` mask, a nonzero
        /// number excludes the pair; a float mask is added to the scores. Default: none.
        attn_mask: Option<&'a Tensor> as Option<&'a Tensor> = None,
        /// If `true`, query `i` attends only to keys `0` to `i`. Unlike PyTorch's option, this one works without
        /// an `attn_mask`. Default: `false`.
        is_causal: bool = false,
        /// If `true`, `forward` also returns the attention weights. Default: `true`.
        need_weights: bool = true,
        /// If `true`, the returned attention weights are the mean over the heads. Default: `true`.
        average_attn_weights: bool = true,
    }
}

#[derive(Clone, Debug)]
enum Projections {
    /// One variable with the projection weights of queries, keys and values.
    One(Variable),
    /// Three variables: the projection weights of queries, of keys and of values.
    Three([Variable; 3]),
}

/// Multi-head attention: `y = concat(head₁ … head_h) W_oᵀ + b_o` with `head_i = softmax(q_i k_iᵀ / √(E/h)) v_i`,
/// where `q_i`, `k_i`, `v_i` are the features of head `i` in the projected queries, keys and values, `E` is
/// `embed_dim` and `h` is the number of heads; PyTorch's `MultiheadAttention`.
///
/// Shapes: queries `[L, N, E]`, keys `[S, N, kdim]`, values `[S, N, vdim]`; with `batch_first` the batch is axis
/// 0, as in `[N, L, E]`; for one sequence there is no batch axis, as in `[L, E]`. [`Module::forward`] computes
/// self-attention without masks.
///
/// For a query whose keys are all masked, the output and the attention weights are NaN with `need_weights`;
/// without `need_weights`, the heads are 0, so the output is `b_o`. PyTorch 2.15 does the same.
///
/// Variables, as in PyTorch: `in_proj_weight` `[3E, E]` (or, if `kdim` or `vdim` differs from `E`, `q_proj_weight`
/// `[E, E]`, `k_proj_weight` `[E, kdim]` and `v_proj_weight` `[E, vdim]`), `in_proj_bias` `[3E]`,
/// `out_proj.weight`, `out_proj.bias`, `bias_k` and `bias_v`. The projection weights are initially Xavier-uniform,
/// `bias_k` and `bias_v` are Xavier-normal, all other biases are 0, and `out_proj.weight` has the initial values
/// of a [`Linear`] layer.
///
/// Vaswani et al.: "Attention is all you need", 2017.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::layers::{MultiheadAttention, MultiheadAttentionCall, MultiheadAttentionOptions};
/// let options = MultiheadAttentionOptions::new().batch_first(true);
/// let attention = MultiheadAttention::with(&Params::seeded(7).at("attn"), 16, 4, options);
/// let graph = Graph::new(Mode::Train);
/// let (x, memory) = (graph.input("x", [8, 5, 16], DType::F32), graph.input("memory", [8, 7, 16], DType::F32));
/// let padding = graph.input("padding", [8, 7], DType::U32);
/// let call = MultiheadAttentionCall::new().key_padding_mask(&padding);
/// let (y, weights) = attention.forward(&x, &memory, &memory, call);
/// assert_eq!(y.shape().dims(), [8, 5, 16]);
/// assert_eq!(weights.unwrap().shape().dims(), [8, 5, 7]);
/// ```
#[derive(Clone, Debug)]
pub struct MultiheadAttention {
    scope: String,
    embed_dim: usize,
    heads: usize,
    options: MultiheadAttentionOptions,
    projections: Projections,
    in_bias: Option<Variable>,
    out: Linear,
    extra: Option<[Variable; 2]>,
    dropout: Dropout,
}

impl MultiheadAttention {
    /// Creates an attention layer for `embed_dim` features with `num_heads` heads.
    #[track_caller]
    pub fn new(params: &Params, embed_dim: usize, num_heads: usize) -> Self {
        Self::with(params, embed_dim, num_heads, MultiheadAttentionOptions::new())
    }

    /// Creates an attention layer with options.
    #[track_caller]
    pub fn with(params: &Params, embed_dim: usize, num_heads: usize, options: MultiheadAttentionOptions) -> Self {
        let e = embed_dim;
        let (kdim, vdim) = (options.kdim.unwrap_or(e), options.vdim.unwrap_or(e));
        // PyTorch draws the output projection first, including its bias, which is then set to 0.
        let out = Linear::with(&params.at("out_proj"), e, e, LinearOptions::new().bias(options.bias));
        let zeros = Init::Constant(0.0);
        if let Some(bias) = out.bias() {
            bias.reset(zeros);
        }
        let projections = if kdim == e && vdim == e {
            Projections::One(weight(params, "in_proj_weight", [3 * e, e]))
        } else {
            let q = weight(params, "q_proj_weight", [e, e]);
            let k = weight(params, "k_proj_weight", [e, kdim]);
            Projections::Three([q, k, weight(params, "v_proj_weight", [e, vdim])])
        };
        let in_bias =
            if options.bias { Some(params.variable("in_proj_bias", [3 * e], Kind::Parameter, zeros)) } else { None };
        let extra = if options.add_bias_kv {
            let init = init::xavier_normal(e, e, 1.0);
            let k = params.variable("bias_k", [1, 1, e], Kind::Parameter, init);
            Some([k, params.variable("bias_v", [1, 1, e], Kind::Parameter, init)])
        } else {
            None
        };
        let dropout = Dropout::new(params, options.dropout);
        let scope = params.path().into();
        Self { scope, embed_dim, heads: num_heads, options, projections, in_bias, out, extra, dropout }
    }

    /// Returns the output for queries, keys and values, and the attention weights if `need_weights` is set in
    /// `call`. The weights are returned after dropout. Their shape is `[N, L, S]`, or `[N, heads, L, S]` with
    /// `average_attn_weights(false)`; for one sequence without batch, there is no axis `N`.
    ///
    /// If the same tensor is passed as keys and values, or as queries, keys and values, one matrix product
    /// computes the projections of that tensor.
    #[track_caller]
    pub fn forward(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        call: MultiheadAttentionCall<'_>,
    ) -> (Tensor, Option<Tensor>) {
        let _scope = query.graph().scope_of_library(&self.scope, Location::caller(), crate::source());
        let batched = query.shape().rank() == 3;
        let sizes = match self.sizes([query, key, value], &call) {
            Ok(sizes) => sizes,
            Err(invalid) => {
                let masks = [call.key_padding_mask, call.attn_mask];
                let others: Vec<&Tensor> = [key, value].into_iter().chain(masks.into_iter().flatten()).collect();
                let invalid = query.invalid("multihead_attention", &others, invalid);
                let weights = call.need_weights.then(|| invalid.clone());
                return (invalid, weights);
            }
        };
        let Sizes { n, l, s } = sizes;
        let [q, k, v] = self.project([query, key, value]);
        let (h, d) = (self.heads, self.embed_dim / self.heads);
        let (mut keys, mut k, mut v) = (s, k, v);
        // The sequence is along axis 1 if the batch is axis 0, otherwise along axis 0.
        let axis = usize::from(batched && self.options.batch_first);
        if let Some(extra) = &self.extra {
            [k, v] = [(&k, 0), (&v, 1)].map(|(x, i)| append(x, axis, &query.graph().variable(&extra[i])));
            keys += 1;
        }
        if self.options.add_zero_attn {
            [k, v] = [&k, &v].map(|x| append(x, axis, &x.number(0.0)));
            keys += 1;
        }
        // Splits the features into heads: [N, L, E] or [L, N, E] becomes [N, heads, L, E/heads].
        let split = |x: &Tensor, length: usize| {
            if axis == 1 || !batched {
                x.reshape([n, length, h, d]).permute(&[0, 2, 1, 3])
            } else {
                x.reshape([length, n, h, d]).permute(&[1, 2, 0, 3])
            }
        };
        let (q, k, v) = (split(&q, l), split(&k, keys), split(&v, keys));
        let scores = self.scores(query, &call, &sizes, keys);
        let scale = (d as f64).sqrt().recip();
        let empty = if call.need_weights { Empty::Nan } else { Empty::Zeros };
        let (y, weights) = attend([&q, &k, &v], scores, scale, Some(&self.dropout), empty);
        let e = self.embed_dim;
        let y = match (batched, axis) {
            (false, _) => y.permute(&[0, 2, 1, 3]).reshape([l, e]),
            (true, 1) => y.permute(&[0, 2, 1, 3]).reshape([n, l, e]),
            (true, _) => y.permute(&[2, 0, 1, 3]).reshape([l, n, e]),
        };
        let y = self.out.forward(&y);
        let weights = call.need_weights.then(|| {
            let weights = if call.average_attn_weights { weights.mean([1]) } else { weights };
            if batched { weights } else { weights.squeeze(0) }
        });
        (y, weights)
    }

    /// Projects queries, keys and values. If keys and values, or queries, keys and values, are the same tensor,
    /// one matrix product computes the projections of that tensor.
    fn project(&self, [q, k, v]: [&Tensor; 3]) -> [Tensor; 3] {
        let (graph, e) = (q.graph(), self.embed_dim);
        let bias = self.in_bias.as_ref().map(|bias| graph.variable(bias));
        let part = |at: usize, parts: usize| bias.as_ref().map(|bias| bias.slice(0, at * e..(at + parts) * e));
        match &self.projections {
            Projections::Three(weights) => {
                let project = |x: &Tensor, i: usize| x.linear(&graph.variable(&weights[i]), part(i, 1).as_ref());
                [project(q, 0), project(k, 1), project(v, 2)]
            }
            Projections::One(weight) => {
                let weight = graph.variable(weight);
                let project = |x: &Tensor, at: usize, parts: usize| {
                    let rows = weight.slice(0, at * e..(at + parts) * e);
                    let y = x.linear(&rows, part(at, parts).as_ref());
                    (0..parts).map(|i| y.slice(-1, i * e..(i + 1) * e)).collect::<Vec<_>>()
                };
                let parts = if q.id() == k.id() && k.id() == v.id() {
                    project(q, 0, 3)
                } else if k.id() == v.id() {
                    [project(q, 0, 1), project(k, 1, 2)].concat()
                } else {
                    [project(q, 0, 1), project(k, 1, 1), project(v, 2, 1)].concat()
                };
                parts.try_into().expect("three parts")
            }
        }
    }

    /// Returns the masks in `call`, in shapes that broadcast to `[N, heads, L, keys]`. Keys that were appended
    /// because of `add_bias_kv` or `add_zero_attn` are never masked.
    fn scores(&self, x: &Tensor, call: &MultiheadAttentionCall<'_>, sizes: &Sizes, keys: usize) -> ScoreMasks {
        let Sizes { n, l, s } = *sizes;
        let mut scores = ScoreMasks::default();
        let extended = |mask: &Tensor| append_zeros(mask, keys - s);
        if let Some(mask) = call.key_padding_mask {
            scores.mask(extended(mask).reshape([n, 1, 1, keys]));
        }
        if let Some(mask) = call.attn_mask {
            let shape = if mask.shape().rank() == 3 { [n, self.heads, l, keys] } else { [1, 1, l, keys] };
            scores.mask(extended(mask).reshape(shape));
        }
        if call.is_causal {
            let mut causal = ScoreMasks::default();
            causal.causal(x, l, s);
            causal.blocked.into_iter().for_each(|mask| scores.mask(extended(&mask)));
        }
        scores
    }
}

/// Batch size `n`, number of queries `l` and number of keys `s`.
struct Sizes {
    n: usize,
    l: usize,
    s: usize,
}

impl MultiheadAttention {
    fn sizes(&self, inputs: [&Tensor; 3], call: &MultiheadAttentionCall<'_>) -> Result<Sizes, InvalidArgument> {
        let masks = [call.key_padding_mask, call.attn_mask];
        if inputs.into_iter().chain(masks.into_iter().flatten()).any(|tensor| !tensor.is_valid()) {
            return Err(InvalidArgument::default());
        }
        let (e, h) = (self.embed_dim, self.heads);
        if h == 0 || e == 0 || !e.is_multiple_of(h) {
            return Err(InvalidArgument::new(format!("{h} heads do not divide {e} features"))
                .fix("choose embed_dim as a multiple of num_heads, and both above 0"));
        }
        let batch_first = self.options.batch_first;
        let takes = [e, self.options.kdim.unwrap_or(e), self.options.vdim.unwrap_or(e)];
        let names = ["query", "key", "value"];
        let rank = inputs[0].shape().rank();
        for ((x, name), features) in inputs.iter().zip(names).zip(takes) {
            let shape = x.shape();
            let expected = match (name, batch_first) {
                ("query", true) => format!("[N, L, {features}] or [L, {features}]"),
                ("query", false) => format!("[L, N, {features}] or [L, {features}]"),
                (_, true) => format!("[N, S, {features}] or [S, {features}]"),
                (_, false) => format!("[S, N, {features}] or [S, {features}]"),
            };
            if !x.dtype().is_float() || !matches!(shape.rank(), 2 | 3) || shape.dims().last() != Some(&features) {
                return Err(InvalidArgument::new(format!("the {name} must be {expected}, not {}", x.spec())).fix(
                    "embed_dim, kdim and vdim are the features of queries, keys and values; `batch_first` says \
                     which axis is the batch",
                ));
            }
            if shape.rank() != rank {
                return Err(InvalidArgument::new(format!("the query is {}, the {name} {shape}", inputs[0].shape()))
                    .fix("give all three a batch axis, or none"));
            }
        }
        // Returns the batch size and the sequence length.
        let of = |x: &Tensor| match (x.shape().dims(), batch_first) {
            ([length, _], _) => [1, *length],
            ([n, length, _], true) | ([length, n, _], false) => [*n, *length],
            _ => unreachable!("the rank is 2 or 3"),
        };
        let ([n, l], [key_n, s], [value_n, values]) = (of(inputs[0]), of(inputs[1]), of(inputs[2]));
        if key_n != n || value_n != n || values != s {
            let [q, k, v] = inputs.map(Tensor::shape);
            let what = format!("queries {q}, keys {k} and values {v} do not match");
            return Err(InvalidArgument::new(what)
                .fix("keys and values must have the same length, and all three the same batch size")
                .fix(format!(
                    "`batch_first` is {batch_first}: sequences are {}",
                    if batch_first { "[N, length, features]" } else { "[length, N, features]" }
                )));
        }
        if s == 0 {
            return Err(InvalidArgument::new("there is no key to attend to"));
        }
        let of_padding: Vec<usize> = if rank == 3 { vec![n, s] } else { vec![s] };
        if let Some(mask) = call.key_padding_mask.filter(|mask| mask.shape().dims() != of_padding) {
            let expected = Shape::from(of_padding);
            return Err(InvalidArgument::new(format!("key_padding_mask must be {expected}, not {}", mask.shape()))
                .fix("one number per sequence and key; nonzero excludes the key"));
        }
        let (plain, per_head) = ([l, s], [n * h, l, s]);
        if let Some(mask) = call.attn_mask.filter(|m| m.shape().dims() != plain && m.shape().dims() != per_head) {
            let (plain, per_head) = (Shape::from(plain), Shape::from(per_head));
            return Err(InvalidArgument::new(format!("attn_mask must be {plain} or {per_head}, not {}", mask.shape()))
                .fix(
                    "one number per query and key, for all heads or for each of N·num_heads; nonzero excludes the pair",
                ));
        }
        Ok(Sizes { n, l, s })
    }
}

module!(MultiheadAttention, |attention, x| {
    attention.forward(x, x, x, MultiheadAttentionCall::new().need_weights(false)).0
});

#[track_caller]
fn weight(params: &Params, name: &str, shape: [usize; 2]) -> Variable {
    let [rows, columns] = shape;
    params.variable(name, shape, Kind::Parameter, init::xavier_uniform(columns, rows, 1.0))
}

/// Appends `row`, of shape `[1, 1, E]` or a scalar, to each sequence of `x` along `axis`.
fn append(x: &Tensor, axis: usize, row: &Tensor) -> Tensor {
    let shape = x.shape().with(axis, 1);
    let row = if row.shape().rank() > shape.rank() { row.squeeze(0) } else { row.clone() };
    cat(&[x, &row.expand(shape)], axis.cast_signed())
}

/// Appends `more` zeros along the last axis of a mask.
fn append_zeros(mask: &Tensor, more: usize) -> Tensor {
    if more == 0 {
        return mask.clone();
    }
    let shape = mask.shape();
    let last = shape.rank() - 1;
    let graph = mask.graph();
    let zero = if mask.dtype() == DType::U32 { graph.constant_u32(0) } else { graph.constant(0.0) };
    cat(&[mask, &zero.expand(shape.with(last, more))], -1)
}
