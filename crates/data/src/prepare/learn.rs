//! Learning of the preprocessing from training rows.

use std::borrow::Cow;

use wgrad_core::Result;

use super::categories::Categories;
use super::features;
use super::preprocess::{LearnedColumn, Preprocess};
use crate::error::TableError;
use crate::table::{Cells, Column, ColumnKind, Table};

/// Options for the encoding of text columns; see [`Labelled`](crate::Labelled).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EncodingOptions {
    /// The maximum number of categories per column.
    pub limit: usize,
    /// The minimum number of training rows per category.
    pub min_frequency: usize,
    /// The names of the columns that are encoded as category numbers.
    pub embed: Vec<String>,
}

impl Default for EncodingOptions {
    fn default() -> Self {
        Self { limit: 100, min_frequency: 2, embed: vec![] }
    }
}

/// Options of [`learn`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct LearnOptions<'a> {
    /// `true` if missing cells are filled with means.
    pub fill: bool,
    /// `true` if columns of numbers are standardised.
    pub standardize: bool,
    pub encoding: &'a EncodingOptions,
}

/// Learns the preprocessing from the given rows of a table.
pub(crate) fn learn(table: &Table, names: Vec<String>, rows: &[u32], how: LearnOptions<'_>) -> Result<Preprocess> {
    let cells = features::learnable(table, &names)?;
    let mut learned = Vec::with_capacity(names.len());
    for (name, column) in names.into_iter().zip(cells) {
        learned.push(if column.kind() == ColumnKind::Text || how.encoding.embed.contains(&name) {
            let categories = categories(table, &name, column, rows, how.encoding)?;
            let constant = categories.is_constant();
            LearnedColumn { name, mean: 0.0, std: 1.0, fill: 0.0, constant, categories: Some(categories) }
        } else {
            let moments = Moments::of(&as_numbers(column)?, rows);
            if moments.present == 0 && how.fill {
                return Err(table.error(TableError::NoMean { column: name }));
            }
            let constant = moments.is_constant();
            let std = if constant || !how.standardize { 1.0 } else { moments.variance.sqrt() };
            let mean = if how.standardize { moments.mean } else { 0.0 };
            LearnedColumn { name, mean, std, fill: moments.mean, constant, categories: None }
        });
    }
    Ok(Preprocess::learned(learned, how.fill))
}

/// Learns the categories of a column from the given rows.
fn categories(table: &Table, name: &str, column: &Column, rows: &[u32], how: &EncodingOptions) -> Result<Categories> {
    let Cells::Text { codes, levels } = &column.cells else {
        return Err(table.error(TableError::NoCategories { column: name.to_string() }));
    };
    let mut counts = vec![0_usize; levels.len()];
    for &row in rows {
        if let Some(count) = counts.get_mut(codes[row as usize] as usize) {
            *count += 1;
        }
    }
    let distinct = counts.iter().filter(|count| **count > 0).count();
    let kept = |(_, n): &(&str, &usize)| **n >= how.min_frequency.max(1);
    let mut kept: Vec<(&str, usize)> = levels.iter().zip(&counts).filter(kept).map(|(text, n)| (text, *n)).collect();
    kept.sort_unstable();
    let unseen = rows.len() - kept.iter().map(|(_, n)| n).sum::<usize>();
    let rare = counts.iter().filter(|count| **count < how.min_frequency).sum::<usize>();
    let column = name.to_string();
    if kept.is_empty() || (rare * 2 > rows.len() && distinct > 20) {
        let (rows, min_frequency) = (rows.len(), how.min_frequency);
        return Err(table.error(TableError::Identifier { column, distinct, rows, min_frequency }));
    }
    if kept.len() > how.limit {
        let (categories, limit) = (kept.len(), how.limit);
        return Err(table.error(TableError::TooManyCategories { column, categories, limit }));
    }
    let levels = kept.into_iter().map(|(text, _)| text.to_string()).collect();
    let embedded = how.embed.iter().any(|other| other == name);
    Ok(Categories::new(column, levels, unseen, embedded))
}

/// Returns the values of a column of numbers or booleans.
fn as_numbers(column: &Column) -> Result<Cow<'_, [f64]>> {
    let values = match &column.cells {
        Cells::Text { codes, .. } => column.booleans().map(|value| (0..codes.len()).map(value).collect()),
        _ => column.numbers()?,
    };
    Ok(values.unwrap_or_default())
}

/// Mean and variance of a column over some rows, with missing values replaced by the mean.
struct Moments {
    rows: f64,
    present: usize,
    mean: f64,
    variance: f64,
}

impl Moments {
    /// Computes the mean and the variance in two passes.
    fn of(values: &[f64], rows: &[u32]) -> Self {
        let present = || rows.iter().map(|&row| values[row as usize]).filter(|value| !value.is_nan());
        let (least, most) = present().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let n = present().count();
        let mean = match n {
            0 => 0.0,
            // If all values are equal, the mean is exactly this value, so that standardisation makes them exactly
            // 0.
            _ if least >= most => least,
            _ => present().sum::<f64>() / n as f64,
        };
        // If the mean were exact, the differences from it would sum to 0. The square of their sum is used to
        // correct the variance for the rounding error of the mean.
        let (squares, rest) = present().map(|x| x - mean).fold((0.0, 0.0), |(s, r), d| (s + d * d, r + d));
        let total = rows.len() as f64;
        let variance = if n == 0 { 0.0 } else { ((squares - rest * rest / n as f64) / total).max(0.0) };
        Self { rows: total, present: n, mean, variance }
    }

    /// Returns whether the variance is within rounding error of 0, as
    /// `sklearn.preprocessing._data._is_constant_feature` does.
    fn is_constant(&self) -> bool {
        let error = self.rows * f64::EPSILON;
        self.variance <= error * self.variance + (error * self.mean).powi(2)
    }
}
