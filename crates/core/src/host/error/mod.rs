//! Error types with typed fields. Their `Display` implementations write the message.

mod array;
mod device;
mod feed;
mod memory;
mod params;
mod setting;

use std::any::Any;
use std::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};

pub use array::ArrayError;
pub use device::{AvailableDevices, DeviceCall, DeviceError, DeviceFix, DeviceName, FailedProbe, KernelProblem};
pub use feed::FeedError;
pub use memory::{Bill, BillItem, MemoryFix, MemoryRequest, OutOfMemory};
pub use params::ParamsError;
pub use setting::SettingError;

/// Result type of this crate and of the crates that depend on it.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Boxed error of any type, which can be downcast.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Any error of wgrad. `Debug` prints the same text as `Display`, so that a program whose
/// `fn main() -> Result<()>` fails prints a readable message.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An op cannot take its inputs. The error is recorded while the graph is traced, and `compile` reports it.
    #[error(transparent)]
    Graph(Box<GraphError>),
    /// The inputs or results of a run do not match the compiled step.
    #[error(transparent)]
    Feed(Box<FeedError>),
    /// A device is missing, was lost, or cannot run a plan.
    #[error(transparent)]
    Device(Box<DeviceError>),
    /// A device does not have enough memory.
    #[error(transparent)]
    OutOfMemory(Box<OutOfMemory>),
    /// A named variable is missing, has another shape, is declared twice or is out of date.
    #[error(transparent)]
    Params(Box<ParamsError>),
    /// A host array's shape, element type or number of values does not fit its use.
    #[error(transparent)]
    Array(Box<ArrayError>),
    /// A setting is outside its range, or settings contradict each other.
    #[error(transparent)]
    Setting(Box<SettingError>),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// An error of a crate that depends on this crate. [`Error::facts`] downcasts the error.
    #[error(transparent)]
    Other(SourceError),
}

macro_rules! from {
    ($($variant:ident($error:ty)),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        }
    )*};
}

from!(
    Graph(GraphError),
    Feed(FeedError),
    Device(DeviceError),
    OutOfMemory(OutOfMemory),
    Params(ParamsError),
    Array(ArrayError),
    Setting(SettingError)
);

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Returns the underlying error if its type is `E`, such as [`ArrayError`] or an error type of another crate;
    /// else `None`.
    ///
    /// ```
    /// use wgrad_core::{Array, ArrayError};
    /// let error = Array::new([2, 2], vec![1f32]).unwrap_err();
    /// assert!(matches!(error.facts(), Some(ArrayError::Count { values: 1, .. })));
    ///
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
            Self::Graph(facts) => (&**facts as &dyn Any).downcast_ref(),
            Self::Feed(facts) => (&**facts as &dyn Any).downcast_ref(),
            Self::Device(facts) => (&**facts as &dyn Any).downcast_ref(),
            Self::OutOfMemory(facts) => (&**facts as &dyn Any).downcast_ref(),
            Self::Params(facts) => (&**facts as &dyn Any).downcast_ref(),
            Self::Array(facts) => (&**facts as &dyn Any).downcast_ref(),
            Self::Setting(facts) => (&**facts as &dyn Any).downcast_ref(),
            Self::Io { source, .. } => (source as &dyn Any).downcast_ref(),
            Self::Other(error) => error.downcast_ref(),
        }
    }

    /// Returns a function that converts an I/O error into an [`Error::Io`] about `path`, for use in `map_err`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// Error: an op cannot take its inputs or options. It includes likely fixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct InvalidArgument {
    /// The problem.
    pub message: String,
    /// Suggested fixes, the most likely first.
    pub fixes: Vec<String>,
}

impl InvalidArgument {
    /// Creates an error without fixes.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), fixes: Vec::new() }
    }

    /// Adds a suggested fix.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fixes.push(fix.into());
        self
    }
}

/// Place in the user's program at which an op was called.
#[derive(Clone, Debug)]
pub struct Site {
    /// The caller's source line.
    pub location: &'static Location<'static>,
    /// The scope that was open, as a dotted path; empty if no scope was open.
    pub scope: String,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.location.file(), self.location.line())?;
        if self.scope.is_empty() { Ok(()) } else { write!(f, " (in {})", self.scope) }
    }
}

/// Error: an op of a graph cannot take its inputs.
#[derive(Clone, Debug)]
pub struct GraphError {
    /// The op's name.
    pub op: String,
    /// The type and shape of each input, such as `f32[64, 30]`.
    pub inputs: Vec<String>,
    /// The problem and its fixes.
    pub invalid: InvalidArgument,
    /// The place where the op was called.
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
