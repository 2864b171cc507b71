//! Errors of class shares, and of the class weights and biases that are computed from them.

use wgrad_core::text::count;

use super::fix::TrainFix;
use super::text::{Say, Text, one_or};

/// Error: class shares, class weights or biases cannot be used.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PriorError {
    /// A class has no rows.
    EmptyClass {
        /// Name of the class.
        class: String,
    },
    /// There are fewer than two classes.
    TooFewClasses {
        /// Number of classes.
        classes: usize,
    },
    /// The share of a class is not a number above 0.
    Share {
        /// Number of the class, from 0.
        class: usize,
        /// The share.
        share: f64,
    },
    /// The number of weights differs from the number of classes.
    WeightCount {
        /// Number of weights.
        weights: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The weight of a class is not a number above 0.
    Weight {
        /// Number of the class, from 0.
        class: usize,
        /// The weight.
        weight: f64,
    },
    /// A `pos_weight` is used, but there are not exactly two classes.
    PosWeight {
        /// Number of classes.
        classes: usize,
    },
    /// The number of logits per row does not fit the number of classes.
    Width {
        /// Logits per row.
        width: usize,
        /// Number of classes.
        classes: usize,
    },
    /// Logits cannot be converted from one prior to another, because the priors have different numbers of classes.
    ClassCount {
        /// Number of classes of the prior with which the model was trained.
        trained: usize,
        /// Number of classes of the prior to which the logits are to be converted.
        here: usize,
    },
    /// The last layer has no bias.
    NoBias {
        /// Name of the layer's weight.
        weight: String,
    },
    /// The number of logits differs from the number of the layer's outputs.
    BiasLength {
        /// Name of the bias.
        bias: String,
        /// Number of outputs.
        outputs: usize,
        /// Number of logits.
        logits: usize,
    },
    /// A logit that is to become a bias is infinite or NaN.
    NotFinite {
        /// Number of the output, from 0.
        output: usize,
        /// The logit.
        value: f64,
    },
    /// Logits cannot be shifted, because the number of logits per row does not fit the number of classes.
    ShiftWidth {
        /// Logits per row.
        width: usize,
        /// Number of classes.
        classes: usize,
    },
}

impl Text for PriorError {
    fn text(&self) -> String {
        match self {
            Self::EmptyClass { class } => format!("no row is of class {class}, so nothing can be learned about it"),
            Self::TooFewClasses { classes } => format!("shares of at least two classes are needed, not of {classes}"),
            Self::Share { class, share } => format!("the share of class {class} is {share}; it must be above 0"),
            Self::WeightCount { weights, classes } => {
                format!("{} for {classes} classes: one weight per class is needed", count(*weights, "weight"))
            }
            Self::Weight { class, weight } => format!("the weight of class {class} is {weight}; it must be above 0"),
            Self::PosWeight { classes } => format!("pos_weight is for two classes, and here are {classes}"),
            Self::Width { width, classes } => {
                format!("a model of {classes} classes gives {}{classes} logits per row, not {width}", one_or(*classes))
            }
            Self::ClassCount { trained, here } => {
                format!("the model was trained on {trained} classes, and here are {here}")
            }
            Self::NoBias { weight } => {
                format!("`{weight}` belongs to a layer without bias, which cannot begin with shares of classes")
            }
            Self::BiasLength { bias, outputs, logits } => {
                format!("`{bias}` takes {}, one for each output, not {logits}", count(*outputs, "logit"))
            }
            Self::NotFinite { output, value } => format!("logit {output} is {value}; a bias must be finite"),
            Self::ShiftWidth { width, classes } => {
                format!("logits of {classes} classes have {}{classes} numbers per row, not {width}", one_or(*classes))
            }
        }
    }

    fn fixes(&self, say: Say<'_>) -> Vec<String> {
        match self {
            Self::EmptyClass { .. } => vec![say(&TrainFix::SplitByClass), say(&TrainFix::LeaveClassOut)],
            Self::PosWeight { .. } => vec![say(&TrainFix::ClassWeights)],
            Self::NoBias { .. } => vec![say(&TrainFix::LayerWithBias)],
            _ => vec![],
        }
    }
}
