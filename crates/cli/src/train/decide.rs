//! How probabilities become labels: options, and what is done where the rows do not allow it.

use wgrad_core::{Error, Result};
use wgrad_metrics::{Calibrate, Decision, Rule};
use wgrad_train::prior::PriorShift;
use wgrad_train::report::Scores;

use crate::output::{count, note};

/// The validation rows if they are needed and their share was not said.
const SHARE: f64 = 0.2;

/// The options.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Decision and report")]
pub struct DecisionArgs {
    /// What to choose the threshold for, of two classes: f1, f2, precision=0.9 (most recall at that precision), fpr=5/1000
    /// (most recall with so many false positives per negative row), cost=1:10 (of a false positive and a false negative), a
    /// probability, or none for 0.5. [default: none; where rows are weighted, the probability that the weights take for 0.5]
    #[arg(long, value_name = "RULE", value_parser = rule)]
    pub threshold: Option<Rule>,
    /// How to make the probabilities honest: temperature, platt, isotonic or none. [default: with validation rows platt
    /// where rows are weighted, else temperature; without them the weights are taken out]
    #[arg(long, value_name = "METHOD", value_parser = |word: &str| word.parse::<Calibrate>().map_err(|e| e.to_string()))]
    pub calibrate: Option<Calibrate>,
}

fn rule(word: &str) -> Result<Rule, String> {
    if word == "none" { Ok(Rule::default()) } else { word.parse::<Rule>().map_err(|error| error.to_string()) }
}

impl DecisionArgs {
    /// The share of validation rows, if `given` is what was said about it.
    ///
    /// # Errors
    /// When there are to be none, but they are needed.
    pub fn validation(&self, given: Option<f64>) -> Result<f64> {
        let chosen = self.threshold.is_some_and(|rule| !matches!(rule, Rule::Fixed(_)));
        let needed = chosen || self.calibrate.is_some_and(|method| method != Calibrate::None);
        let share = given.unwrap_or(if needed { SHARE } else { 0.0 });
        if needed && share == 0.0 {
            return Err(Error::Data(
                "--threshold and --calibrate choose on validation rows, so --validation cannot be 0".into(),
            ));
        }
        Ok(share)
    }

    /// Whether the decision can be made for so many classes.
    ///
    /// # Errors
    /// When it is one for two classes, and there are more.
    pub fn check(&self, classes: usize) -> Result<()> {
        if classes == 2 {
            return Ok(());
        }
        if self.threshold.is_some_and(|rule| rule != Rule::default()) {
            return Err(Error::Data(format!("--threshold is for two classes, and here are {classes}; leave it away")));
        }
        if let Some(method @ (Calibrate::Platt | Calibrate::Isotonic)) = self.calibrate {
            return Err(Error::Data(format!(
                "--calibrate {method} is for two classes, and here are {classes}; use --calibrate temperature"
            )));
        }
        Ok(())
    }

    /// Fits the decision to the validation rows. Where they do not allow it, it is the default, and that is told: a model
    /// that was trained for hours is not thrown away for it.
    ///
    /// `shift` takes weights and resampling out of the logits again. The probabilities are honest then, and what the weights
    /// were for is in the threshold: the probability that the weighted loss takes for one half.
    pub fn decide(&self, validation: Option<&Scores>, shift: Option<&PriorShift>) -> (Decision, Vec<String>) {
        let removed = shift.and_then(PriorShift::calibration);
        let weighted = shift.filter(|_| removed.is_some() && self.calibrate != Some(Calibrate::None));
        let rule = self.threshold.or(weighted.map(|shift| Rule::Fixed(shift.probability(0.5)))).unwrap_or_default();
        let mut notes = vec![];
        let Some(scores) = validation else {
            let removed = weighted.and(removed);
            return (Decision::fixed(removed, rule).unwrap_or_default(), notes);
        };
        let usual = if removed.is_some() { Calibrate::Platt } else { Calibrate::Temperature };
        let method = self.calibrate.unwrap_or(usual);
        let rows = count(scores.rows(), "validation row");
        let mut calibration = None;
        match scores.decide(method, Rule::default()) {
            Ok(decision) => calibration = decision.calibration().cloned(),
            Err(error) => notes.push(format!("the probabilities are not calibrated: {}", first(&error))),
        }
        let decided = match scores.margins() {
            Some(margins) => Decision::of(&margins, scores.labels(), calibration.clone(), rule),
            None => return (multiclass(scores, calibration.is_some(), method), notes),
        };
        let decision = decided.unwrap_or_else(|error| {
            notes.push(format!("the threshold is 0.5, as {rule} cannot be had on {rows}: {}", first(&error)));
            Decision::fixed(calibration, Rule::default()).unwrap_or_default()
        });
        (decision, notes)
    }
}

fn multiclass(scores: &Scores, calibrated: bool, method: Calibrate) -> Decision {
    let method = if calibrated { method } else { Calibrate::None };
    scores.decide(method, Rule::default()).unwrap_or_default()
}

/// The first line of an error.
fn first(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().into()
}

/// Tells what was decided.
pub fn tell(decision: &Decision, validation: Option<&Scores>, notes: &[String]) {
    for line in notes {
        note(&format!("warning: {line}"));
    }
    if let Some(scores) = validation {
        let about = if scores.classes().len() == 2 {
            decision.to_string()
        } else {
            decision.to_string().split(';').next().unwrap_or_default().into()
        };
        note(&format!("{about} (from {})", count(scores.rows(), "validation row")));
    }
}
