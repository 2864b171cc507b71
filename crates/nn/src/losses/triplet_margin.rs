//! Margin loss for triplets of an anchor, a positive and a negative vector.

use wgrad_core::Tensor;

use super::shapes::{invalid_option, invalid_vectors};

options! {
    /// Margin loss for triplets of vectors: `max(0, d(a, p) − d(a, n) + margin)` for an anchor, a positive and a
    /// negative vector along the last axis; PyTorch's `TripletMarginLoss`.
    ///
    /// All three vectors have the same shape, `[N, D]` or `[D]`. The distance is
    /// `d(a, b) = (Σ |a − b + eps|ᵖ)^(1/p)`; `p` may be infinite. With `swap`, `d(p, n)` replaces `d(a, n)` where
    /// `d(p, n)` is smaller. Where a distance is 0, its gradient is 0.
    ///
    /// Defaults: mean reduction, `margin` 1, `p` 2, `eps` 1e−6, `swap` `false`.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ, `margin` is not
    /// positive or `p` is below 1. (PyTorch accepts a `p` below 1, although the result is not a norm.)
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::TripletMarginLoss;
    /// let graph = Graph::new(Mode::Evaluate);
    /// let [a, p, n] = ["a", "p", "n"].map(|name| graph.input(name, [1, 2], DType::F32));
    /// let loss = TripletMarginLoss::new().margin(3.0).eps(0.0).forward(&a, &p, &n);
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
    pub struct TripletMarginLoss: common[reduction] {
        /// Margin: there is no loss if the negative is farther from the anchor than the positive by at least this
        /// much; must be positive. Default: 1.
        margin: f64 = 1.0,
        /// Exponent of the norm; must be at least 1 and may be infinite. Default: 2.
        p: f64 = 2.0,
        /// Number that is added to the difference of each pair of elements. Default: 1e−6.
        eps: f64 = 1e-6,
        /// If `true`, the distance between positive and negative is used where it is smaller than the distance
        /// between anchor and negative. Default: `false`.
        swap: bool = false,
    }
}

impl TripletMarginLoss {
    /// Returns the loss of the triplets of vectors `anchor`, `positive` and `negative`.
    #[track_caller]
    pub fn forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Tensor {
        let invalid = invalid_vectors(&[anchor, positive, negative])
            .or_else(|| invalid_option("the margin", self.margin, self.margin > 0.0, "a number above 0"))
            .or_else(|| invalid_option("eps", self.eps, true, "a number"))
            .or_else(|| {
                let p = if self.p == f64::INFINITY { 1.0 } else { self.p };
                invalid_option("p", p, p >= 1.0, "at least 1")
            });
        if let Some(invalid) = invalid {
            return anchor.invalid("TripletMarginLoss", &[positive, negative], invalid);
        }
        let near = self.distance(anchor, positive);
        let far = self.distance(anchor, negative);
        let far = if self.swap { far.minimum(self.distance(positive, negative)) } else { far };
        self.reduction.apply((near - far + self.margin).relu())
    }

    #[track_caller]
    fn distance(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let d = a - b + self.eps;
        if self.p == f64::INFINITY {
            return d.abs().amax([-1]);
        }
        if (self.p - 1.0).abs() == 0.0 {
            return d.abs().sum([-1]);
        }
        let terms = if (self.p - 2.0).abs() == 0.0 { d.square() } else { d.abs().pow(self.p) };
        let sum = &terms.sum([-1]);
        // The root has an infinite derivative at 0. So where the sum is 0, the sum itself is returned, which has
        // the same value and the gradient 0. NaN stays NaN.
        let none = sum.eq(0.0);
        none.where_cond(sum, none.where_cond(1.0, sum).pow(1.0 / self.p))
    }
}
