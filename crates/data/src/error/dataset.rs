//! Errors of datasets.

use wgrad_core::Shape;
use wgrad_core::text::count;

/// Problem with the features or labels of a [`Dataset`](crate::Dataset).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DatasetError {
    /// There are no rows or no features.
    Empty,
    /// The number of values is not rows × features, or there are more rows than a `u32` can count.
    Size {
        /// The number of values.
        values: usize,
        /// The number of rows.
        rows: usize,
        /// The number of features.
        features: usize,
    },
    /// The new features have a different shape than the dataset's features.
    FeatureShape {
        /// The shape of the new features.
        shape: Shape,
        /// The number of rows of the dataset.
        rows: usize,
    },
    /// There is not exactly one label per row.
    LabelShape {
        /// The shape of the features.
        x: Shape,
        /// The shape of the labels.
        y: Shape,
    },
    /// A feature is not finite.
    Feature {
        /// The index of the row.
        row: usize,
        /// The name of the feature.
        feature: String,
        /// The value.
        value: f32,
    },
    /// A label is not finite.
    Label {
        /// The index of the row.
        row: usize,
        /// The label.
        label: f64,
    },
    /// A class number is not below the number of classes.
    Class {
        /// The index of the row.
        row: usize,
        /// The class number.
        class: u32,
        /// The number of classes.
        classes: usize,
    },
    /// The labels look like a quantity instead of classes.
    Quantity {
        /// The number of distinct labels.
        distinct: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A requested row does not exist.
    NoRow {
        /// The index of the requested row.
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
