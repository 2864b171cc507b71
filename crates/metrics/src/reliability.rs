//! Reliability diagram: predicted probabilities compared with observed frequencies.

use std::fmt;

use serde::{Deserialize, Serialize};
use wgrad_core::Result;

use super::quantile::quantile;
use super::{MetricError, check, rank};

/// Method of dividing probabilities into bins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bins {
    /// Bins of equal width.
    #[default]
    Uniform,
    /// Bins with the same number of rows, as far as equal probabilities allow this.
    Quantile,
}

/// Bin of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// The number of rows in the bin.
    pub rows: usize,
    /// The mean predicted probability of the rows in the bin.
    pub predicted: f64,
    /// The fraction of the rows in the bin that are positive.
    pub observed: f64,
}

/// Reliability diagram of a set of rows: the bins that contain rows, in order of increasing probability.
///
/// ```
/// use wgrad_metrics::{Bins, Reliability};
/// let diagram = Reliability::new(&[0.1, 0.3, 0.2, 0.9], &[0, 1, 0, 1], 2, Bins::Uniform)?;
/// assert_eq!((diagram.bins().len(), diagram.bins()[0].rows), (2, 3));
/// assert!((diagram.error() - 0.125).abs() < 1e-15);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability(Vec<Bin>);

impl Reliability {
    /// Divides rows into `bins` bins according to the probability that they are positive. A probability on the
    /// border of two bins belongs to the lower bin, as in scikit-learn's `calibration_curve`.
    ///
    /// # Errors
    /// When `bins` is 0, a probability is NaN or not between 0 and 1, a label is neither 0 nor 1, there are no
    /// rows, or the number of probabilities is not the number of labels.
    pub fn new<P: Copy + Into<f64>>(probabilities: &[P], labels: &[u32], bins: usize, by: Bins) -> Result<Self> {
        check::lengths(probabilities.len(), 1, labels.len())?;
        rank::binary(labels)?;
        let probabilities = check::probabilities(probabilities, 1)?;
        if bins == 0 {
            return Err(MetricError::NoBins.into());
        }
        let mut sums = vec![(0usize, 0.0, 0.0); bins];
        let inner: Vec<f64> = match by {
            Bins::Uniform => (1..bins).map(|bin| bin as f64 / bins as f64).collect(),
            Bins::Quantile => {
                let mut sorted = probabilities.clone();
                sorted.sort_unstable_by(f64::total_cmp);
                (1..bins).map(|bin| quantile(&sorted, bin as f64 / bins as f64)).collect()
            }
        };
        for (&p, &label) in probabilities.iter().zip(labels) {
            let (rows, predicted, observed) = &mut sums[inner.partition_point(|&border| border < p)];
            *rows += 1;
            *predicted += p;
            *observed += f64::from(label);
        }
        let bin = |(rows, predicted, observed): (usize, f64, f64)| Bin {
            rows,
            predicted: predicted / rows as f64,
            observed: observed / rows as f64,
        };
        Ok(Self(sums.into_iter().filter(|(rows, ..)| *rows > 0).map(bin).collect()))
    }

    /// Returns the bins that contain rows.
    pub fn bins(&self) -> &[Bin] {
        &self.0
    }

    /// Computes the expected calibration error: the mean over all rows of `|observed − predicted|` of the row's
    /// bin.
    pub fn error(&self) -> f64 {
        let rows: usize = self.0.iter().map(|bin| bin.rows).sum();
        self.0.iter().map(|bin| (bin.observed - bin.predicted).abs() * bin.rows as f64).sum::<f64>() / rows as f64
    }

    /// Computes the maximum calibration error: the largest `|observed − predicted|` of any bin.
    pub fn largest_error(&self) -> f64 {
        self.0.iter().map(|bin| (bin.observed - bin.predicted).abs()).fold(0.0, f64::max)
    }
}

impl fmt::Display for Reliability {
    /// Writes one line per bin, with a bar for the observed fraction; a bar of 40 characters stands for 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9}  {:>8}  {:>6}", "predicted", "observed", "rows")?;
        for bin in &self.0 {
            let bar = "█".repeat((bin.observed * 40.0).round() as usize);
            write!(f, "\n{:>9.4}  {:>8.4}  {:>6}  {bar}", bin.predicted, bin.observed, bin.rows)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_bin_has_the_border() {
        let diagram = Reliability::new(&[0.5, 0.500_001, 0.0, 1.0], &[1, 0, 0, 1], 2, Bins::Uniform).unwrap();
        assert_eq!(diagram.bins().iter().map(|bin| bin.rows).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(diagram.to_string().lines().count(), 3);
    }

    #[test]
    fn quantile_bins_hold_the_same_number_of_rows() {
        let probabilities: Vec<f64> = (0..100).map(|i| f64::from(i * i) / 1e4).collect();
        let labels: Vec<u32> = (0..100).map(|i| i % 2).collect();
        let diagram = Reliability::new(&probabilities, &labels, 5, Bins::Quantile).unwrap();
        assert_eq!(diagram.bins().iter().map(|bin| bin.rows).collect::<Vec<_>>(), [20; 5]);
    }

    #[test]
    fn no_bins_are_an_error() {
        let none = Reliability::new(&[0.5], &[0], 0, Bins::Uniform).unwrap_err().to_string();
        assert_eq!(none, "a reliability diagram needs at least one bin; 10 are usual");
    }
}
