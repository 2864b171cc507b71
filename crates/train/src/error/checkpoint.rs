//! Checkpoints that cannot be written, read or resumed from.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use wgrad_core::Shape;

use super::fix::TrainFix;
use super::text::{Say, Text};

/// Checkpoint that cannot be written, read or resumed from.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A training that does not resume would write into a folder with checkpoints of another one.
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
        /// True if it is a folder.
        is_folder: bool,
    },
    /// No checkpoint of a folder is whole.
    NoneReadable {
        /// The file or folder.
        path: PathBuf,
        /// Message of each checkpoint, the latest first.
        reasons: Vec<String>,
    },
    /// A checkpoint is of another training run.
    OtherTraining {
        /// The checkpoint.
        path: PathBuf,
        /// Differences between both trainings.
        differences: Vec<Difference>,
    },
    /// A checkpoint is cut off or changed.
    Damaged {
        /// Name of the file.
        name: String,
        /// The damage.
        damage: Damage,
    },
    /// A file is a safetensors file without the metadata of a checkpoint.
    NotCheckpoint {
        /// Name of the file.
        name: String,
    },
    /// The manifest of a checkpoint cannot be parsed.
    Manifest {
        /// Name of the file.
        name: String,
        /// Message of the parser.
        reason: String,
    },
    /// A checkpoint is of another version of the format.
    Version {
        /// Name of the file.
        name: String,
        /// Version of the file.
        version: u32,
        /// Version that this wgrad reads.
        supported: u32,
    },
}

/// Damage of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// The file ends too early.
    CutOff {
        /// Length of the file.
        bytes: usize,
    },
    /// The file is longer or shorter than its header says.
    Length {
        /// Length of the file.
        bytes: usize,
    },
    /// The checksum does not match.
    Checksum,
    /// The header cannot be parsed.
    Header {
        /// Message of the parser.
        reason: String,
    },
    /// The metadata have no manifest.
    NoManifest,
    /// A tensor has the wrong form.
    Tensor {
        /// Name of the tensor.
        name: String,
        /// The wrong form.
        reason: String,
    },
}

/// Difference between the training of a checkpoint and the one that is to resume from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A setting.
    Setting {
        /// Name of the setting.
        name: String,
        /// Value in the checkpoint.
        then: String,
        /// Value in the training that is to resume.
        now: String,
    },
    /// The checkpoint's position does not exist in this fit.
    Position {
        /// Fit of the trainer, from 1.
        fit: usize,
        /// Epoch of the fit, from 1.
        epoch: usize,
        /// Steps of the epoch.
        step: usize,
    },
    /// The checkpoint has more epochs than the fit.
    Epochs {
        /// Epochs that were trained.
        trained: usize,
        /// Epochs of the fit.
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
    /// The checkpoint lacks a variable.
    NewVariable {
        /// Name of the variable.
        name: String,
    },
    /// The checkpoint lacks a counter.
    NewCounter {
        /// Name of the counter.
        name: String,
    },
    /// The model lacks a variable or counter of the checkpoint.
    Gone {
        /// Name of the variable or counter.
        name: String,
    },
    /// The state of the random number generator is not valid.
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
