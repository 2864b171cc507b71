//! What a checkpoint is of, and where in its training it stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wgrad_core::{DeviceInfo, Error, Result};

use crate::error::{CheckpointError, Difference};
use crate::history::{Ended, EpochStats, History};
use crate::number::{BestEpoch, Number, Numbers, numbers, values};
use wgrad_nn::optim::schedule::ScheduleState;

const FORMAT: &str = "wgrad-checkpoint";
const VERSION: u32 = 1;

/// An epoch that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Epoch {
    epoch: usize,
    loss: Number,
    validation_loss: Option<Number>,
    seconds: Number,
    steps: usize,
    lr: Option<Number>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tracked: Numbers,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    validation_tracked: Numbers,
}

/// Record of a fit, over or under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FitRecord {
    of: usize,
    epochs: Vec<Epoch>,
    ended: Ended,
    restored: Option<usize>,
}

impl FitRecord {
    pub fn of(history: &History, epochs: usize) -> Self {
        let epoch = |stats: &EpochStats| Epoch {
            epoch: stats.epoch,
            loss: Number(stats.loss),
            validation_loss: stats.validation_loss.map(Number),
            seconds: Number(stats.seconds),
            steps: stats.steps,
            lr: stats.lr.map(Number),
            tracked: numbers(&stats.tracked),
            validation_tracked: numbers(&stats.validation_tracked),
        };
        let all = history.epochs.iter().map(epoch).collect();
        Self { of: epochs, epochs: all, ended: history.ended, restored: history.restored }
    }

    /// The history; of a fit that has so many epochs now, or as many as it had.
    pub fn history(&self, epochs: Option<usize>) -> History {
        let stats = |epoch: &Epoch| EpochStats {
            epoch: epoch.epoch,
            epochs: epochs.unwrap_or(self.of),
            loss: epoch.loss.0,
            validation_loss: epoch.validation_loss.map(|loss| loss.0),
            seconds: epoch.seconds.0,
            steps: epoch.steps,
            lr: epoch.lr.map(|lr| lr.0),
            tracked: values(&epoch.tracked),
            validation_tracked: values(&epoch.validation_tracked),
        };
        History { epochs: self.epochs.iter().map(stats).collect(), ended: self.ended, restored: self.restored }
    }
}

/// Position of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Which fit of the trainer, from 0.
    pub fit: usize,
    /// Which epoch of it, from 1.
    pub epoch: usize,
    /// Steps of the epoch that were made.
    pub step: usize,
    /// The sum of their losses, each times its rows.
    pub loss_sum: Number,
    /// The sums of what is tracked, alike.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tracked: Numbers,
    /// Steps of all fits.
    pub total: u64,
    /// Whether the fit is over.
    pub over: bool,
}

impl Position {
    /// Returns the beginning of a fit after so many steps of all fits.
    pub fn begin(fit: usize, total: u64) -> Self {
        Self { fit, epoch: 1, step: 0, loss_sum: Number(0.0), tracked: Numbers::new(), total, over: false }
    }
}

/// State of early stopping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stopping {
    pub best: Option<BestEpoch>,
    pub waited: usize,
}

/// What a checkpoint says of itself, for people and to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u32,
    /// The version of wgrad that wrote it.
    pub wgrad: String,
    /// The words of the command that trains.
    pub command: Vec<String>,
    /// What computes: kind, adapter, API, driver.
    pub device: [String; 4],
    /// The seed of the parameters.
    pub seed: u64,
    /// What has to be the same to go on, by name.
    pub settings: BTreeMap<String, String>,
    pub position: Position,
    /// The fits before this one, and this one.
    pub fits: Vec<FitRecord>,
    /// Rates of each group.
    pub rates: Vec<[u64; 2]>,
    pub schedule: Option<ScheduleState>,
    pub stopping: Option<Stopping>,
    /// The best checkpoint so far.
    pub best: Option<BestEpoch>,
}

impl Manifest {
    /// A manifest of this version and process, of nothing yet.
    pub fn new(device: &DeviceInfo, seed: u64, settings: BTreeMap<String, String>, position: Position) -> Self {
        let DeviceInfo { kind, adapter, api, driver, .. } = device.clone();
        Self {
            format: FORMAT.into(),
            version: VERSION,
            wgrad: env!("CARGO_PKG_VERSION").into(),
            command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            device: [kind, adapter, api, driver],
            seed,
            settings,
            position,
            fits: vec![],
            rates: vec![],
            schedule: None,
            stopping: None,
            best: None,
        }
    }

    pub fn read(name: &str, text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format: String,
            version: u32,
        }
        let wrong = |why: &dyn std::fmt::Display| {
            Error::from(CheckpointError::Manifest { name: name.into(), reason: why.to_string() })
        };
        let Version { format, version } = serde_json::from_str(text).map_err(|error| wrong(&error))?;
        if format != FORMAT {
            return Err(wrong(&format!("its format is `{format}`, not `{FORMAT}`")));
        }
        if version != VERSION {
            return Err(CheckpointError::Version { name: name.into(), version, supported: VERSION }.into());
        }
        serde_json::from_str(text).map_err(|error| wrong(&error))
    }

    /// What differs from the settings of a training that wants to go on, a line each.
    pub fn differences(&self, settings: &BTreeMap<String, String>) -> Vec<Difference> {
        let names: std::collections::BTreeSet<_> = self.settings.keys().chain(settings.keys()).collect();
        let text = |map: &BTreeMap<String, String>, name: &String| map.get(name).map_or("none", |v| v).to_string();
        names
            .into_iter()
            .map(|name| (name, text(&self.settings, name), text(settings, name)))
            .filter(|(_, then, now)| then != now)
            .map(|(name, then, now)| Difference::Setting { name: name.clone(), then, now })
            .collect()
    }
}
