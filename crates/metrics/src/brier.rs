//! Brier score of probabilities.

use wgrad_core::Result;

use super::{check, rank};

/// Computes the Brier score: the mean of `(p − y)²` over the rows, where `p` is the probability of class 1 and `y`
/// is the label.
///
/// ```
/// use wgrad_metrics::brier_score;
/// assert!((brier_score(&[0.1, 0.8], &[0, 1])? - 0.025).abs() < 1e-15);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When a probability is NaN or not between 0 and 1, a label is neither 0 nor 1, there are no rows, or the number
/// of probabilities is not the number of labels.
pub fn brier_score<P: Copy + Into<f64>>(probabilities: &[P], labels: &[u32]) -> Result<f64> {
    check::lengths(probabilities.len(), 1, labels.len())?;
    rank::binary(labels)?;
    let probabilities = check::probabilities(probabilities, 1)?;
    let squares = probabilities.iter().zip(labels).map(|(p, &label)| (p - f64::from(label)).powi(2));
    Ok(squares.sum::<f64>() / labels.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_probabilities_and_labels_are_errors() {
        let message = |result: Result<f64>| result.unwrap_err().to_string();
        assert!(message(brier_score(&[1.5], &[0])).starts_with("1.5 in row 0 is no probability."));
        assert!(message(brier_score(&[0.5], &[3])).starts_with("row 0 is of class 3"));
    }
}
