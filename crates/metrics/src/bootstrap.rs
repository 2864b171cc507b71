//! Confidence intervals of metrics from resampled rows.

use std::fmt;

use serde::{Deserialize, Serialize};
use wgrad_core::{Result, Seed, SplitMix64};

use super::MetricError;
use super::quantile::quantile;

/// Value of a metric, with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The metric of the original rows.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
    /// The fraction of resamples whose metric is between the two ends.
    pub confidence: f64,
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} [{:.4}, {:.4}]", self.value, self.low, self.high)
    }
}

/// Computes the percentile bootstrap interval of a metric (Efron 1979), which contains the middle fraction
/// `confidence` of the metric's values on `draws` resamples with replacement.
///
/// `metric` receives row numbers. Resamples for which it returns an error, for instance because no row is
/// positive, are left out. If more than half of all resamples are left out, the function returns an error.
///
/// ```
/// use wgrad_core::Seed;
/// use wgrad_metrics::{bootstrap, roc_auc};
/// let (scores, labels) = ([0.1, 0.4, 0.35, 0.8, 0.7, 0.2], [0, 0, 1, 1, 1, 0]);
/// let interval = bootstrap(6, 1000, 0.95, Seed(7), |rows| {
///     let (scores, labels): (Vec<f64>, Vec<u32>) = rows.iter().map(|&row| (scores[row], labels[row])).unzip();
///     roc_auc(&scores, &labels)
/// })?;
/// assert!(interval.low < interval.value && interval.value <= interval.high);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// When `metric` returns an error for the original rows, `confidence` is not between 0 and 1, there are no rows or
/// no draws, or the metric is undefined for more than half of the resamples.
pub fn bootstrap(
    rows: usize,
    draws: usize,
    confidence: f64,
    seed: Seed,
    metric: impl Fn(&[usize]) -> Result<f64>,
) -> Result<Interval> {
    if rows == 0 || draws == 0 {
        return Err(MetricError::EmptyBootstrap { rows, draws }.into());
    }
    if !(confidence > 0.0 && confidence < 1.0) {
        return Err(MetricError::Confidence { confidence }.into());
    }
    let value = metric(&(0..rows).collect::<Vec<_>>())?;
    let mut random = SplitMix64::new(seed, 0);
    let mut values = Vec::with_capacity(draws);
    let mut sample = vec![0; rows];
    for _ in 0..draws {
        sample.fill_with(|| usize::try_from(random.below(rows as u64)).unwrap_or(0));
        values.extend(metric(&sample).ok().filter(|value| value.is_finite()));
    }
    if values.len() * 2 < draws {
        return Err(MetricError::UndefinedDraws { defined: values.len(), draws, rows }.into());
    }
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Ok(Interval { value, low: quantile(&values, tail), high: quantile(&values, 1.0 - tail), confidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_that_of_a_normal() {
        let values: Vec<f64> = (0..400).map(|i| f64::from((i * 97) % 400)).collect();
        let mean = |rows: &[usize]| Ok(rows.iter().map(|&row| values[row]).sum::<f64>() / rows.len() as f64);
        let interval = bootstrap(400, 4000, 0.95, Seed(3), mean).unwrap();
        // The standard error of the mean of the numbers 0..400 is √((400² − 1) / 12) / √400.
        let half = 1.96 * ((400.0f64 * 400.0 - 1.0) / 12.0).sqrt() / 20.0;
        assert!((interval.value - 199.5).abs() < 1e-9);
        assert!((interval.high - interval.low - 2.0 * half).abs() < 0.1 * half, "{interval}");
        assert_eq!(interval, bootstrap(400, 4000, 0.95, Seed(3), mean).unwrap());
    }

    #[test]
    fn metrics_without_an_interval_are_errors() {
        let message = |result: Result<Interval>| result.unwrap_err().to_string();
        let none = |_: &[usize]| Ok(1.0);
        assert_eq!(
            message(bootstrap(0, 10, 0.9, Seed(0), none)),
            "an interval needs rows and draws, not 0 rows and 10 draws"
        );
        assert_eq!(
            message(bootstrap(3, 10, 95.0, Seed(0), none)),
            "the confidence must be between 0 and 1, such as 0.95, not 95"
        );
        let rarely = |rows: &[usize]| if rows == [0, 1, 2] { Ok(1.0) } else { Err(MetricError::NoPositive.into()) };
        let rarely = message(bootstrap(3, 10, 0.9, Seed(0), rarely));
        assert!(rarely.starts_with("the metric is defined for only "), "{rarely}");
    }
}
