//! Tuning: measures which variants of kernels are fastest on a device.

use std::time::Duration;

use crate::{FeedError, Result, Session, Step, TuningChoices};

impl Session {
    /// Measures on the device, for each op of a step whose kernel has several variants, which variant is fastest.
    ///
    /// Tuning stops after about `limit`. Ops whose variants have not all been measured by then keep the default
    /// variant. A variant replaces the default variant if it needs less than 95 % of the default's time. An op
    /// with the same sizes as one that was measured before is not measured again.
    ///
    /// Graphs compiled after this call use the fastest variants. The step itself, the values of variables and the
    /// fetched tensors do not change. Returns all variants chosen in the session. In the crate `wgrad-kernels`,
    /// `save_choices` saves them to a file, and `Device::choosing` selects them for a device.
    ///
    /// On a CPU, every op has only one variant, so nothing is chosen:
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
    /// When the step belongs to another session; when the device is lost, or does not have enough memory for a
    /// copy of an op's inputs and outputs.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn tune(&mut self, step: &Step, limit: Duration) -> Result<TuningChoices> {
        if step.0.session != self.id {
            return Err(FeedError::OtherSession.into());
        }
        self.backend.tune(step.plan(), limit, &mut |_| {})
    }

    /// Returns the variants that the steps compiled so far use, by tuning key (an op's name and sizes). A session
    /// on a device with these choices (see `Device::choosing` of the crate `wgrad-kernels`) runs the same kernels.
    pub fn choices(&self) -> &TuningChoices {
        &self.choices
    }
}
