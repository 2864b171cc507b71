//! Manifest of a checkpoint: metadata, stored as JSON, that describe the training run, its settings and its
//! position.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wgrad_core::{DeviceInfo, Error, Result};

use crate::error::{CheckpointError, Difference};
use crate::history::{Ended, EpochStats, History};
use crate::number::{BestEpoch, Number, Numbers, numbers, values};
use wgrad_nn::optim::schedule::ScheduleState;

const FORMAT: &str = "wgrad-checkpoint";
const VERSION: u32 = 1;

/// Record of a completed epoch.
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

/// Record of a fit, which may be incomplete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FitRecord {
    /// Number of epochs that the fit was to train.
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

    /// Returns the history of the fit. `epochs` replaces the fit's number of epochs, if given.
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

/// Position that a training run has reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Index of the fit within the trainer, from 0.
    pub fit: usize,
    /// Epoch of the fit, from 1.
    pub epoch: usize,
    /// Number of steps of the epoch so far.
    pub step: usize,
    /// Sum of the losses of these steps, each multiplied by the step's number of rows.
    pub loss_sum: Number,
    /// Sums of the tracked values of these steps, each multiplied by the step's number of rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tracked: Numbers,
    /// Number of steps so far, over all fits.
    pub total: u64,
    /// True if the fit has ended.
    pub over: bool,
}

impl Position {
    /// Returns the position at the beginning of a fit. `total` is the number of steps so far, over all fits.
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

/// Metadata of a checkpoint, which are needed to resume or are shown to the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u32,
    /// Version of wgrad that wrote the file.
    pub wgrad: String,
    /// Command line of the training run.
    pub command: Vec<String>,
    /// Device of the training: its kind, adapter, API and driver.
    pub device: [String; 4],
    /// Seed of the parameters.
    pub seed: u64,
    /// Settings by name, which must be the same to resume.
    pub settings: BTreeMap<String, String>,
    pub position: Position,
    /// Records of the earlier fits, followed by the record of the current fit.
    pub fits: Vec<FitRecord>,
    /// Learning rate and momentum of each parameter group, each stored as the bits of an `f64`.
    pub rates: Vec<[u64; 2]>,
    pub schedule: Option<ScheduleState>,
    pub stopping: Option<Stopping>,
    /// Best epoch that was saved so far.
    pub best: Option<BestEpoch>,
}

impl Manifest {
    /// Creates a manifest with this version of wgrad and the command line of this process, and without fits.
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

    /// Returns the differences between the settings of this checkpoint and those of a training run that is to
    /// resume.
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
