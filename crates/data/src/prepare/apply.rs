//! Application of a learned preprocessing to the rows of a table.

use std::collections::{HashMap, HashSet};

use wgrad_core::{Array, Error, Result};

use super::categories::Categories;
use super::features;
use super::preprocess::Preprocess;
use crate::cell::number::number;
use crate::error::CellError;
use crate::table::{BLOCK, Cells, Column, MISSING, Table};

impl Preprocess {
    /// Returns the columns of a table that are not features of the model. The target may be among them.
    pub fn extra_columns<'t>(&self, table: &'t Table) -> Vec<&'t str> {
        let used: HashSet<&str> = self.columns().iter().map(String::as_str).collect();
        table.names.iter().map(String::as_str).filter(|name| !used.contains(name)).collect()
    }

    /// Returns the rows of a table as the input of a model, `f32[rows, features]`. The table's columns may be in
    /// any order.
    ///
    /// # Errors
    /// When a column is missing, or a cell is infinite, contains text where the model was trained on numbers, or
    /// is missing although no fill value was learned.
    pub fn apply(&self, table: &Table) -> Result<Array> {
        let rows: Vec<u32> = (0..u32::MAX).take(table.rows()).collect();
        let mut x = Vec::with_capacity(rows.len() * self.features().len());
        transform(self, table, &rows, |values| {
            x.extend_from_slice(values);
            Ok(())
        })?;
        Array::new([table.rows(), self.features().len()], x)
    }
}

/// Converts rows of a table to the input of a model, and passes them to `take` in chunks of complete rows.
pub(crate) fn transform(
    preprocess: &Preprocess,
    table: &Table,
    rows: &[u32],
    mut take: impl FnMut(&[f32]) -> Result<()>,
) -> Result<()> {
    let width = preprocess.features().len();
    let columns = features::columns(table, preprocess.columns())?;
    let mut encoders = Vec::with_capacity(columns.len());
    for (at, (name, column)) in preprocess.columns().iter().zip(columns).enumerate() {
        let encoding = if let Some(categories) = preprocess.categories_of(name) {
            Encoding::Categories { categories, numbering: Numbering::new(categories, column) }
        } else {
            features::numeric(table, name, column)?;
            Encoding::Numbers { mean: preprocess.mean()[at], std: preprocess.std()[at] }
        };
        let fill = preprocess.fill().map(|fill| fill[at]);
        encoders.push(Encoder { table, name, column, fill, width, encoding });
    }
    let (mut values, mut buffer) = (vec![], vec![]);
    for rows in rows.chunk_by(|a, b| *a as usize / BLOCK == *b as usize / BLOCK) {
        values.clear();
        values.resize(rows.len() * width, 0.0);
        let mut offset = 0;
        for encoder in &encoders {
            offset += encoder.write(rows, &mut buffer, &mut values[offset..])?;
        }
        take(&values)?;
    }
    Ok(())
}

/// Encoder that writes the features of one table column.
struct Encoder<'a> {
    table: &'a Table,
    name: &'a str,
    column: &'a Column,
    /// The value that replaces missing cells.
    fill: Option<f64>,
    /// The number of features of a row, over all columns.
    width: usize,
    encoding: Encoding<'a>,
}

/// Encoding of a column.
enum Encoding<'a> {
    Numbers { mean: f64, std: f64 },
    Categories { categories: &'a Categories, numbering: Numbering<'a> },
}

impl Encoder<'_> {
    /// Writes the features of this column for `rows`, and returns the number of features that the column has per
    /// row. Columns are read in blocks of `BLOCK` rows, and all of `rows` must be in the same block.
    fn write(&self, rows: &[u32], buffer: &mut Vec<f64>, values: &mut [f32]) -> Result<usize> {
        let block = rows[0] as usize / BLOCK;
        let numbers = self.column.block(block, buffer)?;
        match &self.encoding {
            Encoding::Categories { categories, numbering } => {
                for (&row, features) in rows.iter().zip(values.chunks_mut(self.width)) {
                    let row = row as usize;
                    if self.fill.is_none() && self.column.is_missing(row) {
                        return Err(self.gap(row));
                    }
                    let number = numbering.of(row, numbers.get(row - block * BLOCK).copied());
                    categories.write(number, features);
                }
                Ok(categories.width())
            }
            Encoding::Numbers { mean, std } => {
                let booleans = self.column.booleans();
                for (&row, feature) in rows.iter().zip(values.iter_mut().step_by(self.width)) {
                    let row = row as usize;
                    let mut value = match &booleans {
                        Some(booleans) => booleans(row),
                        None => numbers[row - block * BLOCK],
                    };
                    if value.is_nan() {
                        value = self.fill.ok_or_else(|| self.gap(row))?;
                    }
                    *feature = ((value - mean) / std) as f32;
                    if !feature.is_finite() {
                        let error = CellError::TooLargeStandardised { value, std: *std };
                        return Err(self.table.cell_error(row, self.name, error));
                    }
                }
                Ok(1)
            }
        }
    }

    /// Returns the error for a missing cell.
    fn gap(&self, row: usize) -> Error {
        self.table.cell_error(row, self.name, CellError::Missing)
    }
}

/// Map from the cells of a column to category numbers.
enum Numbering<'c> {
    /// For a text column: the number of each cell's text, and the category of each distinct text.
    Codes { codes: &'c [u32], known: Vec<usize>, unseen: usize },
    /// For a column of numbers: the category of each number; the keys of the map are the bits of the numbers.
    Values { known: HashMap<u64, usize>, unseen: usize },
}

impl<'c> Numbering<'c> {
    /// Looks up the category of each distinct text or number in a column.
    fn new(categories: &Categories, column: &'c Column) -> Self {
        let unseen = categories.levels().len();
        if let Cells::Text { codes, levels } = &column.cells {
            let numbers: HashMap<&str, usize> = categories.levels().iter().map(String::as_str).zip(0..).collect();
            let known = levels.iter().map(|text| numbers.get(text).copied().unwrap_or(unseen)).collect();
            return Self::Codes { codes, known, unseen };
        }
        // The column was text in training, but contains only numbers in this table. The number 7 belongs to the
        // category `7` if it exists, else to a category such as `07`.
        let mut known = HashMap::new();
        for (text, at) in categories.levels().iter().zip(0..) {
            if let Some(value) = number(text) {
                let exact = *text == (value + 0.0).to_string();
                let bits = (value + 0.0).to_bits();
                if exact || !known.contains_key(&bits) {
                    known.insert(bits, at);
                }
            }
        }
        Self::Values { known, unseen }
    }

    /// Returns the category of a row; `value` is the number in the row's cell if the column contains numbers.
    fn of(&self, row: usize, value: Option<f64>) -> usize {
        match self {
            Self::Codes { codes, known, unseen } => match codes[row] {
                MISSING => *unseen,
                code => known[code as usize],
            },
            Self::Values { known, unseen } => {
                value.and_then(|value| known.get(&(value + 0.0).to_bits()).copied()).unwrap_or(*unseen)
            }
        }
    }
}
