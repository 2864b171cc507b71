//! Hinge loss of distances.

use wgrad_core::Tensor;

use super::Loss;
use super::shapes::{invalid_option, invalid_signs};

options! {
    /// Hinge loss of distances: for distances `x`, the loss is `x` where the target is 1 (similar), and
    /// `max(0, margin − x)` where the target is −1 (dissimilar); PyTorch's `HingeEmbeddingLoss`.
    ///
    /// Targets have the shape of the distances. For any other target, the loss is the sum of both formulas, as in
    /// PyTorch.
    ///
    /// Defaults: mean reduction, `margin` 1.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ or the targets are
    /// `u32`.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{HingeEmbeddingLoss, Loss, Reduction};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [3], DType::F32);
    /// let y = graph.input("y", [3], DType::F32);
    /// let loss = HingeEmbeddingLoss::new().margin(2.0).reduction(Reduction::None).forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::vector(vec![0.5f32, 0.5, 3.0])), (&y, &Array::vector(vec![1.0f32, -1.0, -1.0]))];
    /// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [0.5, 1.5, 0.0]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct HingeEmbeddingLoss: common[reduction] {
        /// Smallest distance for which dissimilar pairs have no loss. Default: 1.
        margin: f64 = 1.0,
    }
}

impl Loss for HingeEmbeddingLoss {
    #[track_caller]
    fn forward(&self, x: &Tensor, targets: &Tensor) -> Tensor {
        let option = || invalid_option("the margin", self.margin, true, "a number");
        if let Some(invalid) = invalid_signs(x, targets, "distances").or_else(option) {
            return x.invalid("HingeEmbeddingLoss", &[targets], invalid);
        }
        let zero = &x.number(0.0);
        let unlike = targets.eq(1.0).where_cond(zero, (self.margin - x).relu());
        let alike = targets.eq(-1.0).where_cond(zero, x);
        self.reduction.apply(unlike + alike)
    }
}
