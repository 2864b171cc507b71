//! Tuning: measuring the fastest variants of kernels on a device.

use std::time::Duration;

use crate::{FeedError, Result, Session, Step, TuningChoices};

impl Session {
    /// Measures the variants of each op of a step that has several, on the device, to find the fastest one.
    ///
    /// It stops after about `limit`. A tuning key whose variants are not all measured by then gets no entry, and the op
    /// chooses. A variant replaces the default one if it takes less than 95 % of its time. No key is measured twice.
    ///
    /// Graphs compiled afterwards run the fastest variants; this step does not change, nor do the values of variables
    /// and of fetched tensors. Returns all choices of the session, for `Device::choosing` and for `save_choices`.
    ///
    /// A CPU has one variant of everything:
    ///
    /// ```
    /// use std::time::Duration;
    /// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [3], DType::F32);
    /// let y = x.sum_keepdim(&[0]);
    /// let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0))?;
    /// let step = session.compile(&graph, &[&y])?;
    /// assert!(session.tune(&step, Duration::from_secs(1))?.is_empty());
    /// let step = session.compile(&graph, &[&y])?; // On a GPU, with the fastest variants.
    /// assert_eq!(session.run(&step, &[(&x, &Array::vector(vec![1f32, 2.0, 3.0]))])?[0].to_f32(), [6.0]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the step belongs to another session; when the device is lost, or has no room for a copy of an op's inputs
    /// and outputs.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn tune(&mut self, step: &Step, limit: Duration) -> Result<TuningChoices> {
        if step.0.session != self.id {
            return Err(FeedError::OtherSession.into());
        }
        self.backend.tune(step.plan(), limit, &mut |_| {})
    }

    /// Returns the variants that the steps compiled so far run, by tuning key. With these choices (`Device::choosing`),
    /// another session runs the same kernels.
    pub fn choices(&self) -> &TuningChoices {
        &self.choices
    }
}
