//! Metrics of regression.

use serde::{Deserialize, Serialize};
use wgrad_core::Result;

use super::{MetricError, check};

/// Error measures of predicted numbers.
///
/// ```
/// use wgrad_metrics::RegressionReport;
/// let report = RegressionReport::new(&[2.5, 0.0, 2.0, 8.0], &[3.0, -0.5, 2.0, 7.0])?;
/// assert_eq!((report.mae, report.mse), (0.5, 0.375));
/// assert!((report.r2.unwrap() - 0.948_608_137_044_967_9).abs() < 1e-15);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegressionReport {
    /// The mean of `|predicted − true|`.
    pub mae: f64,
    /// The mean of `(predicted − true)²`.
    pub mse: f64,
    /// The square root of [`Self::mse`].
    pub rmse: f64,
    /// `1 − Σ (true − predicted)² / Σ (true − mean)²`: the fraction of the variance that the predictions explain.
    /// It is below 0 if the mean is a better prediction, and `None` if all true numbers are equal.
    pub r2: Option<f64>,
}

impl RegressionReport {
    /// Computes the error measures from one prediction per true number.
    ///
    /// # Errors
    /// When a number is not finite, there are no numbers, or the number of predictions is not that of the true
    /// numbers.
    pub fn new<P: Copy + Into<f64>, T: Copy + Into<f64>>(predicted: &[P], truth: &[T]) -> Result<Self> {
        check::lengths(predicted.len(), 1, truth.len())?;
        let predicted: Vec<f64> = predicted.iter().map(|&value| value.into()).collect();
        let truth: Vec<f64> = truth.iter().map(|&value| value.into()).collect();
        for (is_prediction, values) in [(true, &predicted), (false, &truth)] {
            if let Some(row) = values.iter().position(|value| !value.is_finite()) {
                let value = values[row];
                return Err(MetricError::RegressionValue { predicted: is_prediction, row, value }.into());
            }
        }
        let n = truth.len() as f64;
        let errors = || predicted.iter().zip(&truth).map(|(predicted, truth)| truth - predicted);
        let squares: f64 = errors().map(|error| error * error).sum();
        let mean = truth.iter().sum::<f64>() / n;
        let spread: f64 = truth.iter().map(|value| (value - mean).powi(2)).sum();
        let mse = squares / n;
        let r2 = (spread > 0.0).then(|| 1.0 - squares / spread);
        Ok(Self { mae: errors().map(f64::abs).sum::<f64>() / n, mse, rmse: mse.sqrt(), r2 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_truth_has_no_variance_to_explain() {
        let report = RegressionReport::new(&[1.0f32, 3.0], &[2.0f32, 2.0]).unwrap();
        assert_eq!((report.mae, report.rmse, report.r2), (1.0, 1.0, None));
    }

    #[test]
    fn values_that_are_not_finite_are_errors() {
        let message = RegressionReport::new(&[1.0, f64::NAN], &[1.0, 2.0]).unwrap_err().to_string();
        assert_eq!(message, "the prediction of row 1 is NaN");
        assert!(RegressionReport::new(&[1.0], &[1.0, 2.0]).is_err());
    }
}
