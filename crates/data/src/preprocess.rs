//! What the training rows teach about the columns, and how every later row is treated alike.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use wgrad_core::{Array, Error, Result};

use super::categories::{Categories, Encoding, Numbering};
use super::column::{BLOCK, Cells, MISSING, boolean};
use super::{Column, Kind, Table, features};
use wgrad_core::text::count;

/// How a row of a table becomes the input of a model: which columns, in which order, filled and standardised how.
///
/// `(value - mean) / std` per column of numbers, where true is 1 and false is 0, where `mean` and `std` are those of the training rows. The standard deviation
/// divides by the number of rows, as scikit-learn's `StandardScaler` does, and counts cells that were filled with the
/// mean. A column that is constant on the training rows has `std` 1, so it becomes 0; it is constant when its variance
/// is no larger than the rounding error of computing it (scikit-learn's bound). All of it is computed in `f64`.
///
/// ```
/// use wgrad_data::{Preprocess, Table};
/// let train = Table::parse("train.csv", b"a,b,y\n1,5,no\n3,5,yes\n")?.target("y")?.dataset()?;
/// let saved = train.preprocess().to_json();
/// let preprocess = Preprocess::from_json(&saved)?;
/// assert_eq!(preprocess.constant_columns(), ["b"]);
/// let new = Table::parse("new.csv", b"b,id,a\n5,77,4\n")?;
/// assert_eq!(preprocess.extra_columns(&new), ["id"]);
/// assert_eq!(preprocess.apply(&new)?.to_f64(), [2.0, 0.0]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Preprocess {
    columns: Vec<String>,
    mean: Vec<f64>,
    std: Vec<f64>,
    fill: Option<Vec<f64>>,
    constant: Vec<String>,
    /// What columns of text become; those have mean 0 and std 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<Categories>,
    /// The names of what the model takes.
    #[serde(skip)]
    names: Vec<String>,
}

/// What a file may say.
#[derive(Deserialize)]
struct Unchecked {
    columns: Vec<String>,
    mean: Vec<f64>,
    std: Vec<f64>,
    fill: Option<Vec<f64>>,
    constant: Vec<String>,
    /// Absent in files of versions that knew numbers only.
    #[serde(default)]
    categories: Vec<Categories>,
}

impl TryFrom<Unchecked> for Preprocess {
    type Error = String;

    fn try_from(Unchecked { columns, mean, std, fill, constant, categories }: Unchecked) -> Result<Self, String> {
        for (name, numbers) in [("mean", Some(&mean)), ("std", Some(&std)), ("fill", fill.as_ref())] {
            if let Some(numbers) = numbers.filter(|numbers| numbers.len() != columns.len()) {
                let (have, want) = (count(numbers.len(), "number"), count(columns.len(), "column"));
                return Err(format!("`{name}` has {have} for {want}"));
            }
            if numbers.is_some_and(|numbers| numbers.iter().any(|number| !number.is_finite())) {
                return Err(format!("`{name}` holds a number that is not finite"));
            }
        }
        if std.iter().any(|&std| std <= 0.0) {
            return Err("`std` holds a number that is not positive".into());
        }
        let mut seen = HashSet::new();
        for of in &categories {
            of.check()?;
            if !columns.iter().any(|column| column == of.column()) || !seen.insert(of.column()) {
                return Err(format!("the categories of `{}` are those of no column, or are there twice", of.column()));
            }
        }
        let mut checked = Self { columns, mean, std, fill, constant, categories, names: vec![] };
        checked.name_features();
        Ok(checked)
    }
}

impl Preprocess {
    /// Leaves values as they are.
    pub(super) fn identity(columns: Vec<String>) -> Self {
        let n = columns.len();
        let names = columns.clone();
        Self { columns, mean: vec![0.0; n], std: vec![1.0; n], fill: None, constant: vec![], categories: vec![], names }
    }

    /// Learns from some rows of a table.
    pub(super) fn learn(
        table: &Table,
        columns: Vec<String>,
        rows: &[u32],
        (fill, standardize): (bool, bool),
        encoding: &Encoding,
    ) -> Result<Self> {
        let cells = features::learnable(table, &columns)?;
        let mut learned = Self::identity(columns);
        let mut fills = Vec::with_capacity(cells.len());
        for (at, column) in cells.iter().enumerate() {
            let name = &learned.columns[at];
            if column.kind() == Kind::Text || encoding.embed.contains(name) {
                let categories = Categories::learn(table, name, column, rows, encoding)?;
                if categories.is_constant() {
                    learned.constant.push(name.clone());
                }
                learned.categories.push(categories);
                fills.push(0.0);
                continue;
            }
            let column = Moments::of(&as_numbers(column)?, rows);
            if column.present == 0 && fill {
                return Err(table.error(format!(
                    "column `{name}` has no value in the training rows, so there is no mean to fill in. \
                     Drop it with .drop_columns([\"{name}\"])."
                )));
            }
            fills.push(column.mean);
            if column.is_constant() {
                learned.constant.push(name.clone());
            }
            if standardize {
                learned.mean[at] = column.mean;
                learned.std[at] = if column.is_constant() { 1.0 } else { column.variance.sqrt() };
            }
        }
        learned.fill = fill.then_some(fills);
        learned.name_features();
        Ok(learned)
    }

    fn name_features(&mut self) {
        let names = self.columns.iter().map(|column| match self.categories_of(column) {
            Some(categories) => categories.names(),
            None => vec![column.clone()],
        });
        self.names = names.flatten().collect();
    }

    fn categories_of(&self, column: &str) -> Option<&Categories> {
        self.categories.iter().find(|of| of.column() == column)
    }

    /// The names of the features that the model takes, in its order: the name of a column of numbers; `column=category` for
    /// each category of a column of text, and `column=?` for the unseen one.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.names
    }

    /// The columns with the features that each one became, in the model's order.
    pub fn spans(&self) -> Vec<(&str, Range<usize>)> {
        let mut at = 0;
        let mut spans = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            let begin = at;
            at += self.categories_of(name).map_or(1, Categories::width);
            spans.push((&name[..], begin..at));
        }
        spans
    }

    /// What columns of text become.
    #[must_use]
    pub fn categories(&self) -> &[Categories] {
        &self.categories
    }

    /// The columns of the file that are features, in the order in which the model takes them. Those of text become as many
    /// features as [`Self::features`] names.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What is subtracted from each column; 0 without standardisation.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What each column is divided by; 1 without standardisation and for constant columns.
    #[must_use]
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// What is put into missing cells of each column, under [`Missing::FillMean`](super::Missing::FillMean).
    #[must_use]
    pub fn fill(&self) -> Option<&[f64]> {
        self.fill.as_deref()
    }

    /// The columns that are constant on the training rows: they tell the model nothing.
    #[must_use]
    pub fn constant_columns(&self) -> &[String] {
        &self.constant
    }

    /// The columns of a table that are not used: others than the features. The target may be among them.
    #[must_use]
    pub fn extra_columns<'t>(&self, table: &'t Table) -> Vec<&'t str> {
        let used: HashSet<&str> = self.columns.iter().map(String::as_str).collect();
        table.names.iter().map(String::as_str).filter(|name| !used.contains(name)).collect()
    }

    /// The rows of a table as the model takes them: `f32[rows, features]`. The table's columns may be in any order.
    ///
    /// # Errors
    /// When a column is missing, or a cell is text where the model was trained on numbers, infinite, or missing while there
    /// is nothing to fill in.
    pub fn apply(&self, table: &Table) -> Result<Array> {
        let rows: Vec<u32> = (0..u32::MAX).take(table.rows()).collect();
        let mut x = Vec::with_capacity(rows.len() * self.names.len());
        self.transform(table, &rows, |values| {
            x.extend_from_slice(values);
            Ok(())
        })?;
        Array::new([table.rows(), self.names.len()], x)
    }

    /// Hands on some rows of a table as the model takes them, in portions of whole rows.
    pub(super) fn transform(
        &self,
        table: &Table,
        rows: &[u32],
        mut take: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let cells = features::columns(table, &self.columns)?;
        let mut encoders = Vec::with_capacity(cells.len());
        for (at, (name, column)) in self.columns.iter().zip(cells).enumerate() {
            encoders.push(if let Some(categories) = self.categories_of(name) {
                Encoder::Categories(column, categories, categories.of(column))
            } else {
                features::numeric(table, name, column)?;
                Encoder::Numbers(column, at)
            });
        }
        let (mut values, mut buffer) = (vec![], vec![]);
        for rows in rows.chunk_by(|a, b| *a as usize / BLOCK == *b as usize / BLOCK) {
            values.clear();
            values.resize(rows.len() * self.names.len(), 0.0);
            let mut offset = 0;
            for encoder in &encoders {
                offset += self.encode(encoder, table, rows, &mut buffer, &mut values[offset..])?;
            }
            take(&values)?;
        }
        Ok(())
    }

    /// Writes the features of one column for rows of one block; gives their number.
    #[allow(clippy::cast_possible_truncation, reason = "what does not fit is an error")]
    fn encode(
        &self,
        encoder: &Encoder<'_>,
        table: &Table,
        rows: &[u32],
        buffer: &mut Vec<f64>,
        values: &mut [f32],
    ) -> Result<usize> {
        let width = self.names.len();
        let block = rows[0] as usize / BLOCK;
        match encoder {
            Encoder::Categories(column, categories, numbering) => {
                let numbers = column.block(block, buffer)?;
                for (&row, features) in rows.iter().zip(values.chunks_mut(width)) {
                    let row = row as usize;
                    if self.fill.is_none() && column.is_missing(row) {
                        return Err(gap(table, row, categories.column()));
                    }
                    let number = numbering.of(row, numbers.get(row - block * BLOCK).copied());
                    categories.write(number, features);
                }
                Ok(categories.width())
            }
            Encoder::Numbers(column, at) => {
                let booleans = as_booleans(column);
                let numbers = column.block(block, buffer)?;
                let (mean, std) = (self.mean[*at], self.std[*at]);
                for (&row, feature) in rows.iter().zip(values.iter_mut().step_by(width)) {
                    let row = row as usize;
                    let mut value = match &booleans {
                        Some(booleans) => booleans(row),
                        None => numbers[row - block * BLOCK],
                    };
                    if value.is_nan() {
                        let fill = self.fill.as_ref().map(|fill| fill[*at]);
                        value = fill.ok_or_else(|| gap(table, row, &self.columns[*at]))?;
                    }
                    *feature = ((value - mean) / std) as f32;
                    if !feature.is_finite() {
                        return Err(Error::Data(format!(
                            "{}: {value:e} is beyond the range of 32-bit floats once standardised: the training rows \
                             spread by {std:e} only. Correct the cell.",
                            table.place(row, &self.columns[*at]),
                        )));
                    }
                }
                Ok(1)
            }
        }
    }

    /// As JSON; [`Preprocess::from_json`] gives back the same bits.
    ///
    /// ```
    /// # use wgrad_data::Table;
    /// let train = Table::parse("t.csv", b"a,y\n1,0\n3,1\n")?.target("y")?.dataset()?;
    /// let json = r#"{"columns":["a"],"mean":[2.0],"std":[1.0],"fill":null,"constant":[]}"#;
    /// assert_eq!(train.preprocess().to_json(), json);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Preprocess::to_json`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| Error::Data(format!("this is not a saved preprocessing: {error}")))
    }
}

/// How one column becomes features.
enum Encoder<'a> {
    /// With the column's place among the columns.
    Numbers(&'a Column, usize),
    Categories(&'a Column, &'a Categories, Numbering<'a>),
}

fn gap(table: &Table, row: usize, column: &str) -> Error {
    Error::Data(format!(
        "{}: the cell is missing, and no value to fill in was learned. \
         Complete it, or train with Missing::FillMean (--missing mean).",
        table.place(row, column)
    ))
}

/// What a column of true and false says in a row: 1, 0, or NaN where the cell is missing; none for other columns.
fn as_booleans(column: &Column) -> Option<impl Fn(usize) -> f64 + '_> {
    let Cells::Text { codes, levels } = &column.cells else { return None };
    let numbers: Vec<f64> =
        levels.iter().map(|level| boolean(level).map_or(f64::NAN, |yes| f64::from(u8::from(yes)))).collect();
    Some(move |row: usize| match codes[row] {
        MISSING => f64::NAN,
        code => numbers[code as usize],
    })
}

/// The numbers of a column of numbers or booleans.
fn as_numbers(column: &Column) -> Result<Cow<'_, [f64]>> {
    let values = match &column.cells {
        Cells::Text { codes, .. } => as_booleans(column).map(|value| (0..codes.len()).map(value).collect()),
        _ => column.numbers()?,
    };
    Ok(values.unwrap_or_default())
}

/// Mean and variance of the values of some rows, missing ones replaced by the mean.
struct Moments {
    rows: f64,
    present: usize,
    mean: f64,
    variance: f64,
}

#[allow(clippy::cast_precision_loss, reason = "row numbers fit 32 bits")]
impl Moments {
    fn of(values: &[f64], rows: &[u32]) -> Self {
        let present = || rows.iter().map(|&row| values[row as usize]).filter(|value| !value.is_nan());
        let (least, most) = present().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let n = present().count();
        let mean = match n {
            0 => 0.0,
            // Exactly, so that the column becomes exactly 0.
            _ if least >= most => least,
            _ => present().sum::<f64>() / n as f64,
        };
        // The second sum takes away what rounding left in the mean.
        let (squares, rest) = present().map(|x| x - mean).fold((0.0, 0.0), |(s, r), d| (s + d * d, r + d));
        let total = rows.len() as f64;
        let variance = if n == 0 { 0.0 } else { ((squares - rest * rest / n as f64) / total).max(0.0) };
        Self { rows: total, present: n, mean, variance }
    }

    /// As `sklearn.preprocessing._data._is_constant_feature`.
    fn is_constant(&self) -> bool {
        let error = self.rows * f64::EPSILON;
        self.variance <= error * self.variance + (error * self.mean).powi(2)
    }
}

#[cfg(test)]
#[path = "preprocess_tests.rs"]
mod tests;
