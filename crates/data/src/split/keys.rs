//! Keys by which rows are split: groups or times.

use std::collections::HashMap;

use wgrad_core::{Error, Result};

use crate::cell::date;
use crate::error::CellError;
use crate::table::{Cells, MISSING, Table};

/// Keys by which rows are split.
pub(crate) enum Keys {
    None,
    /// Group number of each row.
    Groups(Vec<u32>),
    /// Time of each row.
    Times(Vec<f64>),
}

/// Returns the error for a missing group or time.
fn missing(table: &Table, row: u32, column: &str) -> Error {
    table.cell_error(row as usize, column, CellError::MissingKey)
}

/// Returns the group number of each given row.
pub(crate) fn groups(table: &Table, column: &str, rows: &[u32]) -> Result<Vec<u32>> {
    let cells = &table.columns[table.require(column)?];
    if let Cells::Text { codes, .. } = &cells.cells {
        let code = |&row: &u32| Some(codes[row as usize]).filter(|code| *code != MISSING).ok_or(row);
        return rows.iter().map(|row| code(row).map_err(|row| missing(table, row, column))).collect();
    }
    let values = cells.numbers()?.unwrap_or_default();
    let mut numbers = HashMap::new();
    let mut number = |&row: &u32| {
        let value = values[row as usize] + 0.0;
        if value.is_nan() {
            return Err(missing(table, row, column));
        }
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        Ok(*numbers.entry(value.to_bits()).or_insert(next))
    };
    rows.iter().map(&mut number).collect()
}

/// Returns the time of each given row: numbers are used as they are, dates are converted to Unix time.
pub(crate) fn times(table: &Table, column: &str, rows: &[u32]) -> Result<Vec<f64>> {
    let cells = &table.columns[table.require(column)?];
    let Cells::Text { codes, levels } = &cells.cells else {
        let values = cells.numbers()?.unwrap_or_default();
        let time = |&row: &u32| Some(values[row as usize]).filter(|time| !time.is_nan()).ok_or(row);
        return rows.iter().map(|row| time(row).map_err(|row| missing(table, row, column))).collect();
    };
    let seconds: Vec<Option<f64>> = levels.iter().map(date::seconds).collect();
    let time = |&row: &u32| {
        let code = codes[row as usize];
        if code == MISSING {
            return Err(missing(table, row, column));
        }
        seconds[code as usize].ok_or_else(|| {
            let text = levels.get(code as usize).to_string();
            table.cell_error(row as usize, column, CellError::NotATime { text })
        })
    };
    rows.iter().map(time).collect()
}
