//! Averages of a model's weights over the training steps.

#[cfg(not(target_arch = "wasm32"))]
use std::path::Path;

use wgrad_core::{Counter, DType, Error, Graph, Init, InvalidArgument, Kind, Params, Result, Variable};

#[cfg(not(target_arch = "wasm32"))]
use crate::StateDict;

/// Error: the averages were requested before any step has computed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no average yet\n  fix: run a step of a graph with `ema.update(&graph)` first")]
pub struct NoAverage;

/// Average of a model's weights over the training steps. The averaged model often generalises better than the last
/// weights; PyTorch's `AveragedModel`.
///
/// The first update copies the weights. Each later update computes, with the weight `p` and the number `n` of
/// earlier updates:
///
/// - for [`Self::new`]: `avg += (1 − decay) · (p − avg)`, an exponential moving average, as with PyTorch's
///   `get_ema_multi_avg_fn`;
/// - for [`Self::equal`]: `avg += (p − avg) / (n + 1)`, stochastic weight averaging.
///
/// Buffers, such as running statistics, are averaged only with [`Self::use_buffers`]; counters are never averaged.
/// The averages are state variables named `ema.<name>`, which the compiled training step updates.
///
/// ```
/// use wgrad_core::{CpuBackend, Graph, Init, Kind, Mode, Params, Session};
/// use wgrad_nn::optim::{Ema, Optimizer, Sgd};
/// let params = Params::seeded(0);
/// let w = params.variable("w", [], Kind::Parameter, Init::Constant(1.0));
/// let ema = Ema::new(&params, 0.75);
/// let graph = Graph::new(Mode::Train);
/// Sgd::new(1.0).minimize(&graph.variable(&w));
/// ema.update(&graph); // after the optimizer
/// let mut session = Session::new(CpuBackend::<f32>::new(), &params)?;
/// let step = session.compile(&graph, &[])?;
/// session.submit_many(&step, 2, &[])?; // w: 0, −1; average: 0, −0.25
/// session.sync()?;
/// ema.swap()?; // evaluate or save with the averages …
/// assert_eq!(w.value()?.item()?, -0.25);
/// ema.swap()?; // … and train on with the weights
/// assert_eq!(w.value()?.item()?, -1.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Ema {
    params: Params,
    /// Decay factor, or `None` for the equally weighted average.
    decay: Option<f64>,
    buffers: bool,
    scope: String,
}

impl Ema {
    /// Creates an exponential moving average of the parameters in `params`, with the decay factor `decay`, which
    /// is usually about 0.999.
    pub fn new(params: &Params, decay: f64) -> Self {
        Self { params: params.clone(), decay: Some(decay), buffers: false, scope: "ema".into() }
    }

    /// Creates the equally weighted average of the parameters in `params` over all updates.
    pub fn equal(params: &Params) -> Self {
        Self { decay: None, ..Self::new(params, 0.0) }
    }

    /// If `true`, buffers are also averaged. Default: `false`.
    pub fn use_buffers(self, buffers: bool) -> Self {
        Self { buffers, ..self }
    }

    /// Sets the scope of the averages. Default: `ema`. Two averages of the same model need different scopes.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        Self { scope: scope.into(), ..self }
    }

    /// Returns the variables that are averaged.
    fn variables(&self) -> Vec<Variable> {
        let path = self.params.path();
        let inside = |name: &str| path.is_empty() || name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        let averaged = |v: &Variable| v.kind() == Kind::Parameter || (self.buffers && v.kind() == Kind::Buffer);
        self.params.variables().into_iter().filter(|v| inside(v.name()) && averaged(v)).collect()
    }

    fn counter(&self, variable: &Variable) -> Counter {
        variable.params().at(&self.scope).counter("@averaged")
    }

    fn average(&self, of: &Variable) -> Variable {
        of.params().at(&self.scope).variable(of.name(), of.shape(), Kind::State, Init::Constant(0.0))
    }

    /// Adds the update of the averages to the graph of a training step. Call this function after the optimizer's
    /// `minimize`, so that the averages include the updated parameters.
    ///
    /// If the decay is outside `[0, 1]` or the graph is an evaluation graph, the function records an error in the
    /// graph, which `compile` reports.
    #[track_caller]
    pub fn update(&self, graph: &Graph) {
        if let Some(decay) = self.decay.filter(|decay| !(0.0..=1.0).contains(decay)) {
            let invalid = InvalidArgument::new(format!("the decay must be between 0 and 1, not {decay}"));
            let _ = graph.constant(0.0).invalid("Ema", &[], invalid);
            return;
        }
        let variables = self.variables();
        let Some(first) = variables.first() else {
            let invalid = InvalidArgument::new(format!("there are no parameters in `{}`", self.params.path()))
                .fix("build the model before the average, with the same Params");
            let _ = graph.constant(0.0).invalid("Ema", &[], invalid);
            return;
        };
        let (count, decay) = (self.counter(first), self.decay);
        graph.advance(&count);
        let weight = graph.scheduled("weight of the new value", DType::F32, move || match (count.get(), decay) {
            (0, _) => 1.0,
            (_, Some(decay)) => 1.0 - decay,
            (n, None) => 1.0 / (n as f64 + 1.0),
        });
        for variable in variables {
            let _scope = graph.scope(format!("average of {}", variable.name()));
            let average = self.average(&variable);
            let old = graph.variable(&average);
            graph.update(&average, &(&old + (graph.latest(&variable) - &old) * &weight));
        }
    }

    /// Exchanges the averages and the weights on the host, so that the model is evaluated and saved with the
    /// averages.
    ///
    /// Before the next training step, call this function again to exchange them back. If a step has run, call
    /// `session.sync()` first.
    ///
    /// # Errors
    /// Returns an error if a session has newer values than the host, or if no averages have been computed yet.
    pub fn swap(&self) -> Result<()> {
        let pairs: Vec<_> = self.variables().into_iter().map(|v| (self.average(&v), v)).collect();
        if pairs.first().is_none_or(|(_, variable)| self.counter(variable).get() == 0) {
            return Err(Error::Other(NoAverage.into()));
        }
        // All values are read before any is set, so that an error changes nothing.
        let values: Vec<_> = pairs.iter().map(|(a, v)| Ok((a.value()?, v.value()?))).collect::<Result<_>>()?;
        for ((average, variable), (averaged, weight)) in pairs.iter().zip(values) {
            average.set((*weight).clone())?;
            variable.set((*averaged).clone())?;
        }
        Ok(())
    }

    /// Sets the weights to the averages. The averages do not change.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Self::swap`].
    pub fn apply(&self) -> Result<()> {
        self.swap()?;
        for variable in self.variables() {
            self.average(&variable).set((*variable.value()?).clone())?;
        }
        Ok(())
    }

    /// Saves the model with the averages instead of the weights, but with the weights' names; see
    /// [`StateDict::save`](crate::StateDict::save).
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Self::swap`] and [`StateDict::save`](crate::StateDict::save).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.swap()?;
        let saved = self.params.save(path);
        self.swap()?;
        saved
    }
}
