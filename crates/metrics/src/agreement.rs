//! Averages over the classes of a confusion matrix, and agreement beyond chance.

use super::ConfusionMatrix;

/// Method of averaging a ratio over the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Average {
    /// All classes have the same weight. As in scikit-learn, a class that is neither in the labels nor predicted
    /// is left out.
    Macro,
    /// All rows have the same weight: the ratio is computed from the counts summed over the classes.
    Micro,
    /// Each class is weighted by its number of rows.
    Weighted,
}

/// Ratio of the counts of one class: its true positives `tp`, false positives `fp`, false negatives `fn` and true
/// negatives `tn`. The ratio is 0 if the denominator is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ratio {
    /// `tp / (tp + fp)`.
    Precision,
    /// `tp / (tp + fn)`.
    Recall,
    /// `tn / (tn + fp)`.
    Specificity,
    /// `(1 + β²) tp / ((1 + β²) tp + β² fn + fp)`; a `β` above 1 gives recall more weight than precision.
    FBeta(f64),
}

/// Distance between two classes, for [`ConfusionMatrix::cohen_kappa`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Distance {
    /// The distance is 1 for any two different classes.
    #[default]
    None,
    /// `|i − j|` for classes `i` and `j`; use it if the classes have an order.
    Linear,
    /// `(i − j)²` for classes `i` and `j`; use it if the classes have an order.
    Quadratic,
}

/// Counts of true positives, false positives, false negatives and true negatives.
#[derive(Clone, Copy, Default)]
struct Counts {
    tp: f64,
    fp: f64,
    fneg: f64,
    tn: f64,
}

impl Counts {
    /// Computes the given ratio from the counts.
    fn ratio(self, ratio: Ratio) -> f64 {
        let Self { tp, fp, fneg, tn } = self;
        let (numerator, denominator) = match ratio {
            Ratio::Precision => (tp, tp + fp),
            Ratio::Recall => (tp, tp + fneg),
            Ratio::Specificity => (tn, tn + fp),
            Ratio::FBeta(beta) => {
                let square = beta * beta;
                ((1.0 + square) * tp, (1.0 + square) * tp + square * fneg + fp)
            }
        };
        divide(numerator, denominator)
    }
}

/// Returns `numerator / denominator`, or 0 if the denominator is 0.
fn divide(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 { 0.0 } else { numerator / denominator }
}

impl ConfusionMatrix {
    /// Returns the counts of one class against all other classes.
    fn one_versus_rest(&self, class: usize) -> Counts {
        let (tp, truth, predicted) = (self.count(class, class), self.truth(class), self.predicted(class));
        let (fp, fneg) = (predicted - tp, truth - tp);
        Counts { tp: tp as f64, fp: fp as f64, fneg: fneg as f64, tn: (self.total() - tp - fp - fneg) as f64 }
    }

    /// Returns the given ratio for one class.
    ///
    /// ```
    /// use wgrad_metrics::{ConfusionMatrix, Ratio};
    /// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], &["benign", "malignant"])?;
    /// assert_eq!(matrix.ratio(Ratio::Specificity, 1), 0.5);
    /// assert_eq!(matrix.ratio(Ratio::FBeta(2.0), 1), 10.0 / 11.0);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    pub fn ratio(&self, ratio: Ratio, class: usize) -> f64 {
        self.one_versus_rest(class).ratio(ratio)
    }

    /// Returns the given ratio, averaged over all classes.
    ///
    /// ```
    /// use wgrad_metrics::{Average, ConfusionMatrix, Ratio};
    /// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], &["benign", "malignant"])?;
    /// assert_eq!(matrix.average(Ratio::Recall, Average::Macro), 0.75);
    /// assert_eq!(matrix.average(Ratio::Precision, Average::Micro), matrix.accuracy());
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    pub fn average(&self, ratio: Ratio, average: Average) -> f64 {
        let classes = 0..self.classes().len();
        match average {
            Average::Micro => {
                let add = |sum: Counts, class| {
                    let own = self.one_versus_rest(class);
                    Counts { tp: sum.tp + own.tp, fp: sum.fp + own.fp, fneg: sum.fneg + own.fneg, tn: sum.tn + own.tn }
                };
                classes.fold(Counts::default(), add).ratio(ratio)
            }
            Average::Macro | Average::Weighted => {
                let weight = |class| match average {
                    Average::Weighted => self.truth(class) as f64,
                    _ => f64::from(u8::from(self.truth(class) + self.predicted(class) > 0)),
                };
                let add = |(sum, weights): (f64, f64), class| {
                    (sum + weight(class) * self.ratio(ratio, class), weights + weight(class))
                };
                let (sum, weights) = classes.fold((0.0, 0.0), add);
                divide(sum, weights)
            }
        }
    }

    /// Returns the mean recall of the classes that occur, which is the accuracy if all classes have equally many
    /// rows.
    pub fn balanced_accuracy(&self) -> f64 {
        let occur: Vec<_> = (0..self.classes().len()).filter(|&class| self.truth(class) > 0).collect();
        divide(occur.iter().map(|&class| self.recall(class)).sum(), occur.len() as f64)
    }

    /// Returns Matthews' correlation coefficient between labels and predictions, for any number of classes: 1 if
    /// all predictions are correct, 0 for chance agreement, and 0 if all labels or all predictions are the same.
    ///
    /// It is `(c·s − Σ pₖtₖ) / √((s² − Σ pₖ²)(s² − Σ tₖ²))` for `s` rows, of which `c` are predicted correctly;
    /// `tₖ` rows are of class `k`, and `pₖ` rows are predicted as class `k` (Gorodkin 2004).
    pub fn mcc(&self) -> f64 {
        let s = self.total() as f64;
        let sums = |of: &dyn Fn(usize) -> f64| (0..self.classes().len()).map(of).sum::<f64>();
        let (truth, predicted) = (|class| self.truth(class) as f64, |class| self.predicted(class) as f64);
        let correct = sums(&|class| self.count(class, class) as f64);
        let chance = sums(&|class| truth(class) * predicted(class));
        let spread = |of: &dyn Fn(usize) -> f64| s * s - sums(&|class| of(class) * of(class));
        divide(correct * s - chance, (spread(&predicted) * spread(&truth)).sqrt())
    }

    /// Returns Cohen's kappa: `1 − Σ dᵢⱼ nᵢⱼ / Σ dᵢⱼ eᵢⱼ`. Here `nᵢⱼ` is the number of rows of class `i` that are
    /// predicted as class `j`, `eᵢⱼ` is the expected number if labels and predictions were independent, and `dᵢⱼ`
    /// is the distance between the two classes. Kappa is 1 if all predictions are correct, and 0 for chance
    /// agreement. It is also 1 if the denominator is 0, where scikit-learn returns NaN.
    ///
    /// Distances are computed from class numbers, which include classes that do not occur; scikit-learn by default
    /// numbers only the classes that occur.
    pub fn cohen_kappa(&self, distance: Distance) -> f64 {
        let n = self.classes().len();
        let (mut observed, mut expected) = (0.0, 0.0);
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j) {
            let steps = i.abs_diff(j) as f64;
            let weight = match distance {
                Distance::None => 1.0,
                Distance::Linear => steps,
                Distance::Quadratic => steps * steps,
            };
            observed += weight * self.count(i, j) as f64;
            expected += weight * self.truth(i) as f64 * self.predicted(j) as f64;
        }
        if expected == 0.0 { 1.0 } else { 1.0 - observed * self.total() as f64 / expected }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "counts and halves are exact")]
mod tests {
    use super::*;

    #[test]
    fn constant_predictions_agree_by_chance_only() {
        let matrix = ConfusionMatrix::new(&[0, 0, 0, 0], &[0, 1, 2, 0], &["a", "b", "c"]).unwrap();
        assert_eq!((matrix.mcc(), matrix.cohen_kappa(Distance::None)), (0.0, 0.0));
        approx::assert_relative_eq!(matrix.balanced_accuracy(), 1.0 / 3.0);
    }

    #[test]
    fn one_class_alone_leaves_nothing_to_disagree_about() {
        let matrix = ConfusionMatrix::new(&[1, 1], &[1, 1], &["a", "b"]).unwrap();
        assert_eq!(
            (matrix.mcc(), matrix.cohen_kappa(Distance::Quadratic), matrix.balanced_accuracy()),
            (0.0, 1.0, 1.0)
        );
        assert_eq!(matrix.ratio(Ratio::Specificity, 1), 0.0);
        assert_eq!(matrix.average(Ratio::Specificity, Average::Weighted), 0.0);
    }

    #[test]
    fn macro_averages_leave_out_classes_that_do_not_occur() {
        let matrix = ConfusionMatrix::new(&[0, 1, 0], &[0, 1, 2], &["a", "b", "c", "d"]).unwrap();
        approx::assert_relative_eq!(matrix.average(Ratio::Recall, Average::Macro), 2.0 / 3.0, max_relative = 1e-15);
        approx::assert_relative_eq!(matrix.average(Ratio::Precision, Average::Macro), 0.5, max_relative = 1e-15);
    }
}
