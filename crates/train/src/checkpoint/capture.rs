//! Conversion of a training run's state to a checkpoint.

use std::collections::BTreeMap;

use wgrad_core::{Result, TorchRandom};

use super::file::{Checkpoint, Stored};
use super::manifest::{FitRecord, Manifest, Position, Stopping};
use super::settings::{Settings, SettingsSource};
use crate::history::History;
use crate::number::BestEpoch;
use crate::patience::{Patience, PatienceState};
use crate::schedules::Schedules;
use crate::session::LazySession;
use crate::snapshot::{SavedCounter, SavedVariable, Weights, rates};
use wgrad_nn::optim::Optimizer;

/// Name of the random generator's state in a checkpoint. No variable can have this name.
pub(crate) const GENERATOR: &str = "@generator";
/// Prefix of the names of the best epoch's weights in a checkpoint.
pub(crate) const BEST_WEIGHTS: &str = "@best/";

/// Current state of a training run, from which a checkpoint is created if one is due.
pub(crate) struct Capture<'c> {
    pub session: &'c mut LazySession,
    pub schedules: &'c mut Schedules,
    pub optimizer: &'c dyn Optimizer,
    pub patience: Option<&'c Patience>,
    pub described: SettingsSource<'c>,
    /// Settings as text. `None` until the first checkpoint needs them.
    pub settings: &'c mut Option<Settings>,
    pub at: &'c Position,
    /// Records of the trainer's earlier fits.
    pub fits: &'c [FitRecord],
    pub history: &'c History,
    /// Number of epochs of the fit.
    pub epochs: usize,
    /// State of the random generator to save: that of the beginning of the epoch, or `None` for the current state.
    pub random: Option<&'c TorchRandom>,
}

impl Capture<'_> {
    /// Returns the bytes of a checkpoint. `best` is the best epoch that has been saved so far.
    pub fn bytes(&mut self, best: Option<BestEpoch>) -> Result<Vec<u8>> {
        self.checkpoint(best)?.to_bytes()
    }

    fn checkpoint(&mut self, best: Option<BestEpoch>) -> Result<Checkpoint> {
        let all = self.session.snapshot()?;
        let device = self.session.get()?.device();
        let settings = self.described.get_or_describe(self.settings)?;
        let mut manifest = Manifest::new(&device, self.session.params().seed(), settings, self.at.clone());
        manifest.fits = self.fits.to_vec();
        manifest.fits.push(FitRecord::of(self.history, self.epochs));
        (manifest.rates, manifest.schedule) = (rates(self.optimizer), self.schedules.state());
        manifest.best = best;
        let mut tensors = BTreeMap::new();
        if let Some(patience) = self.patience {
            let PatienceState { best, waited, weights } = patience.state();
            manifest.stopping = Some(Stopping { best: *best, waited: *waited });
            if let Some(Weights { variables, counters }) = weights {
                store(&mut tensors, BEST_WEIGHTS, variables, counters);
            }
        }
        store(&mut tensors, "", &all.variables, &all.counters);
        if let Some(random) = self.random.or(all.random.as_ref()) {
            tensors.insert(GENERATOR.into(), Stored::Words(random.to_words()));
        }
        Ok(Checkpoint { manifest, tensors })
    }
}

fn store(tensors: &mut BTreeMap<String, Stored>, prefix: &str, variables: &[SavedVariable], counters: &[SavedCounter]) {
    for SavedVariable { variable, value } in variables {
        tensors.insert(format!("{prefix}{}", variable.name()), Stored::Array(value.clone()));
    }
    for SavedCounter { name, count, .. } in counters {
        tensors.insert(format!("{prefix}{name}"), Stored::Count(*count));
    }
}
