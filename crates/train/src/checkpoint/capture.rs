//! From a training to a checkpoint.

use std::collections::BTreeMap;

use wgrad_core::{Result, TorchRandom};

use super::file::{Checkpoint, Stored};
use super::manifest::{FitRecord, Manifest, Position, Stopping};
use super::settings::{Described, Settings};
use crate::history::History;
use crate::number::BestEpoch;
use crate::patience::{Patience, PatienceState};
use crate::schedules::Schedules;
use crate::session::LazySession;
use crate::snapshot::{SavedCounter, SavedVariable, Weights, rates};
use wgrad_nn::optim::Optimizer;

/// Name of the generator's state, which is no variable's name.
pub(crate) const GENERATOR: &str = "@generator";
/// Prefix of the names of the best weights.
pub(crate) const BEST_WEIGHTS: &str = "@best/";

/// The parts of a training at a position, of which a checkpoint is made when one is due.
pub(crate) struct Capture<'c> {
    pub session: &'c mut LazySession,
    pub schedules: &'c mut Schedules,
    pub optimizer: &'c dyn Optimizer,
    pub patience: Option<&'c Patience>,
    pub described: Described<'c>,
    /// The settings, once they were needed.
    pub settings: &'c mut Option<Settings>,
    pub at: &'c Position,
    /// The fits before this one.
    pub fits: &'c [FitRecord],
    pub history: &'c History,
    /// Epochs that the fit was asked for.
    pub epochs: usize,
    /// The generator as it was when the epoch began; as it is now, if there is none.
    pub random: Option<&'c TorchRandom>,
}

impl Capture<'_> {
    /// Makes the bytes of a checkpoint. `best` is the best epoch that was saved.
    pub fn bytes(&mut self, best: Option<BestEpoch>) -> Result<Vec<u8>> {
        self.checkpoint(best)?.to_bytes()
    }

    fn checkpoint(&mut self, best: Option<BestEpoch>) -> Result<Checkpoint> {
        let all = self.session.snapshot()?;
        let device = self.session.get()?.device();
        let settings = self.described.once(self.settings)?;
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
