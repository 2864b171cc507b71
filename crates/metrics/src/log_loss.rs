//! Log loss of probabilities.

use wgrad_core::Result;

use super::check;

/// Computes the log loss of two classes: the mean of `-ln(p)` over rows of class 1 and `-ln(1 - p)` over rows of
/// class 0, where `p` is the probability of class 1.
///
/// Probabilities are clamped to `[ε, 1 - ε]` with the machine epsilon of `f64`, so that a wrong prediction with
/// probability 1 costs 36 instead of infinity, as in scikit-learn's `log_loss` for `f64` probabilities.
///
/// ```
/// use wgrad_metrics::log_loss;
/// assert_eq!(log_loss(&[0.25, 0.5], &[0, 1])?, -(0.75f64.ln() + 0.5f64.ln()) / 2.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When a probability is NaN or not between 0 and 1, a label is neither 0 nor 1, there are no rows, or the number
/// of probabilities is not the number of labels.
pub fn log_loss<S: Copy + Into<f64>>(probabilities: &[S], labels: &[u32]) -> Result<f64> {
    check::lengths(probabilities.len(), 1, labels.len())?;
    check::classes(labels, 2)?;
    let probabilities = check::probabilities(probabilities, 1)?;
    Ok(mean(probabilities.iter().zip(labels).map(|(&p, &label)| if label == 1 { p } else { 1.0 - p })))
}

/// Computes the log loss of several classes from probabilities `[rows, classes]`: the mean of `-ln(p)`, where `p`
/// is the probability of the true class.
///
/// Probabilities are clamped as in [`log_loss`]. The function does not check that a row's probabilities sum to 1.
///
/// ```
/// use wgrad_metrics::log_loss_multiclass;
/// let probabilities = [0.5, 0.25, 0.25, 0.1, 0.1, 0.8];
/// assert_eq!(log_loss_multiclass(&probabilities, &[0, 2], 3)?, -(0.5f64.ln() + 0.8f64.ln()) / 2.0);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When a probability is NaN or not between 0 and 1, a label is not below `classes`, there are no rows, or the
/// number of probabilities is not `classes` per label.
pub fn log_loss_multiclass<S: Copy + Into<f64>>(probabilities: &[S], labels: &[u32], classes: usize) -> Result<f64> {
    check::lengths(probabilities.len(), classes, labels.len())?;
    check::classes(labels, classes)?;
    let probabilities = check::probabilities(probabilities, classes)?;
    Ok(mean(probabilities.chunks(classes).zip(labels).map(|(row, &label)| row[label as usize])))
}

/// Computes the mean of `-ln(p)` over the probabilities of the true classes.
fn mean(probabilities: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = probabilities.len() as f64;
    probabilities.map(|p| -p.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()).sum::<f64>() / n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_probability_of_one_costs_thirty_six() {
        // The expected value is from sklearn.metrics.log_loss([1, 0], [0.0, 0.0], labels=[0, 1]).
        approx::assert_relative_eq!(log_loss(&[0.0, 0.0], &[1, 0]).unwrap(), MISTAKE, max_relative = 1e-12);
    }
    const MISTAKE: f64 = 18.021_826_694_558_577;

    #[test]
    fn inputs_that_do_not_fit_are_errors() {
        let message = |result: Result<f64>| result.unwrap_err().to_string();
        let logits = "1.5 in row 1 is no probability. Logits need a sigmoid (two classes) or a softmax first.";
        assert_eq!(message(log_loss(&[0.1, 1.5], &[0, 1])), logits);
        assert_eq!(message(log_loss_multiclass(&[0.1, 0.9, 1.5, 0.0], &[0, 1], 2)), logits);
        assert!(message(log_loss(&[0.1, f32::NAN], &[0, 1])).starts_with("the score of row 1 is NaN"));
        assert_eq!(message(log_loss(&[0.5, 0.5], &[0])), "one prediction per row is needed, not 2 for 1 row");
        assert_eq!(
            message(log_loss_multiclass(&[0.5, 0.5], &[0], 3)),
            "3 predictions per row are needed, one for each class, not 2 for 1 row"
        );
        assert_eq!(message(log_loss(&[0.5], &[2])), "row 0 is of class 2, but there are 2 classes, numbered from 0");
    }
}
