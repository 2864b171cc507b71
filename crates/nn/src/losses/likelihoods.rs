//! Negative log-likelihoods of numbers: Poisson and Gaussian.

use std::f64::consts::TAU;

use wgrad_core::{Misfit, Tensor};

use super::Reduction;
use super::shapes::{misfit, option_misfit};

/// `eˣ − y·x` for the logarithm `x` of a rate and counts `y` of the same shape; PyTorch's `PoissonNLLLoss`.
///
/// Without `log_input`, `x` is the rate itself: `x − y·log(x + eps)`, `eps` 1e−8 by default. `full` adds Stirling's
/// formula for `log y!` where `y > 1`: `y·log y − y + ½·log(2π·y)`; the gradient of the prediction does not change.
///
/// Shapes that differ, targets of `u32` and an `eps` that is not above 0 leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::PoissonNllLoss;
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [1], DType::F32);
/// let y = graph.input("y", [1], DType::F32);
/// let loss = PoissonNllLoss::new().apply(&x, &y);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::vector(vec![2.0f32])), (&y, &Array::vector(vec![3.0f32]))];
/// assert_eq!(session.run(&step, &feeds)?[0].item()?, 2f64.exp() - 6.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoissonNllLoss {
    log_input: bool,
    full: bool,
    eps: f64,
    reduction: Reduction,
}

impl Default for PoissonNllLoss {
    fn default() -> Self {
        Self { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

impl PoissonNllLoss {
    /// The mean loss of logarithms of rates, without the term of the counts alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the predictions are logarithms.
    #[must_use]
    pub fn log_input(self, log_input: bool) -> Self {
        Self { log_input, ..self }
    }

    /// Whether to add the approximation of `log y!`.
    #[must_use]
    pub fn full(self, full: bool) -> Self {
        Self { full, ..self }
    }

    /// What is added to a rate before its logarithm is taken.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of predictions `x` against counts `y`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let option = || option_misfit("eps", self.eps, self.eps > 0.0, "a number above 0");
        if let Some(misfit) = misfit(x, y, "predictions").or_else(option) {
            return x.misfit("PoissonNllLoss", &[y], misfit);
        }
        let losses = if self.log_input { x.exp() - y * x } else { x - y * (x + self.eps).log() };
        self.reduction.apply(if self.full {
            let above = y.gt(1.0);
            let count = &above.where_cond(y, 1.0);
            let factorial = count * count.log() - count + (count * TAU).log() * 0.5;
            losses + above.where_cond(&factorial, 0.0)
        } else {
            losses
        })
    }
}

/// `½·(log v + (x − y)² / v)` for means `x`, targets `y` and variances `v`; PyTorch's `GaussianNLLLoss`.
///
/// Variances have the shape of the means, or miss the last axis, or have one axis of size 1: then they are shared along
/// it. Those below `eps`, 1e−6 by default, count as `eps`, but get the gradient that they would have there, as in PyTorch
/// (which refuses negative ones; make variances positive by `exp` or `softplus`). `full` adds `½·log 2π`.
///
/// Shapes that do not fit, targets of `u32` and an `eps` that is not above 0 leave an invalid tensor and an error.
///
/// ```
/// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::losses::GaussianNllLoss;
/// let graph = Graph::new(Mode::Evaluate);
/// let [x, y, v] = ["x", "y", "v"].map(|name| graph.input(name, [1], DType::F32));
/// let loss = GaussianNllLoss::new().apply(&x, &y, &v);
/// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
/// # let step = session.compile(&graph, &[&loss])?;
/// # let feeds = [(&x, &Array::full([1], 5f32)), (&y, &Array::full([1], 2f32)), (&v, &Array::full([1], 1f32))];
/// assert_eq!(session.run(&step, &feeds)?[0].item()?, 4.5);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianNllLoss {
    full: bool,
    eps: f64,
    reduction: Reduction,
}

impl Default for GaussianNllLoss {
    fn default() -> Self {
        Self { full: false, eps: 1e-6, reduction: Reduction::Mean }
    }
}

impl GaussianNllLoss {
    /// The mean loss, without the constant.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to add the constant `½·log 2π`.
    #[must_use]
    pub fn full(self, full: bool) -> Self {
        Self { full, ..self }
    }

    /// The smallest variance.
    #[must_use]
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// What to do with the losses of the elements.
    #[must_use]
    pub fn reduction(self, reduction: Reduction) -> Self {
        Self { reduction, ..self }
    }

    /// The loss of means `x` and variances `var` against targets `y`.
    #[track_caller]
    #[must_use]
    pub fn apply(&self, x: &Tensor, y: &Tensor, var: &Tensor) -> Tensor {
        let (shape, own) = (x.shape(), var.shape());
        let shared = own.rank() + 1 == shape.rank() && shape.dims().starts_with(own.dims());
        let off: Vec<usize> = if own.rank() == shape.rank() {
            own.dims().iter().zip(shape.dims()).filter(|(own, size)| own != size).map(|(own, _)| *own).collect()
        } else {
            vec![0]
        };
        let misfit = misfit(x, y, "means")
            .or_else(|| option_misfit("eps", self.eps, self.eps > 0.0, "a number above 0"))
            .or_else(|| {
                (!shared && !off.is_empty() && off != [1]).then(|| {
                    Misfit::new(format!("variances {own} do not fit means {shape}")).fix(format!(
                        "give one per mean, {shape}, or one per row: without the last axis, or with size 1 there"
                    ))
                })
            })
            .or_else(|| {
                (!var.dtype().is_float())
                    .then(|| Misfit::new("variances are f32, not u32").fix("cast with `.to_f32()`"))
            });
        if let Some(misfit) = misfit {
            return x.misfit("GaussianNllLoss", &[y, var], misfit);
        }
        let var = if shared { var.unsqueeze(-1) } else { var.clone() };
        let lift = (var.maximum(self.eps) - &var).detach();
        let var = &(var + lift);
        let losses = (var.log() + (x - y).square() / var) * 0.5;
        self.reduction.apply(if self.full { losses + 0.5 * TAU.ln() } else { losses })
    }
}
