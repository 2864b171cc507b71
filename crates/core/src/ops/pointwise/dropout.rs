//! Dropout and Bernoulli samples, from a counter-based random generator, so that all devices draw equal bits.

use crate::op::pointwise::pointwise_ops;
use crate::{InvalidArgument, Spec, Tensor, philox};

pointwise_ops! {
    // The gradient applies this op to dy: drawing the mask again saves the memory to store it.
    pub(crate) DROPOUT = dropout(
        x: float, index: uint, step: uint, site: uint, key0: uint, key1: uint, threshold: uint
    )[scale] -> float {
        wgsl: "select(0.0, scale * x, philox_word(index, step, site, key0, key1) < threshold)",
        library: wgrad_shaders::lib::PHILOX,
        reference<F>: if philox([index, step, site, 0], [key0, key1])[0] < threshold { scale * x } else { F::zero() },
        backward(grad): { x: grad.pointwise(&DROPOUT, &[index, step, site, key0, key1, threshold], &[scale]) },
    }

    // Compares 24 bits of the random word, which f32 and f64 represent exactly.
    pub(crate) BERNOULLI = bernoulli(
        p: float, index: uint, step: uint, site: uint, key0: uint, key1: uint
    )[] -> float {
        wgsl: "select(0.0, 1.0, f32(philox_word(index, step, site, key0, key1) >> 8u) < 16777216.0 * p)",
        library: wgrad_shaders::lib::PHILOX,
        reference<F>: {
            let word = philox([index, step, site, 0], [key0, key1])[0] >> 8;
            if F::lit(f64::from(word)) < F::lit(16_777_216.0) * p { F::one() } else { F::zero() }
        },
        backward: none,
    }
}

/// Returns an error unless `step` is a `u32` scalar.
fn invalid_step(step: &Tensor) -> Option<InvalidArgument> {
    (step.spec() != Spec::u32([])).then(|| {
        InvalidArgument::new(format!("the step must be a u32 without axes, not {}", step.spec()))
            .fix("graph.scheduled(\"step\", DType::U32, …)")
    })
}

/// Dropout and random samples.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// let graph = Graph::new(Mode::Train);
/// let x = graph.input("x", [64, 30], DType::F32);
/// let step = graph.scheduled("step", DType::U32, || 0.0);
/// assert_eq!(x.dropout(0.5, [7, 0], 0, &step).shape(), x.shape());
/// ```
impl Tensor {
    /// Zeroes each element with probability `p` and scales the others by `1 / (1 - p)`.
    ///
    /// Element `i` is kept when the first word of Philox 4x32-10 under `key`, at the counter `[i, step, site, 0]`,
    /// is below `(1 - p)·2³²`. Each dropout of a model needs a different `site`. `step` must differ between runs
    /// of a graph: it is a `u32` scalar, such as the scalar that [`Graph::scheduled`](crate::Graph::scheduled)
    /// returns. `p = 0` returns x itself. Records an error in the graph, which `compile` reports, if `p` is
    /// outside [0, 1] or `step` is not a `u32` scalar. Equivalent: `torch.nn.functional.dropout`.
    #[track_caller]
    pub fn dropout(&self, p: f64, key: [u32; 2], site: u32, step: &Tensor) -> Tensor {
        let x = self;
        if !x.is_valid() || !step.is_valid() {
            return x.invalid("dropout", &[step], InvalidArgument::default());
        }
        if !(0.0..=1.0).contains(&p) {
            let invalid = InvalidArgument::new(format!("the probability {p} is not between 0 and 1"));
            return x.invalid("dropout", &[step], invalid);
        }
        if let Some(invalid) = invalid_step(step) {
            return x.invalid("dropout", &[step], invalid);
        }
        if p == 0.0 {
            return x.clone();
        }
        let graph = x.graph();
        let _line = graph.line_of_caller();
        // For p = 1 the threshold is 0, and no random word is below it.
        let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
        let threshold = ((1.0 - p) * 2.0f64.powi(32)).round() as u32;
        let [site, key0, key1, threshold] = [site, key[0], key[1], threshold].map(|word| graph.constant_u32(word));
        let index = graph.iota(x.shape());
        x.pointwise(&DROPOUT, &[&index, step, &site, &key0, &key1, &threshold], &[scale])
    }

    /// Draws a Bernoulli sample per element: 1 with probability x, else 0. No gradient flows back.
    ///
    /// Element `i` is 1 when the upper 24 bits of the first word of Philox 4x32-10 under `key`, at the counter
    /// `[i, step, site, 0]`, are below `x·2²⁴`. A probability of 0 or less always yields 0, a probability of 1 or
    /// more always yields 1. `site` and `step` have the meaning that they have in [`dropout`](Self::dropout).
    /// Equivalent: `torch.bernoulli`.
    #[track_caller]
    pub fn bernoulli(&self, key: [u32; 2], site: u32, step: &Tensor) -> Tensor {
        let p = self;
        if !p.is_valid() || !step.is_valid() {
            return p.invalid("bernoulli", &[step], InvalidArgument::default());
        }
        if let Some(invalid) = invalid_step(step) {
            return p.invalid("bernoulli", &[step], invalid);
        }
        let graph = p.graph();
        let _line = graph.line_of_caller();
        let [site, key0, key1] = [site, key[0], key[1]].map(|word| graph.constant_u32(word));
        p.pointwise(&BERNOULLI, &[&graph.iota(p.shape()), step, &site, &key0, &key1], &[])
    }
}
