//! Hinge loss of scores.

use wgrad_core::Tensor;

use super::Loss;
use super::shapes::invalid_signs;

options! {
    /// Hinge loss of scores: `max(0, 1 − y·x)` for scores `x` and targets `y` of −1 or 1 of the same shape, the
    /// loss of a support vector machine. With `squared`, each loss is squared.
    ///
    /// Without `squared`, the gradient is `−y` where `y·x < 1`, otherwise 0. The same losses are called `hinge`
    /// and `squared_hinge` in Keras. PyTorch has no such loss; its
    /// [`HingeEmbeddingLoss`](super::HingeEmbeddingLoss) is a different one.
    ///
    /// Defaults: mean reduction, not squared.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ or the targets are
    /// `u32`.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{HingeLoss, Loss, Reduction};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [3], DType::F32);
    /// let y = graph.input("y", [3], DType::F32);
    /// let loss = HingeLoss::new().reduction(Reduction::None).forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::vector(vec![2.0f32, 0.5, 0.5])), (&y, &Array::vector(vec![1.0f32, 1.0, -1.0]))];
    /// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [0.0, 0.5, 1.5]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct HingeLoss: common[reduction] {
        /// If `true`, squares each loss. Default: `false`.
        squared: bool = false,
    }
}

impl Loss for HingeLoss {
    #[track_caller]
    fn forward(&self, x: &Tensor, targets: &Tensor) -> Tensor {
        if let Some(invalid) = invalid_signs(x, targets, "scores") {
            return x.invalid("HingeLoss", &[targets], invalid);
        }
        let losses = (1.0 - x * targets).relu();
        self.reduction.apply(if self.squared { losses.square() } else { losses })
    }
}
