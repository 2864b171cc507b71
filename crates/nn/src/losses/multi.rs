//! Margin losses over several labels or classes.

use wgrad_core::{Array, Misfit, Tensor};

use super::nll::class_misfit;
use super::shapes::{misfit, option_misfit};
use super::{Reduction, Weights};

/// The mean binary cross-entropy of the `C` logits of a row, `[…, C]`, against targets of the same shape; PyTorch's
/// `MultiLabelSoftMarginLoss`.
///
/// It is [`BceWithLogitsLoss`](super::BceWithLogitsLoss) with the mean over the last axis taken first, so that
/// [`Reduction::None`] gives a loss per row. `weight` is one per class, `[C]`.
///
/// Shapes that differ and targets of `u32` leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::{MultiLabelSoftMarginLoss, Reduction};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [1, 2], DType::F32);
/// let y = graph.input("y", [1, 2], DType::F32);
/// let loss = MultiLabelSoftMarginLoss::new().reduction(Reduction::None).apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::full([1, 2], 0f32)), (&y, &Array::new([1, 2], vec![0.0f32, 1.0])?)];
/// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [2f64.ln()]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MultiLabelSoftMarginLoss {
    weight: Option<Weights>,
    reduction: Reduction,
}

impl MultiLabelSoftMarginLoss {
    /// The mean loss, without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A weight per class, `[C]`.
    #[must_use]
    pub fn weight(self, weight: impl Into<Weights>) -> Self {
        Self { weight: Some(weight.into()), ..self }
    }

    /// What to do with the losses of the rows.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of `logits` against `targets`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        let misfit = misfit(logits, targets, "logits")
            .or_else(|| (logits.shape().rank() == 0).then(|| Misfit::new("a single number has no axis of classes")));
        if let Some(misfit) = misfit {
            return logits.misfit("MultiLabelSoftMarginLoss", &[targets], misfit);
        }
        let losses = logits.bce_with_logits(targets);
        let losses = match &self.weight {
            Some(weight) => weight.scale("MultiLabelSoftMarginLoss", &losses, ["logit", "logits"]),
            None => losses,
        };
        self.reduction.row_means(&losses)
    }
}

/// `Σ_{c≠y} w_y · max(0, margin − x_y + x_c)ᵖ / C` for scores `x` `[N, C]` (or `[C]`) and class indices `y` `u32[N]`;
/// PyTorch's `MultiMarginLoss`.
///
/// `p` is 1 by default and may be 2; `margin` is 1; `weight` is one per class, `[C]`. The mean divides by the number of
/// rows, never by the weights. A class index that does not exist makes the loss NaN.
///
/// Shapes, types and options that do not fit leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::MultiMarginLoss;
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [1, 4], DType::F32);
/// let y = graph.input("y", [1], DType::U32);
/// let loss = MultiMarginLoss::new().apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::new([1, 4], vec![0.25f32, 0.5, 0.25, 1.5])?), (&y, &Array::vector(vec![3u32]))];
/// assert_eq!(session.run(&step, &feeds)?[0].item()?, 0.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MultiMarginLoss {
    p: u32,
    margin: f64,
    weight: Option<Weights>,
    reduction: Reduction,
}

impl Default for MultiMarginLoss {
    fn default() -> Self {
        Self { p: 1, margin: 1.0, weight: None, reduction: Reduction::Mean }
    }
}

impl MultiMarginLoss {
    /// The mean loss with a margin of 1, without weights.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The power of each term: 1 or 2.
    #[must_use]
    pub fn p(self, p: u32) -> Self {
        Self { p, ..self }
    }

    /// By how much the score of the right class shall be above the others.
    #[must_use]
    pub fn margin(self, margin: f64) -> Self {
        Self { margin, ..self }
    }

    /// A weight per class, `[C]`.
    #[must_use]
    pub fn weight(self, weight: impl Into<Weights>) -> Self {
        Self { weight: Some(weight.into()), ..self }
    }

    /// What to do with the losses of the rows.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of scores `x` against class indices `target`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let shape = x.shape();
        let classes = shape.dims().last().copied().unwrap_or(1);
        let misfit = class_misfit(&x.spec(), &target.spec(), "scores")
            .or_else(|| (shape.rank() > 2).then(|| Misfit::new(format!("scores are [N, C] or [C], not {shape}"))))
            .or_else(|| option_misfit("p", self.p.into(), matches!(self.p, 1 | 2), "1 or 2"))
            .or_else(|| option_misfit("the margin", self.margin, true, "a number"))
            .or_else(|| self.weight.as_ref().and_then(|weight| weight.per_class(classes)));
        if let Some(misfit) = misfit {
            return x.misfit("MultiMarginLoss", &[target], misfit);
        }
        let index = target.unsqueeze(-1);
        #[allow(clippy::cast_possible_truncation, reason = "a number of classes")]
        let own = index.eq(&x.graph().array(Array::vector((0..classes as u32).collect())));
        let terms = (x - x.gather(-1, &index) + self.margin).relu();
        let terms = if self.p == 2 { terms.square() } else { terms };
        // The right class gets nothing, unless it does not exist: then every term is NaN.
        let terms = own.where_cond(0.0, &terms);
        self.reduction.row_means(&match &self.weight {
            Some(weight) => terms * weight.tensor(x.graph()).embedding(&index),
            None => terms,
        })
    }
}
