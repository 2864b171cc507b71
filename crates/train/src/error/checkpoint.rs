//! Errors of writing and reading checkpoints, and of resuming from them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use wgrad_core::Shape;

use super::fix::TrainFix;
use super::text::{Say, Text};

/// Error: a checkpoint cannot be written or read, or the training cannot resume from it.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A training run that does not resume would write into a folder with checkpoints of another run.
    FolderInUse {
        /// The folder.
        folder: PathBuf,
        /// Name of the latest checkpoint in it.
        latest: String,
    },
    /// A file or folder cannot be written.
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The values of a training run cannot be encoded.
    Encode {
        /// Message of the encoder.
        reason: String,
    },
    /// There is no checkpoint to resume from.
    NothingToResume {
        /// The file or folder.
        path: PathBuf,
        /// True if `path` is a folder.
        is_folder: bool,
    },
    /// None of the checkpoints that were found can be read.
    NoneReadable {
        /// The file or folder.
        path: PathBuf,
        /// Error message of each checkpoint, the latest first.
        reasons: Vec<String>,
    },
    /// A checkpoint belongs to a different training run.
    OtherTraining {
        /// The checkpoint.
        path: PathBuf,
        /// Differences between the two training runs.
        differences: Vec<Difference>,
    },
    /// A checkpoint file is truncated, or its bytes have changed.
    Damaged {
        /// Name of the file.
        name: String,
        /// Kind of damage.
        damage: Damage,
    },
    /// A file is a safetensors file, but not a checkpoint.
    NotCheckpoint {
        /// Name of the file.
        name: String,
    },
    /// The manifest of a checkpoint (its metadata, as JSON) cannot be parsed.
    Manifest {
        /// Name of the file.
        name: String,
        /// Message of the parser.
        reason: String,
    },
    /// A checkpoint has a version of the file format that this wgrad cannot read.
    Version {
        /// Name of the file.
        name: String,
        /// Format version of the file.
        version: u32,
        /// Format version that this wgrad reads.
        supported: u32,
    },
}

/// Kind of damage to a checkpoint file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The file ends before the end of its header.
    CutOff {
        /// Length of the file, in bytes.
        bytes: usize,
    },
    /// The length of the file differs from the length that its header specifies.
    Length {
        /// Length of the file, in bytes.
        bytes: usize,
    },
    /// The checksum does not match.
    Checksum,
    /// The header cannot be parsed.
    Header {
        /// Message of the parser.
        reason: String,
    },
    /// The file has no manifest (metadata of a checkpoint, as JSON).
    NoManifest,
    /// A tensor has an unexpected type or shape.
    Tensor {
        /// Name of the tensor.
        name: String,
        /// Description of the unexpected type or shape.
        reason: String,
    },
}

/// Difference between the training run that wrote a checkpoint and the run that is to resume from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A setting has a different value.
    Setting {
        /// Name of the setting.
        name: String,
        /// Value in the checkpoint.
        then: String,
        /// Value in the training run that is to resume.
        now: String,
    },
    /// The checkpoint's position does not exist in this fit.
    Position {
        /// Number of the fit within the trainer, from 1.
        fit: usize,
        /// Number of the epoch within the fit, from 1.
        epoch: usize,
        /// Number of completed steps in the epoch.
        step: usize,
    },
    /// The number of epochs trained so far does not fit the number of epochs that the fit is to train.
    Epochs {
        /// Number of epochs that were trained before the checkpoint.
        trained: usize,
        /// Number of epochs that the fit is to train.
        wanted: usize,
    },
    /// A variable has another shape.
    Shape {
        /// Name of the variable.
        name: String,
        /// Shape in the checkpoint.
        then: Shape,
        /// Shape in the model.
        now: Shape,
    },
    /// The checkpoint lacks a variable of the model.
    NewVariable {
        /// Name of the variable.
        name: String,
    },
    /// The checkpoint lacks a counter of the model.
    NewCounter {
        /// Name of the counter.
        name: String,
    },
    /// The model lacks a variable or counter of the checkpoint.
    Gone {
        /// Name of the variable or counter.
        name: String,
    },
    /// The checkpoint's state of the random number generator is not valid.
    Generator,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, then, now } => write!(f, "{name}: {then} then, {now} now"),
            Self::Position { fit, epoch, step } => write!(f, "it is in fit {fit}, epoch {epoch}, step {step}"),
            Self::Epochs { trained, wanted } => write!(f, "epochs: {trained} trained then, {wanted} wanted now"),
            Self::Shape { name, then, now } => write!(f, "`{name}`: {then} then, {now} now"),
            Self::NewVariable { name } => write!(f, "`{name}`: not there then"),
            Self::NewCounter { name } => write!(f, "counter `{name}`: not there then"),
            Self::Gone { name } => write!(f, "`{name}`: not there now"),
            Self::Generator => f.write_str("its state of the random number generator is not valid"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutOff { bytes } => write!(f, "it is cut off after {bytes} bytes"),
            Self::Length { bytes } => write!(f, "it is cut off after {bytes} bytes, or has bytes too many"),
            Self::Checksum => f.write_str("bytes of it have changed since it was written (its checksum does not fit)"),
            Self::Header { reason } => f.write_str(reason),
            Self::NoManifest => f.write_str("it has no manifest"),
            Self::Tensor { name, reason } => write!(f, "`{name}`: {reason}"),
        }
    }
}

impl Text for CheckpointError {
    fn text(&self) -> String {
        match self {
            Self::FolderInUse { folder, latest } => {
                format!("{} has checkpoints of another training, up to {latest}", folder.display())
            }
            Self::Write { path, source } => format!("{} cannot be written: {source}", path.display()),
            Self::Encode { reason } => format!("a checkpoint cannot be written: {reason}"),
            Self::NothingToResume { path, is_folder } => {
                let why = if *is_folder { "has no checkpoint" } else { "is no folder of checkpoints" };
                format!("{} {why}, so there is nothing to resume", path.display())
            }
            Self::NoneReadable { path, reasons } => {
                format!("{} has no checkpoint that can be read:\n  {}", path.display(), reasons.join("\n  "))
            }
            Self::OtherTraining { path, differences } => {
                let differences: Vec<_> = differences.iter().map(ToString::to_string).collect();
                format!("{} is a checkpoint of another training:\n  {}", path.display(), differences.join("\n  "))
            }
            Self::Damaged { name, damage } => format!("{name} is not a whole checkpoint: {damage}"),
            Self::NotCheckpoint { name } => format!("{name} is a safetensors file, but no checkpoint of wgrad"),
            Self::Manifest { name, reason } => format!("{name} has a manifest that cannot be read: {reason}"),
            Self::Version { name, version, supported } => {
                format!("{name} is of version {version}, and this wgrad reads version {supported}")
            }
        }
    }

    fn fixes(&self, say: Say<'_>) -> Vec<String> {
        match self {
            Self::FolderInUse { .. } => vec![
                format!("go on with it: {}", say(&TrainFix::Resume)),
                format!("begin anew and remove them: {}", say(&TrainFix::Overwrite)),
                say(&TrainFix::OtherFolder),
            ],
            Self::Write { source, .. } => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => vec![say(&TrainFix::FreeSpace)],
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => vec![say(&TrainFix::WritableFolder)],
                _ => vec![],
            },
            Self::NothingToResume { .. } => vec![say(&TrainFix::CheckpointFolder)],
            Self::NoneReadable { .. } => vec![say(&TrainFix::BeginElsewhere)],
            Self::OtherTraining { .. } => vec![say(&TrainFix::SameTraining)],
            Self::NotCheckpoint { .. } => vec![say(&TrainFix::LoadWeights)],
            Self::Version { .. } => vec![say(&TrainFix::SameVersion)],
            Self::Encode { .. } | Self::Damaged { .. } | Self::Manifest { .. } => vec![],
        }
    }
}
