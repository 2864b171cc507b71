//! Losses of scores whose targets are −1 and 1.

use wgrad_core::Tensor;

use super::Reduction;
use super::shapes::{option_misfit, signs_misfit};

/// `max(0, 1 − y·x)` for scores `x` and targets `y` of −1 or 1 of the same shape: what a support vector machine
/// minimises. `squared` takes the square of it.
///
/// PyTorch has no such loss (its `HingeEmbeddingLoss` is [another one](HingeEmbeddingLoss)); Keras calls them `hinge` and
/// `squared_hinge`. The gradient is `−y` where `y·x < 1`, else 0.
///
/// Shapes that differ and targets of `u32` leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::{HingeLoss, Reduction};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [3], DType::F32);
/// let y = graph.input("y", [3], DType::F32);
/// let loss = HingeLoss::new().reduction(Reduction::None).apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::vector(vec![2.0f32, 0.5, 0.5])), (&y, &Array::vector(vec![1.0f32, 1.0, -1.0]))];
/// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [0.0, 0.5, 1.5]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HingeLoss {
    squared: bool,
    reduction: Reduction,
}

impl HingeLoss {
    /// The mean loss, not squared.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to square each loss.
    #[must_use]
    pub fn squared(self, squared: bool) -> Self {
        Self { squared, ..self }
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of scores `x` against `targets`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, targets: &Tensor) -> Tensor {
        if let Some(misfit) = signs_misfit(x, targets, "scores") {
            return x.misfit("HingeLoss", &[targets], misfit);
        }
        let losses = (1.0 - x * targets).relu();
        self.reduction.apply(if self.squared { losses.square() } else { losses })
    }
}

/// `x` where the target is 1, `max(0, margin − x)` where it is −1, for distances `x`; PyTorch's `HingeEmbeddingLoss`.
///
/// `margin` is 1 by default. A target that is neither gets the sum of both, as in PyTorch.
///
/// Shapes that differ and targets of `u32` leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::{HingeEmbeddingLoss, Reduction};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [3], DType::F32);
/// let y = graph.input("y", [3], DType::F32);
/// let loss = HingeEmbeddingLoss::new().margin(2.0).reduction(Reduction::None).apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::vector(vec![0.5f32, 0.5, 3.0])), (&y, &Array::vector(vec![1.0f32, -1.0, -1.0]))];
/// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [0.5, 1.5, 0.0]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HingeEmbeddingLoss {
    margin: f64,
    reduction: Reduction,
}

impl Default for HingeEmbeddingLoss {
    fn default() -> Self {
        Self { margin: 1.0, reduction: Reduction::Mean }
    }
}

impl HingeEmbeddingLoss {
    /// The mean loss with a margin of 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The distance that unlike pairs shall have.
    #[must_use]
    pub fn margin(self, margin: f64) -> Self {
        Self { margin, ..self }
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of distances `x` against `targets`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, targets: &Tensor) -> Tensor {
        let option = || option_misfit("the margin", self.margin, true, "a number");
        if let Some(misfit) = signs_misfit(x, targets, "distances").or_else(option) {
            return x.misfit("HingeEmbeddingLoss", &[targets], misfit);
        }
        let zero = &x.number(0.0);
        let unlike = targets.eq(1.0).where_cond(zero, &(self.margin - x).relu());
        let alike = targets.eq(-1.0).where_cond(zero, x);
        self.reduction.apply(unlike + alike)
    }
}

/// `max(0, −y·(x₁ − x₂) + margin)`: for targets 1 the first score shall be the higher one, for −1 the second; PyTorch's
/// `MarginRankingLoss`.
///
/// `margin` is 0 by default. All three have the same shape (PyTorch broadcasts).
///
/// Shapes that differ and targets of `u32` leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::{MarginRankingLoss, Reduction};
/// let graph = Graph::new(Mode::Evaluate);
/// let [a, b, y] = ["a", "b", "y"].map(|name| graph.input(name, [2], DType::F32));
/// let loss = MarginRankingLoss::new().margin(0.5).reduction(Reduction::None).apply(&a, &b, &y);
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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MarginRankingLoss {
    margin: f64,
    reduction: Reduction,
}

impl MarginRankingLoss {
    /// The mean loss without a margin.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// By how much the one score shall be above the other.
    #[must_use]
    pub fn margin(self, margin: f64) -> Self {
        Self { margin, ..self }
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of scores `first` and `second` against `targets`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, first: &Tensor, second: &Tensor, targets: &Tensor) -> Tensor {
        let option = || option_misfit("the margin", self.margin, true, "a number");
        let misfit = signs_misfit(first, targets, "scores").or_else(|| signs_misfit(second, targets, "scores"));
        if let Some(misfit) = misfit.or_else(option) {
            return first.misfit("MarginRankingLoss", &[second, targets], misfit);
        }
        self.reduction.apply((targets * (second - first) + self.margin).relu())
    }
}

/// `log(1 + e^(−y·x))` for scores `x` and targets `y` of −1 or 1 of the same shape; PyTorch's `SoftMarginLoss`.
///
/// It is the binary cross-entropy of logits with other labels. Computed as a softplus, it is exact at both ends, where
/// PyTorch's overflows below −709 (in `f32`, below −88).
///
/// Shapes that differ and targets of `u32` leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::{Reduction, SoftMarginLoss};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2], DType::F32);
/// let y = graph.input("y", [2], DType::F32);
/// let loss = SoftMarginLoss::new().reduction(Reduction::None).apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::vector(vec![0.0f32, 1000.0])), (&y, &Array::vector(vec![1.0f32, -1.0]))];
/// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [2f64.ln(), 1000.0]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoftMarginLoss {
    reduction: Reduction,
}

impl SoftMarginLoss {
    /// The mean loss.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction }
    }

    /// The loss of scores `x` against `targets`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, targets: &Tensor) -> Tensor {
        match signs_misfit(x, targets, "scores") {
            Some(misfit) => x.misfit("SoftMarginLoss", &[targets], misfit),
            None => self.reduction.apply((-(x * targets)).softplus()),
        }
    }
}
