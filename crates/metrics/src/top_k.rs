//! Top-k accuracy.

use wgrad_core::Result;

use super::{MetricError, check};

/// Computes the fraction of rows whose class is among the `k` highest scores, from scores `[rows, classes]`. In a
/// tie, the class with the higher number ranks first, as in scikit-learn's `top_k_accuracy_score`.
///
/// ```
/// use wgrad_metrics::top_k_accuracy;
/// let scores = [0.5, 0.2, 0.2, 0.3, 0.4, 0.2, 0.2, 0.4, 0.3, 0.7, 0.2, 0.1];
/// assert_eq!(top_k_accuracy(&scores, &[0, 1, 2, 2], 3, 2)?, 0.75);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When a score is NaN, a label is not below `classes`, `k` is 0 or above `classes`, there are no rows, or the
/// number of scores is not `classes` per label.
pub fn top_k_accuracy<S: Copy + Into<f64>>(scores: &[S], labels: &[u32], classes: usize, k: usize) -> Result<f64> {
    check::lengths(scores.len(), classes, labels.len())?;
    check::classes(labels, classes)?;
    if k == 0 || k > classes {
        return Err(MetricError::TopK { k, classes }.into());
    }
    let scores = check::scores(scores.iter().copied(), classes)?;
    let hit = |(row, &label): (&[f64], &u32)| {
        let own = row[label as usize];
        let before = |(class, &score): (usize, &f64)| score > own || (score >= own && class > label as usize);
        row.iter().enumerate().filter(|&at| before(at)).count() < k
    };
    let hits = scores.chunks_exact(classes).zip(labels).filter(|&row| hit(row)).count();
    Ok(hits as f64 / labels.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_k_above_the_number_of_classes_is_an_error() {
        let message = |result: Result<f64>| result.unwrap_err().to_string();
        assert_eq!(message(top_k_accuracy(&[0.5, 0.5], &[0], 2, 3)), "k must be between 1 and the 2 classes, not 3");
    }
}
