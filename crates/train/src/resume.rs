//! Between a training and its checkpoints: what is written, what has to agree, and how it goes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use wgrad_core::{Error, Init, Kind, Params, Result, Shape, Tensor, TorchRandom};

use super::checkpoint::manifest::{Fit, Number, Position, Stopping};
use super::checkpoint::{self, Checkpoint, Manifest, Stored};
use super::early_stopping::State;
use super::fit::Job;
use super::snapshot::{Snapshot, Weights, rates, set_rates};
use super::steps::Steps;
use super::{Ended, EpochStats, History, Trainer};

/// The generator's state, which is no variable's name.
const GENERATOR: &str = "@generator";
/// In front of the names of the best weights.
const BEST: &str = "@best/";

impl Trainer<'_> {
    /// Where a fit begins; none if the fit was over before the one to go on with began.
    pub(super) fn prepare<L: Fn(&Tensor, &Tensor) -> Tensor>(
        &mut self,
        job: &Job<'_>,
        steps: &Steps<'_, L>,
        history: &mut History,
    ) -> Result<Option<Position>> {
        if let Some(stopping) = &mut self.stopping {
            stopping.state = State::default();
        }
        let goes_on = self.saving.resume.is_some() || self.saving.pending.is_some();
        if let Some(place) = self.saving.resume.take() {
            let (checkpoint, resumed) = checkpoint::latest(&place)?;
            for why in &resumed.passed_over {
                self.progress.note(&format!("warning: passed over a checkpoint: {why}"));
            }
            (self.saving.pending, self.saving.resumed) = (Some(checkpoint), Some(resumed));
        }
        if let Some(pending) = &self.saving.pending
            && pending.manifest.position.fit > job.fit
            && let Some(fit) = pending.manifest.fits.get(job.fit)
        {
            *history = fit.history(None);
            return Ok(None);
        }
        // This declares the optimizer's state and the averages, which are then as they begin.
        let traced = steps.example(self.batch_size.min(job.data.rows()));
        // A checkpoint tells them; they read all rows, so only when there is one.
        (self.saving.step, self.saving.settings) = (Some(traced.graph.clone()), None);
        let mut at = Position::begin(job.fit, self.past.steps);
        if let Some(pending) = self.saving.pending.take() {
            traced.graph.check()?;
            at = self.go_on(job, pending, history)?;
        }
        if let Some(checkpoints) = self.saving.checkpoints.as_ref().filter(|_| !self.saving.begun) {
            self.saving.others = checkpoints.begin(goes_on)?;
            self.saving.begun = true;
        }
        Ok(Some(at))
    }

    /// Puts the training where a checkpoint of this fit was.
    fn go_on(&mut self, job: &Job<'_>, checkpoint: Checkpoint, history: &mut History) -> Result<Position> {
        let Checkpoint { manifest, mut tensors } = checkpoint;
        let from = self.saving.resumed.as_ref().map_or_else(PathBuf::new, |resumed| resumed.from.clone());
        let refuse = |lines: Vec<String>| {
            Err(Error::Config(format!(
                "{} is a checkpoint of another training:\n  {}\n  fix: resume with the same model, data and settings; or \
                 begin anew, from its weights if you like: Load::from(checkpoint).strict(false).apply(&params)",
                from.display(),
                lines.join("\n  ")
            )))
        };
        let position = manifest.position.clone();
        let mut differences = manifest.differences(&self.settings(job)?);
        if manifest.seed != self.params.seed() {
            differences.push(format!("seed of the parameters: {} then, {} now", manifest.seed, self.params.seed()));
        }
        if position.fit != job.fit
            || manifest.fits.len() != job.fit + 1
            || position.epoch == 0
            || position.step > job.steps
        {
            differences.push(format!(
                "it is in fit {}, epoch {}, step {}",
                position.fit + 1,
                position.epoch,
                position.step
            ));
        }
        let trained = manifest.fits.last().map_or(0, |fit| fit.history(None).epochs.len());
        if trained > job.epochs || position.epoch != trained + 1 {
            differences.push(format!("epochs: {trained} trained then, {} wanted now", job.epochs));
        }
        if !differences.is_empty() {
            return refuse(differences);
        }
        let (best, mine): (Vec<_>, Vec<_>) =
            std::mem::take(&mut tensors).into_iter().partition(|(name, _)| name.starts_with(BEST));
        let differences = put(&self.params, mine.into_iter().collect(), job.fit > 0)?;
        if !differences.is_empty() {
            return refuse(differences);
        }
        if let Some(stopping) = &mut self.stopping {
            let kept = manifest.stopping.clone().unwrap_or_default();
            let weights =
                best.into_iter().filter_map(|(name, stored)| Some((name.strip_prefix(BEST)?.to_string(), stored)));
            let weights = weights_of(&self.params, &weights.collect());
            stopping.state =
                State { best: kept.best.map(|(epoch, value)| (epoch, value.0)), waited: kept.waited, weights };
        }
        set_rates(job.optimizer, &manifest.rates);
        if let Some(state) = &manifest.schedule {
            self.schedules.restore(state)?;
        }
        *history = manifest.fits.last().map_or_else(History::default, |fit| fit.history(Some(job.epochs)));
        history.restored = None;
        let more = history.epochs.len() < job.epochs && matches!(history.ended, Ended::Completed | Ended::Stopped);
        if more {
            history.ended = Ended::Completed;
        }
        self.past.fits = manifest.fits[..job.fit].to_vec();
        self.past.steps = position.total;
        self.saving.best = manifest.best.map(|(epoch, value)| (epoch, value.0));
        self.saving.saved = Some(position.total);
        let device = self.session()?.device();
        let now = [device.kind, device.adapter, device.api, device.driver];
        if let Some(resumed) = &mut self.saving.resumed {
            if now != manifest.device {
                let [then, now] = [&manifest.device, &now].map(|words| words.join(", "));
                resumed.notes.push(format!("the device was another one: {then}; the bits of {now} may differ"));
            }
            if manifest.wgrad != env!("CARGO_PKG_VERSION") {
                let now = env!("CARGO_PKG_VERSION");
                resumed
                    .notes
                    .push(format!("the checkpoint is of wgrad {}, this is {now}; bits may differ", manifest.wgrad));
            }
            for note in resumed.notes.clone() {
                self.progress.note(&format!("note: {note}"));
            }
        }
        Ok(Position { over: !more, ..position })
    }

    /// The checkpoint of a position. The generator is that of the epoch's beginning, or as it is now.
    fn checkpoint(
        &mut self,
        job: &Job<'_>,
        at: &Position,
        history: &History,
        random: Option<&TorchRandom>,
    ) -> Result<Checkpoint> {
        self.session()?.sync()?;
        let device = self.session()?.device();
        let all = Snapshot::take(&self.params)?;
        let mut manifest = Manifest::new(&device, self.params.seed(), self.settings(job)?, at.clone());
        manifest.fits.clone_from(&self.past.fits);
        manifest.fits.push(Fit::of(history, job.epochs));
        (manifest.rates, manifest.schedule) = (rates(job.optimizer), self.schedules.state());
        manifest.best = self.saving.best.map(|(epoch, value)| (epoch, Number(value)));
        let mut tensors = BTreeMap::new();
        if let Some(stopping) = &self.stopping {
            let State { best, waited, weights } = &stopping.state;
            manifest.stopping =
                Some(Stopping { best: best.map(|(epoch, value)| (epoch, Number(value))), waited: *waited });
            if let Some(Weights { variables, counters }) = weights {
                store(&mut tensors, BEST, variables, counters);
            }
        }
        store(&mut tensors, "", &all.variables, &all.counters);
        if let Some(random) = random.or(all.random.as_ref()) {
            tensors.insert(GENERATOR.into(), Stored::Words(random.to_words()));
        }
        Ok(Checkpoint { manifest, tensors })
    }

    /// Saves a position between two steps. What cannot be written is told.
    pub(super) fn save(
        &mut self,
        job: &Job<'_>,
        at: &Position,
        history: &History,
        random: Option<&TorchRandom>,
    ) -> Result<()> {
        let Some(checkpoints) = self.saving.checkpoints.clone() else { return Ok(()) };
        let bytes = self.checkpoint(job, at, history, random)?.to_bytes()?;
        match checkpoints.save(&bytes, at.total, &mut self.saving.others) {
            Ok(path) => (self.saving.last, self.saving.saved) = (Some(path), Some(at.total)),
            Err(error) => {
                let last = self.saving.last.as_ref();
                let last =
                    last.map_or("there is none yet".into(), |path| format!("the last one is {}", path.display()));
                self.progress.note(&format!(
                    "warning: no checkpoint after step {}: {error}\n  {last}; the training goes on",
                    at.total
                ));
            }
        }
        Ok(())
    }

    /// Saves the position after an epoch, where that is due, and the best epoch.
    pub(super) fn save_epoch(
        &mut self,
        job: &Job<'_>,
        at: &Position,
        history: &History,
        stats: &EpochStats,
    ) -> Result<()> {
        let Some(checkpoints) = self.saving.checkpoints.clone() else { return Ok(()) };
        let (value, maximize) = match &self.stopping {
            // Its measure is better by less than it wants, perhaps; then the older one stays.
            Some(stopping) => match stopping.state.best {
                Some((epoch, value)) if epoch == stats.epoch => (value, stopping.maximize),
                _ => (f64::NAN, false),
            },
            None => (stats.validation_loss.unwrap_or(stats.loss), false),
        };
        let better = self.saving.best.is_none_or(|(_, best)| if maximize { value > best } else { value < best });
        let best = checkpoints.keeps_best() && !value.is_nan() && better;
        if best {
            self.saving.best = Some((stats.epoch, value));
            let bytes = self.checkpoint(job, at, history, None)?.to_bytes()?;
            if let Err(error) = checkpoints.save_best(&bytes, &mut self.saving.others) {
                self.progress.note(&format!("warning: the best epoch is not saved: {error}\n  the training goes on"));
            }
        }
        if at.over && checkpoints.keeps_end() {
            self.save_last(job, at, history, None)
        } else if checkpoints.due(stats.epoch, at.total) {
            self.save(job, at, history, None)
        } else {
            Ok(())
        }
    }

    /// Saves the position in which a fit ends; what cannot be written is an error.
    pub(super) fn save_last(
        &mut self,
        job: &Job<'_>,
        at: &Position,
        history: &History,
        random: Option<&TorchRandom>,
    ) -> Result<()> {
        let Some(checkpoints) = self.saving.checkpoints.clone() else { return Ok(()) };
        if self.saving.saved == Some(at.total) && !at.over {
            return Ok(());
        }
        let bytes = self.checkpoint(job, at, history, random)?.to_bytes()?;
        let path = checkpoints.save(&bytes, at.total, &mut self.saving.others)?;
        (self.saving.last, self.saving.saved) = (Some(path), Some(at.total));
        Ok(())
    }
}

type Counters = [(Arc<str>, wgrad_core::Counter, u64)];
type Variables = [(wgrad_core::Variable, Arc<wgrad_core::Array>)];

fn store(tensors: &mut BTreeMap<String, Stored>, prefix: &str, variables: &Variables, counters: &Counters) {
    for (variable, value) in variables {
        tensors.insert(format!("{prefix}{}", variable.name()), Stored::Array(value.clone()));
    }
    for (name, _, count) in counters {
        tensors.insert(format!("{prefix}{name}"), Stored::Count(*count));
    }
}

/// Sets variables, counters and generator; or sets nothing, and says what does not fit. `grows` allows state that nothing
/// has declared, such as that of another fit's optimizer.
fn put(params: &Params, mut tensors: BTreeMap<String, Stored>, grows: bool) -> Result<Vec<String>> {
    let (mut arrays, mut counts, mut wrong) = (vec![], vec![], vec![]);
    for variable in params.variables() {
        match tensors.remove(variable.name()) {
            Some(Stored::Array(array)) if array.shape() == variable.shape() => arrays.push((variable, array)),
            Some(Stored::Array(array)) => {
                wrong.push(format!("`{}`: {} then, {} now", variable.name(), array.shape(), variable.shape()));
            }
            _ => wrong.push(format!("`{}`: not there then", variable.name())),
        }
    }
    for (name, counter) in params.counters() {
        match tensors.remove(&*name) {
            Some(Stored::Count(count)) => counts.push((counter, count)),
            // The trainer's own is made with the first epoch.
            _ => wrong.push(format!("counter `{name}`: not there then")),
        }
    }
    let generator = tensors.remove(GENERATOR);
    let words = match &generator {
        Some(Stored::Words(words)) => TorchRandom::from_words(words),
        _ => None,
    };
    if generator.is_some() && words.is_none() {
        wrong.push("its generator is none".into());
    }
    let mut new = vec![];
    for (name, stored) in tensors {
        match stored {
            Stored::Array(array) if grows => new.push((name, array)),
            Stored::Count(count) if grows || name == "train.@epoch" => counts.push((params.counter(&name), count)),
            _ => wrong.push(format!("`{name}`: not there now")),
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

/// The best weights, of which all have to be there.
fn weights_of(params: &Params, tensors: &BTreeMap<String, Stored>) -> Option<Weights> {
    let mut weights = Weights::of(Snapshot::take(params).ok()?);
    for (variable, value) in &mut weights.variables {
        match tensors.get(variable.name()) {
            Some(Stored::Array(array)) if array.shape() == variable.shape() => *value = array.clone(),
            _ => return None,
        }
    }
    for (name, _, count) in &mut weights.counters {
        match tensors.get(&**name) {
            Some(Stored::Count(stored)) => *count = *stored,
            _ => return None,
        }
    }
    Some(weights)
}
