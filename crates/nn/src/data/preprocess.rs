//! What the training rows teach about the columns, and how every later row is treated alike.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use wgrad_core::{Array, Error, Result};

use super::text::count;
use super::{Table, features};

/// How a row of a table becomes the input of a model: which columns, in which order, filled and standardised how.
///
/// `(value - mean) / std` per column, where `mean` and `std` are those of the training rows. The standard deviation
/// divides by the number of rows, as scikit-learn's `StandardScaler` does, and counts cells that were filled with the
/// mean. A column that is constant on the training rows has `std` 1, so it becomes 0; it is constant when its variance
/// is no larger than the rounding error of computing it (scikit-learn's bound). All of it is computed in `f64`.
///
/// ```
/// use wgrad_nn::data::{Preprocess, Table};
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
}

/// What a file may say.
#[derive(Deserialize)]
struct Unchecked {
    columns: Vec<String>,
    mean: Vec<f64>,
    std: Vec<f64>,
    fill: Option<Vec<f64>>,
    constant: Vec<String>,
}

impl TryFrom<Unchecked> for Preprocess {
    type Error = String;

    fn try_from(Unchecked { columns, mean, std, fill, constant }: Unchecked) -> Result<Self, String> {
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
        Ok(Self { columns, mean, std, fill, constant })
    }
}

impl Preprocess {
    /// Leaves values as they are.
    pub(super) fn identity(columns: Vec<String>) -> Self {
        let n = columns.len();
        Self { columns, mean: vec![0.0; n], std: vec![1.0; n], fill: None, constant: vec![] }
    }

    /// Learns from some rows of a table.
    pub(super) fn learn(
        table: &Table,
        columns: Vec<String>,
        rows: &[u32],
        fill: bool,
        standardize: bool,
    ) -> Result<Self> {
        let values = features::numbers(table, &columns)?;
        let mut learned = Self::identity(columns);
        let mut fills = Vec::with_capacity(values.len());
        for (at, values) in values.iter().enumerate() {
            let name = &learned.columns[at];
            let column = Moments::of(values, rows);
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
        Ok(learned)
    }

    /// The feature columns, in the order in which the model takes them.
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
    /// When a column is missing, or a cell is text, infinite, or missing while there is nothing to fill in.
    pub fn apply(&self, table: &Table) -> Result<Array> {
        let x = self.transform(table, 0..table.rows())?;
        Array::new([table.rows(), self.columns.len()], x)
    }

    /// Some rows of a table as the model takes them, one after the other.
    #[allow(clippy::cast_possible_truncation, reason = "what does not fit is an error")]
    pub(super) fn transform(&self, table: &Table, rows: impl ExactSizeIterator<Item = usize>) -> Result<Vec<f32>> {
        let values = features::numbers(table, &self.columns)?;
        let mut x = Vec::with_capacity(rows.len() * values.len());
        for row in rows {
            for (at, values) in values.iter().enumerate() {
                let place = || table.place(row, &self.columns[at]);
                let value = match &self.fill {
                    Some(fill) if values[row].is_nan() => fill[at],
                    None if values[row].is_nan() => {
                        return Err(Error::Data(format!(
                            "{}: the cell is missing, and no value to fill in was learned. \
                             Complete it, or train with Missing::FillMean (--missing mean).",
                            place()
                        )));
                    }
                    _ => values[row],
                };
                let standard = ((value - self.mean[at]) / self.std[at]) as f32;
                if !standard.is_finite() {
                    return Err(Error::Data(format!(
                        "{}: {value:e} is beyond the range of 32-bit floats once standardised: the training rows \
                         spread by {:e} only. Correct the cell.",
                        place(),
                        self.std[at]
                    )));
                }
                x.push(standard);
            }
        }
        Ok(x)
    }

    /// As JSON; [`Preprocess::from_json`] gives back the same bits.
    ///
    /// ```
    /// # use wgrad_nn::data::Table;
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
