//! Loss that penalizes pairs of scores in the wrong order.

use wgrad_core::Tensor;

use super::shapes::{invalid_option, invalid_signs};

options! {
    /// Ranking loss for pairs of scores: `max(0, −y·(x₁ − x₂) + margin)`, where the target `y` is 1 if the first
    /// score should be higher, and −1 if the second score should be higher; PyTorch's `MarginRankingLoss`.
    ///
    /// Scores and targets have the same shape. Defaults: mean reduction, `margin` 0.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ (PyTorch broadcasts
    /// them) or the targets are `u32`.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{MarginRankingLoss, Reduction};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let [a, b, y] = ["a", "b", "y"].map(|name| graph.input(name, [2], DType::F32));
    /// let loss = MarginRankingLoss::new().margin(0.5).reduction(Reduction::None).forward(&a, &b, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [
    /// #     (&a, &Array::vector(vec![3.0f32, 3.0])),
    /// #     (&b, &Array::vector(vec![1.0f32, 1.0])),
    /// #     (&y, &Array::vector(vec![1.0f32, -1.0])),
    /// # ];
    /// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [0.0, 2.5]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct MarginRankingLoss: common[reduction] {
        /// Smallest difference of correctly ordered scores for which there is no loss. Default: 0.
        margin: f64 = 0.0,
    }
}

impl MarginRankingLoss {
    /// Returns the loss of the scores `first` and `second` with the given `targets`.
    #[track_caller]
    pub fn forward(&self, first: &Tensor, second: &Tensor, targets: &Tensor) -> Tensor {
        let option = || invalid_option("the margin", self.margin, true, "a number");
        let invalid = invalid_signs(first, targets, "scores").or_else(|| invalid_signs(second, targets, "scores"));
        if let Some(invalid) = invalid.or_else(option) {
            return first.invalid("MarginRankingLoss", &[second, targets], invalid);
        }
        self.reduction.apply((targets * (second - first) + self.margin).relu())
    }
}
