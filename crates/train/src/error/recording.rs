//! Errors of recorded PyTorch steps.

use std::fmt;
use std::path::PathBuf;

use wgrad_core::Site;

use super::fix::TrainFix;
use super::text::{Say, Text};

/// Error: a recorded PyTorch step cannot be read or compared.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file is a safetensors file, but not a recording.
    NotRecording {
        /// The file.
        path: PathBuf,
    },
    /// The recording lacks a tensor.
    Missing {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
    },
    /// A recorded tensor cannot be used.
    Tensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        name: String,
        /// Reason, worded so that it can follow the tensor's name in a message.
        reason: String,
    },
    /// The recorded state dict does not match the model.
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Entries that do not match, sorted by the text of their messages.
        mismatches: Vec<Mismatch>,
    },
    /// The step draws random numbers, which differ from those of PyTorch.
    Random {
        /// Name of the op that draws random numbers.
        op: String,
        /// Source line of the op.
        site: Site,
    },
}

/// Mismatch between an entry of the recorded state dict and the model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// Only the recording has this entry.
    NotInModel {
        /// Name of the entry.
        name: String,
    },
    /// Only the model has this entry.
    NotRecorded {
        /// Name of the entry.
        name: String,
    },
    /// The recording and the model have this entry, but the recorded value does not fit the model's variable.
    Value {
        /// Name of the entry.
        name: String,
        /// Description of the difference.
        reason: String,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInModel { name } => write!(f, "not in the model: {name}"),
            Self::NotRecorded { name } => write!(f, "missing from the recording: {name}"),
            Self::Value { name, reason } => write!(f, "{name}: {reason}"),
        }
    }
}

impl Text for RecordingError {
    fn text(&self) -> String {
        match self {
            Self::NotRecording { path } => {
                format!("{} is a safetensors file, but not the recording of a step", path.display())
            }
            Self::Missing { path, name } => format!("{} has no `{name}`", path.display()),
            Self::Tensor { path, name, reason } => format!("{}: `{name}` {reason}", path.display()),
            Self::OtherModel { path, mismatches } => {
                let mismatches: Vec<_> = mismatches.iter().map(ToString::to_string).collect();
                format!("{} is of another model\n  {}", path.display(), mismatches.join("\n  "))
            }
            Self::Random { op, site } => format!(
                "a step that draws random numbers cannot be compared with PyTorch, which draws different ones: \
                 `{op}`\n  at {site}"
            ),
        }
    }

    fn fixes(&self, say: Say<'_>) -> Vec<String> {
        match self {
            Self::NotRecording { .. } => vec![say(&TrainFix::Record)],
            Self::Random { .. } => vec![say(&TrainFix::NoDropout)],
            _ => vec![],
        }
    }
}
