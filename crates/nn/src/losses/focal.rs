//! Focal losses: cross-entropy with less weight on well-classified examples.

use wgrad_core::{InvalidArgument, Tensor};

use super::cross_entropy::{divisor, invalid_class_count};
use super::nll::invalid_classes;
use super::shapes::invalid_option;
use super::{Loss, Reduction, Weights};
use crate::lints;

options! {
    /// Focal loss of independent logits: `a·mᵞ·L` for logits `x` and targets `y` of the same shape, where `L` is
    /// the binary cross-entropy, `γ` is `gamma`, `m = (1−y)·σ(x) + y·σ(−x)` is the probability of the wrong class,
    /// and `a = alpha·y + (1−alpha)·(1−y)`; torchvision's `sigmoid_focal_loss`.
    ///
    /// Loss and gradient are accurate for all logits and every `gamma ≥ 0`. Targets may be any number in [0, 1]. For
    /// exclusive classes, see [`MultiClassFocalLoss`].
    ///
    /// Defaults: mean reduction over the elements, `alpha` 0.25, `gamma` 2. torchvision's function does not reduce
    /// by default, which corresponds to [`Reduction::None`]. Object detectors usually divide the sum by the number
    /// of positive targets.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ, the targets are
    /// `u32`, `alpha` is outside [0, 1] or `gamma` is negative.
    ///
    /// Lin et al.: "Focal loss for dense object detection", 2017.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{FocalLoss, Loss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [2, 1], DType::F32);
    /// let y = graph.input("y", [2, 1], DType::F32);
    /// let loss = FocalLoss::new().forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::full([2, 1], 0f32)), (&y, &Array::new([2, 1], vec![0.0f32, 1.0])?)];
    /// let value = session.run(&step, &feeds)?[0].item()?;
    /// assert!((value - (0.25 + 0.75) / 2.0 * 0.25 * 2f64.ln()).abs() < 1e-15);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct FocalLoss: common[reduction, gamma] {
        /// Weight of positive targets; negative targets have the weight `1 − alpha`. With `None`, targets have no
        /// weights. Default: 0.25.
        alpha: Option<f64> as Option<f64> = Some(0.25),
    }
}

impl Loss for FocalLoss {
    #[track_caller]
    fn forward(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        lints::logits(logits, "FocalLoss");
        let alpha = self.alpha.unwrap_or(0.5);
        if let Some(invalid) = invalid_option("alpha", alpha, (0.0..=1.0).contains(&alpha), "between 0 and 1") {
            let invalid = invalid.fix("0.25 is usual; `None` weighs positives and negatives equally");
            return logits.invalid("FocalLoss", &[targets], invalid);
        }
        let losses = logits.focal(targets, self.gamma);
        self.reduction.apply(match self.alpha {
            Some(alpha) => losses * (targets * alpha + (1.0 - targets) * (1.0 - alpha)),
            None => losses,
        })
    }
}

options! {
    /// Focal loss of exclusive classes: `−a_y·(1 − p_y)ᵞ·log p_y` for class indices `y` and the softmax `p` of
    /// logits whose classes are along axis 1. `a` is `alpha`, `γ` is `gamma`.
    ///
    /// Logits are `[N, C, d…]` (or `[C]`); class indices are `u32[N, d…]`. Rows with the class index
    /// `ignore_index` have no loss.
    ///
    /// Defaults: mean reduction, `gamma` 2, no `alpha`, `ignore_index` [`IGNORE`](super::IGNORE). The mean is the
    /// sum divided by the number of rows that are not ignored (NaN if all rows are ignored), not by the sum of
    /// their `alpha`. A class index out of range makes the loss NaN.
    ///
    /// The loss records an error in the graph, which `compile` reports, if a shape, a type or an option is
    /// invalid.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{Loss, MultiClassFocalLoss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let logits = graph.input("logits", [2, 4], DType::F32);
    /// let classes = graph.input("classes", [2], DType::U32);
    /// let loss = MultiClassFocalLoss::new().forward(&logits, &classes);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&logits, &Array::full([2, 4], 0f32)), (&classes, &Array::vector(vec![0u32, 3]))];
    /// let value = session.run(&step, &feeds)?[0].item()?;
    /// assert!((value - 0.75 * 0.75 * 4f64.ln()).abs() < 1e-15);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    pub struct MultiClassFocalLoss: common[reduction, gamma, ignore_index] {
        /// Weights of the classes, `[C]`. Default: none.
        alpha: Option<Weights> as Weights = None,
    }
}

impl Loss for MultiClassFocalLoss {
    #[track_caller]
    fn forward(&self, logits: &Tensor, target: &Tensor) -> Tensor {
        if let Some(invalid) = self.invalid(logits, target) {
            return logits.invalid("MultiClassFocalLoss", &[target], invalid);
        }
        lints::logits(logits, "MultiClassFocalLoss");
        let graph = logits.graph();
        let _line = graph.line_of_caller();
        let losses = logits.softmax_cross_entropy(target, None, 0.0, self.ignore_index).0.focal_of(self.gamma);
        let kept = self.ignore_index.map(|index| target.eq(graph.constant_u32(index)).logical_not());
        let losses = match (&self.alpha, &kept) {
            (None, _) => losses,
            (Some(alpha), None) => losses * alpha.tensor(graph).embedding(target),
            (Some(alpha), Some(kept)) => kept.where_cond(&(losses * alpha.tensor(graph).embedding(target)), 0.0),
        };
        match (self.reduction, kept) {
            (Reduction::Mean, Some(kept)) => losses.sum_all() / divisor(&kept.to_f32().sum_all()),
            (reduction, _) => reduction.apply(losses),
        }
    }
}

impl MultiClassFocalLoss {
    fn invalid(&self, logits: &Tensor, target: &Tensor) -> Option<InvalidArgument> {
        let shape = logits.shape();
        let classes = shape.dims().get(usize::from(shape.rank() > 1)).copied();
        let of_classes = |classes| {
            invalid_class_count(classes).or_else(|| self.alpha.as_ref().and_then(|alpha| alpha.per_class(classes)))
        };
        classes.and_then(of_classes).or_else(|| invalid_classes(&logits.spec(), &target.spec(), "logits"))
    }
}
