//! A CSV file in memory: named columns of numbers or text.

use std::path::Path;

use wgrad_core::{Error, Result};

use super::text::{did_you_mean, list};
use super::{Labelled, read};

/// One column of a [`Table`]: numbers if every cell that is not missing reads as one, else text.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers.
    Numbers {
        /// One per row; NaN where the cell is missing.
        values: Vec<f64>,
        /// How many cells are missing.
        missing: usize,
    },
    /// Text.
    Text {
        /// One per row, without surrounding blanks; empty where the cell is missing.
        cells: Vec<String>,
        /// How many cells are missing.
        missing: usize,
    },
}

impl Column {
    /// How many cells are missing: empty, `NaN`, `nan`, `NA`, `N/A`, `null` or `NULL`.
    #[must_use]
    pub fn missing(&self) -> usize {
        match self {
            Self::Numbers { missing, .. } | Self::Text { missing, .. } => *missing,
        }
    }

    /// Whether the cell of a row is missing; so is a row past the end.
    #[must_use]
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Numbers { values, .. } => values.get(row).is_none_or(|value| value.is_nan()),
            Self::Text { cells, .. } => cells.get(row).is_none_or(String::is_empty),
        }
    }
}

/// A CSV file in memory, column by column.
///
/// The first line names the columns. A column holds numbers if every cell that is not missing reads as one, else text.
/// Blanks around a cell are not part of it. UTF-8 with or without byte order mark, `\n` and `\r\n`, and quoted fields
/// are understood.
///
/// ```
/// use wgrad_nn::data::{Column, Table};
/// let table = Table::parse("people.csv", b"age,city\r\n31,\"Paris, TX\"\r\n,Lyon\r\n")?;
/// assert_eq!((table.rows(), table.names()), (2, &["age".to_string(), "city".to_string()][..]));
/// assert_eq!(table.column("age").map(Column::missing), Some(1));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) file: String,
    pub(super) names: Vec<String>,
    pub(super) columns: Vec<Column>,
    /// The line of the file on which each row starts.
    pub(super) lines: Vec<u64>,
}

impl Table {
    /// Reads a CSV file.
    ///
    /// # Errors
    /// When the file cannot be read, is not UTF-8, is empty or has a header only; when a column has no name or two have
    /// the same; when a row has more or fewer fields than the header.
    pub fn read_csv(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::io(path)(read::explain(path, source)))?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// Reads CSV text that is in memory already, as in a browser; `file` is what messages call it.
    ///
    /// # Errors
    /// As [`Table::read_csv`].
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        read::parse(file, bytes)
    }

    /// The file, as messages call it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The number of rows, without the header.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.lines.len()
    }

    /// The names of the columns, in the order of the file.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.position(name).map(|at| &self.columns[at])
    }

    /// The line of the file on which a row starts, counted from 1; the header is line 1 unless blank lines precede it.
    #[must_use]
    pub fn line(&self, row: usize) -> Option<u64> {
        self.lines.get(row).copied()
    }

    /// Names the column to predict; every other column is a feature.
    ///
    /// # Errors
    /// When there is no such column: the message lists those that there are.
    pub fn target(self, name: &str) -> Result<Labelled> {
        self.require(name)?;
        Ok(Labelled::new(self, name))
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// The position of a column that must be there.
    pub(super) fn require(&self, name: &str) -> Result<usize> {
        self.position(name).ok_or_else(|| {
            let numbers = self.names.iter().filter(|name| name.parse::<f64>().is_ok()).count();
            let header = if numbers * 2 > self.names.len() {
                " The first line must hold the names of the columns; this one seems to be data."
            } else {
                ""
            };
            self.error(format!(
                "there is no column `{name}`.{} The columns are {}.{header}",
                did_you_mean(name, &self.names),
                list(&self.names)
            ))
        })
    }

    /// An error about this file.
    pub(super) fn error(&self, message: impl AsRef<str>) -> Error {
        Error::Data(format!("{}: {}", self.file, message.as_ref()))
    }

    /// The place of a cell: file, line and column.
    pub(super) fn place(&self, row: usize, column: &str) -> String {
        format!("{}, line {}, column `{column}`", self.file, self.lines[row])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(csv: &str, target: &str) -> String {
        Table::parse("t.csv", csv.as_bytes()).unwrap().target(target).unwrap_err().to_string()
    }

    #[test]
    fn a_missing_target_lists_the_columns_and_suggests_the_closest() {
        assert_eq!(
            message("radius,texture,malignant\n1,2,0\n", "malignent"),
            "t.csv: there is no column `malignent`. Did you mean `malignant`? \
             The columns are `radius`, `texture`, `malignant`."
        );
    }

    #[test]
    fn a_file_without_a_header_is_recognised_when_the_target_is_missing() {
        assert_eq!(
            message("5.1,3.5,setosa\n4.9,3.0,setosa\n", "species"),
            "t.csv: there is no column `species`. The columns are `5.1`, `3.5`, `setosa`. \
             The first line must hold the names of the columns; this one seems to be data."
        );
    }

    #[test]
    fn a_row_past_the_end_is_missing() {
        let table = Table::parse("t.csv", b"a,b\n1,x\n").unwrap();
        assert_eq!(table.line(0), Some(2));
        assert_eq!(table.line(1), None);
        for name in ["a", "b"] {
            let column = table.column(name).unwrap();
            assert!(!column.is_missing(0) && column.is_missing(1));
        }
        assert!(table.column("c").is_none());
    }
}
