//! Losses of vectors that shall lie close to each other, or far apart.

use wgrad_core::{Misfit, Tensor};

use super::Reduction;
use super::shapes::option_misfit;

/// What is wrong with vectors that shall have one shape, `[N, D]` or `[D]`.
fn misfit(vectors: &[&Tensor]) -> Option<Misfit> {
    let shape = vectors[0].shape();
    if vectors.iter().any(|x| !x.dtype().is_float()) {
        return Some(Misfit::new("vectors are f32, not u32").fix("cast with `.to_f32()`"));
    }
    if let Some(other) = vectors.iter().map(|x| x.shape()).find(|other| *other != shape) {
        return Some(
            Misfit::new(format!("all vectors must have the same shape, not {shape} and {other}"))
                .fix("shapes are compared, not broadcast; if it is meant, `.expand(…)` one side"),
        );
    }
    (shape.rank() == 0).then(|| Misfit::new("a single number is no vector").fix("give vectors [N, D] or [D]"))
}

/// `1 − cos(x₁, x₂)` where the target is 1, `max(0, cos(x₁, x₂) − margin)` where it is −1, for vectors along the last
/// axis; PyTorch's `CosineEmbeddingLoss`.
///
/// Vectors `[N, D]` take targets `f32[N]`, vectors `[D]` a target without axes; a target that is neither costs 0.
/// `margin` is 0 by default, usually between 0 and ½. Squared lengths have 1e−12 added, as in PyTorch, so that a vector
/// of zeros has cosine 0.
///
/// Shapes and types that do not fit leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::CosineEmbeddingLoss;
/// let graph = Graph::new(Mode::Evaluate);
/// let [a, b] = ["a", "b"].map(|name| graph.input(name, [1, 2], DType::F32));
/// let y = graph.input("y", [1], DType::F32);
/// let loss = CosineEmbeddingLoss::new().apply(&a, &b, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [
/// #     (&a, &Array::new([1, 2], vec![1.0f32, 0.0])?),
/// #     (&b, &Array::new([1, 2], vec![0.0f32, 5.0])?),
/// #     (&y, &Array::vector(vec![1.0f32])),
/// # ];
/// assert_eq!(session.run(&step, &feeds)?[0].item()?, 1.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CosineEmbeddingLoss {
    margin: f64,
    reduction: Reduction,
}

impl CosineEmbeddingLoss {
    /// The mean loss without a margin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The cosine that unlike pairs may have.
    #[must_use]
    pub fn margin(self, margin: f64) -> Self {
        Self { margin, ..self }
    }

    /// What to do with the losses of the pairs.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of the pairs of `first` and `second` against `targets`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, first: &Tensor, second: &Tensor, targets: &Tensor) -> Tensor {
        let pairs = first.shape().dims().split_last().map(|(_, pairs)| pairs.to_vec()).unwrap_or_default();
        let misfit = misfit(&[first, second])
            .or_else(|| {
                (!targets.dtype().is_float()).then(|| {
                    Misfit::new("targets are −1 or 1, f32, not u32")
                        .fix("labels 0 and 1 become −1 and 1 by `y.to_f32() * 2.0 - 1.0`")
                })
            })
            .or_else(|| {
                let shape = targets.shape();
                let misfit = (shape.dims() != pairs).then(|| {
                    let pairs = wgrad_core::Shape::from(pairs.clone());
                    Misfit::new(format!("there is one target per pair of vectors: f32{pairs}, not f32{shape}"))
                })?;
                let extra = shape.rank() == pairs.len() + 1 && shape.dims().last() == Some(&1);
                Some(if extra {
                    misfit.fix(format!("drop the axis of size 1: `.squeeze({})`", pairs.len()))
                } else {
                    misfit
                })
            })
            .or_else(|| option_misfit("the margin", self.margin, true, "a number"));
        if let Some(misfit) = misfit {
            return first.misfit("CosineEmbeddingLoss", &[second, targets], misfit);
        }
        let _line = first.graph().line_of_caller();
        let length = |x: &Tensor| (x.square().sum(&[-1]) + 1e-12).rsqrt();
        let cosine = &((first * second).sum(&[-1]) * length(first) * length(second));
        let zero = &first.number(0.0);
        let alike = targets.eq(1.0).where_cond(&(1.0 - cosine), zero);
        let unlike = targets.eq(-1.0).where_cond(&(cosine - self.margin).relu(), zero);
        self.reduction.apply(alike + unlike)
    }
}

/// `max(0, d(a, p) − d(a, n) + margin)` for an anchor, a positive and a negative vector along the last axis; PyTorch's
/// `TripletMarginLoss`.
///
/// `d(a, b) = (Σ |a − b + eps|ᵖ)^(1/p)`, with `p` 2 and `eps` 1e−6 by default; `margin` is 1. With `swap`, the negative's
/// distance is the smaller one of those from anchor and positive. The gradient of a distance of 0 is 0.
///
/// Shapes that differ, a margin that is not above 0 and a `p` below 1 (no distance; PyTorch takes it) leave an invalid
/// tensor and an error. `p` may be infinite.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::TripletMarginLoss;
/// let graph = Graph::new(Mode::Evaluate);
/// let [a, p, n] = ["a", "p", "n"].map(|name| graph.input(name, [1, 2], DType::F32));
/// let loss = TripletMarginLoss::new().margin(3.0).eps(0.0).apply(&a, &p, &n);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [
/// #     (&a, &Array::new([1, 2], vec![0.0f32, 0.0])?),
/// #     (&p, &Array::new([1, 2], vec![3.0f32, 4.0])?),
/// #     (&n, &Array::new([1, 2], vec![6.0f32, 0.0])?),
/// # ];
/// assert_eq!(session.run(&step, &feeds)?[0].item()?, 5.0 - 6.0 + 3.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TripletMarginLoss {
    margin: f64,
    p: f64,
    eps: f64,
    swap: bool,
    reduction: Reduction,
}

impl Default for TripletMarginLoss {
    fn default() -> Self {
        Self { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

impl TripletMarginLoss {
    /// The mean loss of Euclidean distances with a margin of 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// By how much the negative shall be farther away, above 0.
    #[must_use]
    pub fn margin(self, margin: f64) -> Self {
        Self { margin, ..self }
    }

    /// The norm: 1, 2, any number between or above, or infinity.
    #[must_use]
    pub fn p(self, p: f64) -> Self {
        Self { p, ..self }
    }

    /// What is added to each difference.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// Whether the negative may be nearer to the positive than to the anchor.
    #[must_use]
    pub fn swap(self, swap: bool) -> Self {
        Self { swap, ..self }
    }

    /// What to do with the losses of the triplets.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of the triplets.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Tensor {
        let misfit = misfit(&[anchor, positive, negative])
            .or_else(|| option_misfit("the margin", self.margin, self.margin > 0.0, "a number above 0"))
            .or_else(|| option_misfit("eps", self.eps, true, "a number"))
            .or_else(|| {
                let p = if self.p == f64::INFINITY { 1.0 } else { self.p };
                option_misfit("p", p, p >= 1.0, "at least 1")
            });
        if let Some(misfit) = misfit {
            return anchor.misfit("TripletMarginLoss", &[positive, negative], misfit);
        }
        let near = self.distance(anchor, positive);
        let far = self.distance(anchor, negative);
        let far = if self.swap { far.minimum(&self.distance(positive, negative)) } else { far };
        self.reduction.apply((near - far + self.margin).relu())
    }

    #[track_caller]
    fn distance(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let d = a - b + self.eps;
        if self.p == f64::INFINITY {
            return d.abs().amax(&[-1]);
        }
        if (self.p - 1.0).abs() == 0.0 {
            return d.abs().sum(&[-1]);
        }
        let terms = if (self.p - 2.0).abs() == 0.0 { d.square() } else { d.abs().pow(self.p) };
        let sum = &terms.sum(&[-1]);
        // The root is steep at 0. There the sum itself has the same value, and the gradient 0; and if it is NaN, it stays.
        let none = sum.eq(0.0);
        none.where_cond(sum, &none.where_cond(1.0, sum).pow(1.0 / self.p))
    }
}
