//! One number for a whole confusion matrix: averages over classes, and agreement beyond chance.

use super::ConfusionMatrix;

/// How the ratios of classes become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Average {
    /// Each class has the same weight. As in scikit-learn, a class that is neither in the labels nor predicted does not
    /// count.
    Macro,
    /// Each row has the same weight: counts are added up over the classes first.
    Micro,
    /// Each class has the weight of its rows.
    Weighted,
}

/// A ratio of the counts of one class, with its true positives `tp`, false positives `fp`, false negatives `fn` and true
/// negatives `tn`; 0 where nothing is below the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ratio {
    /// `tp / (tp + fp)`.
    Precision,
    /// `tp / (tp + fn)`.
    Recall,
    /// `tn / (tn + fp)`.
    Specificity,
    /// `(1 + β²) tp / ((1 + β²) tp + β² fn + fp)`: above 1, `β` gives recall more weight than precision.
    FBeta(f64),
}

/// How far apart two classes are for [`ConfusionMatrix::cohen_kappa`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Distance {
    /// Different is different.
    #[default]
    None,
    /// `|i − j|`, for classes in order.
    Linear,
    /// `(i − j)²`, for classes in order.
    Quadratic,
}

/// True and false positives, false and true negatives.
#[derive(Clone, Copy, Default)]
struct Counts {
    tp: f64,
    fp: f64,
    fneg: f64,
    tn: f64,
}

impl Counts {
    fn ratio(self, ratio: Ratio) -> f64 {
        let Self { tp, fp, fneg, tn } = self;
        let (part, whole) = match ratio {
            Ratio::Precision => (tp, tp + fp),
            Ratio::Recall => (tp, tp + fneg),
            Ratio::Specificity => (tn, tn + fp),
            Ratio::FBeta(beta) => {
                let square = beta * beta;
                ((1.0 + square) * tp, (1.0 + square) * tp + square * fneg + fp)
            }
        };
        over(part, whole)
    }
}

/// `part / whole`, but 0 where there is nothing.
fn over(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

impl ConfusionMatrix {
    fn of(&self, class: usize) -> Counts {
        let (tp, truth, predicted) = (self.count(class, class), self.truth(class), self.predicted(class));
        let (fp, fneg) = (predicted - tp, truth - tp);
        Counts { tp: tp as f64, fp: fp as f64, fneg: fneg as f64, tn: (self.total() - tp - fp - fneg) as f64 }
    }

    /// A ratio of one class.
    ///
    /// ```
    /// use wgrad_metrics::{ConfusionMatrix, Ratio};
    /// let matrix = ConfusionMatrix::new(&[0, 1, 1, 1], &[0, 1, 0, 1], &["benign", "malignant"])?;
    /// assert_eq!(matrix.ratio(Ratio::Specificity, 1), 0.5);
    /// assert_eq!(matrix.ratio(Ratio::FBeta(2.0), 1), 10.0 / 11.0);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    pub fn ratio(&self, ratio: Ratio, class: usize) -> f64 {
        self.of(class).ratio(ratio)
    }

    /// A ratio over all classes.
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
                    let own = self.of(class);
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
                over(sum, weights)
            }
        }
    }

    /// The mean recall of the classes that occur: accuracy if all classes had as many rows.
    pub fn balanced_accuracy(&self) -> f64 {
        let occur: Vec<_> = (0..self.classes().len()).filter(|&class| self.truth(class) > 0).collect();
        over(occur.iter().map(|&class| self.recall(class)).sum(), occur.len() as f64)
    }

    /// Matthews' correlation coefficient between labels and predictions, for any number of classes: 1 where all are
    /// right, 0 for chance, and where all labels or all predictions are the same.
    ///
    /// `(c·s − Σ pₖtₖ) / √((s² − Σ pₖ²)(s² − Σ tₖ²))` with `s` rows, `c` of them right, `tₖ` of class `k` and `pₖ`
    /// predicted to be (Gorodkin 2004).
    pub fn mcc(&self) -> f64 {
        let s = self.total() as f64;
        let sums = |of: &dyn Fn(usize) -> f64| (0..self.classes().len()).map(of).sum::<f64>();
        let (truth, predicted) = (|class| self.truth(class) as f64, |class| self.predicted(class) as f64);
        let right = sums(&|class| self.count(class, class) as f64);
        let chance = sums(&|class| truth(class) * predicted(class));
        let spread = |of: &dyn Fn(usize) -> f64| s * s - sums(&|class| of(class) * of(class));
        over(right * s - chance, (spread(&predicted) * spread(&truth)).sqrt())
    }

    /// Cohen's kappa: `1 − Σ dᵢⱼ nᵢⱼ / Σ dᵢⱼ eᵢⱼ`, with the counts `n`, those `e` that the same numbers of labels and
    /// predictions would give by chance, and the distances `d` of the classes. 1 where all are right, 0 for chance; 1
    /// also where chance leaves nothing to disagree about (scikit-learn: NaN).
    ///
    /// Distances are those of the class numbers. (scikit-learn numbers only the classes that occur, unless told.)
    pub fn cohen_kappa(&self, distance: Distance) -> f64 {
        let n = self.classes().len();
        let (mut seen, mut chance) = (0.0, 0.0);
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).filter(|(i, j)| i != j) {
            let apart = i.abs_diff(j) as f64;
            let weight = match distance {
                Distance::None => 1.0,
                Distance::Linear => apart,
                Distance::Quadratic => apart * apart,
            };
            seen += weight * self.count(i, j) as f64;
            chance += weight * self.truth(i) as f64 * self.predicted(j) as f64;
        }
        if chance == 0.0 { 1.0 } else { 1.0 - seen * self.total() as f64 / chance }
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
