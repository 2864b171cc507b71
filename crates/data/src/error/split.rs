//! Errors of splits and folds.

use wgrad_core::text::count;

/// Problem with a [`Split`](crate::Split), a [`KFold`](crate::KFold) or their settings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SplitError {
    /// A fraction of rows is not between 0 and 1.
    Fraction {
        /// The part of the split that the fraction is for.
        part: SplitPart,
        /// The fraction.
        fraction: f64,
    },
    /// The fractions leave no rows for training.
    NoTrainingRows {
        /// The fraction of test rows.
        test: f64,
        /// The fraction of validation rows.
        validation: f64,
    },
    /// There are too few rows, so a part would be empty.
    EmptyPart,
    /// No class has two rows, so no class can be split.
    NoClassOfTwo,
    /// There are too few groups to put at least one into each part of the split.
    TooFewGroups {
        /// The column of the groups.
        column: String,
    },
    /// Fewer than two folds are requested.
    FoldCount {
        /// The number of folds.
        folds: usize,
    },
    /// There are more folds than rows or groups.
    TooManyFolds {
        /// The number of rows or groups that are available.
        available: usize,
        /// The unit, a row or a group, of which each fold needs at least one.
        unit: FoldUnit,
        /// The number of folds.
        folds: usize,
    },
    /// Folds by group are requested, but there is not exactly one group per row.
    NoGroups {
        /// The column of the groups.
        column: String,
    },
}

/// Part of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitPart {
    /// Training rows.
    Train,
    /// Validation rows.
    Validation,
    /// Test rows.
    Test,
}

/// Unit that is distributed over folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldUnit {
    /// Rows.
    Row,
    /// Rows of the most frequent class.
    RowOfMostFrequentClass,
    /// Groups of rows.
    Group,
}

impl SplitError {
    pub(super) fn message(&self) -> String {
        match self {
            Self::Fraction { part, fraction } => {
                let part = match part {
                    SplitPart::Train => "train",
                    SplitPart::Validation => "validate",
                    SplitPart::Test => "test",
                };
                format!("the fraction of rows to {part} on must lie between 0 and 1; it is {fraction}")
            }
            Self::NoTrainingRows { test, validation } => format!(
                "the fractions of rows to test on, {test}, and to validate on, {validation}, leave none to train on"
            ),
            Self::EmptyPart => "there are too few rows to split: a part would be empty. Add rows.".into(),
            Self::NoClassOfTwo => {
                "there are too few rows to split: no class has two, one to train and one to test. Add rows.".into()
            }
            Self::TooFewGroups { column } => format!(
                "column `{column}` has too few groups to split: each part needs one. Add groups, or leave out a part."
            ),
            Self::FoldCount { folds } => format!("a cross-validation needs at least 2 folds, not {folds}"),
            Self::TooManyFolds { available, unit, folds } => {
                let units = match unit {
                    FoldUnit::Row => count(*available, "row"),
                    FoldUnit::RowOfMostFrequentClass => {
                        format!("{} of the most frequent class", count(*available, "row"))
                    }
                    FoldUnit::Group => count(*available, "group"),
                };
                format!("{units} cannot be put into {folds} folds: make fewer folds")
            }
            Self::NoGroups { column } => {
                format!("the folds are by the groups of `{column}`, and each row needs one")
            }
        }
    }
}
