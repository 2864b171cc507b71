//! Categories of text columns, and their encoding as features.

use serde::{Deserialize, Serialize};

/// Categories of one column, learned from the training rows.
///
/// Categories are numbered in sorted order. They are followed by the unseen category, to which all other texts
/// belong, and also missing cells if missing cells are filled. The training rows of the unseen category are those
/// whose text is missing or rarer than [`Labelled::min_frequency`](crate::Labelled::min_frequency).
///
/// By default categories are encoded one-hot: each category is a feature with the values 0 and 1, and so is the
/// unseen category. If no training row belongs to the unseen category, its feature always stays 0, since a model's
/// weights for it are untrained. An embedded column is encoded as one feature, the category number, for an
/// `Embedding` layer with [`Self::size`] rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categories {
    column: String,
    levels: Vec<String>,
    /// The number of training rows in the unseen category.
    unseen: usize,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    embedded: bool,
}

impl Categories {
    /// Creates the categories from sorted, distinct texts.
    pub(super) fn new(column: String, levels: Vec<String>, unseen: usize, embedded: bool) -> Self {
        Self { column, levels, unseen, embedded }
    }

    /// Returns the name of the column in the file.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Returns the categories in sorted order; the index of a category is its number.
    pub fn levels(&self) -> &[String] {
        &self.levels
    }

    /// Returns the number of categories including the unseen category, which is the last one.
    pub fn size(&self) -> usize {
        self.levels.len() + 1
    }

    /// Returns the number of training rows in the unseen category.
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// Returns whether the column is encoded as a single feature, the category number.
    pub fn is_embedded(&self) -> bool {
        self.embedded
    }

    /// Returns the number of features into which the column is encoded.
    pub(super) fn width(&self) -> usize {
        if self.embedded { 1 } else { self.size() }
    }

    /// Returns the names of the features into which the column is encoded.
    pub(super) fn names(&self) -> Vec<String> {
        if self.embedded {
            return vec![self.column.clone()];
        }
        let levels = self.levels.iter().map(String::as_str).chain(["?"]);
        levels.map(|level| format!("{}={level}", self.column)).collect()
    }

    /// Returns whether all training rows belong to the same category.
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

    /// Writes the features of a row whose category is `number`; the caller must have set all of `features` to 0.
    pub(super) fn write(&self, number: usize, features: &mut [f32]) {
        if self.embedded {
            features[0] = number as f32;
        } else if number < self.levels.len() || self.unseen > 0 {
            features[number] = 1.0;
        }
    }
}
