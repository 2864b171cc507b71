//! From logits to probabilities and labels: what is stored with a model beside its weights.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wgrad_core::{Error, Result};

use super::calibration::sigmoid;
use super::{Calibration, Cut, Cuts, MetricError, Rule, check};

/// Which map makes a model's probabilities honest; see [`Calibration`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Calibrate {
    /// None.
    #[default]
    None,
    /// One number: [`Calibration::temperature`], also for more than two classes.
    Temperature,
    /// Two numbers: [`Calibration::platt`], for models whose classes were weighted or resampled, too.
    Platt,
    /// A staircase: [`Calibration::isotonic`], for some hundreds of rows and more.
    Isotonic,
}

impl fmt::Display for Calibrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Temperature => "temperature",
            Self::Platt => "platt",
            Self::Isotonic => "isotonic",
        })
    }
}

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
    /// Fits the map of one logit per row.
    ///
    /// # Errors
    /// As those of [`Calibration`].
    pub fn fit<S: Copy + Into<f64>>(self, logits: &[S], labels: &[u32]) -> Result<Option<Calibration>> {
        match self {
            Self::None => Ok(None),
            Self::Temperature => Calibration::temperature(logits, labels).map(Some),
            Self::Platt => Calibration::platt(logits, labels).map(Some),
            Self::Isotonic => Calibration::isotonic(logits, labels).map(Some),
        }
    }
}

/// What a threshold did on the rows that it was chosen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// Rows.
    pub rows: u64,
    /// Positive rows.
    pub positives: u64,
    /// Positive rows that count as positive.
    pub true_positives: u64,
    /// Negative rows that count as positive.
    pub false_positives: u64,
}

/// How the logits of a model become probabilities and labels.
///
/// A row is positive if its logit is above [`threshold`](Self::threshold), a number of the model's own logits: a
/// calibration fitted again later does not move it. The default is what a model without a decision does: the sigmoid (or
/// softmax) of the logits, and 1/2.
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

/// What a file may say.
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

/// The decision for one of several independent labels; see [`Decision::per_label`].
#[derive(Debug)]
pub struct LabelDecision {
    /// The decision; the default where none can be fitted.
    pub decision: Decision,
    /// The reason why none can be fitted.
    pub error: Option<Error>,
}

impl Decision {
    /// Fits the calibration and chooses the threshold on rows with one logit each, 1 labelling a positive row. They should
    /// be rows that the model was neither trained on nor is to be judged on.
    ///
    /// # Errors
    /// When the calibration cannot be fitted, or no threshold follows the rule; when a logit is not finite, a label
    /// neither 0 nor 1, there are no rows or not one logit per label.
    pub fn fit<S: Copy + Into<f64>>(logits: &[S], labels: &[u32], calibrate: Calibrate, rule: Rule) -> Result<Self> {
        Self::of(logits, labels, calibrate.fit(logits, labels)?, rule)
    }

    /// Chooses the threshold where the calibration is known already.
    ///
    /// # Errors
    /// As [`Self::fit`].
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

    /// A decision for one logit per row at a given probability: [`Rule::Fixed`], or 1/2 for any other rule.
    ///
    /// # Errors
    /// When the calibration turns the order of the logits around, or its numbers are none.
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

    /// For more than two classes, from logits `[rows, classes]`: a temperature, or none. The class is the most probable
    /// one.
    ///
    /// # Errors
    /// When no temperature is best, `calibrate` is a map for two classes, a logit is not finite, a label has no class, there are no
    /// rows or not a logit per class and label.
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

    /// One decision per label of a model with several independent labels, from logits and targets `[rows, names]`: 1 where
    /// a label applies. A label for which nothing can be fitted keeps the default, and its error.
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
    /// When there are no rows, no labels, or not a logit per target.
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

    /// The map to calibrated probabilities, if there is one.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref()
    }

    /// The logit above which a row is positive.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The rule that chose the threshold.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// What the threshold did on the rows that it was chosen on; none for a fixed one.
    pub fn chosen_on(&self) -> Option<Chosen> {
        self.chosen_on
    }

    /// Whether a row of this logit is positive.
    pub fn is_positive(&self, logit: f64) -> bool {
        logit > self.threshold
    }

    /// The probability, after calibration, that a row of this logit is positive.
    pub fn probability(&self, logit: f64) -> f64 {
        self.calibration.as_ref().map_or_else(|| sigmoid(logit), |calibration| calibration.probability(logit))
    }

    /// The probabilities of a row's classes: one number, that of the positive class, for one logit; otherwise one per
    /// logit. Two logits count as one, their difference.
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

    /// The class of a row: by the threshold for one logit or two, else the first of the highest logits.
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

/// The largest number that is still below every score which the cut takes.
fn below(cut: &Cut) -> f64 {
    let threshold = if cut.threshold < cut.score { cut.threshold } else { cut.score.next_down() };
    threshold.clamp(f64::MIN, f64::MAX)
}

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
