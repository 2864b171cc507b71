//! Errors of a report's scores.

use wgrad_core::text::count;

use super::fix::TrainFix;
use super::text::{Say, Text};

/// Error: scores (logits and labels of a set of rows) are invalid, or cannot be compared, written or read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScoresError {
    /// There are no rows.
    NoRows,
    /// There are fewer than two classes.
    Classes {
        /// Number of classes.
        classes: usize,
    },
    /// There is neither one logit per row nor one logit per row and class.
    Logits {
        /// Number of logits.
        logits: usize,
        /// Number of rows.
        rows: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A logit is infinite or NaN.
    NotFinite {
        /// Index of the row, from 0.
        row: usize,
        /// The logit.
        value: f64,
    },
    /// A label is not the number of a class.
    Label {
        /// Index of the row, from 0.
        row: usize,
        /// The label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// The scores of two models are from different rows or classes.
    OtherRows,
    /// The scores cannot be encoded.
    Encode {
        /// Message of the encoder.
        reason: String,
    },
    /// A file does not contain scores.
    NotScores {
        /// Name of the file.
        name: String,
        /// Message of the decoder.
        reason: String,
    },
}

impl Text for ScoresError {
    fn text(&self) -> String {
        match self {
            Self::NoRows => "there are no rows to evaluate".into(),
            Self::Classes { classes } => format!("scores need at least two classes, not {classes}"),
            Self::Logits { logits, rows, classes } => {
                let one = if *classes == 2 { "one or " } else { "" };
                let (logits, rows) = (count(*logits, "logit"), count(*rows, "row"));
                format!("{logits} for {rows} are not {one}{classes} per row, one for each class")
            }
            Self::NotFinite { row, value } => format!("the logit of row {row} is {value}"),
            Self::Label { row, label, classes } => {
                format!("row {row} is of class {label}, but there are {classes} classes")
            }
            Self::OtherRows => "models can be compared row by row only on the same rows of the same classes".into(),
            Self::Encode { reason } => format!("the scores cannot be written: {reason}"),
            Self::NotScores { name, reason } => format!("{name} does not hold the scores of a model: {reason}"),
        }
    }

    fn fixes(&self, say: Say<'_>) -> Vec<String> {
        match self {
            Self::NotScores { .. } => vec![say(&TrainFix::TrainAgain)],
            _ => vec![],
        }
    }
}
