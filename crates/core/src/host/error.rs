//! What can go wrong, in words that name the place and the fix.

use std::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of wgrad. Its `Debug` form is its `Display` form: `fn main() -> Result<()>` prints that, for people.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An op of a graph that does not fit its inputs; found while tracing, reported by `compile`.
    #[error(transparent)]
    Graph(Box<GraphError>),
    /// A run was fed something else than its plan needs.
    #[error("{0}")]
    Feed(String),
    /// A device is missing, was lost, or refused a plan.
    #[error("{0}")]
    Device(String),
    /// A device has no room: what was asked for, and where a plan was, its bill and the ways out.
    #[error("{0}")]
    OutOfMemory(String),
    /// Named variables that do not match: missing, unexpected, misshapen or declared twice.
    #[error("{0}")]
    Params(String),
    /// Data that cannot be used as it is.
    #[error("{0}")]
    Data(String),
    /// A setting outside its range, or settings that contradict each other.
    #[error("{0}")]
    Config(String),
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Error of a crate that stands on this one; [`Error::facts`] returns it by its type.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Returns the facts of an error of another crate, if it is of type `E`.
    ///
    /// ```
    /// #[derive(Debug, thiserror::Error)]
    /// #[error("line {line} is empty")]
    /// struct Empty {
    ///     line: u64,
    /// }
    /// let error = wgrad_core::Error::Other(Box::new(Empty { line: 7 }));
    /// assert_eq!(error.facts::<Empty>().unwrap().line, 7);
    /// assert_eq!(error.to_string(), "line 7 is empty");
    /// ```
    pub fn facts<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Other(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// An [`Error::Io`] about `path`, for use in `map_err`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// Why an op cannot take its inputs, and what would fix it: what a shape rule returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct InvalidArgument {
    /// What is wrong.
    pub message: String,
    /// What to do about it, most likely first.
    pub fixes: Vec<String>,
}

impl InvalidArgument {
    /// A invalid without a suggestion.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), fixes: Vec::new() }
    }

    /// Adds a suggestion.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fixes.push(fix.into());
        self
    }
}

/// The place in the user's program where a node came from.
#[derive(Clone, Debug)]
pub struct Site {
    /// The caller's source line.
    pub location: &'static Location<'static>,
    /// The scope that was open, as a dotted path; empty at the top.
    pub scope: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.location.file(), self.location.line())?;
        if self.scope.is_empty() { Ok(()) } else { write!(f, " (in {})", self.scope) }
    }
}

/// An op that does not fit its inputs.
#[derive(Clone, Debug)]
pub struct GraphError {
    /// The op's name.
    pub op: String,
    /// The inputs as `f32[64, 30]`, in order.
    pub inputs: Vec<String>,
    /// What is wrong, and the fixes.
    pub invalid: InvalidArgument,
    /// Where the op was called.
    pub site: Site,
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}): {}\n  at {}", self.op, self.inputs.join(", "), self.invalid.message, self.site)?;
        match &self.invalid.fixes[..] {
            [] => Ok(()),
            [fix] => write!(f, "\n  fix: {fix}"),
            fixes => {
                f.write_str("\n  fixes:")?;
                fixes.iter().enumerate().try_for_each(|(i, fix)| write!(f, "\n    {}. {fix}", i + 1))
            }
        }
    }
}

impl std::error::Error for GraphError {}
