//! Resuming: checks that a checkpoint fits a training run, and restores the state of the run from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wgrad_core::{Init, Kind, Params, Result, Shape, TorchRandom};

use super::capture::{BEST_WEIGHTS, GENERATOR};
use super::file::{Checkpoint, Stored};
use super::folder::{Latest, Resumed, latest};
use super::manifest::{Manifest, Position};
use super::saver::Saver;
use super::settings::Settings;
use crate::error::{CheckpointError, Difference};
use crate::history::{Ended, History};
use crate::patience::{Patience, PatienceState};
use crate::progress::Progress;
use crate::run_history::RunHistory;
use crate::schedules::Schedules;
use crate::session::LazySession;
use crate::snapshot::{SavedCounter, SavedVariable, Snapshot, Weights, set_rates};
use wgrad_nn::optim::Optimizer;

/// Checkpoint that a trainer resumes from.
#[derive(Default)]
pub(crate) struct Resume {
    /// File or folder to resume from. `None` after it has been read.
    place: Option<PathBuf>,
    /// Checkpoint that was read. `None` after its fit has begun.
    pending: Option<Checkpoint>,
    resumed: Option<Resumed>,
}

/// Fit that resumes from a checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResumedFit {
    /// Index of the fit within the trainer, from 0.
    pub fit: usize,
    pub epochs: usize,
    /// Steps per epoch.
    pub steps: usize,
}

/// Parts of a training run that are restored from a checkpoint.
pub(crate) struct RestoreTarget<'r> {
    pub session: &'r mut LazySession,
    pub schedules: &'r mut Schedules,
    pub optimizer: &'r dyn Optimizer,
    pub patience: Option<&'r mut Patience>,
    pub runs: &'r mut RunHistory,
    pub saver: &'r mut Saver,
    pub history: &'r mut History,
}

impl Resume {
    pub fn set(&mut self, place: &Path) {
        self.place = Some(place.into());
    }

    pub fn resumed(&self) -> Option<&Resumed> {
        self.resumed.as_ref()
    }

    /// Returns whether the trainer is to resume from a checkpoint.
    pub fn is_requested(&self) -> bool {
        self.place.is_some() || self.pending.is_some()
    }

    /// Reads the checkpoint on the first call.
    pub fn read(&mut self, progress: &mut dyn Progress) -> Result<()> {
        let Some(place) = self.place.take() else { return Ok(()) };
        let Latest { checkpoint, resumed } = latest(&place)?;
        for why in &resumed.passed_over {
            progress.note(&format!("warning: skipped a checkpoint: {why}"));
        }
        (self.pending, self.resumed) = (Some(checkpoint), Some(resumed));
        Ok(())
    }

    /// Returns the history of the fit with this index, if it ended before the fit in which the checkpoint was
    /// written.
    pub fn finished(&self, fit: usize) -> Option<History> {
        let manifest = &self.pending.as_ref()?.manifest;
        manifest.fits.get(fit).filter(|_| manifest.position.fit > fit).map(|fit| fit.history(None))
    }

    /// Takes the checkpoint that was read, if there is one.
    pub fn take(&mut self) -> Option<Checkpoint> {
        self.pending.take()
    }

    /// Restores the state of a training run from a checkpoint of this fit. Returns the position from which the fit
    /// continues.
    pub fn restore(
        &mut self,
        checkpoint: Checkpoint,
        fit: ResumedFit,
        settings: &Settings,
        mut training: RestoreTarget<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Position> {
        let Checkpoint { manifest, tensors } = checkpoint;
        self.agree(differences(&manifest, fit, settings, training.session.params()))?;
        let (best, own): (BTreeMap<_, _>, BTreeMap<_, _>) =
            tensors.into_iter().partition(|(name, _)| name.starts_with(BEST_WEIGHTS));
        self.agree(put(training.session.params(), own, fit.fit > 0)?)?;
        let over = training.put_state(&manifest, fit, best)?;
        self.note_differences(&manifest, training.session)?;
        for note in self.resumed.iter().flat_map(|resumed| &resumed.notes) {
            progress.note(&format!("note: {note}"));
        }
        Ok(Position { over, ..manifest.position })
    }

    /// Returns an error that lists `differences` between the checkpoint and the training run, if there are any.
    fn agree(&self, differences: Vec<Difference>) -> Result<()> {
        if differences.is_empty() {
            return Ok(());
        }
        let path = self.resumed.as_ref().map_or_else(PathBuf::new, |resumed| resumed.from.clone());
        Err(CheckpointError::OtherTraining { path, differences }.into())
    }

    /// Records whether the checkpoint was written on another device or by another version of wgrad. The
    /// results may then differ from those of an uninterrupted run.
    fn note_differences(&mut self, manifest: &Manifest, session: &mut LazySession) -> Result<()> {
        let device = session.get()?.device();
        let now = [device.kind, device.adapter, device.api, device.driver];
        let Some(Resumed { notes, .. }) = &mut self.resumed else { return Ok(()) };
        if now != manifest.device {
            let [then, now] = [&manifest.device, &now].map(|words| words.join(", "));
            notes.push(format!("the checkpoint was written with another device, {then}; the bits of {now} may differ"));
        }
        if manifest.wgrad != env!("CARGO_PKG_VERSION") {
            let now = env!("CARGO_PKG_VERSION");
            notes.push(format!("the checkpoint is of wgrad {}, this is {now}; bits may differ", manifest.wgrad));
        }
        Ok(())
    }
}

/// Returns the differences between a checkpoint and the fit that is to resume from it.
fn differences(manifest: &Manifest, fit: ResumedFit, settings: &Settings, params: &Params) -> Vec<Difference> {
    let position = &manifest.position;
    let mut differences = manifest.differences(settings);
    if manifest.seed != params.seed() {
        let (then, now) = (manifest.seed.to_string(), params.seed().to_string());
        differences.push(Difference::Setting { name: "seed of the parameters".into(), then, now });
    }
    if position.fit != fit.fit || manifest.fits.len() != fit.fit + 1 || position.epoch == 0 || position.step > fit.steps
    {
        let Position { fit, epoch, step, .. } = *position;
        differences.push(Difference::Position { fit: fit + 1, epoch, step });
    }
    let trained = manifest.fits.last().map_or(0, |fit| fit.history(None).epochs.len());
    if trained > fit.epochs || position.epoch != trained + 1 {
        differences.push(Difference::Epochs { trained, wanted: fit.epochs });
    }
    differences
}

impl RestoreTarget<'_> {
    /// Restores everything except variables, counters and the random generator. Returns whether the fit is over.
    fn put_state(&mut self, manifest: &Manifest, fit: ResumedFit, best: BTreeMap<String, Stored>) -> Result<bool> {
        if let Some(patience) = &mut self.patience {
            let kept = manifest.stopping.clone().unwrap_or_default();
            let best = best.into_iter();
            let best = best.filter_map(|(name, stored)| Some((name.strip_prefix(BEST_WEIGHTS)?.to_string(), stored)));
            let weights = weights_of(self.session.params(), &best.collect());
            patience.set_state(PatienceState { best: kept.best, waited: kept.waited, weights });
        }
        set_rates(self.optimizer, &manifest.rates);
        if let Some(state) = &manifest.schedule {
            self.schedules.restore(state)?;
        }
        let history = &mut *self.history;
        *history = manifest.fits.last().map_or_else(History::default, |last| last.history(Some(fit.epochs)));
        history.restored = None;
        let more = history.epochs.len() < fit.epochs && matches!(history.ended, Ended::Completed | Ended::Stopped);
        if more {
            history.ended = Ended::Completed;
        }
        self.runs.resume(manifest, fit.fit);
        self.saver.resume(manifest.position.total, manifest.best);
        Ok(!more)
    }
}

/// Sets variables, counters and the random generator to the values of a checkpoint. If anything does not match,
/// sets nothing and returns the differences. If `undeclared` is true, the checkpoint may also contain variables
/// and counters that the program has not declared yet, such as the optimizer state of an earlier fit.
fn put(params: &Params, mut tensors: BTreeMap<String, Stored>, undeclared: bool) -> Result<Vec<Difference>> {
    let (mut arrays, mut counts, mut wrong) = (vec![], vec![], vec![]);
    for variable in params.variables() {
        let name = variable.name().to_string();
        match tensors.remove(&name) {
            Some(Stored::Array(array)) if array.shape() == variable.shape() => arrays.push((variable, array)),
            Some(Stored::Array(array)) => {
                let (then, now) = (array.shape().clone(), variable.shape().clone());
                wrong.push(Difference::Shape { name, then, now });
            }
            _ => wrong.push(Difference::NewVariable { name }),
        }
    }
    for (name, counter) in params.counters() {
        match tensors.remove(&*name) {
            Some(Stored::Count(count)) => counts.push((counter, count)),
            _ => wrong.push(Difference::NewCounter { name: name.to_string() }),
        }
    }
    let generator = tensors.remove(GENERATOR);
    let words = match &generator {
        Some(Stored::Words(words)) => TorchRandom::from_words(words),
        _ => None,
    };
    if generator.is_some() && words.is_none() {
        wrong.push(Difference::Generator);
    }
    let mut new = vec![];
    for (name, stored) in tensors {
        match stored {
            Stored::Array(array) if undeclared => new.push((name, array)),
            // The trainer does not declare its epoch counter before its first epoch.
            Stored::Count(count) if undeclared || name == "train.@epoch" => counts.push((params.counter(&name), count)),
            _ => wrong.push(Difference::Gone { name }),
        }
    }
    if !wrong.is_empty() {
        return Ok(wrong);
    }
    for (name, array) in new {
        let state = params.variable(&name, Shape::from(array.shape().dims()), Kind::State, Init::Constant(0.0));
        arrays.push((state, array));
    }
    for (variable, array) in arrays {
        variable.set((*array).clone())?;
    }
    for (counter, count) in counts {
        counter.set(count);
    }
    if let Some(words) = words {
        params.with_torch_random(|random| *random = words);
    }
    Ok(vec![])
}

/// Returns the weights of the best epoch, or `None` if a variable or counter is missing.
fn weights_of(params: &Params, tensors: &BTreeMap<String, Stored>) -> Option<Weights> {
    let mut weights = Weights::of(Snapshot::take(params).ok()?);
    for SavedVariable { variable, value } in &mut weights.variables {
        match tensors.get(variable.name()) {
            Some(Stored::Array(array)) if array.shape() == variable.shape() => *value = array.clone(),
            _ => return None,
        }
    }
    for SavedCounter { name, count, .. } in &mut weights.counters {
        match tensors.get(&**name) {
            Some(Stored::Count(stored)) => *count = *stored,
            _ => return None,
        }
    }
    Some(weights)
}
