//! Locations of rows in their file.

use wgrad_core::Result;

use crate::error::{DataError, TableError};

/// Locations of the rows of a file.
#[derive(Clone, Debug)]
pub(crate) enum RowLocations {
    /// The line on which each row of a CSV file starts.
    Lines(LineNumbers),
    /// The number of rows of a file whose format has no lines.
    #[cfg_attr(not(feature = "arrow"), expect(dead_code, reason = "only typed files have no lines"))]
    Count(usize),
}

impl RowLocations {
    /// Returns the number of rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Count(rows) => *rows,
        }
    }
}

/// Line on which each row starts. Most rows start one line below the start of the previous row, so only the other
/// rows are stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineNumbers {
    rows: usize,
    /// Rows that do not start one line below the start of the previous row, with their lines.
    breaks: Vec<(usize, u64)>,
}

impl LineNumbers {
    /// Adds a row that starts on this line.
    ///
    /// # Errors
    /// When there are more rows than a `u32` can count.
    pub(crate) fn push(&mut self, file: &str, line: u64) -> Result<()> {
        if u32::try_from(self.rows + 1).is_err() {
            return Err(DataError::Table { file: file.to_string(), error: TableError::TooManyRows }.into());
        }
        let follows = self.breaks.last().is_some_and(|&(row, at)| at + (self.rows - row) as u64 == line);
        if !follows {
            self.breaks.push((self.rows, line));
        }
        self.rows += 1;
        Ok(())
    }

    /// Returns the number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Returns the line of a row.
    pub(crate) fn get(&self, row: usize) -> Option<u64> {
        let at = self.breaks.partition_point(|&(start, _)| start <= row).checked_sub(1)?;
        let (start, line) = self.breaks[at];
        (row < self.rows).then(|| line + (row - start) as u64)
    }
}
