//! Huber loss.

use wgrad_core::Tensor;

use super::Loss;
use super::shapes::{invalid, invalid_option};

/// `½d²` where `|d| < delta`, `delta·(|d| − ½delta)` beyond, with `c = d` held within ±delta: `c·(d − ½c)`.
///
/// The parts of the gradient that go through `c` cancel exactly, so that it is `c`.
#[track_caller]
pub(super) fn huber(d: &Tensor, delta: f64) -> Tensor {
    let c = d.clamp(-delta, delta);
    &c * (d - &c * 0.5)
}

options! {
    /// Huber loss: `½d²` where `d = x − y` is below `delta` in size, `delta·(|d| − ½delta)` beyond; PyTorch's
    /// `HuberLoss`.
    ///
    /// `delta` is 1 by default. It is `delta` times [`SmoothL1Loss`](super::SmoothL1Loss) with `beta = delta`; the
    /// gradient is `d` within, `delta` times its sign beyond.
    ///
    /// Shapes are compared, not broadcast, and targets are `f32`; other ones, and a `delta` that is not above 0, leave
    /// an invalid tensor and an error.
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
        /// Distance up to which the loss is quadratic, above 0; 1 by default.
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
