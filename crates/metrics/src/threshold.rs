//! Choice of the lowest score at which rows count as positive.

use serde::{Deserialize, Serialize};
use wgrad_core::Result;

use super::{Costs, MetricError, check, rank};

/// Cut, the division of rows at a score: all rows with at least this score count as positive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// The lowest score that counts as positive; infinite if no row counts as positive.
    pub score: f64,
    /// A threshold halfway between `score` and the next lower score (−∞ if there is none), so that small rounding
    /// differences on another device do not change which rows count as positive.
    pub threshold: f64,
    /// The number of positive rows that count as positive.
    pub true_positives: u64,
    /// The number of negative rows that count as positive.
    pub false_positives: u64,
    /// The number of positive rows.
    pub positives: u64,
    /// The number of negative rows.
    pub negatives: u64,
}

impl Cut {
    /// Returns the fraction of positive rows among the rows that count as positive. It is 1 if no row counts as
    /// positive, as in scikit-learn.
    pub fn precision(&self) -> f64 {
        let predicted = self.true_positives + self.false_positives;
        if predicted == 0 { 1.0 } else { self.true_positives as f64 / predicted as f64 }
    }

    /// Returns the fraction of the positive rows that count as positive (the true positive rate). It is NaN if
    /// there are no positive rows.
    pub fn recall(&self) -> f64 {
        self.true_positives as f64 / self.positives as f64
    }

    /// Returns the fraction of the negative rows that count as positive. It is NaN if there are no negative rows.
    pub fn false_positive_rate(&self) -> f64 {
        self.false_positives as f64 / self.negatives as f64
    }

    /// Returns the F-beta score `(1 + β²) tp / ((1 + β²) tp + β² fn + fp)`; 0 if the denominator is 0.
    pub fn f_beta(&self, beta: f64) -> f64 {
        let (square, tp) = (beta * beta, self.true_positives as f64);
        let (fneg, fp) = ((self.positives - self.true_positives) as f64, self.false_positives as f64);
        let whole = (1.0 + square) * tp + square * fneg + fp;
        if whole == 0.0 { 0.0 } else { (1.0 + square) * tp / whole }
    }

    /// Returns the sum of the costs of all rows.
    pub fn cost(&self, costs: &Costs) -> f64 {
        costs.true_positive * self.true_positives as f64
            + costs.false_positive * self.false_positives as f64
            + costs.false_negative * (self.positives - self.true_positives) as f64
            + costs.true_negative * (self.negatives - self.false_positives) as f64
    }
}

/// All cuts of a set of scores, from the cut at which no row counts as positive to the cut at which all rows do.
/// They are the points of the ROC curve and of the precision-recall curve, and the candidates for a threshold.
///
/// Rows with equal scores are on the same side of every cut. Choose a threshold on validation rows, not on test
/// rows.
///
/// ```
/// use wgrad_metrics::{Costs, Cuts};
/// let cuts = Cuts::new(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1])?;
/// let best = cuts.best_f_beta(1.0)?;
/// assert_eq!((best.score, best.precision(), best.recall()), (0.35, 2.0 / 3.0, 1.0));
/// assert_eq!(cuts.at_precision(0.9)?.score, 0.8);
/// assert_eq!(cuts.at_false_positives(0.0)?.recall(), 0.5);
/// let missing_is_dear = Costs { false_negative: 10.0, false_positive: 1.0, ..Costs::default() };
/// assert_eq!(cuts.cheapest(&missing_is_dear)?.threshold, (0.35 + 0.1) / 2.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Cuts(Vec<Cut>);

impl Cuts {
    /// Computes the cuts of rows with these scores (logits or probabilities) and labels (1 for positive rows), in
    /// `O(n log n)`.
    ///
    /// # Errors
    /// When a score is NaN, a label is neither 0 nor 1, there are no rows, or the number of scores is not the
    /// number of labels.
    pub fn new<S: Copy + Into<f64>>(scores: &[S], labels: &[u32]) -> Result<Self> {
        check::lengths(scores.len(), 1, labels.len())?;
        rank::binary(labels)?;
        let scores = check::scores(scores.iter().copied(), 1)?;
        let positives = labels.iter().filter(|&&label| label == 1).count() as u64;
        let negatives = labels.len() as u64 - positives;
        let (mut order, equal) = rank::by_score(&scores);
        order.reverse();
        let none = Cut {
            score: f64::INFINITY,
            threshold: f64::INFINITY,
            true_positives: 0,
            false_positives: 0,
            positives,
            negatives,
        };
        let mut cuts = vec![none];
        for group in order.chunk_by(equal) {
            let score = scores[group[0]];
            let last = cuts.last_mut().expect("the cut that takes no row");
            if last.score.is_finite() {
                last.threshold = between(score, last.score);
            }
            let hits = group.iter().filter(|&&row| labels[row] == 1).count() as u64;
            let (true_positives, false_positives) =
                (last.true_positives + hits, last.false_positives + group.len() as u64 - hits);
            // No score is below the lowest one, so this threshold is −∞.
            let threshold = f64::NEG_INFINITY;
            cuts.push(Cut { score, threshold, true_positives, false_positives, positives, negatives });
        }
        Ok(Self(cuts))
    }

    /// Returns the cuts in order of decreasing score.
    pub fn all(&self) -> &[Cut] {
        &self.0
    }

    /// Returns the points of the ROC curve as pairs of false positive rate and recall.
    ///
    /// # Errors
    /// When all rows are of one class.
    pub fn roc(&self) -> Result<Vec<(f64, f64)>> {
        self.check_positive()?;
        if self.0[0].negatives == 0 {
            return Err(MetricError::NoNegative.into());
        }
        Ok(self.0.iter().map(|cut| (cut.false_positive_rate(), cut.recall())).collect())
    }

    /// Returns the points of the precision-recall curve as pairs of recall and precision.
    ///
    /// # Errors
    /// When no row is positive.
    pub fn precision_recall(&self) -> Result<Vec<(f64, f64)>> {
        self.check_positive()?;
        Ok(self.0.iter().map(|cut| (cut.recall(), cut.precision())).collect())
    }

    /// Returns the cut with the highest F-beta score. If several cuts have this score, returns the one with the
    /// highest threshold.
    ///
    /// # Errors
    /// When no row is positive, or `beta` is not a positive number.
    pub fn best_f_beta(&self, beta: f64) -> Result<Cut> {
        self.check_positive()?;
        if !(beta.is_finite() && beta > 0.0) {
            return Err(MetricError::Beta { beta }.into());
        }
        Ok(self.best(|cut| cut.f_beta(beta)))
    }

    /// Returns the cut with the highest recall among those whose precision is at least `precision`. If several
    /// cuts have this recall, returns the one with the highest precision.
    ///
    /// # Errors
    /// When no row is positive, `precision` is not between 0 and 1, or no cut reaches this precision; the message
    /// then states the highest precision that a cut reaches.
    pub fn at_precision(&self, precision: f64) -> Result<Cut> {
        self.check_positive()?;
        if !(0.0..=1.0).contains(&precision) {
            return Err(MetricError::Precision { precision }.into());
        }
        let precise = || self.0.iter().filter(|cut| cut.true_positives > 0);
        let found = precise().filter(|cut| cut.precision() >= precision);
        let better = |a: &Cut, b: &Cut| (b.recall(), b.precision()) > (a.recall(), a.precision());
        found.copied().reduce(|a, b| if better(&a, &b) { b } else { a }).ok_or_else(|| {
            let highest = precise().map(Cut::precision).fold(0.0, f64::max);
            MetricError::Unreachable { precision, highest }.into()
        })
    }

    /// Returns the cut with the highest recall at which at most the fraction `rate` of the negative rows count as
    /// positive; for instance, 0.003 allows three false positives per thousand negative rows. It may be the cut at
    /// which no row counts as positive.
    ///
    /// # Errors
    /// When all rows are of one class, or `rate` is not between 0 and 1.
    pub fn at_false_positives(&self, rate: f64) -> Result<Cut> {
        self.roc()?;
        if !(0.0..=1.0).contains(&rate) {
            return Err(MetricError::FalsePositiveRate { rate }.into());
        }
        let last = self.0.iter().filter(|cut| cut.false_positive_rate() <= rate).max_by_key(|cut| cut.true_positives);
        let most = last.expect("the cut that takes no row").true_positives;
        Ok(*self.0.iter().find(|cut| cut.true_positives == most).expect("it was found"))
    }

    /// Returns the cut with the lowest cost. If several cuts have this cost, returns the one with the highest
    /// threshold.
    ///
    /// # Errors
    /// When a cost is not finite.
    pub fn cheapest(&self, costs: &Costs) -> Result<Cut> {
        let Costs { false_negative, false_positive, true_positive, true_negative } = *costs;
        if [false_negative, false_positive, true_positive, true_negative].iter().any(|cost| !cost.is_finite()) {
            return Err(MetricError::InvalidCosts { costs: *costs }.into());
        }
        Ok(self.best(|cut| -cut.cost(costs)))
    }

    /// Returns the first cut at which `value` is highest.
    fn best(&self, value: impl Fn(&Cut) -> f64) -> Cut {
        let best = self.0.iter().copied().reduce(|a, b| if value(&b) > value(&a) { b } else { a });
        best.expect("the cut that takes no row")
    }

    /// Checks that at least one row is positive.
    fn check_positive(&self) -> Result<()> {
        if self.0[0].positives == 0 {
            return Err(MetricError::NoPositive.into());
        }
        Ok(())
    }
}

/// Returns a number that separates two scores: above `low` and at most `high`.
fn between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    if low < middle && middle <= high { middle } else { high }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "counts and halves are exact")]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_between_distinct_scores() {
        let cuts = Cuts::new(&[0.5f32, 0.5, 0.25, 1.0], &[1, 0, 0, 1]).unwrap();
        let found: Vec<_> =
            cuts.all().iter().map(|cut| (cut.threshold, cut.true_positives, cut.false_positives)).collect();
        assert_eq!(found, [(f64::INFINITY, 0, 0), (0.75, 1, 0), (0.375, 2, 1), (f64::NEG_INFINITY, 2, 2)]);
        assert_eq!(cuts.roc().unwrap(), [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
        assert_eq!(cuts.precision_recall().unwrap()[..2], [(0.0, 1.0), (0.5, 1.0)]);
    }

    #[test]
    fn neighbouring_numbers_are_still_separated() {
        let low = 1.0f64;
        let high = low.next_up();
        assert!(low < between(low, high) && between(low, high) <= high);
        assert_eq!(between(f64::MIN, f64::MAX), 0.0);
        assert_eq!(between(f64::NEG_INFINITY, 3.0), 3.0);
    }

    #[test]
    fn the_area_under_the_curve_is_the_rank_statistic() {
        let scores: Vec<f64> = (0..200).map(|i| f64::from((i * 37) % 41)).collect();
        let labels: Vec<u32> = (0..200).map(|i| u32::from((i * 13) % 7 < 2)).collect();
        let corners = Cuts::new(&scores, &labels).unwrap().roc().unwrap();
        let area: f64 = corners.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
        approx::assert_relative_eq!(area, super::super::roc_auc(&scores, &labels).unwrap(), max_relative = 1e-12);
    }

    #[test]
    fn every_chosen_cut_is_the_best() {
        let scores: Vec<f64> = (0..300).map(|i| f64::from((i * 71) % 97)).collect();
        let labels: Vec<u32> = (0..300).map(|i| u32::from((i * 71) % 97 + (i % 50) > 100)).collect();
        let cuts = Cuts::new(&scores, &labels).unwrap();
        let most = |value: &dyn Fn(&Cut) -> f64, of: &dyn Fn(&Cut) -> bool| {
            cuts.all().iter().filter(|cut| of(cut)).map(value).fold(f64::NEG_INFINITY, f64::max)
        };
        let f2 = |cut: &Cut| cut.f_beta(2.0);
        assert_eq!(f2(&cuts.best_f_beta(2.0).unwrap()).to_bits(), most(&f2, &|_| true).to_bits());
        for precision in [0.3, 0.6, 0.8] {
            let cut = cuts.at_precision(precision).unwrap();
            let best = most(&Cut::recall, &|cut| cut.true_positives > 0 && cut.precision() >= precision);
            assert!(cut.precision() >= precision && cut.recall().to_bits() == best.to_bits());
        }
        for rate in [0.0, 0.01, 0.2, 1.0] {
            let cut = cuts.at_false_positives(rate).unwrap();
            let best = most(&Cut::recall, &|cut| cut.false_positive_rate() <= rate);
            assert!(cut.false_positive_rate() <= rate && cut.recall().to_bits() == best.to_bits());
        }
    }

    #[test]
    fn impossible_choices_are_errors() {
        let message = |result: Result<Cut>| result.unwrap_err().to_string();
        let cuts = Cuts::new(&[0.1, 0.9], &[1, 0]).unwrap();
        assert_eq!(message(cuts.at_precision(0.9)), "no threshold has a precision of 0.9; the highest is 0.5000");
        assert_eq!(message(cuts.at_precision(1.5)), "the precision must be between 0 and 1, not 1.5");
        assert_eq!(
            message(cuts.best_f_beta(0.0)),
            "beta must be a number above 0, not 0; 1 weighs recall as precision"
        );
        let none = Cuts::new(&[0.1], &[0]).unwrap();
        assert_eq!(message(none.best_f_beta(1.0)), "recall needs a positive row, but every row is negative");
        assert_eq!(none.cheapest(&Costs { false_positive: 1.0, ..Costs::default() }).unwrap().false_positives, 0);
    }
}
