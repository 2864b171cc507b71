//! One column of a table, of the type that its cells have in common.

use std::borrow::Cow;
use std::sync::Arc;

use wgrad_core::Result;

use super::gaps::Gaps;
use super::levels::Levels;
use crate::cell::{boolean, date};
use crate::scratch::Scratch;

/// What the cells of a column have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every cell that is not missing is a number.
    Number,
    /// Every cell that is not missing is `true` or `false`, in any case of the letters.
    Boolean,
    /// Every cell that is not missing is a date, with or without a time of day.
    Date,
    /// Something else: text, which names a category.
    Text,
}

/// One column of a [`Table`](crate::Table).
///
/// Numbers take 8 bytes a cell; of text, each distinct one is kept once, and 4 bytes a cell say which it is.
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) cells: Cells,
    rows: usize,
    gaps: Gaps,
    /// The first number that no 32-bit float can hold.
    pub(crate) beyond: Option<Beyond>,
}

/// A number that no 32-bit float can hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beyond {
    pub row: usize,
    pub value: f64,
}

/// The cells.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    /// NaN where the cell is missing.
    Numbers(Vec<f64>),
    /// Numbers in blocks on disk.
    Blocks(Blocks),
    /// The number of each cell's text, [`MISSING`] where the cell is missing.
    Text { codes: Vec<u32>, levels: Levels },
}

/// The code of a missing text.
pub(crate) const MISSING: u32 = u32::MAX;

/// Rows of a block on disk.
pub(crate) const BLOCK: usize = 8192;

/// Where the numbers of a column are on disk: the file holds block after block, a block column after column.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    pub scratch: Arc<Scratch>,
    pub column: usize,
    /// Columns of a block.
    pub columns: usize,
}

impl Blocks {
    /// Returns the place of a column's numbers, if they go on disk.
    pub(crate) fn on(scratch: Option<&Arc<Scratch>>, column: usize, columns: usize) -> Option<Self> {
        Some(Self { scratch: scratch.cloned()?, column, columns })
    }

    /// The place of a block's first value.
    pub(crate) fn place(&self, block: usize) -> u64 {
        (block as u64 * self.columns as u64 + self.column as u64) * BLOCK as u64
    }
}

impl Column {
    pub(crate) fn new(cells: Cells, rows: usize, gaps: Gaps, beyond: Option<Beyond>) -> Self {
        Self { cells, rows, gaps, beyond }
    }

    /// The type of the column. A column without any value holds numbers.
    pub fn kind(&self) -> Kind {
        let Cells::Text { levels, .. } = &self.cells else { return Kind::Number };
        if levels.iter().all(|level| boolean(level).is_some()) {
            Kind::Boolean
        } else if levels.iter().all(date::is_date) {
            Kind::Date
        } else {
            Kind::Text
        }
    }

    /// How many cells are missing: empty, `NaN`, `nan`, `NA`, `N/A`, `null` or `NULL`.
    pub fn missing(&self) -> usize {
        self.gaps.count
    }

    /// Whether the cell of a row is missing; so is a row past the end.
    pub fn is_missing(&self, row: usize) -> bool {
        row >= self.rows || self.gaps.has(row)
    }

    /// The numbers of a column of numbers, NaN where the cell is missing; none for a column of another kind.
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
                    blocks.scratch.read(blocks.place(block), values)?;
                }
                Some(Cow::Owned(values))
            }
        })
    }

    /// The text of a row, without surrounding blanks; none where the cell is missing or the column holds numbers.
    pub fn text(&self, row: usize) -> Option<&str> {
        let Cells::Text { codes, levels } = &self.cells else { return None };
        codes.get(row).filter(|code| **code != MISSING).map(|&code| levels.get(code as usize))
    }

    /// Returns what a column of true and false says in a row: 1, 0, or NaN where the cell is missing; none for other columns.
    pub(crate) fn booleans(&self) -> Option<impl Fn(usize) -> f64 + '_> {
        let Cells::Text { codes, levels } = &self.cells else { return None };
        let numbers: Vec<f64> =
            levels.iter().map(|level| boolean(level).map_or(f64::NAN, |yes| f64::from(u8::from(yes)))).collect();
        Some(move |row: usize| match codes[row] {
            MISSING => f64::NAN,
            code => numbers[code as usize],
        })
    }

    /// The numbers of a block of rows; `buffer` holds them if they come from disk.
    pub(crate) fn block<'b>(&'b self, block: usize, buffer: &'b mut Vec<f64>) -> Result<&'b [f64]> {
        let start = (block * BLOCK).min(self.rows);
        let end = (start + BLOCK).min(self.rows);
        match &self.cells {
            Cells::Numbers(values) => Ok(&values[start..end]),
            Cells::Text { .. } => Ok(&[]),
            Cells::Blocks(blocks) => {
                buffer.resize(end - start, 0.0);
                blocks.scratch.read(blocks.place(block), buffer)?;
                Ok(buffer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Kind, Table};

    #[test]
    fn the_kind_is_what_all_cells_have_in_common() {
        let csv = "n,b,d,t,e,m\n1,true,2024-01-31,x,,1\n2,FALSE,2024-02-01 10:30,2,NA,x\n,,,,,\n";
        let table = Table::parse("t.csv", csv.as_bytes()).unwrap();
        let kinds: Vec<_> = table.names().iter().map(|name| table.column(name).unwrap().kind()).collect();
        assert_eq!(kinds, [Kind::Number, Kind::Boolean, Kind::Date, Kind::Text, Kind::Number, Kind::Text]);
        assert_eq!(table.column("t").unwrap().text(1), Some("2"));
        assert_eq!(table.column("n").unwrap().text(1), None);
        assert_eq!(table.column("t").unwrap().numbers().unwrap(), None);
    }
}
