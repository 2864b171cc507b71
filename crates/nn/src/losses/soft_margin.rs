//! Logistic loss of scores.

use wgrad_core::Tensor;

use super::Loss;
use super::shapes::invalid_signs;

options! {
    /// Logistic loss of scores: `log(1 + e^(−y·x))` for scores `x` and targets `y` of −1 or 1 of the same shape;
    /// PyTorch's `SoftMarginLoss`.
    ///
    /// This is the binary cross-entropy of logits for labels −1 and 1. It is computed with softplus, which is
    /// accurate for all scores; PyTorch's formula overflows for `y·x` below −709 (in `f32`, below −88).
    ///
    /// Default: mean reduction.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ or the targets are
    /// `u32`.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{Loss, Reduction, SoftMarginLoss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [2], DType::F32);
    /// let y = graph.input("y", [2], DType::F32);
    /// let loss = SoftMarginLoss::new().reduction(Reduction::None).forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::vector(vec![0.0f32, 1000.0])), (&y, &Array::vector(vec![1.0f32, -1.0]))];
    /// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [2f64.ln(), 1000.0]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct SoftMarginLoss: common[reduction] {}
}

impl Loss for SoftMarginLoss {
    #[track_caller]
    fn forward(&self, x: &Tensor, targets: &Tensor) -> Tensor {
        match invalid_signs(x, targets, "scores") {
            Some(invalid) => x.invalid("SoftMarginLoss", &[targets], invalid),
            None => self.reduction.apply((-(x * targets)).softplus()),
        }
    }
}
