//! Categories of columns of text, and their encoding as features.

use serde::{Deserialize, Serialize};

/// Categories of one column, learned from the training rows.
///
/// Categories are numbered in sorted order, and followed by the unseen category. The unseen category replaces every
/// other text, and missing cells where those are filled. Its training rows are those whose text is rarer than
/// [`Labelled::min_frequency`](crate::Labelled::min_frequency) or missing.
///
/// By default categories are encoded one-hot: a feature of 0 and 1 per category, and one for the unseen category.
/// If no training row belongs to the unseen category, its feature stays 0 as well, since its weights are untrained.
/// An embedded column is one feature that holds the category number, for an `Embedding` of [`Self::size`] rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categories {
    column: String,
    levels: Vec<String>,
    /// The number of training rows of the unseen category.
    unseen: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    embedded: bool,
}

impl Categories {
    /// Makes categories of sorted, distinct levels.
    pub(super) fn new(column: String, levels: Vec<String>, unseen: usize, embedded: bool) -> Self {
        Self { column, levels, unseen, embedded }
    }

    /// Returns the name of the column in the file.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Returns the categories, sorted; the number of a category is its index.
    pub fn levels(&self) -> &[String] {
        &self.levels
    }

    /// Returns the number of categories including the unseen one, which is the last.
    pub fn size(&self) -> usize {
        self.levels.len() + 1
    }

    /// Returns the number of training rows of the unseen category.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// Returns whether the column is encoded as one feature that holds the category number.
    pub fn is_embedded(&self) -> bool {
        self.embedded
    }

    /// Returns the number of features.
    pub(super) fn width(&self) -> usize {
        if self.embedded { 1 } else { self.size() }
    }

    /// Returns the names of the features.
    pub(super) fn names(&self) -> Vec<String> {
        if self.embedded {
            return vec![self.column.clone()];
        }
        let levels = self.levels.iter().map(String::as_str).chain(["?"]);
        levels.map(|level| format!("{}={level}", self.column)).collect()
    }

    /// Returns whether all training rows are of one category.
    pub(super) fn is_constant(&self) -> bool {
        self.levels.len() + usize::from(self.unseen > 0) < 2
    }

    /// Checks that categories read from a file are sorted and distinct.
    pub(super) fn check(&self) -> Result<(), String> {
        let sorted = self.levels.windows(2).all(|pair| pair[0] < pair[1]);
        if sorted && !self.levels.is_empty() && u32::try_from(self.levels.len()).is_ok() {
            return Ok(());
        }
        Err(format!("the categories of `{}` are not sorted texts, each of them once", self.column))
    }

    /// Writes the features of a row; they must be 0 before.
    pub(super) fn write(&self, number: usize, features: &mut [f32]) {
        if self.embedded {
            features[0] = number as f32;
        } else if number < self.levels.len() || self.unseen > 0 {
            features[number] = 1.0;
        }
    }
}
