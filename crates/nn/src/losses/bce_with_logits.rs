//! Binary cross-entropy of logits.

use wgrad_core::Tensor;

use super::{Loss, Weights};
use crate::lints;

options! {
    /// Binary cross-entropy of logits: `w · ( (1−y)·softplus(x) + p·y·softplus(−x) )` for logits `x` and targets `y`
    /// of the same shape; PyTorch's `BCEWithLogitsLoss`.
    ///
    /// `w` is `weight` and `p` is `pos_weight`. To balance the classes, set `pos_weight` to the number of negative
    /// targets divided by the number of positive targets. Targets may be any number in [0, 1].
    ///
    /// Defaults: mean reduction, no weight, no `pos_weight`. The mean is the sum divided by the number of
    /// elements, not by the sum of the weights.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ or the targets are
    /// `u32`.
    ///
    /// ```
    /// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{BceWithLogitsLoss, Loss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let logits = graph.input("logits", [2, 1], DType::F32);
    /// let targets = graph.input("targets", [2, 1], DType::F32);
    /// let loss = BceWithLogitsLoss::new().forward(&logits, &targets);
    /// let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// let step = session.compile(&graph, &[&loss])?;
    /// let (x, y) = (Array::new([2, 1], vec![0.0f32, 0.0])?, Array::new([2, 1], vec![0.0f32, 1.0])?);
    /// let value = session.run(&step, &[(&logits, &x), (&targets, &y)])?[0].item()?;
    /// assert!((value - 2f64.ln()).abs() < 1e-15);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct BceWithLogitsLoss: common[reduction, weight] {
        /// Factor by which the loss of positive targets is multiplied; its shape broadcasts to the shape of the
        /// logits. Default: none.
        pos_weight: Option<Weights> as Weights = None,
    }
}

impl Loss for BceWithLogitsLoss {
    #[track_caller]
    fn forward(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        lints::logits(logits, "BceWithLogitsLoss");
        let losses = match &self.pos_weight {
            Some(weight) => logits.bce_with_logits_weighted(targets, &weight.tensor(logits.graph())),
            None => logits.bce_with_logits(targets),
        };
        let losses = match &self.weight {
            Some(weight) => weight.scale("BceWithLogitsLoss", &losses, ["logit", "logits"]),
            None => losses,
        };
        self.reduction.apply(losses)
    }
}
