//! Column of a table.

use std::borrow::Cow;
use std::sync::Arc;

use wgrad_core::Result;

use super::gaps::Gaps;
use super::levels::Levels;
use crate::cell::{boolean, date};
use crate::scratch::Scratch;

/// Type that all cells of a column share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Every cell that is not missing is a number.
    Number,
    /// Every cell that is not missing is `true` or `false`, in upper or lower case.
    Boolean,
    /// Every cell that is not missing is a date, with or without a time of day.
    Date,
    /// The cells contain any other text; each distinct text is a category.
    Text,
}

/// Column of a [`Table`](crate::Table).
///
/// Each number takes 8 bytes. Each distinct text is numbered and stored once, and each text cell takes 4 bytes,
/// which contain the number of the cell's text.
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) cells: Cells,
    rows: usize,
    gaps: Gaps,
    /// First number that is too large for a 32-bit float.
    pub(crate) overflow: Option<Overflow>,
}

/// Number that is too large for a 32-bit float, and its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overflow {
    pub row: usize,
    pub value: f64,
}

/// Cells of a column.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    /// Numbers in memory, with NaN for a missing cell.
    Numbers(Vec<f64>),
    /// Numbers in blocks on disk.
    Blocks(Blocks),
    /// The number of each cell's text, with [`MISSING`] for a missing cell, and the distinct texts.
    Text { codes: Vec<u32>, levels: Levels },
}

/// Value in the `codes` of `Cells::Text` that stands for a missing cell.
pub(crate) const MISSING: u32 = u32::MAX;

/// Number of rows in a block on disk.
pub(crate) const BLOCK: usize = 8192;

/// Position of a column's numbers in a temporary file. The file consists of blocks of rows, and a block contains
/// one column after the other.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    pub scratch: Arc<Scratch>,
    pub column: usize,
    /// The number of columns in a block.
    pub columns: usize,
}

impl Blocks {
    /// Returns the position of a column in a temporary file; `None` if there is no file.
    pub(crate) fn on(scratch: Option<&Arc<Scratch>>, column: usize, columns: usize) -> Option<Self> {
        Some(Self { scratch: scratch.cloned()?, column, columns })
    }

    /// Returns the offset of a block's first value, counted in values.
    pub(crate) fn offset(&self, block: usize) -> u64 {
        (block as u64 * self.columns as u64 + self.column as u64) * BLOCK as u64
    }
}

impl Column {
    /// Creates a column.
    pub(crate) fn new(cells: Cells, rows: usize, gaps: Gaps, overflow: Option<Overflow>) -> Self {
        Self { cells, rows, gaps, overflow }
    }

    /// Returns the type of the column. A column in which every cell is missing counts as numbers.
    pub fn kind(&self) -> ColumnKind {
        let Cells::Text { levels, .. } = &self.cells else { return ColumnKind::Number };
        if levels.iter().all(|level| boolean(level).is_some()) {
            ColumnKind::Boolean
        } else if levels.iter().all(date::is_date) {
            ColumnKind::Date
        } else {
            ColumnKind::Text
        }
    }

    /// Returns the number of missing cells: empty, `NaN`, `nan`, `NA`, `N/A`, `null` or `NULL`.
    pub fn missing(&self) -> usize {
        self.gaps.count
    }

    /// Returns whether the cell of a row is missing; also true for rows past the end.
    pub fn is_missing(&self, row: usize) -> bool {
        row >= self.rows || self.gaps.has(row)
    }

    /// Returns the numbers in the column, with NaN for missing cells; `None` for a text column.
    ///
    /// # Errors
    /// When the column is on disk ([`Table::scan_csv`](crate::Table::scan_csv)) and cannot be read.
    pub fn numbers(&self) -> Result<Option<Cow<'_, [f64]>>> {
        Ok(match &self.cells {
            Cells::Numbers(values) => Some(Cow::Borrowed(values)),
            Cells::Text { .. } => None,
            Cells::Blocks(blocks) => {
                let mut values = vec![0.0; self.rows];
                for (block, values) in values.chunks_mut(BLOCK).enumerate() {
                    blocks.scratch.read(blocks.offset(block), values)?;
                }
                Some(Cow::Owned(values))
            }
        })
    }

    /// Returns the text of a row, without surrounding blanks; `None` if the cell is missing or the column contains
    /// numbers.
    pub fn text(&self, row: usize) -> Option<&str> {
        let Cells::Text { codes, levels } = &self.cells else { return None };
        codes.get(row).filter(|code| **code != MISSING).map(|&code| levels.get(code as usize))
    }

    /// Returns a function from a row of a boolean column to 1 or 0, or NaN for a missing cell; `None` for a column
    /// of numbers.
    pub(crate) fn booleans(&self) -> Option<impl Fn(usize) -> f64 + '_> {
        let Cells::Text { codes, levels } = &self.cells else { return None };
        let numbers: Vec<f64> =
            levels.iter().map(|level| boolean(level).map_or(f64::NAN, |yes| f64::from(u8::from(yes)))).collect();
        Some(move |row: usize| match codes[row] {
            MISSING => f64::NAN,
            code => numbers[code as usize],
        })
    }

    /// Returns the numbers in a block of rows, which are read into `buffer` if they are on disk. Returns an empty
    /// slice for a text column.
    pub(crate) fn block<'b>(&'b self, block: usize, buffer: &'b mut Vec<f64>) -> Result<&'b [f64]> {
        let start = (block * BLOCK).min(self.rows);
        let end = (start + BLOCK).min(self.rows);
        match &self.cells {
            Cells::Numbers(values) => Ok(&values[start..end]),
            Cells::Text { .. } => Ok(&[]),
            Cells::Blocks(blocks) => {
                buffer.resize(end - start, 0.0);
                blocks.scratch.read(blocks.offset(block), buffer)?;
                Ok(buffer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ColumnKind, Table};

    #[test]
    fn the_kind_covers_all_cells() {
        let csv = "n,b,d,t,e,m\n1,true,2024-01-31,x,,1\n2,FALSE,2024-02-01 10:30,2,NA,x\n,,,,,\n";
        let table = Table::parse("t.csv", csv.as_bytes()).unwrap();
        let kinds: Vec<_> = table.names().iter().map(|name| table.column(name).unwrap().kind()).collect();
        assert_eq!(
            kinds,
            [
                ColumnKind::Number,
                ColumnKind::Boolean,
                ColumnKind::Date,
                ColumnKind::Text,
                ColumnKind::Number,
                ColumnKind::Text
            ]
        );
        assert_eq!(table.column("t").unwrap().text(1), Some("2"));
        assert_eq!(table.column("n").unwrap().text(1), None);
        assert_eq!(table.column("t").unwrap().numbers().unwrap(), None);
    }
}
