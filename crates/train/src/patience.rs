//! Rule of early stopping: remembers the best epoch so far, and counts the epochs since then.

use wgrad_core::{Params, Result};

use crate::number::BestEpoch;
use crate::snapshot::{Snapshot, Weights};

/// Rule that ends a fit when its loss or metric has not improved for some epochs, with the rule's state.
pub(crate) struct Patience {
    pub patience: usize,
    pub min_delta: f64,
    /// True to restore the weights of the best epoch at the end of the fit.
    pub restore: bool,
    pub maximize: bool,
    state: PatienceState,
}

/// State of a [`Patience`], which changes after each epoch.
#[derive(Clone, Default)]
pub(crate) struct PatienceState {
    pub best: Option<BestEpoch>,
    /// Number of epochs since the best epoch.
    pub waited: usize,
    /// Weights of the best epoch, if they were kept.
    pub weights: Option<Weights>,
}

impl Patience {
    pub fn new(patience: usize) -> Self {
        Self { patience, min_delta: 0.0, restore: true, maximize: false, state: PatienceState::default() }
    }

    pub fn state(&self) -> &PatienceState {
        &self.state
    }

    pub fn set_state(&mut self, state: PatienceState) {
        self.state = state;
    }

    /// Records the loss or metric of an epoch. Returns whether the epoch is the best so far.
    pub fn measure(&mut self, epoch: usize, value: f64) -> bool {
        let better = match self.state.best.map(BestEpoch::value) {
            _ if value.is_nan() => false,
            None => true,
            Some(best) if self.maximize => value > best + self.min_delta,
            Some(best) => value < best - self.min_delta,
        };
        if better {
            (self.state.best, self.state.waited) = (Some(BestEpoch::new(epoch, value)), 0);
        } else {
            self.state.waited += 1;
        }
        better
    }

    /// Stores the weights of a snapshot as the weights of the best epoch.
    pub fn keep(&mut self, all: Snapshot) {
        self.state.weights = Some(Weights::of(all));
    }

    pub fn is_over(&self) -> bool {
        self.state.waited > 0 && self.state.waited >= self.patience
    }

    /// Restores the weights of the best epoch, if they were kept. Returns the number of that epoch.
    pub fn restore_best(&self, params: &Params) -> Result<Option<usize>> {
        let (Some(best), Some(weights)) = (self.state.best, &self.state.weights) else { return Ok(None) };
        weights.restore(params)?;
        Ok(Some(best.epoch))
    }
}
