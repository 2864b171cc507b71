//! Binary cross-entropy of probabilities.

use wgrad_core::Tensor;

use super::Loss;
use crate::lints;

options! {
    /// Binary cross-entropy of probabilities: `−w · ( y·log x + (1−y)·log(1−x) )` for probabilities `x` and targets `y`
    /// of the same shape; PyTorch's `BCELoss`.
    ///
    /// For a model that ends in a sigmoid; without it, [`BceWithLogitsLoss`](super::BceWithLogitsLoss) on the logits
    /// keeps the digits that a probability near 1 has lost, and has `pos_weight`. Logarithms are held at −100 and the
    /// denominator of the gradient at 1e−12, so probabilities of exactly 0 and 1 give finite numbers: at most 100, and
    /// gradients up to 1e12. Numbers outside [0, 1] (logits, say), which PyTorch refuses, make loss and gradient NaN.
    ///
    /// The mean divides by the number of elements, never by the weights. Targets may be soft.
    ///
    /// Shapes that differ and targets of `u32` leave an invalid tensor and an error.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{BceLoss, Loss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let p = graph.input("p", [2, 1], DType::F32);
    /// let y = graph.input("y", [2, 1], DType::F32);
    /// let loss = BceLoss::new().forward(&p, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&p, &Array::new([2, 1], vec![0.0f32, 1.0])?), (&y, &Array::new([2, 1], vec![1.0f32, 1.0])?)];
    /// assert_eq!(session.run(&step, &feeds)?[0].item()?, 50.0); // (100 + 0) / 2
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct BceLoss: common[reduction, weight] {}
}

impl Loss for BceLoss {
    #[track_caller]
    fn forward(&self, probabilities: &Tensor, targets: &Tensor) -> Tensor {
        lints::probabilities(probabilities, "BceLoss", false);
        let losses = probabilities.bce(targets);
        self.reduction.apply(match &self.weight {
            Some(weight) => weight.scale("BceLoss", &losses, ["probability", "probabilities"]),
            None => losses,
        })
    }
}
