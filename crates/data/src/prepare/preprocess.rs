//! What the training rows taught about the columns: plain data that is saved with a model.

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use wgrad_core::Result;
use wgrad_core::text::count;

use super::categories::Categories;
use crate::error::DataError;

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

/// Features that one column of the file became; see [`Preprocess::spans`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The name of the column.
    pub column: &'a str,
    /// The places of its features among all.
    pub features: Range<usize>,
}

/// What the training rows taught about one column.
pub(super) struct Learned {
    pub name: String,
    pub mean: f64,
    pub std: f64,
    /// The value for missing cells.
    pub fill: f64,
    pub constant: bool,
    /// The categories of a column of text.
    pub categories: Option<Categories>,
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
    pub(crate) fn identity(columns: Vec<String>) -> Self {
        let n = columns.len();
        let names = columns.clone();
        Self { columns, mean: vec![0.0; n], std: vec![1.0; n], fill: None, constant: vec![], categories: vec![], names }
    }

    /// Describes columns whose values were learned; columns of text have mean 0 and std 1.
    pub(super) fn learned(columns: Vec<Learned>, fills: bool) -> Self {
        let of = |number: fn(&Learned) -> f64| columns.iter().map(number).collect();
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

    /// The names of the features that the model takes, in its order: the name of a column of numbers; `column=category` for
    /// each category of a column of text, and `column=?` for the unseen one.
    pub fn features(&self) -> &[String] {
        &self.names
    }

    /// The columns with the features that each one became, in the model's order.
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

    /// What columns of text become.
    pub fn categories(&self) -> &[Categories] {
        &self.categories
    }

    /// The columns of the file that are features, in the order in which the model takes them. Those of text become as many
    /// features as [`Self::features`] names.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What is subtracted from each column; 0 without standardisation.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What each column is divided by; 1 without standardisation and for constant columns.
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// What is put into missing cells of each column, under [`Missing::FillMean`](crate::Missing::FillMean).
    pub fn fill(&self) -> Option<&[f64]> {
        self.fill.as_deref()
    }

    /// The columns that are constant on the training rows: they tell the model nothing.
    pub fn constant_columns(&self) -> &[String] {
        &self.constant
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
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Preprocess::to_json`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| DataError::Preprocess { reason: error.to_string() }.into())
    }
}
