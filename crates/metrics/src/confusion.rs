//! Confusion matrix and accuracy.

use std::fmt;

use serde::{Deserialize, Serialize};
use wgrad_core::Result;

use super::{MetricError, check};

/// Computes the fraction of rows whose prediction is correct.
///
/// ```
/// use wgrad_metrics::accuracy;
/// assert_eq!(accuracy(&[0, 1, 1, 0], &[0, 1, 0, 0])?, 0.75);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When there are no rows, or the number of predictions is not the number of labels.
pub fn accuracy(predicted: &[u32], labels: &[u32]) -> Result<f64> {
    check::lengths(predicted.len(), 1, labels.len())?;
    let right = predicted.iter().zip(labels).filter(|(predicted, label)| predicted == label).count();
    Ok(right as f64 / labels.len() as f64)
}

/// Confusion matrix: the number of rows for each pair of a true and a predicted class.
///
/// The ratios of a class are computed from its true positives `tp`, false positives `fp` and false negatives `fn`:
/// `precision = tp / (tp + fp)`, `recall = tp / (tp + fn)`, `f1 = 2 tp / (2 tp + fp + fn)`. A ratio is 0 if its
/// denominator is 0 (scikit-learn's `zero_division=0`) or the class does not exist.
///
/// ```
/// use wgrad_metrics::ConfusionMatrix;
/// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], &["benign", "malignant"])?;
/// assert_eq!(matrix.count(0, 1), 1);
/// assert_eq!((matrix.precision(1), matrix.recall(1), matrix.f1(1)), (2.0 / 3.0, 1.0, 0.8));
/// assert_eq!(matrix.to_string(), "
/// truth \\ predicted  benign  malignant
/// benign                  1          1
/// malignant               0          2".trim_start());
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct ConfusionMatrix {
    classes: Vec<String>,
    /// One row per true class, one column per predicted class.
    counts: Vec<Vec<u64>>,
}

/// Confusion matrix read from a file, before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    classes: Vec<String>,
    counts: Vec<Vec<u64>>,
}

impl TryFrom<Unchecked> for ConfusionMatrix {
    type Error = String;

    fn try_from(Unchecked { classes, counts }: Unchecked) -> Result<Self, String> {
        let n = classes.len();
        if counts.len() != n || counts.iter().any(|row| row.len() != n) {
            return Err(format!("a confusion matrix of {n} classes needs {n} rows of {n} counts"));
        }
        Ok(Self { classes, counts })
    }
}

impl ConfusionMatrix {
    /// Counts rows by their labels and predictions.
    ///
    /// # Errors
    /// When there are no rows, the number of predictions is not the number of labels, or a class number has no
    /// name.
    pub fn new<S: AsRef<str>>(predicted: &[u32], labels: &[u32], classes: &[S]) -> Result<Self> {
        check::lengths(predicted.len(), 1, labels.len())?;
        check::classes(labels, classes.len())?;
        check::classes(predicted, classes.len()).map_err(|error| match error {
            MetricError::Class { row, class, classes } => MetricError::PredictedClass { row, class, classes },
            other => other,
        })?;
        let mut counts = vec![vec![0; classes.len()]; classes.len()];
        for (&predicted, &label) in predicted.iter().zip(labels) {
            counts[label as usize][predicted as usize] += 1;
        }
        Ok(Self { classes: classes.iter().map(|class| class.as_ref().to_string()).collect(), counts })
    }

    /// Returns the names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Returns the number of rows of class `truth` that are predicted as class `predicted`; 0 for classes that do
    /// not exist.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts.get(truth).and_then(|row| row.get(predicted)).copied().unwrap_or(0)
    }

    /// Returns all counts: one row per true class, one column per predicted class.
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// Returns the number of rows that were counted: the sum of all counts.
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Returns the fraction of rows that are predicted correctly.
    pub fn accuracy(&self) -> f64 {
        ratio((0..self.classes.len()).map(|class| self.count(class, class)).sum(), self.total())
    }

    /// Returns the precision of a class: the fraction of correct predictions among the rows predicted as this
    /// class.
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.count(class, class), self.predicted(class))
    }

    /// Returns the recall of a class: the fraction of its rows that are predicted as this class.
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.count(class, class), self.truth(class))
    }

    /// Returns the F1 score of a class: the harmonic mean of precision and recall.
    pub fn f1(&self, class: usize) -> f64 {
        ratio(2 * self.count(class, class), self.predicted(class) + self.truth(class))
    }

    /// Returns the number of rows of a class.
    pub(super) fn truth(&self, class: usize) -> u64 {
        self.counts.get(class).map_or(0, |row| row.iter().sum())
    }

    /// Returns the number of rows that are predicted as a class.
    pub(super) fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row.get(class).copied().unwrap_or(0)).sum()
    }
}

/// Returns `numerator / denominator`, or 0 if the denominator is 0.
fn ratio(numerator: u64, denominator: u64) -> f64 {
    if denominator == 0 { 0.0 } else { numerator as f64 / denominator as f64 }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CORNER: &str = "truth \\ predicted";
        let letters = |text: &str| text.chars().count();
        let first = self.classes.iter().map(|class| letters(class)).chain([letters(CORNER)]).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.classes.len())
            .map(|class| {
                let digits = self.counts.iter().map(|row| row[class].to_string().len()).max().unwrap_or(0);
                digits.max(letters(&self.classes[class]))
            })
            .collect();
        write!(f, "{CORNER:first$}")?;
        for (class, &width) in self.classes.iter().zip(&widths) {
            write!(f, "  {class:>width$}")?;
        }
        for (class, row) in self.classes.iter().zip(&self.counts) {
            write!(f, "\n{class:first$}")?;
            for (count, &width) in row.iter().zip(&widths) {
                write!(f, "  {count:>width$}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_with_a_zero_denominator_are_zero() {
        // Class 2 is never predicted, and class 3 occurs neither in labels nor in predictions.
        let matrix = ConfusionMatrix::new(&[0, 1, 0], &[0, 1, 2], &["a", "b", "c", "d"]).unwrap();
        assert_eq!((matrix.precision(2), matrix.recall(2), matrix.f1(2)), (0.0, 0.0, 0.0));
        assert_eq!((matrix.precision(3), matrix.recall(3), matrix.f1(3)), (0.0, 0.0, 0.0));
        assert_eq!((matrix.precision(9), matrix.count(9, 9)), (0.0, 0));
    }

    #[test]
    fn the_table_is_as_wide_as_its_names_and_counts() {
        let predicted = vec![1; 12_345];
        let matrix = ConfusionMatrix::new(&predicted, &predicted, &["a very long class name", "é"]).unwrap();
        assert_eq!(
            matrix.to_string(),
            "truth \\ predicted       a very long class name      é\n\
             a very long class name                       0      0\n\
             é                                            0  12345"
        );
    }

    #[test]
    fn inputs_that_do_not_fit_are_errors() {
        let message = |predicted: &[u32], labels: &[u32]| {
            ConfusionMatrix::new(predicted, labels, &["a", "b"]).unwrap_err().to_string()
        };
        assert_eq!(message(&[], &[]), "there are no rows to judge");
        assert_eq!(message(&[0], &[0, 1]), "one prediction per row is needed, not 1 for 2 rows");
        assert_eq!(message(&[0, 0], &[0, 2]), "row 1 is of class 2, but there are 2 classes, numbered from 0");
        assert_eq!(
            message(&[3, 0], &[0, 1]),
            "among the predictions, row 0 is of class 3, but there are 2 classes, numbered from 0"
        );
        assert_eq!(
            accuracy(&[0], &[0, 1]).unwrap_err().to_string(),
            "one prediction per row is needed, not 1 for 2 rows"
        );
        assert_eq!(accuracy(&[], &[]).unwrap_err().to_string(), "there are no rows to judge");
    }

    #[test]
    fn a_saved_matrix_is_read_and_an_invalid_one_refused() {
        let matrix = ConfusionMatrix::new(&[0, 1, 1], &[0, 1, 0], &["a", "b"]).unwrap();
        let json = serde_json::to_string(&matrix).unwrap();
        assert_eq!(json, r#"{"classes":["a","b"],"counts":[[1,1],[0,1]]}"#);
        assert_eq!(serde_json::from_str::<ConfusionMatrix>(&json).unwrap(), matrix);
        let invalid = serde_json::from_str::<ConfusionMatrix>(r#"{"classes":["a","b"],"counts":[[1],[0,1]]}"#);
        assert_eq!(invalid.unwrap_err().to_string(), "a confusion matrix of 2 classes needs 2 rows of 2 counts");
    }
}
