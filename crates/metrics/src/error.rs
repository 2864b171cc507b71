//! Errors of this crate: their fields contain the facts, and this module writes the messages.

use std::fmt;

use wgrad_core::text::count;

use crate::{Calibrate, Costs};

/// Any error of this crate, as stored in [`wgrad_core::Error::Other`].
///
/// ```
/// use wgrad_metrics::{MetricError, accuracy};
/// let error = accuracy(&[0], &[0, 1]).unwrap_err();
/// assert_eq!(error.facts(), Some(&MetricError::Lengths { predictions: 1, width: 1, rows: 2 }));
/// assert_eq!(error.to_string(), "one prediction per row is needed, not 1 for 2 rows");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetricError {
    /// There are no rows.
    NoRows,
    /// The number of predictions does not fit the number of labels.
    Lengths {
        /// The number of predictions.
        predictions: usize,
        /// The number of predictions that each row needs.
        width: usize,
        /// The number of labels.
        rows: usize,
    },
    /// A score is NaN.
    NanScore {
        /// The index of the row.
        row: usize,
    },
    /// A number that should be a probability is not between 0 and 1.
    Probability {
        /// The index of the row.
        row: usize,
        /// The number.
        value: f64,
    },
    /// A logit is infinite.
    Logit {
        /// The index of the row.
        row: usize,
        /// The logit.
        value: f64,
    },
    /// A predicted or true value of a regression is not finite.
    RegressionValue {
        /// True for a prediction, false for a true value.
        predicted: bool,
        /// The index of the row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A label is not below the number of classes.
    Class {
        /// The index of the row.
        row: usize,
        /// The class number.
        class: u32,
        /// The number of classes.
        classes: usize,
    },
    /// A predicted class is not below the number of classes.
    PredictedClass {
        /// The index of the row.
        row: usize,
        /// The class number.
        class: u32,
        /// The number of classes.
        classes: usize,
    },
    /// A label is neither 0 nor 1, but the metric is for two classes.
    NotBinary {
        /// The index of the row.
        row: usize,
        /// The class number.
        class: u32,
    },
    /// A report on two classes needs two class names, but the number of names is different.
    ClassNames {
        /// The number of names.
        names: usize,
    },
    /// An ROC curve was requested for rows that are all of the same class.
    RocOfOneClass {
        /// The class of all rows.
        class: u32,
    },
    /// A precision-recall curve was requested without a positive row.
    PrWithoutPositive,
    /// A class to be compared with the rest has no rows, or has all rows.
    OneVersusRest {
        /// The class.
        class: usize,
        /// True if every row is of the class, false if none is.
        all: bool,
    },
    /// Recall was requested without a positive row.
    NoPositive,
    /// A false positive rate was requested without a negative row.
    NoNegative,
    /// The `k` of a top-k accuracy is 0 or above the number of classes.
    TopK {
        /// The value of `k`.
        k: usize,
        /// The number of classes.
        classes: usize,
    },
    /// The number of bins of a reliability diagram is 0.
    NoBins,
    /// A bootstrap was requested with no rows or no draws.
    EmptyBootstrap {
        /// The number of rows.
        rows: usize,
        /// The number of draws.
        draws: usize,
    },
    /// The confidence level is not between 0 and 1.
    Confidence {
        /// The confidence level.
        confidence: f64,
    },
    /// The metric is undefined for more than half of the draws.
    UndefinedDraws {
        /// The number of draws for which the metric is defined.
        defined: usize,
        /// The number of draws.
        draws: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A calibration cannot be fitted to rows that are all of the same class.
    CalibrationOfOneClass {
        /// The class of all rows.
        class: u32,
    },
    /// The log loss of a calibration has no minimum.
    NoMinimum {
        /// The parameter for which there is no minimum.
        parameter: CalibrationParameter,
    },
    /// A Platt calibration reverses the order of the logits.
    ReversedOrder {
        /// The slope.
        slope: f64,
    },
    /// A calibration that was read from a file has invalid numbers.
    InvalidCalibration,
    /// A text is not the name of a variant of [`Calibrate`].
    UnknownCalibration {
        /// The text.
        text: String,
    },
    /// A calibration for two classes was requested for more classes.
    BinaryCalibration {
        /// The requested calibration.
        calibrate: Calibrate,
        /// The number of classes.
        classes: usize,
    },
    /// The number of logits does not fit the number of independent labels.
    LabelWidth {
        /// The number of logits.
        logits: usize,
        /// The number of labels per row.
        labels: usize,
    },
    /// A threshold that was read from a file is not finite.
    Threshold {
        /// The threshold.
        threshold: f64,
    },
    /// A text does not describe a [`Rule`](crate::Rule).
    InvalidRule {
        /// The text.
        text: String,
        /// The reason why the text is invalid.
        reason: RuleError,
    },
    /// The β of an F-beta score is not positive.
    Beta {
        /// The value of β.
        beta: f64,
    },
    /// The precision that a threshold should reach is not between 0 and 1.
    Precision {
        /// The requested precision.
        precision: f64,
    },
    /// The maximum false positive rate that a threshold may have is not between 0 and 1.
    FalsePositiveRate {
        /// The requested maximum.
        rate: f64,
    },
    /// No threshold reaches the requested precision.
    Unreachable {
        /// The requested precision.
        precision: f64,
        /// The highest precision that any threshold reaches.
        highest: f64,
    },
    /// A cost is not finite.
    InvalidCosts {
        /// The costs.
        costs: Costs,
    },
}

/// Fitted parameter of a calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalibrationParameter {
    /// The temperature of [`Calibration::Temperature`](crate::Calibration::Temperature).
    Temperature,
    /// The slope of [`Calibration::Platt`](crate::Calibration::Platt).
    Slope,
}

/// Reason why a text does not describe a [`Rule`](crate::Rule).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// The text has none of the known forms.
    Unknown,
    /// The β of the F-beta score is not positive.
    Beta,
    /// The precision is not between 0 and 1.
    Precision,
    /// The false positive rate is not between 0 and 1.
    FalsePositiveRate,
    /// The probability is not between 0 and 1.
    Probability,
    /// The number of costs is neither two nor four, or a cost is not a number.
    CostCount,
    /// A mistake costs less than the corresponding correct decision.
    CostOrder,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "it has none of the known forms",
            Self::Beta => "the number after f must be above 0",
            Self::Precision => "a precision must be between 0 and 1",
            Self::FalsePositiveRate => "a fraction of negative rows must be between 0 and 1",
            Self::Probability => "a probability must be above 0 and below 1",
            Self::CostCount => "two costs are needed, of a false positive and of a false negative",
            Self::CostOrder => "a mistake cannot cost less than being right",
        })
    }
}

impl fmt::Display for MetricError {
    #[allow(clippy::too_many_lines, reason = "an arm per variant")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRows => f.write_str("there are no rows to judge"),
            Self::Lengths { predictions, width: 1, rows } => {
                write!(f, "one prediction per row is needed, not {predictions} for {}", count(*rows, "row"))
            }
            Self::Lengths { predictions, width, rows } => write!(
                f,
                "{width} predictions per row are needed, one for each class, not {predictions} for {}",
                count(*rows, "row")
            ),
            Self::NanScore { row } => write!(
                f,
                "the score of row {row} is NaN: training may have diverged, or an input was not finite. Try a smaller \
                 learning rate."
            ),
            Self::Probability { row, value } => write!(
                f,
                "{value} in row {row} is no probability. Logits need a sigmoid (two classes) or a softmax first."
            ),
            Self::Logit { row, value } => write!(f, "the logit of row {row} is {value}"),
            Self::RegressionValue { predicted, row, value } => {
                let what = if *predicted { "prediction" } else { "true number" };
                write!(f, "the {what} of row {row} is {value}")
            }
            Self::Class { row, class, classes } => {
                write!(f, "row {row} is of class {class}, but there are {classes} classes, numbered from 0")
            }
            Self::PredictedClass { row, class, classes } => write!(
                f,
                "among the predictions, row {row} is of class {class}, but there are {classes} classes, numbered from 0"
            ),
            Self::NotBinary { row, class } => write!(
                f,
                "row {row} is of class {class}, but this metric is for the classes 0 and 1. For more classes there \
                 are roc_auc_ovr_macro and pr_auc_ovr_macro."
            ),
            Self::ClassNames { names } => {
                write!(f, "a binary report needs the names of 2 classes, not of {names}")
            }
            Self::RocOfOneClass { class } => {
                write!(f, "the ROC curve needs rows of both classes, but every row is of class {class}")
            }
            Self::PrWithoutPositive => {
                f.write_str("the precision-recall curve needs a positive row, but every row is of class 0")
            }
            Self::OneVersusRest { class, all } => {
                let rows = if *all { "every row is" } else { "no row is" };
                write!(f, "one class against the rest needs rows of both, but {rows} of class {class}")
            }
            Self::NoPositive => f.write_str("recall needs a positive row, but every row is negative"),
            Self::NoNegative => f.write_str("a false positive rate needs a negative row, but every row is positive"),
            Self::TopK { k, classes } => write!(f, "k must be between 1 and the {classes} classes, not {k}"),
            Self::NoBins => f.write_str("a reliability diagram needs at least one bin; 10 are usual"),
            Self::EmptyBootstrap { rows, draws } => {
                write!(f, "an interval needs rows and draws, not {rows} rows and {draws} draws")
            }
            Self::Confidence { confidence } => {
                write!(f, "the confidence must be between 0 and 1, such as 0.95, not {confidence}")
            }
            Self::UndefinedDraws { defined, draws, rows } => write!(
                f,
                "the metric is defined for only {defined} of {draws} draws from {}; use more rows",
                count(*rows, "row")
            ),
            Self::CalibrationOfOneClass { class } => {
                write!(f, "calibration needs rows of both classes, but every row is of class {class}")
            }
            Self::NoMinimum { parameter } => {
                let parameter = match parameter {
                    CalibrationParameter::Temperature => "temperature",
                    CalibrationParameter::Slope => "slope",
                };
                write!(
                    f,
                    "no {parameter} is best for these rows: the logits separate them without a mistake, or carry \
                     no information\n  fix: calibrate on more rows, which the model was not trained on"
                )
            }
            Self::ReversedOrder { slope } => write!(
                f,
                "the calibration reverses the order of the logits (its slope is {slope}): the model is worse than \
                 chance on these rows\n  fix: train longer, or calibrate on more rows"
            ),
            Self::InvalidCalibration => f.write_str("the numbers of the calibration are invalid"),
            Self::UnknownCalibration { text } => {
                write!(f, "`{text}` is no calibration: none, temperature, platt or isotonic")
            }
            Self::BinaryCalibration { calibrate, classes } => write!(
                f,
                "{calibrate} calibration is for two classes, and here are {classes}\n  fix: use temperature or none"
            ),
            Self::LabelWidth { logits, labels } => write!(f, "{logits} logits cannot be rows of {labels} labels"),
            Self::Threshold { threshold } => write!(f, "the threshold must be a number, not {threshold}"),
            Self::InvalidRule { text, reason } => write!(
                f,
                "`{text}` is no rule for a threshold: {reason}\n  fix: f1, f2, precision=0.9, fpr=5/1000, cost=1:10 (a \
                 false positive costs 1, a false negative 10), or a probability such as 0.3"
            ),
            Self::Beta { beta } => {
                write!(f, "beta must be a number above 0, not {beta}; 1 weighs recall as precision")
            }
            Self::Precision { precision } => write!(f, "the precision must be between 0 and 1, not {precision}"),
            Self::FalsePositiveRate { rate } => {
                write!(f, "the rate of false positives must be between 0 and 1, not {rate}")
            }
            Self::Unreachable { precision, highest } => {
                write!(f, "no threshold has a precision of {precision}; the highest is {highest:.4}")
            }
            Self::InvalidCosts { costs } => write!(f, "costs must be numbers: {costs:?}"),
        }
    }
}

impl std::error::Error for MetricError {}

impl From<MetricError> for wgrad_core::Error {
    fn from(error: MetricError) -> Self {
        Self::Other(Box::new(error))
    }
}
