//! Report of a classifier: the usual metrics of a set of rows.

use std::fmt;

use serde::{Deserialize, Serialize};
use wgrad_core::Result;

use super::{
    Average, ConfusionMatrix, MetricError, Ratio, check, pr_auc, pr_auc_ovr_macro, roc_auc, roc_auc_ovr_macro,
};

/// Maximum number of classes for which the confusion matrix is printed.
const MAX_PRINTED: usize = 20;

/// Metrics of a classifier on a set of rows.
///
/// For two classes, precision, recall and F1 are those of the positive class (class 1), which is predicted if its
/// probability is above 1/2. For more classes, the most probable class is predicted (the first one in a tie), and
/// the three metrics are macro averages.
///
/// ```
/// use wgrad_metrics::Report;
/// let report = Report::binary(&[0.1, 0.7, 0.8, 0.9], &[0, 0, 1, 1], &["benign", "malignant"], 0.4151)?;
/// assert_eq!(report.to_string(), "
/// rows            4
/// loss       0.4151
/// accuracy   0.7500
/// precision  0.6667  of malignant
/// recall     1.0000  of malignant
/// f1         0.8000  of malignant
/// roc_auc    1.0000
/// pr_auc     1.0000
///
/// truth \\ predicted  benign  malignant
/// benign                  1          1
/// malignant               0          2".trim_start());
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The loss passed to the constructor; `Trainer::evaluate` passes the mean cross-entropy, without weights or
    /// label smoothing.
    pub loss: f64,
    /// The fraction of rows that are predicted correctly.
    pub accuracy: f64,
    /// The fraction of the rows predicted as positive that are positive. For more than two classes, the same
    /// fraction is computed for each class and averaged over the classes.
    pub precision: f64,
    /// The fraction of the positive rows that are predicted as positive. For more than two classes, the same
    /// fraction is computed for each class and averaged over the classes.
    pub recall: f64,
    /// The harmonic mean of precision and recall. For more than two classes, it is computed for each class and
    /// averaged over the classes.
    pub f1: f64,
    /// The area under the ROC curve; `None` if a class has no rows, or has all rows.
    pub roc_auc: Option<f64>,
    /// The area under the precision-recall curve; `None` if the positive class, or any of more than two classes,
    /// has no rows.
    pub pr_auc: Option<f64>,
    /// The confusion matrix.
    pub confusion: ConfusionMatrix,
}

impl Report {
    /// Creates a report on two classes from the probabilities of class 1.
    ///
    /// # Errors
    /// When a probability is NaN or not between 0 and 1, there are not two names in `classes`, a label is neither
    /// 0 nor 1, there are no rows, or the number of probabilities is not the number of labels.
    pub fn binary<P: Copy + Into<f64>, S: AsRef<str>>(
        probabilities: &[P],
        labels: &[u32],
        classes: &[S],
        loss: f64,
    ) -> Result<Self> {
        if classes.len() != 2 {
            return Err(MetricError::ClassNames { names: classes.len() }.into());
        }
        check::lengths(probabilities.len(), 1, labels.len())?;
        let probabilities = check::probabilities(probabilities, 1)?;
        let predicted: Vec<u32> = probabilities.iter().map(|&p| u32::from(p > 0.5)).collect();
        Self::decided(&probabilities, &predicted, labels, classes, loss)
    }

    /// Creates a report on two classes from the probabilities of class 1 and the predictions of a
    /// [`Decision`](super::Decision).
    ///
    /// # Errors
    /// The same as for [`Self::binary`].
    pub fn decided<P: Copy + Into<f64>, S: AsRef<str>>(
        probabilities: &[P],
        predicted: &[u32],
        labels: &[u32],
        classes: &[S],
        loss: f64,
    ) -> Result<Self> {
        if classes.len() != 2 {
            return Err(MetricError::ClassNames { names: classes.len() }.into());
        }
        check::lengths(probabilities.len(), 1, labels.len())?;
        let probabilities = check::probabilities(probabilities, 1)?;
        let confusion = ConfusionMatrix::new(predicted, labels, classes)?;
        Ok(Self {
            loss,
            accuracy: confusion.accuracy(),
            precision: confusion.precision(1),
            recall: confusion.recall(1),
            f1: confusion.f1(1),
            // The inputs have been checked, so an error means that the area is undefined.
            roc_auc: roc_auc(&probabilities, labels).ok(),
            pr_auc: pr_auc(&probabilities, labels).ok(),
            confusion,
        })
    }

    /// Creates a report on any number of classes from probabilities `[rows, classes]`.
    ///
    /// # Errors
    /// When a probability is NaN or not between 0 and 1, a label is not the number of a class, there are no rows,
    /// or there is not exactly one probability per label and class.
    pub fn multiclass<P: Copy + Into<f64>, S: AsRef<str>>(
        probabilities: &[P],
        labels: &[u32],
        classes: &[S],
        loss: f64,
    ) -> Result<Self> {
        let width = classes.len();
        check::lengths(probabilities.len(), width, labels.len())?;
        check::classes(labels, width)?;
        let probabilities = check::probabilities(probabilities, width)?;
        let predicted: Vec<u32> = probabilities.chunks(width).map(most_probable).collect();
        let confusion = ConfusionMatrix::new(&predicted, labels, classes)?;
        Ok(Self {
            loss,
            accuracy: confusion.accuracy(),
            precision: confusion.average(Ratio::Precision, Average::Macro),
            recall: confusion.average(Ratio::Recall, Average::Macro),
            f1: confusion.average(Ratio::FBeta(1.0), Average::Macro),
            roc_auc: roc_auc_ovr_macro(&probabilities, labels, width).ok(),
            pr_auc: pr_auc_ovr_macro(&probabilities, labels, width).ok(),
            confusion,
        })
    }
}

/// Returns the class with the largest probability, the first one in a tie.
fn most_probable(row: &[f64]) -> u32 {
    let mut best = (0, f64::NEG_INFINITY);
    for (class, &p) in (0..).zip(row) {
        if p > best.1 {
            best = (class, p);
        }
    }
    best.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let classes = self.confusion.classes();
        let (of, macro_average) = match classes {
            [_, positive] => (format!("  of {positive}"), ""),
            _ => ("  macro average".to_string(), "  macro average, one class against the rest"),
        };
        let number = |value: f64| format!("{value:.4}");
        let area = |value: Option<f64>| value.map_or_else(|| "undefined".to_string(), number);
        let lines = [
            ("rows", self.confusion.total().to_string(), ""),
            ("loss", number(self.loss), ""),
            ("accuracy", number(self.accuracy), ""),
            ("precision", number(self.precision), &of),
            ("recall", number(self.recall), &of),
            ("f1", number(self.f1), &of),
            ("roc_auc", area(self.roc_auc), macro_average),
            ("pr_auc", area(self.pr_auc), macro_average),
        ];
        let width = lines.iter().map(|(_, value, _)| value.len()).max().unwrap_or(0);
        for (name, value, note) in lines {
            writeln!(f, "{name:9}  {value:>width$}{note}")?;
        }
        if classes.len() > MAX_PRINTED {
            return write!(f, "\nThe confusion matrix of {} classes is too wide to print.", classes.len());
        }
        write!(f, "\n{}", self.confusion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_that_are_undefined_leave_the_rest_of_the_report() {
        let report = Report::binary(&[0.9, 0.2], &[0, 0], &["no", "yes"], 1.0).unwrap();
        assert_eq!((report.roc_auc, report.pr_auc, report.accuracy), (None, None, 0.5));
        assert!(report.to_string().contains("\nroc_auc    undefined\n"), "{report}");
        assert!(serde_json::to_string(&report).unwrap().contains(r#""roc_auc":null"#));
        let report = Report::multiclass(&[0.9, 0.1, 0.0, 0.2, 0.8, 0.0], &[0, 1], &["a", "b", "c"], 1.0).unwrap();
        assert_eq!((report.roc_auc, report.accuracy), (None, 1.0));
    }

    #[test]
    fn half_is_not_above_half_and_the_first_of_equals_wins() {
        let report = Report::binary(&[0.5], &[0], &["no", "yes"], 1.0).unwrap();
        assert_eq!(report.confusion.count(0, 0), 1);
        assert_eq!(most_probable(&[0.2, 0.4, 0.4]), 1);
    }

    #[test]
    fn a_report_on_many_classes_has_macro_averages() {
        let probabilities = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.2, 0.3, 0.5, 0.6, 0.3, 0.1];
        let report = Report::multiclass(&probabilities, &[0, 1, 2, 1], &["cat", "dog", "fox"], 12.5).unwrap();
        assert_eq!(
            report.to_string(),
            "rows             4\n\
             loss       12.5000\n\
             accuracy    0.7500\n\
             precision   0.8333  macro average\n\
             recall      0.8333  macro average\n\
             f1          0.7778  macro average\n\
             roc_auc     0.9583  macro average, one class against the rest\n\
             pr_auc      0.9444  macro average, one class against the rest\n\
             \n\
             truth \\ predicted  cat  dog  fox\n\
             cat                  1    0    0\n\
             dog                  1    1    0\n\
             fox                  0    0    1"
        );
    }

    #[test]
    fn a_matrix_that_is_too_wide_is_not_printed() {
        let classes: Vec<String> = (0..21).map(|i| i.to_string()).collect();
        let mut probabilities = [0.0; 21];
        probabilities[3] = 1.0;
        let report = Report::multiclass(&probabilities, &[3], &classes, 0.0).unwrap();
        assert!(report.to_string().ends_with("\n\nThe confusion matrix of 21 classes is too wide to print."));
    }

    #[test]
    fn inputs_that_do_not_fit_are_errors() {
        let binary = |p: &[f64], y: &[u32], c: &[&str]| Report::binary(p, y, c, 0.0).unwrap_err().to_string();
        let names = ["no", "yes"];
        assert_eq!(binary(&[0.5], &[0], &["a", "b", "c"]), "a binary report needs the names of 2 classes, not of 3");
        assert_eq!(binary(&[0.5], &[0, 1], &names), "one prediction per row is needed, not 1 for 2 rows");
        assert!(binary(&[0.5, f64::NAN], &[0, 1], &names).starts_with("the score of row 1 is NaN"));
        assert!(binary(&[-3.0], &[0], &names).starts_with("-3 in row 0 is no probability."));
        assert!(binary(&[0.5], &[2], &names).starts_with("row 0 is of class 2"));
        let none: [&str; 0] = [];
        assert!(Report::multiclass::<f32, _>(&[], &[0], &none, 0.0).is_err());
        assert!(Report::multiclass(&[0.5, 0.5], &[2], &names, 0.0).is_err());
    }
}
