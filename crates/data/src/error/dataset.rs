//! Errors of datasets.

use wgrad_core::Shape;
use wgrad_core::text::count;

/// Problem of the features or labels of a [`Dataset`](crate::Dataset).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DatasetError {
    /// No row or no feature.
    Empty,
    /// A number of values that is not rows times features, or more rows than a row number can count.
    Size {
        /// The number of values.
        values: usize,
        /// The number of rows.
        rows: usize,
        /// The number of features.
        features: usize,
    },
    /// New features of another shape.
    FeatureShape {
        /// The shape.
        shape: Shape,
        /// The number of rows of the dataset.
        rows: usize,
    },
    /// Labels that are not one per row.
    LabelShape {
        /// The shape of the features.
        x: Shape,
        /// The shape of the labels.
        y: Shape,
    },
    /// A feature that is not finite.
    Feature {
        /// The row.
        row: usize,
        /// The name of the feature.
        feature: String,
        /// The value.
        value: f32,
    },
    /// A label that is not finite.
    Label {
        /// The row.
        row: usize,
        /// The label.
        label: f64,
    },
    /// A class number that is too large.
    Class {
        /// The row.
        row: usize,
        /// The class number.
        class: u32,
        /// The number of classes.
        classes: usize,
    },
    /// Labels that look like a quantity.
    Quantity {
        /// The number of distinct labels.
        distinct: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A row number that is too large.
    NoRow {
        /// The row.
        row: u32,
        /// The number of rows of the dataset.
        rows: usize,
    },
}

impl DatasetError {
    pub(super) fn message(&self) -> String {
        match self {
            Self::Empty => "a dataset needs at least one row and one feature".into(),
            Self::Size { values, rows, features } => format!(
                "{} cannot be {} with {} each",
                count(*values, "value"),
                count(*rows, "row"),
                count(*features, "feature")
            ),
            Self::FeatureShape { shape, rows } => format!("features of shape {shape} for {}", count(*rows, "row")),
            Self::LabelShape { x, y } => {
                format!("x of shape {x} needs a label per row of its first axis, and y has shape {y}")
            }
            Self::Feature { row, feature, value } => format!("row {row}, feature `{feature}`: {value} is not finite"),
            Self::Label { row, label } => format!("the label of row {row} is {label}: labels must be finite"),
            Self::Class { row, class, classes } => {
                let classes = if *classes == 1 { "1 class".to_string() } else { format!("{classes} classes") };
                format!("row {row} is of class {class}, but there are {classes}, numbered from 0")
            }
            Self::Quantity { distinct, rows } => format!(
                "y has {} in {}, which looks like a quantity, but labels must be classes",
                count(*distinct, "distinct value"),
                count(*rows, "row")
            ),
            Self::NoRow { row, rows } => format!("there is no row {row}: the dataset has {}", count(*rows, "row")),
        }
    }
}
