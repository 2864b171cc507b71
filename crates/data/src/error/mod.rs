//! Errors of this crate: their fields contain the facts, and this module writes the messages.

mod array;
mod batch;
mod cell;
mod columnar;
mod csv;
mod dataset;
mod fix;
mod image;
mod split;
mod table;

use std::fmt;
use std::path::PathBuf;

pub use array::{ArrayFileError, Dtype};
pub use batch::BatchError;
pub use cell::CellError;
pub use columnar::{ColumnarError, ColumnarFormat};
pub use csv::CsvError;
pub use dataset::DatasetError;
pub use fix::DataFix;
pub use image::{AugmentError, ImageFolderError};
pub use split::{FoldUnit, SplitError, SplitPart};
pub use table::{ColumnGaps, TableError};

/// Function that turns a proposed fix into text for an error message: a method call, or an option of a command.
type Say<'a> = &'a dyn Fn(&DataFix) -> String;

/// Any error of this crate, as stored in [`wgrad_core::Error::Other`].
///
/// ```
/// use wgrad_data::error::{DataError, TableError};
/// use wgrad_data::Table;
/// let error = Table::parse("t.csv", b"a,b\n1,2\n")?.target("y").unwrap_err();
/// let Some(DataError::Table { file, error: TableError::NoColumn { name, .. } }) = error.facts() else { panic!() };
/// assert_eq!((file.as_str(), name.as_str()), ("t.csv", "y"));
/// assert_eq!(error.to_string(), "t.csv: there is no column `y`. The columns are `a`, `b`.");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DataError {
    /// CSV text that cannot be read as a table.
    Csv {
        /// The file name shown in messages.
        file: String,
        /// The problem.
        error: CsvError,
    },
    /// Parquet or Arrow file that cannot be read as a table.
    Columnar {
        /// The file name shown in messages.
        file: String,
        /// The problem.
        error: ColumnarError,
    },
    /// Table whose columns cannot be used as requested.
    Table {
        /// The file name shown in messages.
        file: String,
        /// The problem.
        error: TableError,
    },
    /// Cell of a table that cannot be used.
    Cell {
        /// The file name shown in messages.
        file: String,
        /// The row of the cell.
        row: RowLocation,
        /// The column of the cell.
        column: String,
        /// The problem.
        error: CellError,
    },
    /// Array file (`.npy`, `.npz`, IDX) that cannot be read.
    ArrayFile {
        /// The file.
        path: PathBuf,
        /// The name of the array in a `.npz` file; `None` if the problem is not with one of its arrays.
        array: Option<String>,
        /// The problem.
        error: ArrayFileError,
    },
    /// Features and labels that cannot be combined in a dataset.
    Dataset(DatasetError),
    /// Split or folds that cannot be created from the rows.
    Split(SplitError),
    /// Batches or samples that cannot be created from the rows.
    Batch(BatchError),
    /// Folder of images that cannot be read.
    ImageFolder(ImageFolderError),
    /// Augmentation that does not fit the images.
    Augment(AugmentError),
    /// Text that is not the name of a variant of [`Missing`](crate::Missing).
    UnknownMissing {
        /// The text.
        text: String,
    },
    /// Text that is not a saved [`Preprocess`](crate::Preprocess).
    Preprocess {
        /// The error message of the parser.
        reason: String,
    },
    /// The thread that builds columns ended before the file was read to its end.
    BuilderEnded,
}

/// Location of a row in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLocation {
    /// Line of a CSV file, counted from 1.
    Line(u64),
    /// Row of a Parquet or Arrow file, counted from 0; messages count rows from 1.
    Row(usize),
}

impl fmt::Display for RowLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {}", row + 1),
        }
    }
}

impl DataError {
    /// Returns the message, in which `say` writes the proposed fixes; `Display` writes them as method calls.
    pub fn message(&self, say: &dyn Fn(&DataFix) -> String) -> String {
        match self {
            Self::Csv { file, error } => match error.line() {
                Some(line) => format!("{file}, line {line}: {}", error.message()),
                None => format!("{file}: {}", error.message()),
            },
            Self::Columnar { file, error } => format!("{file}: {}", error.message(say)),
            Self::Table { file, error } => format!("{file}: {}", error.message(say)),
            Self::Cell { file, row, column, error } => {
                format!("{file}, {row}, column `{column}`: {}", error.message(column, say))
            }
            Self::ArrayFile { path, array: None, error } => format!("{}: {}", path.display(), error.message()),
            Self::ArrayFile { path, array: Some(name), error } => {
                format!("{}: array `{name}`: {}", path.display(), error.message())
            }
            Self::Dataset(error) => error.message(),
            Self::Split(error) => error.message(),
            Self::Batch(error) => error.message(say),
            Self::ImageFolder(error) => error.message(),
            Self::Augment(error) => error.message(),
            Self::UnknownMissing { text } => {
                format!("`{text}` says nothing about missing cells; choose refuse, drop or mean")
            }
            Self::Preprocess { reason } => format!("this is not a saved preprocessing: {reason}"),
            Self::BuilderEnded => "the thread that builds columns has ended".into(),
        }
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&ToString::to_string))
    }
}

impl std::error::Error for DataError {}

impl From<DataError> for wgrad_core::Error {
    fn from(error: DataError) -> Self {
        Self::Other(Box::new(error))
    }
}

/// Implements the conversions to [`DataError`] and [`wgrad_core::Error`] for error types without a file name.
macro_rules! into_data_error {
    ($($error:ident => $variant:ident),*) => {$(
        impl From<$error> for DataError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }

        impl From<$error> for wgrad_core::Error {
            fn from(error: $error) -> Self {
                DataError::from(error).into()
            }
        }
    )*};
}

into_data_error!(
    DatasetError => Dataset,
    SplitError => Split,
    BatchError => Batch,
    ImageFolderError => ImageFolder,
    AugmentError => Augment
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_words_the_fixes() {
        let error = DataError::Table {
            file: "t.csv".into(),
            error: TableError::TooManyCategories { column: "c".into(), categories: 101, limit: 100 },
        };
        let options = |fix: &DataFix| match fix {
            DataFix::DropColumns(names) => format!("--drop {}", names.join(",")),
            DataFix::MinFrequency => "--min-frequency N".into(),
            DataFix::MaxCategories(n) => format!("--max-categories {n}"),
            other => panic!("{other}"),
        };
        assert_eq!(
            error.message(&options),
            "t.csv: column `c` is text with 101 categories, and one-hot they would be as many features; the limit is \
             100. Drop the column with --drop c, put rare ones together with --min-frequency N, or raise the limit \
             with --max-categories 101."
        );
        assert!(
            error.to_string().contains(".drop_columns([\"c\"]), put rare ones together with .min_frequency(N), or")
        );
    }
}
