//! Options for the step from logits to probabilities and labels, and defaults if the validation rows are not
//! sufficient.

use wgrad_core::{Error, Result};
use wgrad_metrics::{Calibrate, Decision, Rule};
use wgrad_train::prior::PriorShift;
use wgrad_train::report::Scores;

use crate::error::CommandError;
use crate::model::describe_calibration;
use crate::output::{count, note};

/// Default fraction of validation rows, for options that need them when `--validation` is not given.
const VALIDATION: f64 = 0.2;

/// Options for the threshold and the calibration.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Decision and report")]
pub struct DecisionArgs {
    /// The rule that chooses the threshold of two classes: f1, f2, precision=0.9 (most recall at that precision),
    /// fpr=5/1000 (most recall with at most that rate of false positives among negative rows), cost=1:10 (of a false positive
    /// and a false negative), a probability, or none for 0.5. [default: none; if rows are weighted, the probability
    /// that the weights turn into 0.5]
    #[arg(long, value_name = "RULE", value_parser = rule)]
    pub threshold: Option<Rule>,
    /// The method that calibrates the probabilities: temperature, platt, isotonic or none. [default: with validation
    /// rows platt if rows are weighted, else temperature; without validation rows only the weights are taken out]
    #[arg(long, value_name = "METHOD", value_parser = |word: &str| word.parse::<Calibrate>().map_err(|e| e.to_string()))]
    pub calibrate: Option<Calibrate>,
}

fn rule(word: &str) -> Result<Rule, String> {
    if word == "none" { Ok(Rule::default()) } else { word.parse::<Rule>().map_err(|error| error.to_string()) }
}

impl DecisionArgs {
    /// Returns the fraction of validation rows. `given` is the value of `--validation`, if it is given.
    ///
    /// # Errors
    /// If `given` is 0 although validation rows are needed.
    pub fn validation(&self, given: Option<f64>) -> Result<f64> {
        let chosen = self.threshold.is_some_and(|rule| !matches!(rule, Rule::Fixed(_)));
        let needed = chosen || self.calibrate.is_some_and(|method| method != Calibrate::None);
        let fraction = given.unwrap_or(if needed { VALIDATION } else { 0.0 });
        if needed && fraction == 0.0 {
            return Err(CommandError::NoValidationRows.into());
        }
        Ok(fraction)
    }

    /// Checks that the options fit the number of classes.
    ///
    /// # Errors
    /// If an option is only for two classes, and there are more.
    pub fn check(&self, classes: usize) -> Result<()> {
        if classes == 2 {
            return Ok(());
        }
        if self.threshold.is_some_and(|rule| rule != Rule::default()) {
            return Err(CommandError::ThresholdNeedsTwoClasses { classes }.into());
        }
        if let Some(method @ (Calibrate::Platt | Calibrate::Isotonic)) = self.calibrate {
            return Err(CommandError::CalibrationNeedsTwoClasses { method, classes }.into());
        }
        Ok(())
    }

    /// Fits the decision (the step from logits to probabilities and labels) to the validation rows. Returns the
    /// decision and warnings.
    ///
    /// If the requested decision is not possible on the validation rows, the function returns the default decision
    /// with a warning instead of an error, so that hours of training are not lost.
    ///
    /// `shift` corrects the logits for the weights and resampling used in training, so that the probabilities are
    /// calibrated. Without another choice, the threshold is then the corrected probability of a row to which the
    /// uncorrected model gives the probability 0.5. So the weights still affect the labels.
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
            Err(error) => notes.push(format!("the probabilities are not calibrated: {}", first_line(&error))),
        }
        let decided = match scores.margins() {
            Some(margins) => Decision::of(&margins, scores.labels(), calibration.clone(), rule),
            None => return (multiclass(scores, calibration.is_some(), method), notes),
        };
        let decision = decided.unwrap_or_else(|error| {
            notes.push(format!("the threshold is 0.5, as {rule} is not possible on {rows}: {}", first_line(&error)));
            Decision::fixed(calibration, Rule::default()).unwrap_or_default()
        });
        (decision, notes)
    }
}

fn multiclass(scores: &Scores, calibrated: bool, method: Calibrate) -> Decision {
    let method = if calibrated { method } else { Calibrate::None };
    scores.decide(method, Rule::default()).unwrap_or_default()
}

/// Returns the first line of an error's message. The lines after it suggest fixes.
fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().into()
}

/// Prints the decision.
pub fn print(decision: &Decision, validation: Option<&Scores>, notes: &[String]) {
    for line in notes {
        note(&format!("warning: {line}"));
    }
    if let Some(scores) = validation {
        let binary = scores.classes().len() == 2;
        let about = if binary { decision.to_string() } else { describe_calibration(decision) };
        note(&format!("{about} (from {})", count(scores.rows(), "validation row")));
    }
}
