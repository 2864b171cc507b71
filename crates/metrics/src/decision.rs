//! Decisions: a calibration and a threshold, stored with the weights of a model.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wgrad_core::{Error, Result};

use super::calibration::sigmoid;
use super::{Calibrate, Calibration, Cut, Cuts, MetricError, Rule, check};

impl FromStr for Calibrate {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        [Self::None, Self::Temperature, Self::Platt, Self::Isotonic]
            .into_iter()
            .find(|kind| kind.to_string() == word)
            .ok_or_else(|| MetricError::UnknownCalibration { text: word.to_string() }.into())
    }
}

impl Calibrate {
    /// Fits the calibration to rows with one logit each.
    ///
    /// # Errors
    /// The same as for the constructors of [`Calibration`].
    pub fn fit<S: Copy + Into<f64>>(self, logits: &[S], labels: &[u32]) -> Result<Option<Calibration>> {
        match self {
            Self::None => Ok(None),
            Self::Temperature => Calibration::temperature(logits, labels).map(Some),
            Self::Platt => Calibration::platt(logits, labels).map(Some),
            Self::Isotonic => Calibration::isotonic(logits, labels).map(Some),
        }
    }
}

/// Counts of the rows on which a threshold was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The number of rows.
    pub rows: u64,
    /// The number of positive rows.
    pub positives: u64,
    /// The number of positive rows above the threshold.
    pub true_positives: u64,
    /// The number of negative rows above the threshold.
    pub false_positives: u64,
}

/// Map from a model's logits to probabilities and classes.
///
/// A row is positive if its logit is above [`threshold`](Self::threshold). The threshold is a logit of the model,
/// so changing the calibration does not change the threshold. The default decision has no calibration and the
/// threshold 0: probabilities are the sigmoid (or softmax) of the logits, and a row is positive if its probability
/// is above 1/2.
///
/// ```
/// use wgrad_metrics::{Calibrate, Decision, Rule};
/// let logits = [4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0];
/// let labels = [1, 1, 0, 1, 0, 0, 0, 0];
/// let decision = Decision::fit(&logits, &labels, Calibrate::Platt, Rule::FBeta(2.0))?;
/// assert_eq!(decision.threshold(), 0.5);
/// assert!(decision.is_positive(0.7) && decision.probability(0.7) < 0.7);
/// let text = serde_json::to_string(&decision).unwrap();
/// assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Decision {
    calibration: Option<Calibration>,
    threshold: f64,
    rule: Rule,
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen_on: Option<Chosen>,
}

/// Decision read from a file, before it is checked.
#[derive(Deserialize)]
struct Unchecked {
    calibration: Option<Calibration>,
    threshold: f64,
    rule: Rule,
    #[serde(default)]
    chosen_on: Option<Chosen>,
}

impl TryFrom<Unchecked> for Decision {
    type Error = Error;

    fn try_from(Unchecked { calibration, threshold, rule, chosen_on }: Unchecked) -> Result<Self> {
        if !threshold.is_finite() {
            return Err(MetricError::Threshold { threshold }.into());
        }
        calibration.as_ref().map_or(Ok(()), Calibration::check)?;
        Ok(Self { calibration, threshold, rule, chosen_on })
    }
}

/// Decision for one of several independent labels; see [`Decision::per_label`].
#[derive(Debug)]
pub struct LabelDecision {
    /// The fitted decision, or the default decision if the fit failed.
    pub decision: Decision,
    /// The reason why the fit failed; `None` if it succeeded.
    pub error: Option<Error>,
}

impl Decision {
    /// Fits the calibration and chooses the threshold on rows with one logit each; positive rows have the label 1.
    /// Use validation rows: neither training rows nor test rows.
    ///
    /// # Errors
    /// When the calibration cannot be fitted, or no threshold satisfies the rule; when a logit is not finite, a
    /// label is neither 0 nor 1, there are no rows, or the number of logits is not the number of labels.
    pub fn fit<S: Copy + Into<f64>>(logits: &[S], labels: &[u32], calibrate: Calibrate, rule: Rule) -> Result<Self> {
        Self::of(logits, labels, calibrate.fit(logits, labels)?, rule)
    }

    /// Chooses the threshold for a given calibration.
    ///
    /// # Errors
    /// The same as for [`Self::fit`].
    pub fn of<S: Copy + Into<f64>>(
        logits: &[S],
        labels: &[u32],
        calibration: Option<Calibration>,
        rule: Rule,
    ) -> Result<Self> {
        let cuts = Cuts::new(logits, labels)?;
        let Some(cut) = rule.choose(&cuts)? else { return Self::fixed(calibration, rule) };
        let Cut { true_positives, false_positives, positives, negatives, .. } = cut;
        let chosen_on = Some(Chosen { rows: positives + negatives, positives, true_positives, false_positives });
        Ok(Self { calibration, threshold: below(&cut), rule, chosen_on })
    }

    /// Creates a decision for one logit per row, with the threshold at a fixed probability: that of
    /// [`Rule::Fixed`], or 1/2 for any other rule.
    ///
    /// # Errors
    /// When the calibration reverses the order of logits, or its numbers are invalid.
    pub fn fixed(calibration: Option<Calibration>, rule: Rule) -> Result<Self> {
        let Rule::Fixed(p) = rule else { return Self::fixed(calibration, Rule::default()) };
        let odds = (p / (1.0 - p)).ln();
        let threshold = match &calibration {
            None => odds,
            Some(calibration) => {
                calibration.check()?;
                calibration.logit(p)?
            }
        };
        Ok(Self { calibration, threshold: threshold.clamp(f64::MIN, f64::MAX), rule, chosen_on: None })
    }

    /// Creates a decision for more than two classes from logits `[rows, classes]`, with a temperature or without
    /// calibration. The predicted class is the most probable one.
    ///
    /// # Errors
    /// When no temperature minimises the loss, `calibrate` works only for two classes, a logit is not finite, a
    /// label is not below `classes`, there are no rows, or the number of logits is not `classes` per label.
    pub fn multiclass<S: Copy + Into<f64>>(
        logits: &[S],
        labels: &[u32],
        classes: usize,
        calibrate: Calibrate,
    ) -> Result<Self> {
        let calibration = match calibrate {
            Calibrate::None => None,
            Calibrate::Temperature => Some(Calibration::temperature_multiclass(logits, labels, classes)?),
            calibrate => return Err(MetricError::BinaryCalibration { calibrate, classes }.into()),
        };
        Ok(Self { calibration, ..Self::default() })
    }

    /// Creates one decision for each label of a model with several independent labels. Logits and targets are
    /// `[rows, labels]`; a target is 1 if the label applies to the row. A label for which no decision can be
    /// fitted gets the default decision and an error.
    ///
    /// ```
    /// use wgrad_metrics::{Calibrate, Decision, Rule};
    /// let (logits, targets) = ([2.0, 0.1, 1.0, -0.5, -1.0, -2.0, 0.5, 0.3], [1, 1, 1, 0, 0, 0, 0, 1]);
    /// let decisions = Decision::per_label(&logits, &targets, 2, Calibrate::None, Rule::FBeta(1.0))?;
    /// let thresholds: Vec<f64> = decisions.iter().map(|label| label.decision.threshold()).collect();
    /// assert_eq!(thresholds, [0.75, -0.2]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When there are no rows or no labels, or the number of logits is not the number of targets.
    pub fn per_label<S: Copy + Into<f64>>(
        logits: &[S],
        targets: &[u32],
        labels: usize,
        calibrate: Calibrate,
        rule: Rule,
    ) -> Result<Vec<LabelDecision>> {
        check::lengths(logits.len(), 1, targets.len())?;
        if labels == 0 || !logits.len().is_multiple_of(labels) {
            return Err(MetricError::LabelWidth { logits: logits.len(), labels }.into());
        }
        Ok((0..labels)
            .map(|label| {
                let (z, y): (Vec<f64>, Vec<u32>) =
                    logits.iter().zip(targets).skip(label).step_by(labels).map(|(&z, &y)| (z.into(), y)).unzip();
                match Self::fit(&z, &y, calibrate, rule) {
                    Ok(decision) => LabelDecision { decision, error: None },
                    Err(error) => LabelDecision { decision: Self::default(), error: Some(error) },
                }
            })
            .collect())
    }

    /// Returns the calibration, if there is one.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// Returns the logit above which a row is positive.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Returns the rule that chose the threshold.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Returns the counts of the rows on which the threshold was chosen; `None` for a fixed threshold.
    pub fn chosen_on(&self) -> Option<Chosen> {
        self.chosen_on
    }

    /// Returns whether a row with this logit is positive.
    pub fn is_positive(&self, logit: f64) -> bool {
        logit > self.threshold
    }

    /// Returns the calibrated probability that a row with this logit is positive.
    pub fn probability(&self, logit: f64) -> f64 {
        self.calibration.as_ref().map_or_else(|| sigmoid(logit), |calibration| calibration.probability(logit))
    }

    /// Returns the class probabilities of a row. For one logit, this is only the probability of the positive
    /// class; otherwise there is one probability per logit. Two logits are treated as a single logit, their
    /// difference.
    pub fn probabilities(&self, logits: &[f64]) -> Vec<f64> {
        match (logits, &self.calibration) {
            (&[z], _) => vec![self.probability(z)],
            (&[a, b], _) => {
                let p = self.probability(b - a);
                vec![1.0 - p, p]
            }
            (_, Some(Calibration::Temperature(temperature))) => softmax(logits, *temperature),
            _ => softmax(logits, 1.0),
        }
    }

    /// Returns the class of a row. For one or two logits, the threshold decides; otherwise it is the class of the
    /// largest logit, the first one in a tie.
    pub fn class(&self, logits: &[f64]) -> u32 {
        match *logits {
            [z] => u32::from(self.is_positive(z)),
            [a, b] => u32::from(self.is_positive(b - a)),
            _ => (0..).zip(logits).fold((0, f64::NEG_INFINITY), |a, b| if *b.1 > a.1 { (b.0, *b.1) } else { a }).0,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.calibration {
            None => f.write_str("probabilities as the model gives them")?,
            Some(calibration) => write!(f, "probabilities calibrated ({calibration})")?,
        }
        match self.threshold {
            t if t >= f64::MAX => f.write_str("; no row is positive")?,
            t if t <= f64::MIN => f.write_str("; every row is positive")?,
            t => write!(f, "; positive above {:.4} (logit {t:.4})", self.probability(t))?,
        }
        if let Rule::Fixed(_) = self.rule { Ok(()) } else { write!(f, ", chosen for {}", self.rule.words()) }
    }
}

/// Returns a finite threshold with the same effect as the cut: the scores above the threshold are those that count
/// as positive at the cut.
fn below(cut: &Cut) -> f64 {
    let threshold = if cut.threshold < cut.score { cut.threshold } else { cut.score.next_down() };
    threshold.clamp(f64::MIN, f64::MAX)
}

/// Computes the softmax of `logits / temperature`.
fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut row: Vec<f64> = logits.iter().map(|z| ((z - max) / temperature).exp()).collect();
    let sum: f64 = row.iter().sum();
    for p in &mut row {
        *p /= sum;
    }
    row
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
