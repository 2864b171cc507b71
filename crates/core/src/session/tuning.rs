//! Tuning: which variant of a kernel is fastest on a device.

use std::time::Duration;

use crate::{Choices, FeedError, Result, Session, Step};

impl Session {
    /// Measures on the device which variant of a kernel is fastest for each op of a step that has several, for about
    /// `limit`: what is under way then is given up, so that a site is decided by all of its variants or left to the op.
    /// A variant replaces the default one if it takes less than 95 % of its time. Nothing is measured twice.
    ///
    /// What is compiled afterwards runs the fastest ones; this step stays as it is. Returns all choices of the session,
    /// for `Device::choosing` and for `save_choices`. The values of variables and of fetched tensors stay as they are.
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
    /// When the step is of another session; when the device has no room for another copy of an op's inputs and outputs,
    /// or is lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn tune(&mut self, step: &Step, limit: Duration) -> Result<Choices> {
        if step.0.session != self.id {
            return Err(FeedError::OtherSession.into());
        }
        self.backend.tune(step.plan(), limit, &mut |_| {})
    }

    /// Which variant runs at each site of the steps compiled so far where an op has several: with these choices
    /// (`Device::choosing`) another session runs the same kernels.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }
}
