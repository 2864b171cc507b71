//! Errors of the `wgrad` command, and the text that the command prints for any error.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use wgrad_core::{DeviceError, DeviceFix, Error, MemoryFix, OutOfMemory};
use wgrad_data::{DataError, DataFix};
use wgrad_metrics::Calibrate;
use wgrad_train::TrainError;
use wgrad_train::error::TrainFix;

use crate::shell::shell_word;

/// Error that the command itself returns, and not a library that it uses. It is wrapped in [`Error::Other`].
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Returned when `--pos-weight` is used with a loss that has several logits.
    #[error(
        "--pos-weight is for one logit and two classes (--loss bce), but there are {logits} logits; leave it out, or use \
         --sampler balanced"
    )]
    PosWeightNeedsBce { logits: usize },
    /// Returned when two options that balance the classes are both given.
    #[error("--pos-weight and --sampler balanced both balance the classes; use only one of them")]
    BalancedTwice,
    /// Returned when `--loss bce` is used with a number of classes other than two.
    #[error("--loss bce needs two classes, but column `{column}` has {classes}; use --loss ce or leave it out")]
    BceNeedsTwoClasses { column: String, classes: usize },
    /// Returned when options need validation rows, but `--validation` is 0.
    #[error("--threshold and --calibrate choose on validation rows, so --validation cannot be 0")]
    NoValidationRows,
    /// Returned when `--threshold` is used with more than two classes.
    #[error("--threshold is for two classes, but there are {classes}; leave it out")]
    ThresholdNeedsTwoClasses { classes: usize },
    /// Returned when a calibration method for two classes is used with more than two.
    #[error("--calibrate {method} is for two classes, but there are {classes}; use --calibrate temperature")]
    CalibrationNeedsTwoClasses { method: Calibrate, classes: usize },
    /// Returned when `--at-step` is the last step or a later one.
    #[error("the training has {steps} steps, so it cannot be stopped after {step} of them")]
    StopAfterEnd { step: u64, steps: u64 },
    /// Returned when the training run is too short to be stopped before its end.
    #[error("a training of {steps} steps cannot be stopped before its end: give it more")]
    TooFewSteps { steps: u64 },
    /// Returned when `--filter` matches no parity case.
    #[error("no case has `{filter}` in its name{} (see --list)", if *full { "" } else { " of the quick choice; --full has more" })]
    NoCase { filter: String, full: bool },
    /// Returned when a device cannot be opened.
    #[error("{source}; `wgrad devices` says more about them")]
    Device { source: Box<Error> },
    /// Returned when the device has only one variant of each kernel, so that there is nothing to tune.
    #[error(
        "{kind} has one variant of each kernel, so there is nothing to tune; name a GPU with --device (see `wgrad devices`)"
    )]
    NothingToTune { kind: String },
    /// Returned when there is no folder in which to store the tuning choices.
    #[error("there is no folder for caches to keep the result in: set XDG_CACHE_HOME or HOME, and not WGRAD_CACHE=off")]
    NoCacheFolder,
    /// Returned when the loss is infinite or NaN. The model is not saved.
    #[error(
        "the loss is {loss} in step {step} of epoch {epoch}; nothing was saved. Use a smaller learning rate, such as --lr \
         {lr}, or --clip-norm 1{}", node.as_ref().map_or_else(String::new, |node| format!("\n  the first that is not finite there: {node}"))
    )]
    LossNotFinite {
        loss: f64,
        epoch: usize,
        step: usize,
        /// Smaller learning rate that the message suggests.
        lr: f64,
        /// First node of the graph whose value is not finite, if it is known.
        node: Option<String>,
    },

    /// Returned when there is a file where a folder is needed.
    #[error("{} is a file, so nothing can be saved in it; choose a folder with {option}", path.display())]
    NotFolder { path: PathBuf, option: &'static str },
    /// Returned when a file or folder cannot be written.
    #[error("{} cannot be written: {source}; choose another place with {option}", path.display())]
    Write { path: PathBuf, source: io::Error, option: &'static str },
    /// Returned when a path does not end in a file name.
    #[error("{} is not the name of a file; give one with {option}", path.display())]
    NotFile { path: PathBuf, option: &'static str },
    /// Returned when `--out` names the input file.
    #[error("{} is the file with the rows, which would be overwritten; choose another --out", path.display())]
    OverwritesInput { path: PathBuf },
    /// Returned when the predictions cannot be formatted as CSV.
    #[error("the predictions cannot be written: {reason}")]
    Predictions { reason: String },
    /// Returned when an output of the model is infinite or NaN.
    #[error("the model's output is not finite for row {row} of the file")]
    OutputNotFinite {
        /// Number of the row in the file, counted from 1.
        row: usize,
    },

    /// Returned when a folder contains no saved model.
    #[error(
        "{} {}, so it is no saved model; give the folder that `wgrad train --out DIR` wrote", folder.display(),
        if *exists { "has no model.json" } else { "is no folder" }
    )]
    NotModel { folder: PathBuf, exists: bool },
    /// Returned when the file of weights is missing.
    #[error("{} is missing; train the model again", path.display())]
    NoWeights { path: PathBuf },
    /// Returned when the weights do not fit `model.json`.
    #[error("{} does not fit model.json beside it: it belongs to another model, or was changed\n  {reason}", path.display())]
    ForeignWeights { path: PathBuf, reason: String },
    /// Returned when `model.json` cannot be used.
    #[error("{} is not the description of a model: {reason}; train the model again", path.display())]
    Description { path: PathBuf, reason: String },
    /// Returned when `model.json` has another format version.
    #[error(
        "{} is of version {version}, and this wgrad reads version {supported}; use the wgrad that wrote it, or train the \
         model again", path.display()
    )]
    ModelVersion { path: PathBuf, version: u32, supported: u32 },
    /// Returned when the file of test scores has other classes than the model.
    #[error(
        "{} is of another model: its classes are {}, and those of the model {}\n  fix: train the model again",
        path.display(), scores.join(", "), model.join(", ")
    )]
    ForeignScores { path: PathBuf, scores: Vec<String>, model: Vec<String> },

    /// Returned when a child process fails. `stderr` is its standard error, which ends with an error message.
    #[error("{stderr}")]
    Child { stderr: String },
    /// Returned when a child process fails without a message.
    #[error("`wgrad {command}` ended with {status}")]
    ChildEnded { command: String, status: ExitStatus },
    /// Returned when values cannot be converted to or from the JSON of a child process.
    #[error("{reason}")]
    Json { reason: String },
    /// Returned when workloads could not be measured. There is one message for each.
    #[error("{}", messages.join("\n"))]
    NotMeasured { messages: Vec<String> },
    /// Returned when a workload's result differs from the reference.
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

/// Returns the message of an error, with the suggested fixes written as command-line options. `drop` is the text
/// that names the option for dropping columns.
pub fn message(error: &Error, drop: &str) -> String {
    if let Some(error) = error.facts::<DataError>() {
        error.message(&|fix| data_fix(fix, drop))
    } else if let Some(error) = error.facts::<TrainError>() {
        error.message(&train_fix)
    } else if let Some(error) = error.facts::<DeviceError>() {
        error.message(&device_fix)
    } else if let Some(error) = error.facts::<OutOfMemory>() {
        error.message(&memory_fix)
    } else {
        error.to_string()
    }
}

/// Returns the command-line option that applies a suggested fix for the data.
fn data_fix(fix: &DataFix, drop: &str) -> String {
    match fix {
        DataFix::DropColumns(names) if names.is_empty() => drop.into(),
        DataFix::DropColumns(names) => format!("{drop} {}", shell_word(&names.join(","))),
        DataFix::DropRows => "--missing drop".into(),
        DataFix::FillMean => "--missing mean".into(),
        DataFix::MinFrequency => "--min-frequency N".into(),
        DataFix::MaxCategories(limit) => format!("--max-categories {limit}"),
        DataFix::SplitByTime(column) => format!("--time {}", shell_word(column)),
        other => other.to_string(),
    }
}

/// Returns the command that applies a suggested fix for a problem with the device.
fn device_fix(fix: DeviceFix) -> String {
    match fix {
        DeviceFix::ListDevices => "`wgrad devices`".into(),
        DeviceFix::Resume => "`wgrad train --resume`".into(),
        DeviceFix::Memory(fix) => memory_fix(fix),
        other => other.to_string(),
    }
}

/// Describes a way to use less memory, with the command-line option for it.
fn memory_fix(fix: MemoryFix) -> String {
    match fix {
        MemoryFix::SmallerBatch => "a smaller batch: --batch-size".into(),
        MemoryFix::Accumulate => {
            "the same batch in parts, whose gradients are added: --accumulate N with a batch N times smaller".into()
        }
        other => other.to_string(),
    }
}

/// Describes a suggested fix for a training run, with the command-line option for it.
fn train_fix(fix: &TrainFix) -> String {
    match fix {
        TrainFix::Resume => "--resume".into(),
        TrainFix::Overwrite => "--overwrite".into(),
        TrainFix::OtherFolder => "another folder: --out DIR".into(),
        TrainFix::SameTraining => {
            "resume with the options and rows that it began with, or begin anew with --overwrite".into()
        }
        TrainFix::BeginElsewhere => "begin anew with --overwrite".into(),
        other => other.to_string(),
    }
}
