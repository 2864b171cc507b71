//! The negative log-likelihood of numbers under normal distributions.

use std::f64::consts::TAU;

use wgrad_core::{InvalidArgument, Tensor};

use super::shapes::{invalid, invalid_option};

options! {
    /// Negative log-likelihood of numbers under normal distributions: `½·(log v + (x − y)² / v)` for means `x`,
    /// targets `y` and variances `v`; PyTorch's `GaussianNLLLoss`.
    ///
    /// Means and targets have the same shape. Variances have the shape of the means; alternatively, the last axis
    /// is missing, or one axis has size 1 and is broadcast. As in PyTorch, variances below `eps` are replaced with
    /// `eps`, and get the gradient that the loss has at `eps`. Negative variances are replaced, too, whereas
    /// PyTorch raises an error. Make variances positive with `exp` or `softplus`.
    ///
    /// Defaults: mean reduction, `full` `false`, `eps` 1e−6.
    ///
    /// The loss records an error in the graph, which `compile` reports, if a shape is invalid, the targets are
    /// `u32` or `eps` is not positive.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::GaussianNllLoss;
    /// let graph = Graph::new(Mode::Evaluate);
    /// let [x, y, v] = ["x", "y", "v"].map(|name| graph.input(name, [1], DType::F32));
    /// let loss = GaussianNllLoss::new().forward(&x, &y, &v);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::full([1], 5f32)), (&y, &Array::full([1], 2f32)), (&v, &Array::full([1], 1f32))];
    /// assert_eq!(session.run(&step, &feeds)?[0].item()?, 4.5);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct GaussianNllLoss: common[reduction] {
        /// If `true`, adds the constant `½·log 2π`. Default: `false`.
        full: bool = false,
        /// Smallest variance; smaller variances are replaced with this number. Default: 1e−6.
        eps: f64 = 1e-6,
    }
}

impl GaussianNllLoss {
    /// Returns the loss of targets `y` for the predicted means `x` and variances `var`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, y: &Tensor, var: &Tensor) -> Tensor {
        let (shape, own) = (x.shape(), var.shape());
        let shared = own.rank() + 1 == shape.rank() && shape.dims().starts_with(own.dims());
        let off: Vec<usize> = if own.rank() == shape.rank() {
            own.dims().iter().zip(shape.dims()).filter(|(own, size)| own != size).map(|(own, _)| *own).collect()
        } else {
            vec![0]
        };
        let invalid = invalid(x, y, "means")
            .or_else(|| invalid_option("eps", self.eps, self.eps > 0.0, "a number above 0"))
            .or_else(|| {
                (!shared && !off.is_empty() && off != [1]).then(|| {
                    InvalidArgument::new(format!("variances {own} do not fit means {shape}")).fix(format!(
                        "give one per mean, {shape}, or one per row: without the last axis, or with size 1 there"
                    ))
                })
            })
            .or_else(|| {
                (!var.dtype().is_float())
                    .then(|| InvalidArgument::new("variances are f32, not u32").fix("cast with `.to_f32()`"))
            });
        if let Some(invalid) = invalid {
            return x.invalid("GaussianNllLoss", &[y, var], invalid);
        }
        let var = if shared { var.unsqueeze(-1) } else { var.clone() };
        let lift = (var.maximum(self.eps) - &var).detach();
        let var = &(var + lift);
        let losses = (var.log() + (x - y).square() / var) * 0.5;
        self.reduction.apply(if self.full { losses + 0.5 * TAU.ln() } else { losses })
    }
}
