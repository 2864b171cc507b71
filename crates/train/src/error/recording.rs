//! Recorded steps of PyTorch.

use std::fmt;
use std::path::PathBuf;

use wgrad_core::Site;

use super::fix::TrainFix;
use super::text::{Say, Text};

/// Recorded step that cannot be read or compared.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file is a safetensors file of something else.
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
        /// Reason, to be read after the name.
        reason: String,
    },
    /// The recorded state dict is that of another model.
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Entries that do not match, in alphabetical order of their text.
        mismatches: Vec<Mismatch>,
    },
    /// The step draws random numbers, which differ from those of PyTorch.
    Random {
        /// Name of the op that draws them.
        op: String,
        /// Source line of the op.
        site: Site,
    },
}

/// Entry of a state dict that a recording and a model do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// Only the recording has it.
    NotInModel {
        /// Name of the entry.
        name: String,
    },
    /// Only the model has it.
    NotRecorded {
        /// Name of the entry.
        name: String,
    },
    /// Both have it, in different forms.
    Value {
        /// Name of the entry.
        name: String,
        /// Difference between both.
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
