//! Errors of a model's outputs and inputs.

use wgrad_core::Shape;

use super::fix::TrainFix;
use super::text::{Say, Text};

/// Error: an output or input of a model has the wrong shape, or an output is not finite.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ModelError {
    /// The number of logits per row does not fit the classes.
    Outputs {
        /// Logits per row.
        width: usize,
        /// Names of the classes.
        classes: Vec<String>,
    },
    /// The output has neither one logit per row nor one logit per row and class.
    Shape {
        /// Shape of the output.
        shape: Shape,
        /// Rows of the batch.
        rows: usize,
    },
    /// A logit is infinite or NaN.
    NotFinite {
        /// The logit.
        value: f64,
        /// Index of the row in the data set, from 0.
        row: usize,
    },
    /// The features to predict from are not a matrix.
    Features {
        /// Shape of the features.
        shape: Shape,
    },
    /// There are no rows to predict.
    NoRows,
}

impl Text for ModelError {
    fn text(&self) -> String {
        match self {
            Self::Outputs { width, classes } => format!(
                "the model gives {width} logits per row, but there are {} classes: {}",
                classes.len(),
                classes.join(", ")
            ),
            Self::Shape { shape, rows } => {
                format!("the model gives {shape} for {rows} rows, not one logit per row or class")
            }
            Self::NotFinite { value, row } => format!("the model gives {value} for row {row}"),
            Self::Features { shape } => format!("features have two axes, [rows, features], not {shape}"),
            Self::NoRows => "there are no rows to predict".into(),
        }
    }

    fn fixes(&self, say: Say<'_>) -> Vec<String> {
        match self {
            Self::Outputs { classes, .. } => vec![say(&TrainFix::Outputs { classes: classes.len() })],
            _ => vec![],
        }
    }
}
