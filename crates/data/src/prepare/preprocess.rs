//! Preprocessing as plain data, which is saved with a model.

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use wgrad_core::Result;
use wgrad_core::text::count;

use super::categories::Categories;
use crate::error::DataError;

/// Preprocessing learned from training rows, which converts rows of a table to the input of a model. It contains
/// the feature columns in order, their fill values, means and standard deviations, and the categories of text
/// columns.
///
/// A number becomes `(value - mean) / std`, with the mean and standard deviation of the training rows; booleans
/// count as 0 and 1. The standard deviation divides by the number of rows, as in scikit-learn's `StandardScaler`,
/// and includes cells that were filled with the mean. A column that is constant in the training rows has `std` 1,
/// so its values become 0. It counts as constant if its variance does not exceed the rounding error of the
/// computation (scikit-learn's bound). All of this is computed in `f64`.
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
    /// Categories of the text columns, which have mean 0 and standard deviation 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<Categories>,
    /// Names of the features.
    #[serde(skip)]
    names: Vec<String>,
}

/// Features into which one column of the file is encoded; see [`Preprocess::spans`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The name of the column.
    pub column: &'a str,
    /// The indices of the column's features.
    pub features: Range<usize>,
}

/// Values that were learned about one column.
pub(super) struct LearnedColumn {
    pub name: String,
    pub mean: f64,
    pub std: f64,
    /// The value that replaces missing cells.
    pub fill: f64,
    pub constant: bool,
    /// The categories if the column is text.
    pub categories: Option<Categories>,
}

/// Preprocessing read from a file, before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    columns: Vec<String>,
    mean: Vec<f64>,
    std: Vec<f64>,
    fill: Option<Vec<f64>>,
    constant: Vec<String>,
    /// Files written by older versions of the crate, which had no categories, do not contain this field.
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
    /// Creates a preprocessing that does not change values.
    pub(crate) fn identity(columns: Vec<String>) -> Self {
        let n = columns.len();
        let names = columns.clone();
        Self { columns, mean: vec![0.0; n], std: vec![1.0; n], fill: None, constant: vec![], categories: vec![], names }
    }

    /// Creates a preprocessing from what was learned about each column; text columns have mean 0 and standard
    /// deviation 1.
    pub(super) fn learned(columns: Vec<LearnedColumn>, fills: bool) -> Self {
        let of = |number: fn(&LearnedColumn) -> f64| columns.iter().map(number).collect();
        let mut preprocess = Self {
            mean: of(|column| column.mean),
            std: of(|column| column.std),
            fill: fills.then(|| of(|column| column.fill)),
            constant: columns.iter().filter(|column| column.constant).map(|column| column.name.clone()).collect(),
            columns: columns.iter().map(|column| column.name.clone()).collect(),
            categories: columns.into_iter().filter_map(|column| column.categories).collect(),
            names: vec![],
        };
        preprocess.name_features();
        preprocess
    }

    /// Sets the names of the features, which follow from the columns and categories.
    fn name_features(&mut self) {
        let names = self.columns.iter().map(|column| match self.categories_of(column) {
            Some(categories) => categories.names(),
            None => vec![column.clone()],
        });
        self.names = names.flatten().collect();
    }

    /// Returns the categories of a column; `None` if it is not a text column.
    pub(super) fn categories_of(&self, column: &str) -> Option<&Categories> {
        self.categories.iter().find(|of| of.column() == column)
    }

    /// Returns the names of the model's features in order. A column of numbers or an embedded column is one
    /// feature with the column's name. A one-hot column is a feature `column=category` per category, and
    /// `column=?` for the unseen category.
    pub fn features(&self) -> &[String] {
        &self.names
    }

    /// Returns the columns in the model's order, each with the indices of its features.
    pub fn spans(&self) -> Vec<Span<'_>> {
        let mut at = 0;
        let mut spans = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let begin = at;
            at += self.categories_of(column).map_or(1, Categories::width);
            spans.push(Span { column, features: begin..at });
        }
        spans
    }

    /// Returns the categories of the text columns.
    pub fn categories(&self) -> &[Categories] {
        &self.categories
    }

    /// Returns the feature columns of the file in the model's order. A one-hot text column corresponds to several
    /// of [`Self::features`].
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the mean that is subtracted from each column, which is 0 without standardisation.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Returns the standard deviation by which each column is divided, which is 1 without standardisation and for
    /// constant columns.
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// Returns the value that replaces missing cells of each column; `None` without
    /// [`Missing::FillMean`](crate::Missing::FillMean).
    pub fn fill(&self) -> Option<&[f64]> {
        self.fill.as_deref()
    }

    /// Returns the columns that are constant in the training rows, so that a model learns nothing from them.
    pub fn constant_columns(&self) -> &[String] {
        &self.constant
    }

    /// Converts the preprocessing to JSON, from which [`Preprocess::from_json`] restores it without any rounding.
    ///
    /// ```
    /// # use wgrad_data::Table;
    /// let train = Table::parse("t.csv", b"a,y\n1,0\n3,1\n")?.target("y")?.dataset()?;
    /// let json = r#"{"columns":["a"],"mean":[2.0],"std":[1.0],"fill":null,"constant":[]}"#;
    /// assert_eq!(train.preprocess().to_json(), json);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads JSON that [`Preprocess::to_json`] wrote.
    ///
    /// # Errors
    /// When the text is not the JSON of a preprocessing, or its values contradict each other.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| DataError::Preprocess { reason: error.to_string() }.into())
    }
}
