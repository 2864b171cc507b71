//! A file column by column: numbers or text.

mod column;
mod gaps;
mod levels;
mod lines;

use wgrad_core::{Error, Result};

use crate::error::{CellError, DataError, RowLocation, TableError};

pub(crate) use column::{BLOCK, Beyond, Blocks, Cells, MISSING};
pub use column::{Column, Kind};
pub(crate) use gaps::Gaps;
pub(crate) use levels::Interner;
pub(crate) use lines::{LineNumbers, Places};

/// A CSV file, column by column; with the feature `arrow`, a Parquet file or one of Arrow's own (Feather) as well.
///
/// In CSV the first line names the columns. A column holds numbers if every cell that is not missing reads as one, else text:
/// true and false, dates, or categories ([`Kind`]). Blanks around a cell are not part of it. UTF-8 with or
/// without byte order mark, `\n` and `\r\n`, and quoted fields are understood.
///
/// The columns of the other files have types: whole and decimal numbers and floats are numbers; texts, truth values, dates and
/// times are text, also as a dictionary. A null is a missing cell, and so are NaN and the empty text. Columns of other types
/// (lists, structs, bytes) are refused by name.
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
    pub(crate) places: Places,
    /// Whether numbers are on disk.
    pub(crate) spilled: bool,
}

impl Table {
    /// The file, as messages call it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The number of rows, without the header.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// The names of the columns, in the order of the file.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.position(name).map(|at| &self.columns[at])
    }

    /// The line of a CSV file on which a row starts, counted from 1; the header is line 1 unless blank lines precede it.
    /// None in a file that has no lines.
    pub fn line(&self, row: usize) -> Option<u64> {
        match &self.places {
            Places::Lines(lines) => lines.get(row),
            Places::Rows(_) => None,
        }
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// The position of a column that must be there.
    pub(crate) fn require(&self, name: &str) -> Result<usize> {
        self.position(name)
            .ok_or_else(|| self.error(TableError::NoColumn { name: name.to_string(), columns: self.names.clone() }))
    }

    /// Returns an error about this table.
    pub(crate) fn error(&self, error: TableError) -> Error {
        DataError::Table { file: self.file.clone(), error }.into()
    }

    /// Returns an error about one of the cells.
    pub(crate) fn cell_error(&self, row: usize, column: &str, error: CellError) -> Error {
        let (file, row, column) = (self.file.clone(), self.location(row), column.to_string());
        DataError::Cell { file, row, column, error }.into()
    }

    /// Returns the line of a row, or its number in a file without lines.
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
    fn a_missing_target_lists_the_columns_and_suggests_the_closest() {
        assert_eq!(
            message("radius,texture,malignant\n1,2,0\n", "malignent"),
            "t.csv: there is no column `malignent`. Did you mean `malignant`? \
             The columns are `radius`, `texture`, `malignant`."
        );
    }

    #[test]
    fn a_missing_target_reveals_a_file_without_a_header() {
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
