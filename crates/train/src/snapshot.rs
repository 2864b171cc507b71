//! What a training goes on from, on the host: a copy that can be put back.

use std::sync::Arc;

use wgrad_core::{Array, Counter, Kind, Params, Result, TorchRandom, Variable};

use wgrad_nn::optim::Optimizer;

/// The values of all variables and counters, and the generator. Arrays are shared with the variables, not copied.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub variables: Vec<(Variable, Arc<Array>)>,
    pub counters: Vec<(Arc<str>, Counter, u64)>,
    pub random: Option<TorchRandom>,
}

impl Snapshot {
    /// What there is now. Sessions are synchronised before.
    pub fn take(params: &Params) -> Result<Self> {
        let value = |variable: Variable| variable.value().map(|value| (variable, value));
        Ok(Self {
            variables: params.variables().into_iter().map(value).collect::<Result<_>>()?,
            counters: params.counters().into_iter().map(|(name, c)| (name, c.clone(), c.get())).collect(),
            random: params.with_torch_random(|random| random.clone()),
        })
    }

    /// Puts everything back. What was declared since then stays as it is.
    pub fn restore(&self, params: &Params) -> Result<()> {
        for (variable, value) in &self.variables {
            if !variable.value().is_ok_and(|now| Arc::ptr_eq(&now, value)) {
                variable.set((**value).clone())?;
            }
        }
        self.counters.iter().for_each(|(_, counter, value)| counter.set(*value));
        if let Some(random) = &self.random {
            params.with_torch_random(|now| *now = random.clone());
        }
        Ok(())
    }
}

/// The weights and buffers of a model, with the counters that belong to it: the best so far, to be put back at the end.
#[derive(Clone)]
pub(super) struct Weights {
    pub variables: Vec<(Variable, Arc<Array>)>,
    pub counters: Vec<(Arc<str>, Counter, u64)>,
}

impl Weights {
    pub fn of(all: Snapshot) -> Self {
        let counts = |name: &str| !name.rsplit('.').next().unwrap_or(name).starts_with('@');
        let Snapshot { mut variables, mut counters, .. } = all;
        variables.retain(|(variable, _)| variable.kind() != Kind::State);
        counters.retain(|(name, ..)| counts(name));
        Self { variables, counters }
    }

    pub fn restore(&self, params: &Params) -> Result<()> {
        let Self { variables, counters } = self.clone();
        Snapshot { variables, counters, random: None }.restore(params)
    }
}

/// The learning rate and momentum of each group of an optimizer, as bits; NaN for no momentum.
pub(super) fn rates(optimizer: &dyn Optimizer) -> Vec<[u64; 2]> {
    let of = |group: wgrad_nn::optim::Handles| {
        let momentum = group.momentum.map_or(f64::NAN, |momentum| momentum.get());
        [group.lr.get().to_bits(), momentum.to_bits()]
    };
    optimizer.handles().into_iter().map(of).collect()
}

pub(super) fn set_rates(optimizer: &dyn Optimizer, rates: &[[u64; 2]]) {
    for (group, rate) in optimizer.handles().into_iter().zip(rates) {
        let [lr, momentum] = rate.map(f64::from_bits);
        group.lr.set(lr);
        if let Some(handle) = group.momentum.filter(|_| !momentum.is_nan()) {
            handle.set(momentum);
        }
    }
}
