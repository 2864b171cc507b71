//! Snapshots of all values that training changes, kept on the host.

use std::sync::Arc;

use wgrad_core::{Array, Counter, Kind, Params, Result, TorchRandom, Variable};

use wgrad_nn::optim::Optimizer;

/// Variable with a saved value.
#[derive(Clone)]
pub(crate) struct SavedVariable {
    pub variable: Variable,
    pub value: Arc<Array>,
}

/// Counter with a saved count.
#[derive(Clone)]
pub(crate) struct SavedCounter {
    pub name: Arc<str>,
    pub counter: Counter,
    pub count: u64,
}

/// Values of all variables and counters, and the state of PyTorch's random generator if the parameters use it.
/// Arrays are shared with the variables, not copied.
#[derive(Clone)]
pub(crate) struct Snapshot {
    pub variables: Vec<SavedVariable>,
    pub counters: Vec<SavedCounter>,
    pub random: Option<TorchRandom>,
}

impl Snapshot {
    /// Takes a snapshot of the values that are on the host. The caller must first copy the newest values from the
    /// device with [`Session::sync`](wgrad_core::Session::sync).
    pub fn take(params: &Params) -> Result<Self> {
        let save = |variable: Variable| variable.value().map(|value| SavedVariable { variable, value });
        let count = |(name, counter): (Arc<str>, Counter)| SavedCounter { name, count: counter.get(), counter };
        Ok(Self {
            variables: params.variables().into_iter().map(save).collect::<Result<_>>()?,
            counters: params.counters().into_iter().map(count).collect(),
            random: params.with_torch_random(|random| random.clone()),
        })
    }

    /// Restores all values. Variables that were declared after the snapshot keep their values.
    pub fn restore(&self, params: &Params) -> Result<()> {
        for SavedVariable { variable, value } in &self.variables {
            if !variable.value().is_ok_and(|now| Arc::ptr_eq(&now, value)) {
                variable.set((**value).clone())?;
            }
        }
        self.counters.iter().for_each(|saved| saved.counter.set(saved.count));
        if let Some(random) = &self.random {
            params.with_torch_random(|now| *now = random.clone());
        }
        Ok(())
    }
}

/// Weights, buffers and counters of a model, without the optimizer's state. Early stopping stores these values
/// after the best epoch and restores them at the end of the fit.
#[derive(Clone)]
pub(crate) struct Weights {
    pub variables: Vec<SavedVariable>,
    pub counters: Vec<SavedCounter>,
}

impl Weights {
    pub fn of(all: Snapshot) -> Self {
        let counts = |name: &str| !name.rsplit('.').next().unwrap_or(name).starts_with('@');
        let Snapshot { mut variables, mut counters, .. } = all;
        variables.retain(|saved| saved.variable.kind() != Kind::State);
        counters.retain(|saved| counts(&saved.name));
        Self { variables, counters }
    }

    pub fn restore(&self, params: &Params) -> Result<()> {
        let Self { variables, counters } = self.clone();
        Snapshot { variables, counters, random: None }.restore(params)
    }
}

/// Returns the learning rate and momentum of each parameter group of an optimizer, each as the bits of an `f64`.
/// The momentum is NaN for a group that has no momentum.
pub(crate) fn rates(optimizer: &dyn Optimizer) -> Vec<[u64; 2]> {
    let of = |group: wgrad_nn::optim::Handles| {
        let momentum = group.momentum.map_or(f64::NAN, |momentum| momentum.get());
        [group.lr.get().to_bits(), momentum.to_bits()]
    };
    optimizer.handles().into_iter().map(of).collect()
}

/// Sets the learning rates and momenta that [`rates`] returned.
pub(crate) fn set_rates(optimizer: &dyn Optimizer, rates: &[[u64; 2]]) {
    for (group, rate) in optimizer.handles().into_iter().zip(rates) {
        let [lr, momentum] = rate.map(f64::from_bits);
        group.lr.set(lr);
        if let Some(handle) = group.momentum.filter(|_| !momentum.is_nan()) {
            handle.set(momentum);
        }
    }
}
