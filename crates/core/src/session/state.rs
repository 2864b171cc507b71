//! Snapshot of the variables and counters of a graph.

use std::sync::Arc;

use crate::{Array, Counter, Graph, Result, Variable};

/// Snapshot of the host values of a graph's variables and counters, which [`Graph::state`] returns.
#[derive(Clone, Debug)]
pub struct State {
    variables: Vec<(Variable, Arc<Array>)>,
    counters: Vec<(Counter, u64)>,
}

impl Graph {
    /// Returns a snapshot of the host values of the graph's variables and counters. [`State::restore`] undoes
    /// later changes.
    ///
    /// ```
    /// use wgrad_core::{Array, CpuBackend, Graph, Init, Kind, Mode, Params, Session};
    /// let params = Params::seeded(7);
    /// let weight = params.variable("weight", [2], Kind::Parameter, Init::Constant(0.0));
    /// let graph = Graph::new(Mode::Train);
    /// let handle = graph.variable(&weight);
    /// graph.update(&weight, &(&handle + 1.0));
    /// let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
    /// let step = session.compile(&graph, &[])?;
    /// let before = graph.state()?;
    /// session.run(&step, &[])?;
    /// session.sync()?;
    /// assert_eq!(weight.value()?.to_f64(), [1.0, 1.0]);
    /// before.restore()?;
    /// assert_eq!(weight.value()?.to_f64(), [0.0, 0.0]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When a variable's newest value is on a device: call [`Session::sync`](crate::Session::sync) first.
    pub fn state(&self) -> Result<State> {
        Ok(State {
            variables: self
                .variables()
                .into_iter()
                .map(|v| v.value().map(|value| (v, value)))
                .collect::<Result<_>>()?,
            counters: self.data().counters.iter().map(|counter| (counter.clone(), counter.get())).collect(),
        })
    }
}

impl State {
    /// Restores the values of the variables and counters on the host. Call [`Session::sync`](crate::Session::sync)
    /// first: a call after this one may replace the restored values with those of the device.
    ///
    /// # Errors
    /// The same as for [`Variable::set`].
    pub fn restore(&self) -> Result<()> {
        for (variable, value) in &self.variables {
            if !variable.value().is_ok_and(|now| Arc::ptr_eq(&now, value)) {
                variable.set((**value).clone())?;
            }
        }
        self.counters.iter().for_each(|(counter, value)| counter.set(*value));
        Ok(())
    }
}
