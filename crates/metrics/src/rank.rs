//! Ranking metrics: areas under the ROC and precision-recall curves.

use wgrad_core::Result;

use super::{MetricError, check};

/// Computes the area under the ROC curve: the probability that a random positive row has a higher score than a
/// random negative row, where a tie counts as one half.
///
/// The area is `(R - P (P + 1) / 2) / (P N)` for `P` positive rows and `N` negative rows, where `R` is the sum of
/// the ranks of the positive rows by score. Rows with equal scores all have their average rank. The time is
/// `O(n log n)`. Only the order of the scores matters, so scores may be logits or probabilities.
///
/// ```
/// use wgrad_metrics::roc_auc;
/// assert_eq!(roc_auc(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1])?, 0.75);
/// assert_eq!(roc_auc(&[0.5, 0.5, 0.5], &[0, 1, 1])?, 0.5);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When all rows are of one class, so that the area is undefined; when a score is NaN, a label is neither 0 nor 1,
/// there are no rows, or the number of scores is not the number of labels.
pub fn roc_auc<S: Copy + Into<f64>>(scores: &[S], labels: &[u32]) -> Result<f64> {
    check::lengths(scores.len(), 1, labels.len())?;
    binary(labels)?;
    let scores = check::scores(scores.iter().copied(), 1)?;
    let area = area_under_roc(&scores, |row| labels[row] == 1);
    area.ok_or_else(|| MetricError::RocOfOneClass { class: labels[0] }.into())
}

/// Computes the area under the precision-recall curve as average precision: `Σ (Rₖ - Rₖ₋₁) Pₖ`.
///
/// `Pₖ` and `Rₖ` are precision and recall if the rows with the `k` highest distinct scores count as positive.
/// There is no interpolation, as in scikit-learn's `average_precision_score`. The result is 1 if every row is
/// positive; for random scores it is about the fraction of positive rows.
///
/// ```
/// use wgrad_metrics::pr_auc;
/// assert_eq!(pr_auc(&[0.1, 0.4, 0.35, 0.8], &[0, 0, 1, 1])?, 0.5 + 0.5 * 2.0 / 3.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When no row is positive, so that recall is undefined; when a score is NaN, a label is neither 0 nor 1, there
/// are no rows, or the number of scores is not the number of labels.
pub fn pr_auc<S: Copy + Into<f64>>(scores: &[S], labels: &[u32]) -> Result<f64> {
    check::lengths(scores.len(), 1, labels.len())?;
    binary(labels)?;
    let scores = check::scores(scores.iter().copied(), 1)?;
    average_precision(&scores, |row| labels[row] == 1).ok_or_else(|| MetricError::PrWithoutPositive.into())
}

/// Computes [`roc_auc`] for each class against all others, from scores `[rows, classes]`, and returns the mean
/// over the classes.
///
/// The result is that of scikit-learn's `roc_auc_score` with `multi_class="ovr", average="macro"`.
///
/// ```
/// use wgrad_metrics::roc_auc_ovr_macro;
/// let probabilities = [0.8, 0.1, 0.1, 0.2, 0.5, 0.3, 0.3, 0.3, 0.4];
/// assert_eq!(roc_auc_ovr_macro(&probabilities, &[0, 1, 2], 3)?, 1.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When a class has no row or all rows; when a score is NaN, a label is not below `classes`, there are no rows, or
/// the number of scores is not `classes` per label.
pub fn roc_auc_ovr_macro<S: Copy + Into<f64>>(scores: &[S], labels: &[u32], classes: usize) -> Result<f64> {
    one_versus_rest(scores, labels, classes, |scores, positive| area_under_roc(scores, positive))
}

/// Computes [`pr_auc`] for each class against all others, from scores `[rows, classes]`, and returns the mean over
/// the classes.
///
/// The result is that of scikit-learn's `average_precision_score` for one-hot labels with `average="macro"`.
///
/// ```
/// use wgrad_metrics::pr_auc_ovr_macro;
/// let probabilities = [0.8, 0.1, 0.1, 0.2, 0.5, 0.3, 0.3, 0.3, 0.4];
/// assert_eq!(pr_auc_ovr_macro(&probabilities, &[0, 1, 2], 3)?, 1.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// The same as for [`roc_auc_ovr_macro`].
pub fn pr_auc_ovr_macro<S: Copy + Into<f64>>(scores: &[S], labels: &[u32], classes: usize) -> Result<f64> {
    one_versus_rest(scores, labels, classes, |scores, positive| average_precision(scores, positive))
}

/// Checks that every label is 0 or 1.
pub(super) fn binary(labels: &[u32]) -> Result<(), MetricError> {
    match labels.iter().position(|&label| label > 1) {
        None => Ok(()),
        Some(row) => Err(MetricError::NotBinary { row, class: labels[row] }),
    }
}

/// Computes an area for each class against all others, and returns the mean over the classes.
fn one_versus_rest<S: Copy + Into<f64>>(
    scores: &[S],
    labels: &[u32],
    classes: usize,
    area: impl Fn(&[f64], &dyn Fn(usize) -> bool) -> Option<f64>,
) -> Result<f64> {
    check::lengths(scores.len(), classes, labels.len())?;
    check::classes(labels, classes)?;
    check::scores(scores.iter().copied(), classes)?;
    let mut sum = 0.0;
    for class in 0..classes {
        let is = |row: usize| labels[row] as usize == class;
        let rows = (0..labels.len()).filter(|&row| is(row)).count();
        let own = check::scores(scores.iter().skip(class).step_by(classes).copied(), 1)?;
        let area = area(&own, &is).filter(|_| rows > 0 && rows < labels.len());
        sum += area.ok_or(MetricError::OneVersusRest { class, all: rows > 0 })?;
    }
    Ok(sum / classes as f64)
}

/// Returns the row numbers in order of ascending score, and a function that returns whether two rows have equal
/// scores.
pub(super) fn by_score(scores: &[f64]) -> (Vec<usize>, impl Fn(&usize, &usize) -> bool + '_) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    (order, |&a, &b| scores[a].total_cmp(&scores[b]).is_eq())
}

/// Computes the area under the ROC curve; `None` if all rows are of one class.
fn area_under_roc(scores: &[f64], positive: impl Fn(usize) -> bool) -> Option<f64> {
    let (order, equal) = by_score(scores);
    // The average rank of tied rows can end in ½, so all ranks are doubled: the sum of integers is exact.
    let (mut below, mut positives, mut ranks) = (0u128, 0u128, 0u128);
    for group in order.chunk_by(equal) {
        let (rows, hits) = (group.len() as u128, group.iter().filter(|&&row| positive(row)).count() as u128);
        ranks += hits * (2 * below + rows + 1);
        below += rows;
        positives += hits;
    }
    let negatives = below - positives;
    let pairs = 2 * positives * negatives;
    (pairs > 0).then(|| (ranks - positives * (positives + 1)) as f64 / pairs as f64)
}

/// Computes the average precision; `None` if no row is positive.
fn average_precision(scores: &[f64], positive: impl Fn(usize) -> bool) -> Option<f64> {
    let (mut order, equal) = by_score(scores);
    order.reverse();
    let (mut rows, mut positives, mut sum) = (0, 0, 0.0);
    for group in order.chunk_by(equal) {
        let hits = group.iter().filter(|&&row| positive(row)).count();
        rows += group.len();
        positives += hits;
        sum += hits as f64 * (positives as f64 / rows as f64);
    }
    (positives > 0).then(|| sum / positives as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_fraction_of_ordered_pairs() {
        let scores = [0.3f32, 0.3, 0.7, 0.1, 0.7, 0.2, 0.3, 0.9];
        let labels = [1, 0, 1, 0, 0, 1, 1, 0];
        let mut won = 0.0;
        for (a, _) in scores.iter().zip(labels).filter(|(_, label)| *label == 1) {
            for (b, _) in scores.iter().zip(labels).filter(|(_, label)| *label == 0) {
                won += if a > b { 1.0 } else { f64::from(u8::from(a.to_bits() == b.to_bits())) / 2.0 };
            }
        }
        approx::assert_relative_eq!(roc_auc(&scores, &labels).unwrap(), won / 16.0, max_relative = 1e-15);
    }

    #[test]
    fn order_is_all_that_matters() {
        let labels = [0, 1, 0, 1];
        assert_eq!(roc_auc(&[-0.0, 0.0, 0.0, -0.0], &labels).unwrap().to_bits(), 0.5_f64.to_bits());
        assert_eq!(
            roc_auc(&[-1e30, f64::INFINITY, f64::NEG_INFINITY, 1e30], &labels).unwrap().to_bits(),
            1f64.to_bits()
        );
        assert_eq!(pr_auc(&[0.2, 0.2, 0.2, 0.2], &labels).unwrap().to_bits(), 0.5_f64.to_bits());
        assert_eq!(pr_auc(&[0.2, 0.1], &[1, 1]).unwrap().to_bits(), 1f64.to_bits());
    }

    #[test]
    fn undefined_areas_are_errors() {
        let message = |result: Result<f64>| result.unwrap_err().to_string();
        assert_eq!(
            message(roc_auc(&[0.1, 0.2], &[1, 1])),
            "the ROC curve needs rows of both classes, but every row is of class 1"
        );
        assert_eq!(
            message(pr_auc(&[0.1, 0.2], &[0, 0])),
            "the precision-recall curve needs a positive row, but every row is of class 0"
        );
        assert_eq!(
            message(roc_auc_ovr_macro(&[0.1, 0.2, 0.7, 0.5, 0.4, 0.1], &[0, 2], 3)),
            "one class against the rest needs rows of both, but no row is of class 1"
        );
        assert_eq!(
            message(pr_auc_ovr_macro(&[1.0, 0.0, 1.0, 0.0], &[0, 0], 2)),
            "one class against the rest needs rows of both, but every row is of class 0"
        );
    }

    #[test]
    fn inputs_that_do_not_fit_are_errors() {
        let message = |result: Result<f64>| result.unwrap_err().to_string();
        let nan = "the score of row 1 is NaN: training may have diverged, or an input was not finite. \
                   Try a smaller learning rate.";
        assert_eq!(message(roc_auc(&[0.1, f64::NAN], &[0, 1])), nan);
        assert_eq!(message(pr_auc(&[0.1, f32::NAN], &[0, 1])), nan);
        assert_eq!(message(roc_auc_ovr_macro(&[0.1, 0.9, 0.3, f64::NAN], &[0, 1], 2)), nan);
        assert_eq!(message(roc_auc::<f32>(&[], &[])), "there are no rows to judge");
        assert_eq!(message(roc_auc(&[0.1], &[0, 1])), "one prediction per row is needed, not 1 for 2 rows");
        assert_eq!(
            message(roc_auc_ovr_macro(&[0.1], &[0, 1], 3)),
            "3 predictions per row are needed, one for each class, not 1 for 2 rows"
        );
        assert_eq!(
            message(roc_auc_ovr_macro(&[0.1, 0.9], &[7], 2)),
            "row 0 is of class 7, but there are 2 classes, numbered from 0"
        );
        assert_eq!(
            message(pr_auc(&[0.1, 0.2], &[0, 2])),
            "row 1 is of class 2, but this metric is for the classes 0 and 1. For more classes there are \
             roc_auc_ovr_macro and pr_auc_ovr_macro."
        );
    }
}
