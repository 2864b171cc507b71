//! Distances of triplets: anchor, positive, negative.

use wgrad_core::Tensor;

use super::shapes::{invalid_option, invalid_vectors};

options! {
    /// Margin loss of triplets of vectors: `max(0, d(a, p) − d(a, n) + margin)` for an anchor, a positive and a
    /// negative vector along the last axis; PyTorch's `TripletMarginLoss`.
    ///
    /// `d(a, b) = (Σ |a − b + eps|ᵖ)^(1/p)`, with `p` 2 and `eps` 1e−6 by default; `margin` is 1. With `swap`, the
    /// negative's distance is the smaller one of those from anchor and positive. The gradient of a distance of 0 is 0.
    ///
    /// Shapes that differ, a margin that is not above 0 and a `p` below 1 (no distance; PyTorch takes it) leave an
    /// invalid tensor and an error. `p` may be infinite.
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
        /// Distance by which the negative shall be farther away, above 0; 1 by default.
        margin: f64 = 1.0,
        /// Norm: 1, 2, which is the default, any number between or above, or infinity.
        p: f64 = 2.0,
        /// Number added to each difference; 1e−6 by default.
        eps: f64 = 1e-6,
        /// Whether to take the negative's distance from the positive where it is the smaller one; by default it is not.
        swap: bool = false,
    }
}

impl TripletMarginLoss {
    /// The loss of the triplets.
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
        // The root is steep at 0. There the sum itself has the same value, and the gradient 0; and if it is NaN, it stays.
        let none = sum.eq(0.0);
        none.where_cond(sum, none.where_cond(1.0, sum).pow(1.0 / self.p))
    }
}
