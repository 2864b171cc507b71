//! Preprocessing as plain data, which is saved with a model.

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use wgrad_core::Result;
use wgrad_core::text::count;

use super::categories::Categories;
use crate::error::DataError;

/// Preprocessing learned from training rows, which turns rows of a table into the input of a model: the feature
/// columns in order, their fill values, means and standard deviations, and the categories of text.
///
/// A number becomes `(value - mean) / std`; booleans are 0 and 1. `mean` and `std` are those of the training rows.
/// The standard deviation divides by the number of rows, as scikit-learn's `StandardScaler` does, and includes
/// cells filled with the mean. A column that is constant on the training rows has `std` 1, so it becomes 0; it is
/// constant if its variance is not above the rounding error of computing it (scikit-learn's bound). All of this is
/// computed in `f64`.
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
    /// Categories of the columns of text, whose mean is 0 and std 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    categories: Vec<Categories>,
    /// Names of the features.
    #[serde(skip)]
    names: Vec<String>,
}

/// Features of one column of the file; see [`Preprocess::spans`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The name of the column.
    pub column: &'a str,
    /// The indices of its features.
    pub features: Range<usize>,
}

/// Values learned about one column.
pub(super) struct LearnedColumn {
    pub name: String,
    pub mean: f64,
    pub std: f64,
    /// The value for missing cells.
    pub fill: f64,
    pub constant: bool,
    /// The categories of a column of text.
    pub categories: Option<Categories>,
}

/// Contents of a file before they are checked.
#[derive(Deserialize)]
struct Unchecked {
    columns: Vec<String>,
    mean: Vec<f64>,
    std: Vec<f64>,
    fill: Option<Vec<f64>>,
    constant: Vec<String>,
    /// Absent in files of versions without categories.
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
    /// Returns a preprocessing that does not change values.
    pub(crate) fn identity(columns: Vec<String>) -> Self {
        let n = columns.len();
        let names = columns.clone();
        Self { columns, mean: vec![0.0; n], std: vec![1.0; n], fill: None, constant: vec![], categories: vec![], names }
    }

    /// Makes a preprocessing of what was learned about each column; columns of text have mean 0 and std 1.
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

    /// Sets the names of the features.
    fn name_features(&mut self) {
        let names = self.columns.iter().map(|column| match self.categories_of(column) {
            Some(categories) => categories.names(),
            None => vec![column.clone()],
        });
        self.names = names.flatten().collect();
    }

    /// Returns the categories of a column of text.
    pub(super) fn categories_of(&self, column: &str) -> Option<&Categories> {
        self.categories.iter().find(|of| of.column() == column)
    }

    /// Returns the names of the model's features in order: the column's name for numbers and embedded columns; for
    /// one-hot columns `column=category` for each category, and `column=?` for the unseen one.
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

    /// Returns the categories of the columns of text.
    pub fn categories(&self) -> &[Categories] {
        &self.categories
    }

    /// Returns the feature columns of the file in the model's order. A one-hot column of text makes several of
    /// [`Self::features`].
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns the mean that is subtracted from each column; 0 without standardisation.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Returns the standard deviation that each column is divided by; 1 without standardisation and for constant
    /// columns.
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// Returns the fill value for missing cells of each column; none without
    /// [`Missing::FillMean`](crate::Missing::FillMean).
    pub fn fill(&self) -> Option<&[f64]> {
        self.fill.as_deref()
    }

    /// Returns the columns that are constant on the training rows, from which a model learns nothing.
    pub fn constant_columns(&self) -> &[String] {
        &self.constant
    }

    /// Returns the preprocessing as JSON; [`Preprocess::from_json`] restores the same bits.
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

    /// Reads the JSON of [`Preprocess::to_json`].
    ///
    /// # Errors
    /// When the text is no JSON of a preprocessing, or its values contradict each other.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| DataError::Preprocess { reason: error.to_string() }.into())
    }
}
