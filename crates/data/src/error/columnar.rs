//! Errors of Parquet and Arrow files.

use std::fmt;

use super::{DataFix, Say};

/// File format with typed columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnarFormat {
    /// Apache Parquet.
    Parquet,
    /// Arrow's IPC format for files (Feather) or streams.
    Arrow,
}

impl fmt::Display for ColumnarFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow",
        })
    }
}

/// Problem with a Parquet or Arrow file, for [`DataError::Columnar`](super::DataError::Columnar).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnarError {
    /// The file is damaged or truncated.
    Damaged {
        /// The format.
        format: ColumnarFormat,
        /// The error message of the reader.
        reason: String,
    },
    /// The file was opened as CSV, but is in another format.
    NotCsv {
        /// The format of the file.
        format: ColumnarFormat,
    },
    /// The crate was built without a reader for the format.
    NoReader {
        /// The format.
        format: ColumnarFormat,
    },
    /// A column has a type that cannot be read.
    ColumnType {
        /// The column.
        column: String,
        /// The Arrow type of the column, without parameters.
        dtype: String,
    },
    /// The file has columns, but no rows.
    NoRows,
}

impl ColumnarError {
    pub(super) fn message(&self, say: Say<'_>) -> String {
        match self {
            Self::Damaged { format, reason } => {
                format!("this is not a complete {format} file: {reason}. Write it again, or save the rows as CSV.")
            }
            Self::NotCsv { format } => format!("this is a {format} file: read it with {}.", say(&DataFix::TableRead)),
            Self::NoReader { format } => format!(
                "this is a {format} file, which this build cannot read. {}, or save the rows as CSV.",
                say(&DataFix::EnableArrow)
            ),
            Self::ColumnType { column, dtype } => format!(
                "column `{column}` is of type {dtype}, which is neither a number nor a text. Leave it out of the file, \
                 or divide it into columns of numbers."
            ),
            Self::NoRows => "there are columns, but no row.".into(),
        }
    }
}
