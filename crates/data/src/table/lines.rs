//! The lines of a file on which its rows start.

use wgrad_core::Result;

use crate::error::{DataError, TableError};

/// Where the rows of a file are.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    Lines(LineNumbers),
    /// A file without lines, with so many rows.
    #[cfg_attr(not(feature = "arrow"), expect(dead_code, reason = "only typed files have no lines"))]
    Rows(usize),
}

impl Places {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Rows(rows) => *rows,
        }
    }
}

/// The line on which each row starts. Most rows follow the one before on the next line, so only the others are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineNumbers {
    rows: usize,
    /// Rows that do not, and their lines.
    breaks: Vec<(usize, u64)>,
}

impl LineNumbers {
    /// A row more, which starts on this line.
    pub(crate) fn count(&mut self, file: &str, line: u64) -> Result<()> {
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

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn get(&self, row: usize) -> Option<u64> {
        let at = self.breaks.partition_point(|&(start, _)| start <= row).checked_sub(1)?;
        let (start, line) = self.breaks[at];
        (row < self.rows).then(|| line + (row - start) as u64)
    }
}
