//! Loss for pairs of vectors, computed from their cosine similarity.

use wgrad_core::{InvalidArgument, Tensor};

use super::shapes::{invalid_option, invalid_vectors};

options! {
    /// Cosine distance of pairs of vectors: `1 − cos(x₁, x₂)` for pairs with the target 1 (similar), and
    /// `max(0, cos(x₁, x₂) − margin)` for pairs with the target −1 (dissimilar). Vectors are along the last axis;
    /// PyTorch's `CosineEmbeddingLoss`.
    ///
    /// Vectors are `[N, D]` with targets `f32[N]`, or `[D]` with a scalar target. For targets other than 1 and −1,
    /// the loss is 0. As in PyTorch, 1e−12 is added to squared lengths, so the cosine of a zero vector is 0.
    ///
    /// Defaults: mean reduction over the pairs, `margin` 0; 0 to 0.5 is usual.
    ///
    /// The loss records an error in the graph, which `compile` reports, if a shape or a type is invalid.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::CosineEmbeddingLoss;
    /// let graph = Graph::new(Mode::Evaluate);
    /// let [a, b] = ["a", "b"].map(|name| graph.input(name, [1, 2], DType::F32));
    /// let y = graph.input("y", [1], DType::F32);
    /// let loss = CosineEmbeddingLoss::new().forward(&a, &b, &y);
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
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct CosineEmbeddingLoss: common[reduction] {
        /// Largest cosine for which dissimilar pairs have no loss. Default: 0.
        margin: f64 = 0.0,
    }
}

impl CosineEmbeddingLoss {
    /// Returns the loss of the pairs of vectors `first` and `second` with the given `targets`.
    #[track_caller]
    pub fn forward(&self, first: &Tensor, second: &Tensor, targets: &Tensor) -> Tensor {
        let pairs = first.shape().dims().split_last().map(|(_, pairs)| pairs.to_vec()).unwrap_or_default();
        let invalid = invalid_vectors(&[first, second])
            .or_else(|| {
                (!targets.dtype().is_float()).then(|| {
                    InvalidArgument::new("targets are −1 or 1, f32, not u32")
                        .fix("labels 0 and 1 become −1 and 1 by `y.to_f32() * 2.0 - 1.0`")
                })
            })
            .or_else(|| {
                let shape = targets.shape();
                let invalid = (shape.dims() != pairs).then(|| {
                    let pairs = wgrad_core::Shape::from(pairs.clone());
                    InvalidArgument::new(format!("there is one target per pair of vectors: f32{pairs}, not f32{shape}"))
                })?;
                let extra = shape.rank() == pairs.len() + 1 && shape.dims().last() == Some(&1);
                Some(if extra {
                    invalid.fix(format!("drop the axis of size 1: `.squeeze({})`", pairs.len()))
                } else {
                    invalid
                })
            })
            .or_else(|| invalid_option("the margin", self.margin, true, "a number"));
        if let Some(invalid) = invalid {
            return first.invalid("CosineEmbeddingLoss", &[second, targets], invalid);
        }
        let _line = first.graph().line_of_caller();
        let length = |x: &Tensor| (x.square().sum([-1]) + 1e-12).rsqrt();
        let cosine = &((first * second).sum([-1]) * length(first) * length(second));
        let zero = &first.number(0.0);
        let alike = targets.eq(1.0).where_cond(&(1.0 - cosine), zero);
        let unlike = targets.eq(-1.0).where_cond((cosine - self.margin).relu(), zero);
        self.reduction.apply(alike + unlike)
    }
}
