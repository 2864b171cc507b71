//! Margin loss of triplets: anchor, positive, negative.

use wgrad_core::Tensor;

use super::shapes::{invalid_option, invalid_vectors};

options! {
    /// Margin loss of triplets of vectors: `max(0, d(a, p) − d(a, n) + margin)` for an anchor, a positive and a
    /// negative vector along the last axis; PyTorch's `TripletMarginLoss`.
    ///
    /// The three have the same shape, `[N, D]` or `[D]`. The distance is `d(a, b) = (Σ |a − b + eps|ᵖ)^(1/p)`; `p`
    /// may be infinite. With `swap`, `d(p, n)` replaces `d(a, n)` where it is smaller. The gradient of a distance of
    /// 0 is 0.
    ///
    /// Defaults: reduction by the mean, `margin` 1, `p` 2, `eps` 1e−6, `swap` `false`.
    ///
    /// Shapes that differ, a margin that is not positive and a `p` below 1 (which PyTorch accepts, but is no norm)
    /// are errors of the graph.
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
        /// Difference of the distances from which there is no loss; must be positive. Default: 1.
        margin: f64 = 1.0,
        /// Exponent of the norm: at least 1, may be infinite. Default: 2.
        p: f64 = 2.0,
        /// Number that is added to each difference. Default: 1e−6.
        eps: f64 = 1e-6,
        /// If `true`, uses the distance between positive and negative where it is smaller than that between anchor
        /// and negative. Default: `false`.
        swap: bool = false,
    }
}

impl TripletMarginLoss {
    /// Returns the loss of the triplets.
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
        // The root has an infinite derivative at 0. There the sum is used, which has the same value and the gradient
        // 0; a NaN stays NaN.
        let none = sum.eq(0.0);
        none.where_cond(sum, none.where_cond(1.0, sum).pow(1.0 / self.p))
    }
}
