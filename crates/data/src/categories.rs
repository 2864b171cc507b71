//! Columns of text as features: which categories there are, and what becomes of one that is not among them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use wgrad_core::Result;

use super::column::{Cells, MISSING};
use super::number::number;
use super::{Column, Table};
use wgrad_core::text::count;

/// How columns of text become features; see [`Labelled`](super::Labelled) for the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub limit: usize,
    pub min_frequency: usize,
    pub embed: Vec<String>,
}

impl Default for Encoding {
    fn default() -> Self {
        Self { limit: 100, min_frequency: 2, embed: vec![] }
    }
}

/// The categories of one column, learned from the training rows.
///
/// They are numbered in sorted order; behind them comes the unseen one. It stands for every text that is no category, and
/// for a missing cell where those are filled. It is learned from the training rows whose category is too rare to be one
/// ([`Labelled::min_frequency`](super::Labelled::min_frequency)) or missing.
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
    /// The name of the column in the file.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// The categories, sorted; the number of one is its place.
    #[must_use]
    pub fn levels(&self) -> &[String] {
        &self.levels
    }

    /// The number of categories with the unseen one, which is the last.
    #[must_use]
    pub fn size(&self) -> usize {
        self.levels.len() + 1
    }

    /// How many training rows taught the unseen category.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.unseen
    }

    /// Whether the column is one feature that holds the number of the category.
    #[must_use]
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

    /// Learns the categories of some rows.
    pub(super) fn learn(table: &Table, name: &str, column: &Column, rows: &[u32], how: &Encoding) -> Result<Self> {
        let Cells::Text { codes, levels } = &column.cells else {
            return Err(table.error(format!(
                "column `{name}` holds numbers, so it has no categories to embed. Write them as text, such as `c1`, `c2`."
            )));
        };
        let mut counts = vec![0_usize; levels.len()];
        for &row in rows {
            if let Some(count) = counts.get_mut(codes[row as usize] as usize) {
                *count += 1;
            }
        }
        let distinct = counts.iter().filter(|count| **count > 0).count();
        let kept = |(_, n): &(&str, &usize)| **n >= how.min_frequency.max(1);
        let mut kept: Vec<(&str, usize)> =
            levels.iter().zip(&counts).filter(kept).map(|(text, n)| (text, *n)).collect();
        kept.sort_unstable();
        let unseen = rows.len() - kept.iter().map(|(_, n)| n).sum::<usize>();
        let rare = counts.iter().filter(|count| **count < how.min_frequency).sum::<usize>();
        let drop = format!("Drop the column with .drop_columns([\"{name}\"])");
        if kept.is_empty() || (rare * 2 > rows.len() && distinct > 20) {
            return Err(table.error(format!(
                "column `{name}` is text with {} in {}, most of which have fewer than {}, as an identifier has. {drop}, or \
                 write what its texts have in common.",
                count(distinct, "distinct value"),
                count(rows.len(), "training row"),
                count(how.min_frequency, "row"),
            )));
        }
        if kept.len() > how.limit {
            return Err(table.error(format!(
                "column `{name}` is text with {} categories, and one-hot they would be as many features; the limit is {}. \
                 {drop}, put rare ones together with .min_frequency(N) (--min-frequency N), or raise the limit with \
                 .max_categories({}) (--max-categories {}).",
                kept.len(),
                how.limit,
                kept.len(),
                kept.len(),
            )));
        }
        let levels = kept.into_iter().map(|(text, _)| text.to_string()).collect();
        let embedded = how.embed.iter().any(|other| other == name);
        Ok(Self { column: name.to_string(), levels, unseen, embedded })
    }

    /// Which category each cell of a column is.
    pub(super) fn of<'c>(&self, column: &'c Column) -> Numbering<'c> {
        let unseen = self.levels.len();
        if let Cells::Text { codes, levels } = &column.cells {
            let numbers: HashMap<&str, usize> = self.levels.iter().map(String::as_str).zip(0..).collect();
            let known = levels.iter().map(|text| numbers.get(text).copied().unwrap_or(unseen)).collect();
            return Numbering::Codes { codes, known, unseen };
        }
        // A file whose categories all look like numbers: `7` is also what `07` was, if nothing else is.
        let mut known = HashMap::new();
        for (text, at) in self.levels.iter().zip(0..) {
            if let Some(value) = number(text) {
                let exact = *text == (value + 0.0).to_string();
                let bits = (value + 0.0).to_bits();
                if exact || !known.contains_key(&bits) {
                    known.insert(bits, at);
                }
            }
        }
        Numbering::Values { known, unseen }
    }

    /// Writes the features of a row.
    #[allow(clippy::cast_precision_loss, reason = "numbers below the limit of categories")]
    pub(super) fn write(&self, number: usize, features: &mut [f32]) {
        if self.embedded {
            features[0] = number as f32;
        } else if number < self.levels.len() || self.unseen > 0 {
            features[number] = 1.0;
        }
    }
}

/// From cells to numbers of categories.
pub(super) enum Numbering<'c> {
    Codes { codes: &'c [u32], known: Vec<usize>, unseen: usize },
    Values { known: HashMap<u64, usize>, unseen: usize },
}

impl Numbering<'_> {
    /// The category of a row, whose number is given if the column holds numbers.
    pub(super) fn of(&self, row: usize, value: Option<f64>) -> usize {
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

#[cfg(test)]
#[path = "categories_tests.rs"]
mod tests;
