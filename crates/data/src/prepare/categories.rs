//! Columns of text as features: which categories there are, and what becomes of one that is not among them.

use serde::{Deserialize, Serialize};

/// The categories of one column, learned from the training rows.
///
/// They are numbered in sorted order; behind them comes the unseen one. It stands for every text that is no category, and
/// for a missing cell where those are filled. It is learned from the training rows whose category is too rare to be one
/// ([`Labelled::min_frequency`](crate::Labelled::min_frequency)) or missing.
///
/// As features they are one-hot: a column of 0 and 1 per category and one for the unseen. If no training row taught the
/// unseen one, it is all zeros, since its own column would have weights that nothing has trained. Embedded, they are one
/// feature that holds the number, for an `Embedding` of [`Self::size`] rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categories {
    column: String,
    levels: Vec<String>,
    /// Training rows without one of the levels.
    unseen: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    embedded: bool,
}

impl Categories {
    /// Takes sorted levels, each of them once.
    pub(super) fn new(column: String, levels: Vec<String>, unseen: usize, embedded: bool) -> Self {
        Self { column, levels, unseen, embedded }
    }

    /// The name of the column in the file.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The categories, sorted; the number of one is its place.
    pub fn levels(&self) -> &[String] {
        &self.levels
    }

    /// The number of categories with the unseen one, which is the last.
    pub fn size(&self) -> usize {
        self.levels.len() + 1
    }

    /// How many training rows taught the unseen category.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// Whether the column is one feature that holds the number of the category.
    pub fn is_embedded(&self) -> bool {
        self.embedded
    }

    /// The number of features.
    pub(super) fn width(&self) -> usize {
        if self.embedded { 1 } else { self.size() }
    }

    /// The names of the features.
    pub(super) fn names(&self) -> Vec<String> {
        if self.embedded {
            return vec![self.column.clone()];
        }
        let levels = self.levels.iter().map(String::as_str).chain(["?"]);
        levels.map(|level| format!("{}={level}", self.column)).collect()
    }

    /// Whether all training rows are of one category.
    pub(super) fn is_constant(&self) -> bool {
        self.levels.len() + usize::from(self.unseen > 0) < 2
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let sorted = self.levels.windows(2).all(|pair| pair[0] < pair[1]);
        if sorted && !self.levels.is_empty() && u32::try_from(self.levels.len()).is_ok() {
            return Ok(());
        }
        Err(format!("the categories of `{}` are not sorted texts, each of them once", self.column))
    }

    /// Writes the features of a row.
    pub(super) fn write(&self, number: usize, features: &mut [f32]) {
        if self.embedded {
            features[0] = number as f32;
        } else if number < self.levels.len() || self.unseen > 0 {
            features[number] = 1.0;
        }
    }
}
