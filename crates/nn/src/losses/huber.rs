//! Huber loss.

use wgrad_core::Tensor;

use super::Loss;
use super::shapes::{invalid, invalid_option};

/// Returns `½d²` where `|d| < delta`, and `delta·(|d| − ½delta)` elsewhere, computed as `c·(d − ½c)` with
/// `c = clamp(d, −delta, delta)`.
///
/// The derivative of this formula with respect to `d` is exactly `c`, because the terms with the derivative of `c`
/// cancel.
#[track_caller]
pub(super) fn huber(d: &Tensor, delta: f64) -> Tensor {
    let c = d.clamp(-delta, delta);
    &c * (d - &c * 0.5)
}

options! {
    /// Huber loss: `½d²` where `|d| < delta` for `d = x − y`, and `delta·(|d| − ½delta)` elsewhere; PyTorch's
    /// `HuberLoss`.
    ///
    /// Predictions `x` and targets `y` have the same shape. The loss is `delta` times
    /// [`SmoothL1Loss`](super::SmoothL1Loss) with `beta = delta`. The gradient is `d` where `|d| < delta`, otherwise
    /// `delta · sign(d)`.
    ///
    /// Defaults: mean reduction, `delta` 1.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ (they do not
    /// broadcast), the targets are `u32` or `delta` is not positive.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{HuberLoss, Loss, Reduction};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [2], DType::F32);
    /// let y = graph.input("y", [2], DType::F32);
    /// let loss = HuberLoss::new().delta(2.0).reduction(Reduction::None).forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::vector(vec![1.0f32, 2.0])), (&y, &Array::vector(vec![0.0f32, 5.0]))];
    /// assert_eq!(session.run(&step, &feeds)?[0].to_f64(), [0.5, 4.0]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct HuberLoss: common[reduction] {
        /// Largest error `|d|` for which the loss is quadratic; must be positive. Default: 1.
        delta: f64 = 1.0,
    }
}

impl Loss for HuberLoss {
    #[track_caller]
    fn forward(&self, x: &Tensor, y: &Tensor) -> Tensor {
        let option = || invalid_option("delta", self.delta, self.delta > 0.0, "a number above 0");
        if let Some(invalid) = invalid(x, y, "predictions").or_else(option) {
            return x.invalid("HuberLoss", &[y], invalid);
        }
        self.reduction.apply(huber(&(x - y), self.delta))
    }
}
