//! Calibration: maps from logits to probabilities that match observed frequencies, fitted on validation rows.

use std::fmt;

use serde::{Deserialize, Serialize};
use wgrad_core::Result;

use super::{CalibrationParameter, MetricError, check, rank};

/// Map from a model's logit to a calibrated probability.
///
/// Of all rows with a calibrated probability of 20 %, about 20 % should be positive. A fitted map that does not
/// reverse the order of rows keeps their ROC-AUC, except that isotonic regression may add ties. Fit the map on
/// rows that the model was not trained on.
///
/// ```
/// use wgrad_metrics::Calibration;
/// // An overconfident model: logits of ±4, correct three times out of four.
/// let logits = [4.0, 4.0, 4.0, 4.0, -4.0, -4.0, -4.0, -4.0];
/// let labels = [1, 1, 1, 0, 0, 0, 0, 1];
/// let calibration = Calibration::temperature(&logits, &labels)?;
/// assert!((calibration.probability(4.0) - 0.75).abs() < 1e-12);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// `sigmoid(z / temperature)` for a logit `z`.
    Temperature(f64),
    /// `sigmoid(slope · z + intercept)` for a logit `z`.
    Platt {
        /// The number by which the logit is multiplied.
        slope: f64,
        /// The number that is added to `slope · z`.
        intercept: f64,
    },
    /// Linear interpolation between points (knots); the map is constant below the first knot and above the last.
    Isotonic {
        /// The logits of the knots, in increasing order.
        logits: Vec<f64>,
        /// The probabilities of the knots, which never decrease.
        probabilities: Vec<f64>,
    },
}

impl Calibration {
    /// Fits the temperature that minimises the log loss (Guo et al., "On calibration of modern neural networks",
    /// 2017).
    ///
    /// # Errors
    /// When there is no minimum, because all labels are equal, or the logits separate them perfectly or no better
    /// than chance; when a logit is not finite, a label is neither 0 nor 1, there are no rows, or the number of
    /// logits is not the number of labels.
    pub fn temperature<S: Copy + Into<f64>>(logits: &[S], labels: &[u32]) -> Result<Self> {
        let logits = checked(logits, labels)?;
        let rows: Vec<_> = logits.iter().zip(labels).map(|(&z, &label)| ([z, 0.0], f64::from(label))).collect();
        match newton(&rows, [1.0, 0.0], true) {
            Some([slope, _]) if slope > 0.0 => Ok(Self::Temperature(1.0 / slope)),
            _ => Err(MetricError::NoMinimum { parameter: CalibrationParameter::Temperature }.into()),
        }
    }

    /// Fits the slope and intercept that minimise the log loss against smoothed targets (Platt, "Probabilistic
    /// outputs for support vector machines", 1999). With `P` positive and `N` negative rows, the targets are
    /// `(P + 1) / (P + 2)` for positive rows and `1 / (N + 2)` for negative rows.
    ///
    /// # Errors
    /// The same as for [`Self::temperature`], except that logits may separate the labels perfectly.
    pub fn platt<S: Copy + Into<f64>>(logits: &[S], labels: &[u32]) -> Result<Self> {
        let logits = checked(logits, labels)?;
        let positives = labels.iter().filter(|&&label| label == 1).count() as f64;
        let negatives = labels.len() as f64 - positives;
        let target = |label| if label == 1 { (positives + 1.0) / (positives + 2.0) } else { 1.0 / (negatives + 2.0) };
        let rows: Vec<_> = logits.iter().zip(labels).map(|(&z, &label)| ([z, 1.0], target(label))).collect();
        let prior = ((positives + 1.0) / (negatives + 1.0)).ln();
        let [slope, intercept] = newton(&rows, [0.0, prior], false)
            .ok_or(MetricError::NoMinimum { parameter: CalibrationParameter::Slope })?;
        Ok(Self::Platt { slope, intercept })
    }

    /// Fits the non-decreasing function of the logit that minimises the squared error: isotonic regression with
    /// the pool-adjacent-violators algorithm. It needs several hundred rows, more than the other calibrations.
    ///
    /// # Errors
    /// When a logit is not finite, a label is neither 0 nor 1, all labels are equal, there are no rows, or the
    /// number of logits is not the number of labels.
    pub fn isotonic<S: Copy + Into<f64>>(logits: &[S], labels: &[u32]) -> Result<Self> {
        let logits = checked(logits, labels)?;
        let (order, equal) = rank::by_score(&logits);
        let mut blocks: Vec<Block> = vec![];
        for group in order.chunk_by(equal) {
            let z = logits[group[0]];
            let hits = group.iter().filter(|&&row| labels[row] == 1).count();
            let mut block = Block { positive: hits as f64, rows: group.len() as f64, first: z, last: z };
            while let Some(before) = blocks.last() {
                if before.positive * block.rows < block.positive * before.rows {
                    break;
                }
                block.positive += before.positive;
                block.rows += before.rows;
                block.first = before.first;
                blocks.pop();
            }
            blocks.push(block);
        }
        let (mut knots, mut probabilities) = (vec![], vec![]);
        for Block { positive, rows, first, last } in blocks {
            for z in if first < last { vec![first, last] } else { vec![first] } {
                knots.push(z);
                probabilities.push(positive / rows);
            }
        }
        Ok(Self::Isotonic { logits: knots, probabilities })
    }

    /// Fits the temperature of `softmax(z / temperature)` that minimises the log loss of logits `[rows, classes]`.
    ///
    /// # Errors
    /// When there is no minimum, because the logit of the true class is the largest one in every row, or the
    /// logits predict the labels no better than chance; when a logit is not finite, a label is not below
    /// `classes`, there are no rows, or the number of logits is not `classes` per label.
    pub fn temperature_multiclass<S: Copy + Into<f64>>(logits: &[S], labels: &[u32], classes: usize) -> Result<Self> {
        check::lengths(logits.len(), classes, labels.len())?;
        check::classes(labels, classes)?;
        let logits = finite(check::scores(logits.iter().copied(), classes)?, classes)?;
        let beta = minimize_scale(&logits, labels, classes);
        let beta = beta.ok_or(MetricError::NoMinimum { parameter: CalibrationParameter::Temperature })?;
        Ok(Self::Temperature(1.0 / beta))
    }

    /// Returns the largest logit whose probability is at most `p`: the inverse of `Calibration::probability`.
    /// Returns −∞ if the probabilities of all logits are above `p`, and ∞ if none is.
    ///
    /// # Errors
    /// When the map reverses the order of logits.
    pub fn logit(&self, p: f64) -> Result<f64> {
        let odds = (p / (1.0 - p)).ln();
        match self {
            Self::Temperature(temperature) => Ok(odds * temperature),
            Self::Platt { slope, intercept } if *slope > 0.0 => Ok((odds - intercept) / slope),
            Self::Platt { slope, .. } => Err(MetricError::ReversedOrder { slope: *slope }.into()),
            Self::Isotonic { logits, probabilities } => {
                let above = probabilities.partition_point(|&at| at <= p);
                let Some(below) = above.checked_sub(1) else { return Ok(f64::NEG_INFINITY) };
                let Some(&high) = logits.get(above) else { return Ok(f64::INFINITY) };
                let (low, from, to) = (logits[below], probabilities[below], probabilities[above]);
                Ok(low + (high - low) * ((p - from) / (to - from)))
            }
        }
    }

    /// Checks the numbers of a calibration that was read from a file.
    pub(super) fn check(&self) -> Result<()> {
        let valid = match self {
            Self::Temperature(temperature) => *temperature > 0.0 && temperature.is_finite(),
            Self::Platt { slope, intercept } => slope.is_finite() && intercept.is_finite(),
            Self::Isotonic { logits, probabilities } => {
                let rising = logits.windows(2).all(|pair| pair[0] < pair[1]) && probabilities.is_sorted();
                let numbers = logits.iter().all(|z| z.is_finite());
                let fractions = probabilities.iter().all(|p| (0.0..=1.0).contains(p));
                !logits.is_empty() && logits.len() == probabilities.len() && rising && numbers && fractions
            }
        };
        if valid { Ok(()) } else { Err(MetricError::InvalidCalibration.into()) }
    }

    /// Returns the probability that a row with this logit is positive.
    pub fn probability(&self, logit: f64) -> f64 {
        match self {
            Self::Temperature(temperature) => sigmoid(logit / temperature),
            Self::Platt { slope, intercept } => sigmoid(slope * logit + intercept),
            Self::Isotonic { logits, probabilities } => {
                let above = logits.partition_point(|&z| z < logit);
                match (above.checked_sub(1), logits.get(above)) {
                    (None, _) => probabilities.first().copied().unwrap_or(f64::NAN),
                    (Some(below), None) => probabilities[below],
                    (Some(below), Some(&high)) => {
                        let (low, from, to) = (logits[below], probabilities[below], probabilities[above]);
                        from + (to - from) * ((logit - low) / (high - low))
                    }
                }
            }
        }
    }
}

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temperature(temperature) => write!(f, "temperature {temperature:.4}"),
            Self::Platt { slope, intercept } => write!(f, "Platt, slope {slope:.4} and intercept {intercept:.4}"),
            Self::Isotonic { logits, .. } => write!(f, "isotonic, {} knots", logits.len()),
        }
    }
}

/// Group of rows with consecutive logits that get the same probability.
struct Block {
    positive: f64,
    rows: f64,
    first: f64,
    last: f64,
}

/// Computes `1 / (1 + exp(-z))` without overflow.
pub(crate) fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 { 1.0 / (1.0 + (-z).exp()) } else { z.exp() / (1.0 + z.exp()) }
}

/// Checks that logits are finite and that both classes occur in the labels; returns the logits.
fn checked<S: Copy + Into<f64>>(logits: &[S], labels: &[u32]) -> Result<Vec<f64>> {
    check::lengths(logits.len(), 1, labels.len())?;
    rank::binary(labels)?;
    let logits = finite(check::scores(logits.iter().copied(), 1)?, 1)?;
    if labels.iter().all(|label| *label == labels[0]) {
        return Err(MetricError::CalibrationOfOneClass { class: labels[0] }.into());
    }
    Ok(logits)
}

/// Checks that logits are finite.
fn finite(logits: Vec<f64>, width: usize) -> Result<Vec<f64>> {
    match logits.iter().position(|z| z.is_infinite()) {
        Some(at) => Err(MetricError::Logit { row: at / width, value: logits[at] }.into()),
        None => Ok(logits),
    }
}

/// Finds the factor `b > 0` that minimises the log loss of the logits `b · z`, with Newton's method and step
/// halving; returns `None` if there is no minimum. The logits `z` are `[rows, classes]`. The log loss is the mean
/// over the rows of `log Σ exp(b zⱼ) − b zᵧ`, where `zⱼ` is the logit of class `j`, and `zᵧ` is that of the row's
/// label.
fn minimize_scale(logits: &[f64], labels: &[u32], classes: usize) -> Option<f64> {
    let n = labels.len() as f64;
    // Returns the loss at `b`, and its first and second derivative with respect to `b`.
    let at = |b: f64| {
        let mut sums = [0.0; 3];
        for (row, &label) in logits.chunks_exact(classes).zip(labels) {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (mut whole, mut first, mut second) = (0.0, 0.0, 0.0);
            for z in row.iter().map(|z| z - max) {
                let weight = (b * z).exp();
                (whole, first, second) = (whole + weight, first + weight * z, second + weight * z * z);
            }
            let (own, mean) = (row[label as usize] - max, first / whole);
            sums[0] += (whole.ln() - b * own) / n;
            sums[1] += (mean - own) / n;
            sums[2] += (second / whole - mean * mean) / n;
        }
        sums
    };
    let mut b = 1.0;
    let [mut loss, mut first, mut second] = at(b);
    for _ in 0..200 {
        if second.is_nan() || second <= 1e-14 {
            return None;
        }
        let step = first / second;
        if first * step <= 1e-13 * loss {
            return Some(b - step).filter(|b| *b > 0.0);
        }
        let moved = (0..40).map(|halvings| b - step * 0.5f64.powi(halvings)).find(|&b| b > 0.0 && at(b)[0] < loss)?;
        b = moved;
        [loss, first, second] = at(b);
    }
    None
}

/// Fits a logistic regression with two weights `w` to rows with the inputs `x` and the target `t`: minimises the
/// mean of `log(1 + exp(w·x)) − t·(w·x)` over the rows. Newton's method with step halving starts from the given
/// weights. The second weight keeps its value if `one` is true. Returns the weights, or `None` if there is no
/// minimum.
fn newton(rows: &[([f64; 2], f64)], mut w: [f64; 2], one: bool) -> Option<[f64; 2]> {
    let n = rows.len() as f64;
    let at = |w: [f64; 2], x: [f64; 2]| w[0] * x[0] + w[1] * x[1];
    let loss = |w: [f64; 2]| {
        let of = |&(x, t): &([f64; 2], f64)| {
            let z: f64 = at(w, x);
            z.max(0.0) + (-z.abs()).exp().ln_1p() - t * z
        };
        rows.iter().map(of).sum::<f64>() / n
    };
    let mut current = loss(w);
    for _ in 0..200 {
        let (mut g, mut h) = ([0.0; 2], [[0.0; 2]; 2]);
        for &(x, t) in rows {
            let p = sigmoid(at(w, x));
            for i in 0..2 {
                g[i] += (p - t) * x[i] / n;
                for j in 0..2 {
                    h[i][j] += p * (1.0 - p) * x[i] * x[j] / n;
                }
            }
        }
        if one {
            (g[1], h[0][1], h[1][0], h[1][1]) = (0.0, 0.0, 0.0, 1.0);
        }
        let determinant = h[0][0] * h[1][1] - h[0][1] * h[1][0];
        let scale = h[0][0].max(h[1][1]).powi(2);
        if determinant.is_nan() || determinant <= 1e-14 * scale {
            return None;
        }
        let step = [(h[1][1] * g[0] - h[0][1] * g[1]) / determinant, (h[0][0] * g[1] - h[1][0] * g[0]) / determinant];
        let moved = |scale: f64| [w[0] - scale * step[0], w[1] - scale * step[1]];
        // The loss can hardly decrease any further. Near the minimum, the distance to it after a full step of
        // Newton's method is about the square of the distance before it, so this step is the last one.
        if g[0] * step[0] + g[1] * step[1] <= 1e-13 * current {
            return Some(moved(1.0));
        }
        let scales = (0..40).map(|halvings| 0.5f64.powi(halvings));
        let mut trials = scales.map(|scale| (moved(scale), loss(moved(scale))));
        let (next, next_loss) = trials.find(|(_, loss)| *loss < current)?;
        (w, current) = (next, next_loss);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_loss;

    fn rows() -> (Vec<f64>, Vec<u32>) {
        let logits: Vec<f64> = (0..400).map(|i| f64::from((i * 97) % 401) / 40.0 - 5.0).collect();
        let labels = (0u32..).zip(&logits).map(|(i, z)| u32::from(z / 2.0 + f64::from((i * 31) % 17) / 4.0 > 1.5));
        let labels = labels.collect();
        (logits, labels)
    }

    #[test]
    fn the_fit_minimises_the_loss() {
        let (logits, labels) = rows();
        let of = |calibration: &Calibration| {
            let p: Vec<f64> = logits.iter().map(|&z| calibration.probability(z)).collect();
            log_loss(&p, &labels).unwrap()
        };
        let Calibration::Temperature(t) = Calibration::temperature(&logits, &labels).unwrap() else { panic!() };
        let best = of(&Calibration::Temperature(t));
        assert!(of(&Calibration::Temperature(t * 1.001)) > best && of(&Calibration::Temperature(t / 1.001)) > best);
        assert!(of(&Calibration::platt(&logits, &labels).unwrap()) < best);
    }

    #[test]
    fn pooled_probabilities_increase_and_keep_the_mean() {
        let (logits, labels) = rows();
        let isotonic = Calibration::isotonic(&logits, &labels).unwrap();
        let Calibration::Isotonic { probabilities, .. } = &isotonic else { panic!() };
        assert!(probabilities.is_sorted());
        let mean = logits.iter().map(|&z| isotonic.probability(z)).sum::<f64>() / 400.0;
        let fraction = labels.iter().map(|&label| f64::from(label)).sum::<f64>() / 400.0;
        approx::assert_relative_eq!(mean, fraction, max_relative = 1e-12);
        assert!(isotonic.probability(-1e9) <= isotonic.probability(1e9));
    }

    #[test]
    fn rows_without_a_fit_are_errors() {
        let message = |result: Result<Calibration>| result.unwrap_err().to_string();
        assert!(message(Calibration::temperature(&[-1.0, 1.0], &[0, 1])).starts_with("no temperature is best"));
        assert!(message(Calibration::temperature(&[1.0, -1.0], &[0, 1])).starts_with("no temperature is best"));
        assert!(Calibration::platt(&[-1.0, 1.0], &[0, 1]).is_ok());
        assert!(message(Calibration::platt(&[2.0, 2.0], &[0, 1])).starts_with("no slope is best"));
        let one = "calibration needs rows of both classes, but every row is of class 1";
        assert_eq!(message(Calibration::isotonic(&[2.0, 1.0], &[1, 1])), one);
        assert_eq!(message(Calibration::platt(&[f64::INFINITY, 1.0], &[1, 0])), "the logit of row 0 is inf");
    }
}
