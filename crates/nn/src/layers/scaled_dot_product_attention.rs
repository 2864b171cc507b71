//! Scaled dot-product attention: for each query, the mean of the values, weighted with the softmax of the products
//! of the query and the keys.

use wgrad_core::{Array, DType, InvalidArgument, Shape, Tensor};

use super::Dropout;
use crate::Module;

/// Score of a masked key. It is finite, because WGSL has no infinities, but so low that the softmax weight of the
/// key is 0 unless all keys are masked.
const MASKED: f64 = -1e30;

/// Attention weights of a query whose keys are all masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// Zeros, as in `scaled_dot_product_attention`.
    Zeros,
    /// NaN, as in `MultiheadAttention` with `need_weights`.
    Nan,
}

/// Masks for the scores of queries and keys. The shape of each mask broadcasts to the shape of the scores.
#[derive(Clone, Debug, Default)]
pub(super) struct ScoreMasks {
    /// Masks of type `u32`: a nonzero number excludes the key.
    pub blocked: Vec<Tensor>,
    /// Masks of floats, which are added to the scores: −∞ excludes the key.
    pub added: Vec<Tensor>,
}

impl ScoreMasks {
    /// Adds a mask to `blocked` if its type is `u32`, otherwise to `added`.
    pub fn mask(&mut self, mask: Tensor) {
        if mask.dtype() == DType::U32 { self.blocked.push(mask) } else { self.added.push(mask) }
    }

    /// Adds the causal mask, which excludes all keys after key `i` for query `i`.
    pub fn causal(&mut self, x: &Tensor, queries: usize, keys: usize) {
        // `row` contains the index of each query, [queries, 1]; `column` the index of each key, [1, keys].
        let [row, column] = [[queries, 1], [1, keys]].map(|shape| x.graph().iota(shape).to_f32());
        self.blocked.push(column.gt(&row));
    }

    /// Applies the masks to `scores` and returns the softmax over the last axis.
    pub fn softmax(self, scores: &Tensor, empty: Empty) -> Tensor {
        let (mut scores, mut blocked) = (scores.clone(), self.blocked);
        for added in self.added {
            // Finds the elements of the mask that are −∞. The mask is halved, because WGSL has no literal between
            // the lowest finite number and −∞ to compare with.
            blocked.push((&added * 0.5).lt(-1.75e38));
            scores = scores + added;
        }
        let Some(blocked) = blocked.into_iter().reduce(|a, b| a.logical_or(&b)) else { return scores.softmax(-1) };
        let weights = blocked.where_cond(MASKED, &scores).softmax(-1);
        // If a masked key has a positive weight here, all keys of the query are masked.
        let zero = scores.number(0.0);
        let masked = match empty {
            Empty::Zeros => zero,
            // NaN is passed as an array, because WGSL rejects constant expressions that result in NaN.
            Empty::Nan => {
                let nan = scores.graph().array(Array::scalar(f32::NAN));
                weights.gt(&zero).where_cond(&nan, &zero)
            }
        };
        blocked.where_cond(&masked, &weights)
    }
}

/// Returns the product of the attention weights and `v`, and the attention weights. The weights are computed from
/// the scores `scale · q kᵀ` with masks, softmax and dropout, in this order.
pub(super) fn attend(
    [q, k, v]: [&Tensor; 3],
    scores: ScoreMasks,
    scale: f64,
    dropout: Option<&Dropout>,
    empty: Empty,
) -> (Tensor, Tensor) {
    let weights = scores.softmax(&(q.matmul_t(k, false, true) * scale), empty);
    let weights = dropout.map_or_else(|| weights.clone(), |dropout| dropout.forward(&weights));
    (weights.matmul(v), weights)
}

options! {
    /// Optional arguments of [`scaled_dot_product_attention`].
    #[derive(Clone, Copy, Debug)]
    pub struct AttentionCall<'a> {
        /// Mask that broadcasts to the scores `[…, L, S]`. In a `u32` mask, a nonzero number *includes* the key,
        /// whereas in the masks of [`MultiheadAttention`](super::MultiheadAttention) it excludes the key; PyTorch
        /// has the same difference. A float mask is added to the scores. Default: none.
        attn_mask: Option<&'a Tensor> as Option<&'a Tensor> = None,
        /// Dropout layer that is applied to the attention weights. Default: none.
        dropout: Option<&'a Dropout> as Option<&'a Dropout> = None,
        /// If `true`, query `i` attends only to keys `0` to `i`. Default: `false`.
        is_causal: bool = false,
        /// Factor by which the scores are multiplied. Default: `1/√E`.
        scale: Option<f64> as Option<f64> = None,
        /// If `true`, each head of keys and values is shared by a group of query heads (grouped-query attention).
        /// The heads are along the third axis from the end; the number of heads of `k` and `v` must divide the
        /// number of heads of `q`. Default: `false`.
        enable_gqa: bool = false,
    }
}

/// Computes `y = softmax(scale · q kᵀ + mask) v`; PyTorch's `torch.nn.functional.scaled_dot_product_attention`.
///
/// Shapes: `q` `[…, L, E]`, `k` `[…, S, E]`, `v` `[…, S, Ev]` and `y` `[…, L, Ev]`; leading axes broadcast. Masked
/// keys have weight 0. For a query whose keys are all masked, the result is 0, as in PyTorch, and the gradients of
/// `q` and `k` are 0. If `is_causal` is combined with a mask, both apply; PyTorch raises an error.
///
/// The scores of all pairs of a query and a key are stored in memory: `L·S` numbers per head.
///
/// For invalid shapes and types, the function records an error in the graph, which `compile` reports.
///
/// ```
/// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::layers::{AttentionCall, scaled_dot_product_attention};
/// let graph = Graph::new(Mode::Evaluate);
/// let q = graph.input("q", [8, 5, 16], DType::F32);
/// let k = graph.input("k", [8, 7, 16], DType::F32);
/// let v = graph.input("v", [8, 7, 4], DType::F32);
/// let call = AttentionCall::new().is_causal(true);
/// let y = scaled_dot_product_attention(&q, &k, &v, call);
/// assert_eq!(y.shape().dims(), [8, 5, 4]);
/// // The first query attends only to the first key: the result is the first value.
/// let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0))?;
/// let step = session.compile(&graph, &[&y])?;
/// let count = |n: usize| (0..n).map(|i| i as f32 * 0.01).collect::<Vec<_>>();
/// let v_array = Array::new([8, 7, 4], count(224))?;
/// let feeds = [(&q, &Array::new([8, 5, 16], count(640))?), (&k, &Array::new([8, 7, 16], count(896))?), (&v, &v_array)];
/// let y = session.run(&step, &feeds)?;
/// assert_eq!(y[0].to_f32()[..4], v_array.to_f32()[..4]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[track_caller]
pub fn scaled_dot_product_attention(q: &Tensor, k: &Tensor, v: &Tensor, call: AttentionCall<'_>) -> Tensor {
    let _scope = q.graph().scope_of_library("", std::panic::Location::caller(), crate::source());
    let tensors = [Some(k), Some(v), call.attn_mask];
    let others: Vec<&Tensor> = tensors.into_iter().flatten().collect();
    let shared = call.enable_gqa.then(|| [k, v].map(|x| repeat_heads(x, q)));
    let [k, v] = shared.as_ref().map_or([k, v], |[k, v]| [k, v]);
    if let Some(invalid) = invalid(q, k, v, &call) {
        return q.invalid("scaled_dot_product_attention", &others, invalid);
    }
    let (queries, keys) = (size_from_end(&q.shape(), 2), size_from_end(&k.shape(), 2));
    let mut scores = ScoreMasks::default();
    match call.attn_mask {
        Some(mask) if mask.dtype() == DType::U32 => scores.blocked.push(mask.logical_not()),
        Some(mask) => scores.added.push(mask.clone()),
        None => {}
    }
    if call.is_causal {
        scores.causal(q, queries, keys);
    }
    let scale = call.scale.unwrap_or_else(|| (size_from_end(&q.shape(), 1) as f64).sqrt().recip());
    attend([q, k, v], scores, scale, call.dropout, Empty::Zeros).0
}

/// Repeats each head of the keys or values `x` for the query heads that share it. If the number of heads of `x`
/// does not divide that of `q`, returns `x` unchanged, and the later check of the leading axes reports the error.
fn repeat_heads(x: &Tensor, q: &Tensor) -> Tensor {
    let (shape, queries) = (x.shape(), q.shape());
    let rank = shape.rank();
    if !x.is_valid() || rank < 3 || queries.rank() < 3 {
        return x.clone();
    }
    let (heads, wanted) = (shape.dims()[rank - 3], size_from_end(&queries, 3));
    if heads == 0 || heads == wanted || !wanted.is_multiple_of(heads) {
        return x.clone();
    }
    let mut dims = shape.dims().to_vec();
    dims.insert(rank - 2, 1);
    let apart = x.reshape(dims.clone());
    dims[rank - 2] = wanted / heads;
    apart.expand(dims).reshape(shape.with(rank - 3, wanted))
}

/// Returns the size of the axis at position `back`, counted from the end: 1 is the last axis.
fn size_from_end(shape: &Shape, back: usize) -> usize {
    shape.dims()[shape.rank() - back]
}

fn invalid(q: &Tensor, k: &Tensor, v: &Tensor, call: &AttentionCall<'_>) -> Option<InvalidArgument> {
    if [Some(q), Some(k), Some(v), call.attn_mask].into_iter().flatten().any(|tensor| !tensor.is_valid()) {
        return Some(InvalidArgument::default());
    }
    let [q, k, v] = [q, k, v].map(Tensor::spec);
    for (name, spec) in [("q", &q), ("k", &k), ("v", &v)] {
        if !spec.dtype.is_float() || spec.shape.rank() < 2 {
            return Some(
                InvalidArgument::new(format!("`{name}` must be f32[…, length, features], not {spec}"))
                    .fix("one sequence is [length, features]; several are [N, length, features]"),
            );
        }
    }
    let [q, k, v] = [q.shape, k.shape, v.shape];
    if size_from_end(&q, 1) != size_from_end(&k, 1) || size_from_end(&q, 1) == 0 {
        return Some(
            InvalidArgument::new(format!(
                "queries have {} features, keys {}",
                size_from_end(&q, 1),
                size_from_end(&k, 1)
            ))
            .fix("project both to the same number of features, at least one"),
        );
    }
    if size_from_end(&k, 2) != size_from_end(&v, 2) || size_from_end(&k, 2) == 0 {
        return Some(
            InvalidArgument::new(format!(
                "there are {} keys and {} values",
                size_from_end(&k, 2),
                size_from_end(&v, 2)
            ))
            .fix("give one value per key, and at least one key"),
        );
    }
    let lead = |shape: &Shape| Shape::from(&shape.dims()[..shape.rank() - 2]);
    let common = lead(&q).broadcast(&lead(&k)).and_then(|common| common.broadcast(&lead(&v)));
    let Some(common) = common else {
        return Some(
            InvalidArgument::new(format!("the leading axes of {q}, {k} and {v} do not broadcast"))
                .fix("sizes are aligned from the right and must be equal or 1"),
        );
    };
    let scores = Shape::from([common.dims(), &[size_from_end(&q, 2), size_from_end(&k, 2)]].concat());
    let mask = call.attn_mask?.shape();
    (mask.broadcast(&scores).as_ref() != Some(&scores)).then(|| {
        InvalidArgument::new(format!("the mask {mask} does not broadcast to the scores {scores}"))
            .fix("a mask has a row per query and a column per key: [L, S], with any leading axes before")
    })
}
