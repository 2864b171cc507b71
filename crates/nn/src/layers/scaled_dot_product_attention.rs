//! Attention: weighted means of values, with the weights computed from queries and keys.

use wgrad_core::{Array, DType, InvalidArgument, Shape, Tensor};

use super::Dropout;
use crate::Module;

/// Score of a masked key: finite, because WGSL has no infinities, and so low that its exponential is 0 beside any
/// other.
const MASKED: f64 = -1e30;

/// Result of a query that has no key to attend to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// Zeros, as in `scaled_dot_product_attention`.
    Zeros,
    /// NaN, as in `MultiheadAttention` with its weights.
    Nan,
}

/// Masks of the keys that a query does not attend to, and numbers that are added to the scores; tensors broadcast to
/// the scores.
#[derive(Clone, Debug, Default)]
pub(super) struct Scores {
    /// Masks `u32` of what is left out.
    pub blocked: Vec<Tensor>,
    /// Numbers to add; −∞ leaves out.
    pub added: Vec<Tensor>,
}

impl Scores {
    /// Sorts a mask in by its type.
    pub fn mask(&mut self, mask: Tensor) {
        if mask.dtype() == DType::U32 { self.blocked.push(mask) } else { self.added.push(mask) }
    }

    /// Lets query `i` attend to the keys up to `i` only, of `keys` keys.
    pub fn causal(&mut self, x: &Tensor, queries: usize, keys: usize) {
        // Numbered along the rows of a column and along the columns of a row.
        let [row, column] = [[queries, 1], [1, keys]].map(|shape| x.graph().iota(shape).to_f32());
        self.blocked.push(column.gt(&row));
    }

    /// Softmax over the last axis of the scores, with the masks applied.
    pub fn softmax(self, scores: &Tensor, empty: Empty) -> Tensor {
        let (mut scores, mut blocked) = (scores.clone(), self.blocked);
        for added in self.added {
            // Half of it: between the lowest finite number and −∞ there is no literal to compare with.
            blocked.push((&added * 0.5).lt(-1.75e38));
            scores = scores + added;
        }
        let Some(blocked) = blocked.into_iter().reduce(|a, b| a.logical_or(&b)) else { return scores.softmax(-1) };
        let weights = blocked.where_cond(MASKED, &scores).softmax(-1);
        // A masked key gets a weight only where all are masked.
        let zero = scores.number(0.0);
        let masked = match empty {
            Empty::Zeros => zero,
            // As data: an expression that gives NaN is an error of WGSL.
            Empty::Nan => {
                let nan = scores.graph().array(Array::scalar(f32::NAN));
                weights.gt(&zero).where_cond(&nan, &zero)
            }
        };
        blocked.where_cond(&masked, &weights)
    }
}

/// Attention with its scores given: `softmax(scores) · v`, and the weights.
pub(super) fn attend(
    [q, k, v]: [&Tensor; 3],
    scores: Scores,
    scale: f64,
    dropout: Option<&Dropout>,
    empty: Empty,
) -> (Tensor, Tensor) {
    let weights = scores.softmax(&(q.matmul_t(k, false, true) * scale), empty);
    let weights = dropout.map_or_else(|| weights.clone(), |dropout| dropout.forward(&weights));
    (weights.matmul(v), weights)
}

options! {
    /// Options of a call of [`scaled_dot_product_attention`].
    #[derive(Clone, Copy, Debug)]
    pub struct AttentionCall<'a> {
        /// Mask, none by default, that broadcasts to the scores `[…, L, S]`: `u32`, nonzero for the keys that take
        /// part, or floats that are added to the scores. (The masks of
        /// [`MultiheadAttention`](super::MultiheadAttention) say the opposite: what is left out. Both are as in
        /// PyTorch.)
        attn_mask: Option<&'a Tensor> as Option<&'a Tensor> = None,
        /// Dropout of the weights; none by default.
        dropout: Option<&'a Dropout> as Option<&'a Dropout> = None,
        /// Whether query `i` attends to the keys up to `i` only; by default to all.
        is_causal: bool = false,
        /// Factor of the scores; `1/√E` by default.
        scale: Option<f64> as Option<f64> = None,
        /// Whether several heads of queries share one of keys and values, which they do not by default: heads are the
        /// axis before the last two, and those of `k` and `v` divide those of `q`.
        enable_gqa: bool = false,
    }
}

/// Returns `y = softmax(scale · q kᵀ + mask) v`: each query's mean of the values, weighted by how its key fits.
///
/// `q` is `[…, L, E]`, `k` `[…, S, E]`, `v` `[…, S, Ev]`, `y` `[…, L, Ev]`; leading axes broadcast. Scores that a mask
/// leaves out, by 0 or by −∞, have weight 0. A query all of whose keys are left out gives zeros, as in PyTorch, without
/// a gradient to `q` and `k`. With `is_causal` and a mask, both apply (PyTorch refuses that).
///
/// The scores are held in memory: `L·S` numbers per head.
///
/// Source: `torch.nn.functional.scaled_dot_product_attention`.
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
/// // The first query sees the first key only: it gets the first value.
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
    let (queries, keys) = (last_but(&q.shape(), 2), last_but(&k.shape(), 2));
    let mut scores = Scores::default();
    match call.attn_mask {
        Some(mask) if mask.dtype() == DType::U32 => scores.blocked.push(mask.logical_not()),
        Some(mask) => scores.added.push(mask.clone()),
        None => {}
    }
    if call.is_causal {
        scores.causal(q, queries, keys);
    }
    let scale = call.scale.unwrap_or_else(|| (last_but(&q.shape(), 1) as f64).sqrt().recip());
    attend([q, k, v], scores, scale, call.dropout, Empty::Zeros).0
}

/// Each head of keys or values as often as heads of queries share it; as it is where heads do not divide, which the
/// leading axes then say.
fn repeat_heads(x: &Tensor, q: &Tensor) -> Tensor {
    let (shape, queries) = (x.shape(), q.shape());
    let rank = shape.rank();
    if !x.is_valid() || rank < 3 || queries.rank() < 3 {
        return x.clone();
    }
    let (heads, wanted) = (shape.dims()[rank - 3], last_but(&queries, 3));
    if heads == 0 || heads == wanted || !wanted.is_multiple_of(heads) {
        return x.clone();
    }
    let mut dims = shape.dims().to_vec();
    dims.insert(rank - 2, 1);
    let apart = x.reshape(dims.clone());
    dims[rank - 2] = wanted / heads;
    apart.expand(dims).reshape(shape.with(rank - 3, wanted))
}

/// The size of an axis, counted from the end.
fn last_but(shape: &Shape, back: usize) -> usize {
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
    if last_but(&q, 1) != last_but(&k, 1) || last_but(&q, 1) == 0 {
        return Some(
            InvalidArgument::new(format!("queries have {} features, keys {}", last_but(&q, 1), last_but(&k, 1)))
                .fix("project both to the same number of features, one at least"),
        );
    }
    if last_but(&k, 2) != last_but(&v, 2) || last_but(&k, 2) == 0 {
        return Some(
            InvalidArgument::new(format!("there are {} keys and {} values", last_but(&k, 2), last_but(&v, 2)))
                .fix("give one value per key, and one at least"),
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
    let scores = Shape::from([common.dims(), &[last_but(&q, 2), last_but(&k, 2)]].concat());
    let mask = call.attn_mask?.shape();
    (mask.broadcast(&scores).as_ref() != Some(&scores)).then(|| {
        InvalidArgument::new(format!("the mask {mask} does not broadcast to the scores {scores}"))
            .fix("a mask has a row per query and a column per key: [L, S], with any leading axes before")
    })
}
