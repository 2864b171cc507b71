//! Tables, whose columns contain numbers or text.

mod column;
mod gaps;
mod levels;
mod lines;

use wgrad_core::{Error, Result};

use crate::error::{CellError, DataError, RowLocation, TableError};

pub(crate) use column::{BLOCK, Blocks, Cells, MISSING, Overflow};
pub use column::{Column, ColumnKind};
pub(crate) use gaps::Gaps;
pub(crate) use levels::Interner;
pub(crate) use lines::{LineNumbers, RowLocations};

/// Table read from a CSV file or, with the feature `arrow`, from a Parquet or Arrow (Feather) file.
///
/// The first line of a CSV file names the columns. A column contains numbers if every cell that is not missing is
/// a number. Otherwise it contains text: booleans, dates or categories ([`ColumnKind`]). Blanks around a cell are
/// ignored. Files are UTF-8 with or without a byte order mark; line ends are `\n` or `\r\n`; fields may be quoted.
///
/// The columns of Parquet and Arrow files are typed. Integers, decimals and floats become numbers; texts,
/// booleans, dates and times become text, also if they are dictionary-encoded. Null, NaN and the empty text are
/// missing cells. Columns of other types (lists, structs, bytes) cause an error.
///
/// ```
/// use wgrad_data::{Column, Table};
/// let table = Table::parse("people.csv", b"age,city\r\n31,\"Paris, TX\"\r\n,Lyon\r\n")?;
/// assert_eq!((table.rows(), table.names()), (2, &["age".to_string(), "city".to_string()][..]));
/// assert_eq!(table.column("age").map(Column::missing), Some(1));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) file: String,
    pub(crate) names: Vec<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) locations: RowLocations,
    /// True if numbers are stored on disk.
    pub(crate) spilled: bool,
}

impl Table {
    /// Returns the file name shown in messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the number of rows, not counting the header.
    pub fn rows(&self) -> usize {
        self.locations.len()
    }

    /// Returns the names of the columns, in the order of the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the column with this name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.position(name).map(|at| &self.columns[at])
    }

    /// Returns the line on which a row of a CSV file starts, counted from 1. The header is on line 1 unless blank
    /// lines precede it. Returns `None` for a file format without lines.
    pub fn line(&self, row: usize) -> Option<u64> {
        match &self.locations {
            RowLocations::Lines(lines) => lines.get(row),
            RowLocations::Count(_) => None,
        }
    }

    /// Returns the index of the column with this name.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// Returns the index of the column with this name, or an error if there is none.
    pub(crate) fn require(&self, name: &str) -> Result<usize> {
        self.position(name)
            .ok_or_else(|| self.error(TableError::NoColumn { name: name.to_string(), columns: self.names.clone() }))
    }

    /// Returns an error about this table.
    pub(crate) fn error(&self, error: TableError) -> Error {
        DataError::Table { file: self.file.clone(), error }.into()
    }

    /// Returns an error about one cell.
    pub(crate) fn cell_error(&self, row: usize, column: &str, error: CellError) -> Error {
        let (file, row, column) = (self.file.clone(), self.location(row), column.to_string());
        DataError::Cell { file, row, column, error }.into()
    }

    /// Returns the line of a row, or the row number in a file format without lines.
    pub(crate) fn location(&self, row: usize) -> RowLocation {
        self.line(row).map_or(RowLocation::Row(row), RowLocation::Line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(csv: &str, target: &str) -> String {
        Table::parse("t.csv", csv.as_bytes()).unwrap().target(target).unwrap_err().to_string()
    }

    #[test]
    fn a_missing_target_lists_columns_and_suggests_one() {
        assert_eq!(
            message("radius,texture,malignant\n1,2,0\n", "malignent"),
            "t.csv: there is no column `malignent`. Did you mean `malignant`? \
             The columns are `radius`, `texture`, `malignant`."
        );
    }

    #[test]
    fn a_file_without_a_header_is_recognised() {
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
