//! Binary cross-entropy of probabilities.

use wgrad_core::Tensor;

use super::Loss;
use crate::lints;

options! {
    /// Binary cross-entropy of probabilities: `−w · ( y·log x + (1−y)·log(1−x) )` for probabilities `x` and
    /// targets `y` of the same shape, with `w` the `weight`; PyTorch's `BCELoss`.
    ///
    /// This loss is for models that end in a sigmoid. [`BceWithLogitsLoss`](super::BceWithLogitsLoss), which takes
    /// logits, is more accurate for probabilities near 0 and 1, and has the option `pos_weight`. Logarithms are
    /// clamped to at least −100, and the gradient's denominator, `x·(1−x)`, to at least 1e−12. So for
    /// probabilities of exactly 0 and 1, the loss is at most 100 and the gradient at most 1e12. For inputs outside
    /// [0, 1], such as logits, loss and gradient are NaN; PyTorch raises an error. Targets may be any number in
    /// [0, 1].
    ///
    /// Defaults: mean reduction, no weight. The mean is the sum divided by the number of elements, not by the sum
    /// of the weights.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ or the targets are
    /// `u32`.
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
