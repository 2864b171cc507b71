//! Negative log-likelihood of counts.

use std::f64::consts::TAU;

use wgrad_core::Tensor;

use super::Loss;
use super::shapes::{invalid, invalid_option};

options! {
    /// Negative log-likelihood of counts under a Poisson distribution: `eˣ − y·x` for log-rates `x` and counts `y` of
    /// the same shape; PyTorch's `PoissonNLLLoss`.
    ///
    /// Without `log_input`, `x` is the rate itself, and the formula is `x − y·log(x + eps)`. With `full`,
    /// Stirling's approximation of `log y!`, `y·log y − y + ½·log(2π·y)`, is added where `y > 1`. It does not
    /// change the gradient with respect to `x`.
    ///
    /// Defaults: mean reduction, `log_input` `true`, `full` `false`, `eps` 1e−8.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ, the targets are
    /// `u32` or `eps` is not positive.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{Loss, PoissonNllLoss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [1], DType::F32);
    /// let y = graph.input("y", [1], DType::F32);
    /// let loss = PoissonNllLoss::new().forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::vector(vec![2.0f32])), (&y, &Array::vector(vec![3.0f32]))];
    /// assert_eq!(session.run(&step, &feeds)?[0].item()?, 2f64.exp() - 6.0);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct PoissonNllLoss: common[reduction] {
        /// If `true`, predictions are logarithms of rates; if `false`, predictions are rates. Default: `true`.
        log_input: bool = true,
        /// If `true`, adds the approximation of `log y!`. Default: `false`.
        full: bool = false,
        /// Number that is added to a rate before the logarithm is computed. Default: 1e−8.
        eps: f64 = 1e-8,
    }
}

impl Loss for PoissonNllLoss {
    #[track_caller]
    fn forward(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let option = || invalid_option("eps", self.eps, self.eps > 0.0, "a number above 0");
        if let Some(invalid) = invalid(x, y, "predictions").or_else(option) {
            return x.invalid("PoissonNllLoss", &[y], invalid);
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
