//! Losses of numbers: squared, absolute, and what lies between.

use wgrad_core::Tensor;

use super::Reduction;
use super::shapes::{misfit, option_misfit};

/// `(x − y)²` for predictions `x` and targets `y` of the same shape; PyTorch's `MSELoss`.
///
/// Shapes are compared, not broadcast, and targets are `f32`; other ones leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::MseLoss;
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2], DType::F32);
/// let y = graph.input("y", [2], DType::F32);
/// let loss = MseLoss::new().apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::vector(vec![1.0f32, 2.0])), (&y, &Array::vector(vec![0.0f32, 5.0]))];
/// assert_eq!(session.run(&step, &feeds)?[0].item()?, 5.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MseLoss {
    reduction: Reduction,
}

impl MseLoss {
    /// The mean of the squares.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction }
    }

    /// The loss of predictions `x` against targets `y`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, y: &Tensor) -> Tensor {
        match misfit(x, y, "predictions") {
            Some(misfit) => x.misfit("MseLoss", &[y], misfit),
            None => self.reduction.apply((x - y).square()),
        }
    }
}

/// `|x − y|` for predictions `x` and targets `y` of the same shape; PyTorch's `L1Loss`. The gradient is 0 where they are
/// equal.
///
/// Shapes are compared, not broadcast, and targets are `f32`; other ones leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::L1Loss;
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2], DType::F32);
/// let y = graph.input("y", [2], DType::F32);
/// let loss = L1Loss::new().apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::vector(vec![1.0f32, 2.0])), (&y, &Array::vector(vec![0.0f32, 5.0]))];
/// assert_eq!(session.run(&step, &feeds)?[0].item()?, 2.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct L1Loss {
    reduction: Reduction,
}

impl L1Loss {
    /// The mean of the distances.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction }
    }

    /// The loss of predictions `x` against targets `y`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, y: &Tensor) -> Tensor {
        match misfit(x, y, "predictions") {
            Some(misfit) => x.misfit("L1Loss", &[y], misfit),
            None => self.reduction.apply((x - y).abs()),
        }
    }
}

/// `½d²` where `|d| < delta`, `delta·(|d| − ½delta)` beyond, with `c = d` held within ±delta: `c·(d − ½c)`.
///
/// The parts of the gradient that go through `c` cancel exactly, so that it is `c`.
#[track_caller]
fn huber(d: &Tensor, delta: f64) -> Tensor {
    let c = d.clamp(-delta, delta);
    &c * (d - &c * 0.5)
}

/// `½d²/beta` where `d = x − y` is below `beta` in size, `|d| − ½beta` beyond; PyTorch's `SmoothL1Loss`.
///
/// `beta` is 1 by default; with 0 it is [`L1Loss`]. The gradient is `d/beta` within, the sign of `d` beyond.
///
/// Shapes are compared, not broadcast, and targets are `f32`; other ones, and a negative `beta`, leave an invalid tensor
/// and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::{Reduction, SmoothL1Loss};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2], DType::F32);
/// let y = graph.input("y", [2], DType::F32);
/// let loss = SmoothL1Loss::new().beta(2.0).reduction(Reduction::Sum).apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::vector(vec![1.0f32, 2.0])), (&y, &Array::vector(vec![0.0f32, 5.0]))];
/// assert_eq!(session.run(&step, &feeds)?[0].item()?, 0.25 + 2.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothL1Loss {
    beta: f64,
    reduction: Reduction,
}

impl Default for SmoothL1Loss {
    fn default() -> Self {
        Self { beta: 1.0, reduction: Reduction::Mean }
    }
}

impl SmoothL1Loss {
    /// The mean loss, quadratic up to a distance of 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The distance up to which the loss is quadratic, not negative.
    #[must_use]
    pub fn beta(self, beta: f64) -> Self {
        Self { beta, ..self }
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of predictions `x` against targets `y`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let option = || option_misfit("beta", self.beta, self.beta >= 0.0, "a number that is not negative");
        if let Some(misfit) = misfit(x, y, "predictions").or_else(option) {
            return x.misfit("SmoothL1Loss", &[y], misfit);
        }
        let d = x - y;
        let losses = if self.beta == 0.0 { d.abs() } else { huber(&d, self.beta) / self.beta };
        self.reduction.apply(losses)
    }
}

/// `½d²` where `d = x − y` is below `delta` in size, `delta·(|d| − ½delta)` beyond; PyTorch's `HuberLoss`.
///
/// `delta` is 1 by default. It is `delta` times [`SmoothL1Loss`] with `beta = delta`; the gradient is `d` within, `delta`
/// times its sign beyond.
///
/// Shapes are compared, not broadcast, and targets are `f32`; other ones, and a `delta` that is not above 0, leave an
/// invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::{HuberLoss, Reduction};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2], DType::F32);
/// let y = graph.input("y", [2], DType::F32);
/// let loss = HuberLoss::new().delta(2.0).reduction(Reduction::None).apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::vector(vec![1.0f32, 2.0])), (&y, &Array::vector(vec![0.0f32, 5.0]))];
/// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [0.5, 4.0]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HuberLoss {
    delta: f64,
    reduction: Reduction,
}

impl Default for HuberLoss {
    fn default() -> Self {
        Self { delta: 1.0, reduction: Reduction::Mean }
    }
}

impl HuberLoss {
    /// The mean loss, quadratic up to a distance of 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The distance up to which the loss is quadratic, above 0.
    #[must_use]
    pub fn delta(self, delta: f64) -> Self {
        Self { delta, ..self }
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of predictions `x` against targets `y`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let option = || option_misfit("delta", self.delta, self.delta > 0.0, "a number above 0");
        if let Some(misfit) = misfit(x, y, "predictions").or_else(option) {
            return x.misfit("HuberLoss", &[y], misfit);
        }
        self.reduction.apply(huber(&(x - y), self.delta))
    }
}
