//! Errors about writing, reading and loading safetensors files.

use std::fmt;

use safetensors::SafeTensorError;
use wgrad_core::Error;

use crate::LoadReport;

/// Error: a state dict cannot be written, read or loaded into a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The variables cannot be written as safetensors.
    #[error("the state dict cannot be written as safetensors: {source}")]
    NotWritten {
        /// The error of the safetensors writer.
        source: SafeTensorError,
    },
    /// The bytes are not a safetensors file.
    #[error("{file} cannot be read as safetensors: {problem}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// The problem with the bytes.
        problem: UnreadableFile,
    },
    /// Names, shapes or types in the file differ from those in the model.
    #[error("{file} does not fit the model{}{}", indented(differences), listed(fixes))]
    Mismatch {
        /// The file's name.
        file: String,
        /// Report of all entries: those that fit and those that do not.
        report: Box<LoadReport>,
        /// The differences that made the load fail, one line each.
        differences: Vec<String>,
        /// Suggested fixes, the most likely first.
        fixes: Vec<LoadFix>,
    },
    /// Two names of the file are renamed to the same name.
    #[error("`{first}` and `{second}` of {file} are both renamed to `{name}`")]
    Renamed {
        /// The file's name.
        file: String,
        /// The first of the two names.
        first: String,
        /// The second of the two names.
        second: String,
        /// The new name of both.
        name: String,
    },
    /// A scope passed to `Load::skip` is neither in the file nor in the model.
    #[error("neither {file} nor the model has anything inside `{scope}`, which is to be skipped{}", meant(nearest.as_deref()))]
    NothingToSkip {
        /// The file's name.
        file: String,
        /// The scope that was to be skipped.
        scope: String,
        /// The name that is most similar to the scope, or `None` if no name is similar.
        nearest: Option<String>,
    },
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        Self::Other(Box::new(error))
    }
}

fn indented(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |text, line| text + "\n  " + line)
}

fn listed(fixes: &[LoadFix]) -> String {
    match fixes {
        [] => String::new(),
        [fix] => format!("\n  fix: {fix}"),
        fixes => fixes
            .iter()
            .enumerate()
            .fold("\n  fixes:".to_string(), |text, (i, fix)| text + &format!("\n    {}. {fix}", i + 1)),
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("\n  fix: did you mean `{name}`?"))
}

/// Suggested change to the call that loads a file, after which the file may fit the model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadFix {
    /// Remove a prefix from all names of the file.
    StripPrefix {
        /// The prefix.
        prefix: String,
    },
    /// Load the file into a scope of the model.
    At {
        /// Path of the scope into which the file is loaded.
        scope: String,
    },
    /// Rename an entry of the file.
    Rename {
        /// The name in the file.
        file: String,
        /// The name in the model.
        model: String,
    },
    /// Skip a scope.
    Skip {
        /// Path of the scope to skip.
        scope: String,
    },
    /// Build the model that the file was saved from, or load only the entries that fit.
    Partial,
}

impl fmt::Display for LoadFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StripPrefix { prefix } => {
                write!(f, "the file's names have `{prefix}` in front: Load::from(…).strip_prefix(\"{prefix}\")")
            }
            Self::At { scope } => write!(
                f,
                "the file is for the scope `{scope}` of the model: Load::from(…).apply(&params.at(\"{scope}\"))"
            ),
            Self::Rename { file, model } => {
                write!(f, "`{file}` may be the model's `{model}`: Load::from(…).rename(|name| …)")
            }
            Self::Skip { scope } => {
                write!(f, "leave a part out that is to be trained anew: Load::from(…).skip(\"{scope}\")")
            }
            Self::Partial => {
                f.write_str("build the model as it was when it was saved, or use `load_partial` to take what fits")
            }
        }
    }
}

/// Reason why bytes are not a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnreadableFile {
    /// The file is empty.
    #[error("the file is empty")]
    Empty,
    /// The file is a zip archive.
    #[error(
        "this is a zip archive, probably PyTorch's own format; save it there with \
         `safetensors.torch.save_file(model.state_dict(), \"model.safetensors\")`, or turn the file into one as the README \
         says"
    )]
    Zip,
    /// The file is a Python pickle.
    #[error("this is a Python pickle, not a safetensors file")]
    Pickle,
    /// The file is shorter than the 8 bytes that contain the header's length.
    #[error("the file is too short to have a header")]
    TooShort,
    /// The file has another, unknown format.
    #[error("this is not a safetensors file")]
    OtherFormat,
    /// The file ends within its header.
    #[error("the file is cut off: its header takes {length} bytes, of which {present} are there")]
    HeaderCutOff {
        /// The header's length in bytes.
        length: u64,
        /// The number of bytes of the header that the file contains.
        present: u64,
    },
    /// The length of the file differs from the length that its header describes.
    #[error("the file is cut off or has bytes that belong to nothing: its header does not match its length")]
    Length,
    /// The header is damaged.
    #[error("the header is damaged: {message}")]
    Header {
        /// The message of the safetensors reader.
        message: String,
    },
}
