//! Mean absolute error.

use wgrad_core::Tensor;

use super::Loss;
use super::shapes::invalid;

options! {
    /// Mean absolute error: `|x − y|` for predictions `x` and targets `y` of the same shape; PyTorch's `L1Loss`.
    ///
    /// The gradient is 0 where prediction and target are equal. Default: mean reduction.
    ///
    /// The loss records an error in the graph, which `compile` reports, if the shapes differ (they do not
    /// broadcast) or the targets are `u32`.
    ///
    /// ```
    /// # use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// use wgrad_nn::losses::{L1Loss, Loss};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [2], DType::F32);
    /// let y = graph.input("y", [2], DType::F32);
    /// let loss = L1Loss::new().forward(&x, &y);
    /// # let mut session = Session::new(CpuBackend::<f64>::new(), &Params::seeded(0))?;
    /// # let step = session.compile(&graph, &[&loss])?;
    /// # let feeds = [(&x, &Array::vector(vec![1.0f32, 2.0])), (&y, &Array::vector(vec![0.0f32, 5.0]))];
    /// assert_eq!(session.run(&step, &feeds)?[0].item()?, 2.0);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct L1Loss: common[reduction] {}
}

impl Loss for L1Loss {
    #[track_caller]
    fn forward(&self, x: &Tensor, y: &Tensor) -> Tensor {
        match invalid(x, y, "predictions") {
            Some(invalid) => x.invalid("L1Loss", &[y], invalid),
            None => self.reduction.apply((x - y).abs()),
        }
    }
}
