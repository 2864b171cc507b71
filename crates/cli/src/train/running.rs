//! Options of `wgrad train` for the schedule, early stopping and checkpoints, and the handling of Ctrl-C.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use serde_json::json;
use wgrad_core::Result;
use wgrad_nn::optim::AdamW;
use wgrad_nn::optim::schedule::{CosineAnnealingLr, OneCycleLr, ReduceLrOnPlateau};
use wgrad_train::{Checkpoints, EarlyStopping, LrCurve, LrPoint, Trainer, checkpoints};

use crate::args::{number, whole};
use crate::output::{note, print};
use crate::shell::shell_word;

/// Schedule of the learning rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LrSchedule {
    /// Constant.
    #[default]
    None,
    /// Falls to 0 along half a cosine, epoch by epoch.
    Cosine,
    /// Rises to --lr and falls again, step by step.
    OneCycle,
    /// Falls to a tenth whenever the loss has not fallen for 10 epochs.
    Plateau,
}

/// Options for the run.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Running")]
pub struct RunArgs {
    /// The schedule of the learning rate: none, cosine (to 0), one-cycle (up to --lr and down again, step by step),
    /// or plateau (a tenth whenever the loss has not fallen for 10 epochs).
    #[arg(long, value_name = "SCHEDULE", default_value = "none", hide_possible_values = true)]
    schedule: LrSchedule,
    /// Stop when the validation loss has not fallen for this many epochs, and keep the weights of the best epoch. A
    /// tenth of the rows becomes the validation set, unless --validation is given.
    #[arg(long, allow_negative_numbers = true, value_name = "EPOCHS", value_parser = whole(1, "at least 1"))]
    pub patience: Option<usize>,
    /// Scale gradients down to at most this norm, computed over all of them. [default: no clipping]
    #[arg(long, allow_negative_numbers = true, value_name = "NORM", value_parser = number(|x| x > 0.0, "above 0"))]
    clip_norm: Option<f64>,
    /// Update the weights after every N batches, with the gradient of the mean loss of all their rows.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 1, value_parser = whole(1, "at least 1"))]
    accumulate: usize,
    /// Save a checkpoint after every N steps, in the folder `checkpoints` inside the model's folder.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = whole(1, "at least 1"))]
    checkpoint_every: Option<usize>,
    /// Continue from the last checkpoint, if there is one. The model will be the same, byte for byte.
    #[arg(long)]
    pub resume: bool,
    /// Start from the beginning if there are checkpoints, and remove them.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Search for a learning rate: train with one that grows until the loss diverges, print a table and a suggestion,
    /// and save nothing.
    #[arg(long)]
    pub find_lr: bool,
}

/// Length and learning rate of a training run, from which schedules are built.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleLength {
    pub epochs: usize,
    /// Number of updates per epoch.
    pub updates: usize,
    pub lr: f64,
}

/// Flag with which a training run is stopped.
#[derive(Clone, Debug, Default)]
pub struct StopFlag {
    pub flag: Arc<AtomicBool>,
}

impl RunArgs {
    /// Returns the default fraction of validation rows; `None` if no option needs them.
    pub fn validation(&self) -> Option<f64> {
        self.patience.map(|_| 0.1)
    }

    /// Returns the options that affect the model and differ from their defaults, by name.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let schedule = self.schedule.to_possible_value().map(|value| value.get_name().to_string());
        let all = [
            ("schedule", schedule.filter(|_| self.schedule != LrSchedule::None)),
            ("clip_norm", self.clip_norm.map(|norm| norm.to_string())),
            ("accumulate", (self.accumulate > 1).then(|| self.accumulate.to_string())),
            ("patience", self.patience.map(|epochs| epochs.to_string())),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }

    /// Adds gradient clipping to the optimizer.
    pub fn optimizer(&self, adam: AdamW) -> AdamW {
        match self.clip_norm {
            Some(norm) => adam.clip_grad_norm(norm),
            None => adam,
        }
    }

    /// Returns the folder in which a model's checkpoints are saved.
    pub fn checkpoint_folder(model: &Path) -> PathBuf {
        model.join("checkpoints")
    }

    /// Removes the checkpoints, which are not needed once the model is saved.
    pub fn remove_checkpoints(&self, model: &Path) {
        let folder = Self::checkpoint_folder(model);
        if self.checkpoint_every.is_none() {
            checkpoints(&folder).unwrap_or_default().iter().for_each(|path| drop(std::fs::remove_file(path)));
            // `remove_dir` fails if the folder contains other files, and the folder stays.
            let _ = std::fs::remove_dir(folder);
        }
    }

    /// Applies the options to a trainer.
    ///
    /// # Errors
    /// If the checkpoint folder cannot be read.
    pub fn apply<'a>(
        &self,
        trainer: Trainer<'a>,
        model: &Path,
        ScheduleLength { epochs, updates, lr }: ScheduleLength,
        stop: &StopFlag,
    ) -> Result<Trainer<'a>> {
        let folder = Self::checkpoint_folder(model);
        let all = match self.checkpoint_every {
            Some(every) => Checkpoints::new(&folder).every_steps(every),
            None => Checkpoints::when_stopped(&folder),
        };
        let mut trainer = trainer.accumulate(self.accumulate).stop_flag(stop.flag.clone());
        trainer = trainer.checkpoints(all.overwrite(self.overwrite));
        trainer = match self.schedule {
            LrSchedule::None => trainer,
            LrSchedule::Cosine => trainer.schedule(CosineAnnealingLr::new(epochs)),
            LrSchedule::OneCycle => trainer.schedule_per_step(OneCycleLr::new(lr, epochs * updates)),
            LrSchedule::Plateau => trainer.schedule(ReduceLrOnPlateau::new()),
        };
        if let Some(patience) = self.patience {
            trainer = trainer.early_stopping(EarlyStopping::new(patience));
        }
        if self.resume {
            if checkpoints(&folder)?.is_empty() {
                note(&format!("note: no checkpoint in {}; beginning anew", folder.display()));
            } else {
                trainer = trainer.resume(&folder);
            }
        }
        Ok(trainer)
    }

    /// Returns the number of batches per update.
    pub fn batches_per_update(&self) -> usize {
        self.accumulate
    }
}

/// Installs a Ctrl-C handler. The first Ctrl-C (or termination signal) stops the training after the steps that are
/// running; the second ends the process.
pub fn watch_for_ctrl_c(stop: &StopFlag) {
    let flag = stop.flag.clone();
    // A process can have only one handler; if this call fails, the handler is installed already.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        note("\nstopping after the current steps; press Ctrl-C again to stop at once");
    });
}

/// Prints the result of the search for a learning rate, and returns the exit code.
///
/// # Errors
/// If standard output cannot be written.
pub fn show(curve: &LrCurve, json: bool) -> Result<ExitCode> {
    if !json {
        return print(&format!("{curve}\n")).map(|()| ExitCode::SUCCESS);
    }
    note(&curve.to_string());
    let column = |of: fn(&LrPoint) -> f64| curve.points.iter().map(of).collect::<Vec<_>>();
    let line = json!({
        "suggestion": curve.suggestion,
        "diverged": curve.diverged,
        "lr": column(|point| point.lr),
        "loss": column(|point| point.loss),
        "smoothed": column(|point| point.smoothed),
    });
    print(&format!("{line}\n")).map(|()| ExitCode::SUCCESS)
}

/// Exit code that shells use for a process ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Prints how to resume a stopped training run, and returns the exit code.
pub fn stopped(trainer: &Trainer<'_>, quiet: bool) -> ExitCode {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let kept = words.iter().filter(|word| !matches!(word.as_str(), "--resume" | "--overwrite"));
    let again: Vec<String> = kept.map(|word| shell_word(word)).collect();
    if let Some(path) = trainer.last_checkpoint().filter(|_| !quiet) {
        note(&format!("stopped; saved {}", path.display()));
        note(&format!("go on with: wgrad {} --resume", again.join(" ")));
    }
    ExitCode::from(INTERRUPTED)
}
