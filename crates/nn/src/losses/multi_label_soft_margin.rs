//! Binary cross-entropy for several labels per row.

use wgrad_core::{InvalidArgument, Tensor};

use super::Loss;
use super::shapes::invalid;

options! {
    /// Binary cross-entropy for rows with `C` independent labels. The loss of a row is the mean over its labels,
    /// for logits `[…, C]` and targets of the same shape; PyTorch's `MultiLabelSoftMarginLoss`.
    ///
    /// The formula is that of [`BceWithLogitsLoss`](super::BceWithLogitsLoss), followed by the mean over the last
    /// axis. So with [`Reduction::None`](super::Reduction::None), the result has one loss per row.
    ///
    /// Defaults: mean reduction, no weight.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ or the targets are
    /// `u32`.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{Loss, MultiLabelSoftMarginLoss, Reduction};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [1, 2], DType::F32);
    /// let y = graph.input("y", [1, 2], DType::F32);
    /// let loss = MultiLabelSoftMarginLoss::new().reduction(Reduction::None).forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::full([1, 2], 0f32)), (&y, &Array::new([1, 2], vec![0.0f32, 1.0])?)];
    /// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [2f64.ln()]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct MultiLabelSoftMarginLoss: common[reduction, class_weight] {}
}

impl Loss for MultiLabelSoftMarginLoss {
    #[track_caller]
    fn forward(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        let invalid = invalid(logits, targets, "logits")
            .or_else(|| (logits.shape().rank() == 0).then(|| InvalidArgument::new("a scalar has no class axis")));
        if let Some(invalid) = invalid {
            return logits.invalid("MultiLabelSoftMarginLoss", &[targets], invalid);
        }
        let losses = logits.bce_with_logits(targets);
        let losses = match &self.class_weight {
            Some(weight) => weight.scale("MultiLabelSoftMarginLoss", &losses, ["logit", "logits"]),
            None => losses,
        };
        self.reduction.row_means(&losses)
    }
}
