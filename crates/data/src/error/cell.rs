//! Errors of single cells.

use wgrad_core::text::{count, did_you_mean, list};

use super::{Fix, Say};

/// Problem of a cell, for [`DataError::Cell`](super::DataError::Cell).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CellError {
    /// A feature is missing, and preprocessing has no value to fill in.
    Missing,
    /// The group or the time by which rows are split is missing.
    MissingKey,
    /// A text in a column that is otherwise numbers.
    NotANumber {
        /// The text.
        text: String,
        /// The number of other such cells in the column.
        others: usize,
    },
    /// A time by which rows are split that cannot be read as one.
    NotATime {
        /// The text.
        text: String,
    },
    /// An infinite feature.
    Infinite,
    /// A feature that no 32-bit float can hold.
    TooLarge {
        /// The feature.
        value: f64,
    },
    /// A feature that no 32-bit float can hold after standardisation.
    TooLargeStandardised {
        /// The feature before standardisation.
        value: f64,
        /// The standard deviation of the training rows.
        std: f64,
    },
    /// An infinite label.
    InfiniteLabel,
    /// A label that is none of the classes.
    UnknownClass {
        /// The label.
        label: String,
        /// The classes.
        classes: Vec<String>,
    },
}

impl CellError {
    pub(super) fn message(&self, column: &str, say: Say<'_>) -> String {
        match self {
            Self::Missing => format!(
                "the cell is missing, and no value to fill in was learned. Complete it, or train with {}.",
                say(&Fix::FillMean)
            ),
            Self::MissingKey => {
                "the cell is missing, so there is no telling where the row belongs. Complete it.".into()
            }
            Self::NotANumber { text, others } => format!(
                "`{text}` is not a number, but most of the column is{}. Correct the cell, empty it if the value is \
                 unknown, or drop the column with {}.",
                if *others == 0 { String::new() } else { format!(" ({} like it)", count(*others, "more cell")) },
                say(&Fix::DropColumns(vec![column.to_string()]))
            ),
            Self::NotATime { text } => format!(
                "`{text}` is no time: a number is needed, or a date with the year first, such as 2024-01-31 or \
                 2024-01-31T10:30:00"
            ),
            Self::Infinite => "the value is infinite. Correct the cell, or empty it if the value is unknown.".into(),
            Self::TooLarge { value } => {
                format!("{value:e} is beyond the range of 32-bit floats. Use a larger unit.")
            }
            Self::TooLargeStandardised { value, std } => format!(
                "{value:e} is beyond the range of 32-bit floats once standardised: the training rows spread by \
                 {std:e} only. Correct the cell."
            ),
            Self::InfiniteLabel => "a label cannot be infinite.".into(),
            Self::UnknownClass { label, classes } => {
                format!("`{label}` is none of the classes {}.{}", list(classes), did_you_mean(label, classes))
            }
        }
    }
}
