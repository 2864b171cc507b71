//! Absolute error, quadratic near 0.

use wgrad_core::Tensor;

use super::Loss;
use super::huber::huber;
use super::shapes::{invalid, invalid_option};

options! {
    /// Absolute error that is quadratic near 0: `½d²/beta` where `|d| < beta` for `d = x − y`, and `|d| − ½beta`
    /// elsewhere; PyTorch's `SmoothL1Loss`.
    ///
    /// Predictions `x` and targets `y` have the same shape. With `beta` 0, the loss is [`L1Loss`](super::L1Loss).
    /// The gradient is `d/beta` where `|d| < beta`, otherwise `sign(d)`.
    ///
    /// Defaults: mean reduction, `beta` 1.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ (they do not
    /// broadcast), the targets are `u32` or `beta` is negative.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{Loss, Reduction, SmoothL1Loss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [2], DType::F32);
    /// let y = graph.input("y", [2], DType::F32);
    /// let loss = SmoothL1Loss::new().beta(2.0).reduction(Reduction::Sum).forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::vector(vec![1.0f32, 2.0])), (&y, &Array::vector(vec![0.0f32, 5.0]))];
    /// assert_eq!(session.run(&step, &feeds)?[0].item()?, 0.25 + 2.0);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct SmoothL1Loss: common[reduction] {
        /// Largest error `|d|` for which the loss is quadratic; must not be negative. Default: 1.
        beta: f64 = 1.0,
    }
}

impl Loss for SmoothL1Loss {
    #[track_caller]
    fn forward(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let option = || invalid_option("beta", self.beta, self.beta >= 0.0, "a number that is not negative");
        if let Some(invalid) = invalid(x, y, "predictions").or_else(option) {
            return x.invalid("SmoothL1Loss", &[y], invalid);
        }
        let d = x - y;
        let losses = if self.beta == 0.0 { d.abs() } else { huber(&d, self.beta) / self.beta };
        self.reduction.apply(losses)
    }
}
