//! Errors of single cells.

use wgrad_core::text::{count, did_you_mean, list};

use super::{DataFix, Say};

/// Problem with a cell, for [`DataError::Cell`](super::DataError::Cell).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CellError {
    /// A feature is missing, and the preprocessing has no value to fill in.
    Missing,
    /// Rows are split by group or by time, but the group or the time of this row is missing.
    MissingKey,
    /// The cell contains text, but its column otherwise contains numbers.
    NotANumber {
        /// The text.
        text: String,
        /// The number of other cells with text in the column.
        others: usize,
    },
    /// Rows are split by time, but this cell cannot be read as a time.
    NotATime {
        /// The text.
        text: String,
    },
    /// The feature is infinite.
    Infinite,
    /// The feature is too large for a 32-bit float.
    TooLarge {
        /// The value of the feature.
        value: f64,
    },
    /// After standardisation, the feature is too large for a 32-bit float.
    TooLargeStandardised {
        /// The feature before standardisation.
        value: f64,
        /// The standard deviation of the feature over the training rows.
        std: f64,
    },
    /// The label is infinite.
    InfiniteLabel,
    /// The label is not one of the classes.
    UnknownClass {
        /// The label.
        label: String,
        /// The names of the classes.
        classes: Vec<String>,
    },
}

impl CellError {
    pub(super) fn message(&self, column: &str, say: Say<'_>) -> String {
        match self {
            Self::Missing => format!(
                "the cell is missing, and no value to fill in was learned. Complete it, or train with {}.",
                say(&DataFix::FillMean)
            ),
            Self::MissingKey => "the cell is missing, so the row cannot be assigned to a part. Complete it.".into(),
            Self::NotANumber { text, others } => format!(
                "`{text}` is not a number, but most of the column is{}. Correct the cell, empty it if the value is \
                 unknown, or drop the column with {}.",
                if *others == 0 { String::new() } else { format!(" ({} like it)", count(*others, "more cell")) },
                say(&DataFix::DropColumns(vec![column.to_string()]))
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
