//! The options of `wgrad train` about how it runs: schedule, early stopping, checkpoints, and what Ctrl-C does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use serde_json::json;
use wgrad_core::{Error, Result};
use wgrad_nn::optim::AdamW;
use wgrad_nn::optim::schedule::{CosineAnnealingLr, OneCycleLr, ReduceLrOnPlateau};
use wgrad_train::{Checkpoints, EarlyStopping, LrCurve, LrPoint, Trainer, checkpoints};

use crate::args::{number, whole};
use crate::output::{note, print, shell_word};

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// It stays.
    #[default]
    None,
    /// It falls to 0 along half a cosine, epoch by epoch.
    Cosine,
    /// It rises to --lr and falls again, step by step.
    OneCycle,
    /// A tenth of it whenever the loss has not fallen for 10 epochs.
    Plateau,
}

/// How the training runs.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Running")]
pub struct RunArgs {
    /// How the learning rate changes: none, cosine (to 0), one-cycle (up to --lr and down again, step by step), or plateau
    /// (a tenth whenever the loss has not fallen for 10 epochs).
    #[arg(long, value_name = "SHAPE", default_value = "none", hide_possible_values = true)]
    schedule: Shape,
    /// Stop when the validation loss has not fallen for so many epochs, and keep the weights of the best one. Sets a tenth
    /// of the rows aside to validate on, unless --validation says how many.
    #[arg(long, allow_negative_numbers = true, value_name = "EPOCHS", value_parser = whole(1, "at least 1"))]
    pub patience: Option<usize>,
    /// Scale gradients down to this norm, taken over all of them.
    #[arg(long, allow_negative_numbers = true, value_name = "NORM", value_parser = number(|x| x > 0.0, "above 0"))]
    clip_norm: Option<f64>,
    /// Update the weights after every N batches, with the gradient of all of them.
    #[arg(long, allow_negative_numbers = true, value_name = "N", default_value_t = 1, value_parser = whole(1, "at least 1"))]
    accumulate: usize,
    /// Save everything that the training is made of after every N steps, in the folder `checkpoints` of the model's.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = whole(1, "at least 1"))]
    checkpoint_every: Option<usize>,
    /// Go on from the last checkpoint, if there is one; the model will be the same, to the last byte.
    #[arg(long)]
    pub resume: bool,
    /// Begin anew where there are checkpoints, and remove them.
    #[arg(long, conflicts_with = "resume")]
    overwrite: bool,
    /// Look for a learning rate: train with one that grows until the loss diverges, print a table and a suggestion, and save
    /// nothing.
    #[arg(long)]
    pub find_lr: bool,
}

/// Length of a training and its learning rate, for schedules.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    pub epochs: usize,
    /// Updates of an epoch.
    pub updates: usize,
    pub lr: f64,
}

/// How a run is told to end.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    pub flag: Arc<AtomicBool>,
}

impl RunArgs {
    /// The share of the rows to validate on, where nothing was said about it, if any are needed.
    pub fn validation(&self) -> Option<f64> {
        self.patience.map(|_| 0.1)
    }

    /// What of it changes the model, by name, where it is not as it is if nothing is said.
    pub fn described(&self) -> BTreeMap<String, String> {
        let schedule = self.schedule.to_possible_value().map(|value| value.get_name().to_string());
        let all = [
            ("schedule", schedule.filter(|_| self.schedule != Shape::None)),
            ("clip_norm", self.clip_norm.map(|norm| norm.to_string())),
            ("accumulate", (self.accumulate > 1).then(|| self.accumulate.to_string())),
            ("patience", self.patience.map(|epochs| epochs.to_string())),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }

    /// The optimizer with its clipping.
    pub fn optimizer(&self, adam: AdamW) -> AdamW {
        match self.clip_norm {
            Some(norm) => adam.clip_grad_norm(norm),
            None => adam,
        }
    }

    /// The folder of the checkpoints of a model.
    pub fn folder(model: &Path) -> PathBuf {
        model.join("checkpoints")
    }

    /// Removes what was only there to go on from, now that the model is saved.
    pub fn tidy(&self, model: &Path) {
        let folder = Self::folder(model);
        if self.checkpoint_every.is_none() {
            checkpoints(&folder).unwrap_or_default().iter().for_each(|path| drop(std::fs::remove_file(path)));
            // It stays if there is something else in it.
            let _ = std::fs::remove_dir(folder);
        }
    }

    /// A trainer with all of it.
    ///
    /// # Errors
    /// When the folder of the checkpoints cannot be read.
    pub fn apply<'a>(
        &self,
        trainer: Trainer<'a>,
        model: &Path,
        Course { epochs, updates, lr }: Course,
        stop: &Stop,
    ) -> Result<Trainer<'a>> {
        let folder = Self::folder(model);
        let all = match self.checkpoint_every {
            Some(every) => Checkpoints::new(&folder).every_steps(every),
            None => Checkpoints::when_stopped(&folder),
        };
        let mut trainer = trainer.accumulate(self.accumulate).stop_flag(stop.flag.clone());
        trainer = trainer.checkpoints(all.overwrite(self.overwrite));
        trainer = match self.schedule {
            Shape::None => trainer,
            Shape::Cosine => trainer.schedule(CosineAnnealingLr::new(epochs)),
            Shape::OneCycle => trainer.schedule_per_step(OneCycleLr::new(lr, epochs * updates)),
            Shape::Plateau => trainer.schedule(ReduceLrOnPlateau::new()),
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

    /// Batches of an update.
    pub fn accumulated(&self) -> usize {
        self.accumulate
    }
}

/// Lets the first Ctrl-C (or request to end) end the training after the steps under way, and the second the process.
pub fn watch_for_ctrl_c(stop: &Stop) {
    let flag = stop.flag.clone();
    // Only one handler can be set, and it was set here before if that fails.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        note("\nstopping after the steps under way; once more ends at once");
    });
}

/// Prints what a search for a learning rate has found.
///
/// # Errors
/// When standard output cannot be written.
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

/// What a shell reports of a command that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Says how to go on, and gives the exit code.
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

/// An error of the library in the words of the command.
pub fn in_options(error: Error) -> Error {
    const FIXES: [(&str, &str); 5] = [
        ("go on with it: Trainer::resume(folder)", "go on with it: --resume"),
        ("begin anew and remove them: Checkpoints::overwrite(true)", "begin anew and remove them: --overwrite"),
        ("3. another folder", "3. another folder: --out DIR"),
        (
            "resume with the same model, data and settings; or begin anew, from its weights if you like: \
             Load::from(checkpoint).strict(false).apply(&params)",
            "resume with the options and rows that it began with, or begin anew with --overwrite",
        ),
        ("begin anew in another folder", "begin anew with --overwrite"),
    ];
    let replaced = |text: String| FIXES.iter().fold(text, |text, (from, to)| text.replace(from, to));
    match error {
        Error::Config(text) => Error::Config(replaced(text)),
        Error::Data(text) => Error::Data(replaced(text)),
        other => other,
    }
}
