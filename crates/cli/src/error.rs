//! Errors of the command, and the text of any error for the command line.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use wgrad_core::{DeviceError, DeviceFix, Error};
use wgrad_data::DataError;
use wgrad_metrics::Calibrate;
use wgrad_train::TrainError;

use crate::model::VERSION;
use crate::output::shell_word;

/// Error of the command itself, as [`Error::Other`] holds it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// `--pos-weight` with a loss of several logits.
    #[error(
        "--pos-weight is for one logit and two classes (--loss bce), but there are {logits} logits; leave it out, or use \
         --sampler balanced"
    )]
    PosWeightNeedsBce { logits: usize },
    /// Two options that balance the classes.
    #[error("--pos-weight and --sampler balanced both balance the classes; use only one of them")]
    BalancedTwice,
    /// `--loss bce` with another number of classes than two.
    #[error("--loss bce needs two classes, but column `{column}` has {classes}; use --loss ce or leave it out")]
    BceNeedsTwoClasses { column: String, classes: usize },
    /// No validation rows for options that need them.
    #[error("--threshold and --calibrate choose on validation rows, so --validation cannot be 0")]
    NoValidationRows,
    /// `--threshold` with more than two classes.
    #[error("--threshold is for two classes, but there are {classes}; leave it out")]
    ThresholdNeedsTwoClasses { classes: usize },
    /// A calibration method for two classes with more than two.
    #[error("--calibrate {method} is for two classes, but there are {classes}; use --calibrate temperature")]
    CalibrationNeedsTwoClasses { method: Calibrate, classes: usize },
    /// `--at-step` at or after the last step.
    #[error("the training has {steps} steps, so it cannot be stopped after {step} of them")]
    StopAfterEnd { step: u64, steps: u64 },
    /// A training run that is too short to be stopped.
    #[error("a training of {steps} steps cannot be stopped before its end: give it more")]
    TooFewSteps { steps: u64 },
    /// `--filter` that matches no case.
    #[error("no case has `{filter}` in its name{} (see --list)", if *full { "" } else { " of the quick choice; --full has more" })]
    NoCase { filter: String, full: bool },
    /// A device that cannot be opened.
    #[error("{source}; `wgrad devices` says more about them")]
    Device { source: Box<Error> },
    /// A device without kernel variants.
    #[error(
        "{kind} has one variant of each kernel, so there is nothing to tune; name a GPU with --device (see `wgrad devices`)"
    )]
    NothingToTune { kind: String },
    /// No folder for the tuning choices.
    #[error("there is no folder for caches to keep the result in: set XDG_CACHE_HOME or HOME, and not WGRAD_CACHE=off")]
    NoCacheFolder,
    /// A loss that is infinite or NaN; the model is not saved.
    #[error(
        "the loss is {loss} in step {step} of epoch {epoch}; nothing was saved. Use a smaller learning rate, such as --lr \
         {lr}, or --clip-norm 1{}", node.as_ref().map_or_else(String::new, |node| format!("\n  the first that is not finite there: {node}"))
    )]
    LossNotFinite {
        loss: f64,
        epoch: usize,
        step: usize,
        /// Learning rate to try.
        lr: f64,
        /// First node that is not finite, if it is known.
        node: Option<String>,
    },

    /// A file in the place of a folder.
    #[error("{} is a file, so nothing can be saved in it; choose a folder with {option}", path.display())]
    NotFolder { path: PathBuf, option: &'static str },
    /// A file or folder that cannot be written.
    #[error("{} cannot be written: {source}; choose another place with {option}", path.display())]
    Write { path: PathBuf, source: io::Error, option: &'static str },
    /// A path without a file name.
    #[error("{} is not the name of a file; give one with {option}", path.display())]
    NotFile { path: PathBuf, option: &'static str },
    /// `--out` that names the input.
    #[error("{} is the file with the rows, which would be overwritten; choose another --out", path.display())]
    OverwritesInput { path: PathBuf },
    /// Predictions that cannot be formatted as CSV.
    #[error("the predictions cannot be written: {reason}")]
    Predictions { reason: String },
    /// An output of the model that is infinite or NaN.
    #[error("the model's output is not finite for row {row} of the file")]
    OutputNotFinite {
        /// Row of the file, from 1.
        row: usize,
    },

    /// A folder without a saved model.
    #[error(
        "{} {}, so it is no saved model; give the folder that `wgrad train --out DIR` wrote", folder.display(),
        if *exists { "has no model.json" } else { "is no folder" }
    )]
    NotModel { folder: PathBuf, exists: bool },
    /// A missing file of weights.
    #[error("{} is missing; train the model again", path.display())]
    NoWeights { path: PathBuf },
    /// Weights that do not fit the model's description.
    #[error("{} does not fit model.json beside it: it belongs to another model, or was changed\n  {reason}", path.display())]
    ForeignWeights { path: PathBuf, reason: String },
    /// A `model.json` that cannot be used.
    #[error("{} is not the description of a model: {reason}; train the model again", path.display())]
    Description { path: PathBuf, reason: String },
    /// A `model.json` of another version.
    #[error(
        "{} is of version {version}, and this wgrad reads version {VERSION}; use the wgrad that wrote it, or train the \
         model again", path.display()
    )]
    ModelVersion { path: PathBuf, version: u32 },
    /// Test scores of other classes than the model's.
    #[error(
        "{} is of another model: its classes are {}, and those of the model {}\n  fix: train the model again",
        path.display(), scores.join(", "), model.join(", ")
    )]
    ForeignScores { path: PathBuf, scores: Vec<String>, model: Vec<String> },

    /// A child process that failed, with its standard error, which ends with an error message.
    #[error("{stderr}")]
    Child { stderr: String },
    /// A child process that failed without a message.
    #[error("`wgrad {command}` ended with {status}")]
    ChildEnded { command: String, status: ExitStatus },
    /// Values that cannot be exchanged with a child process.
    #[error("{reason}")]
    Json { reason: String },
    /// Workloads that could not be measured, a message for each.
    #[error("{}", messages.join("\n"))]
    NotMeasured { messages: Vec<String> },
    /// A workload whose result differs from the reference.
    #[error(
        "{workload} computes {value} where the reference has {truth} (result {result}, bound {bound:.1e}), so it is not \
         timed; `cargo test -p wgrad --test parity` finds the kernel"
    )]
    WrongResult { workload: &'static str, value: f64, truth: f64, result: usize, bound: f64 },
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// Returns the message of an error, with fixes as options of the command. `drop` is the option that drops columns.
pub fn message(error: &Error, drop: &str) -> String {
    if let Some(error) = error.facts::<DataError>() {
        error.message(&|fix| data_fix(fix, drop))
    } else if let Some(error) = error.facts::<TrainError>() {
        error.message(&train_fix)
    } else if let Some(error) = error.facts::<DeviceError>() {
        error.message(&device_fix)
    } else {
        error.to_string()
    }
}

/// Returns a fix of the data as an option.
fn data_fix(fix: &wgrad_data::Fix, drop: &str) -> String {
    use wgrad_data::Fix;
    match fix {
        Fix::DropColumns(names) if names.is_empty() => drop.into(),
        Fix::DropColumns(names) => format!("{drop} {}", shell_word(&names.join(","))),
        Fix::DropRows => "--missing drop".into(),
        Fix::FillMean => "--missing mean".into(),
        Fix::MinFrequency => "--min-frequency N".into(),
        Fix::MaxCategories(limit) => format!("--max-categories {limit}"),
        Fix::SplitByTime(column) => format!("--time {}", shell_word(column)),
        other => other.to_string(),
    }
}

/// Returns a fix of a device as a command.
fn device_fix(fix: DeviceFix) -> String {
    match fix {
        DeviceFix::ListDevices => "`wgrad devices`".into(),
        DeviceFix::Resume => "`wgrad train --resume`".into(),
        other => other.to_string(),
    }
}

/// Returns a fix of a training run as an option.
fn train_fix(fix: &wgrad_train::error::Fix) -> String {
    use wgrad_train::error::Fix;
    match fix {
        Fix::Resume => "--resume".into(),
        Fix::Overwrite => "--overwrite".into(),
        Fix::OtherFolder => "another folder: --out DIR".into(),
        Fix::SameTraining => {
            "resume with the options and rows that it began with, or begin anew with --overwrite".into()
        }
        Fix::BeginElsewhere => "begin anew with --overwrite".into(),
        other => other.to_string(),
    }
}
