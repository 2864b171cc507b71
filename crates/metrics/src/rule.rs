//! Rules for choosing a threshold.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wgrad_core::{Error, Result};

use super::{Costs, Cut, Cuts, MetricError, RuleError};

/// Rule that chooses the threshold of a [`Decision`](super::Decision) among the [`Cuts`] (the possible thresholds)
/// of validation rows.
///
/// In text and in files, rules are written as `f1`, `f2`, `precision=0.9`, `fpr=5/1000`, `cost=1:10` or `0.3`.
///
/// ```
/// use wgrad_metrics::Rule;
/// assert_eq!("f2".parse::<Rule>()?, Rule::FBeta(2.0));
/// assert_eq!("fpr=5/1000".parse::<Rule>()?, Rule::FalsePositives(0.005));
/// assert_eq!("cost=1:10".parse::<Rule>()?.to_string(), "cost=1:10");
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rule {
    /// The highest F-beta score; written as `f1`, `f2` or `f0.5`.
    FBeta(f64),
    /// The highest recall with at least this precision; written as `precision=0.9`.
    Precision(f64),
    /// The highest recall at which at most this fraction of the negative rows count as positive; written as
    /// `fpr=5/1000` or `fpr=0.005`.
    FalsePositives(f64),
    /// The lowest cost; written as `cost=A:B`, where a false positive costs `A` and a false negative costs `B`.
    Cost(Costs),
    /// A fixed probability, after calibration, above which a row counts as positive; written as `0.5`.
    Fixed(f64),
}

impl Default for Rule {
    fn default() -> Self {
        Self::Fixed(0.5)
    }
}

impl Rule {
    /// Returns the cut that the rule chooses; `None` for [`Rule::Fixed`], which does not depend on the rows.
    ///
    /// # Errors
    /// The same as for the methods of [`Cuts`]: when no cut satisfies the rule, or a number in the rule is outside
    /// its range.
    pub fn choose(&self, cuts: &Cuts) -> Result<Option<Cut>> {
        match *self {
            Self::FBeta(beta) => cuts.best_f_beta(beta).map(Some),
            Self::Precision(precision) => cuts.at_precision(precision).map(Some),
            Self::FalsePositives(rate) => cuts.at_false_positives(rate).map(Some),
            Self::Cost(costs) => cuts.cheapest(&costs).map(Some),
            Self::Fixed(_) => Ok(None),
        }
    }

    /// Returns the costs of the rule, if it has any.
    pub fn costs(&self) -> Option<Costs> {
        if let Self::Cost(costs) = self { Some(*costs) } else { None }
    }

    /// Returns a description of the rule in words, such as `best F1`.
    pub fn words(&self) -> String {
        match self {
            Self::FBeta(beta) => format!("best F{beta}"),
            Self::Precision(precision) => format!("highest recall at a precision of {precision} or more"),
            Self::FalsePositives(rate) => {
                format!("highest recall with at most {} false positives per 1000 negative rows", per_thousand(*rate))
            }
            Self::Cost(costs) => {
                let Costs { false_positive, false_negative, .. } = costs;
                format!("lowest cost, a false positive costing {false_positive} and a false negative {false_negative}")
            }
            Self::Fixed(p) => format!("probability above {p}"),
        }
    }
}

/// Converts a rate to a number per thousand, rounded to six decimals so that rounding errors of `f64` are not
/// printed.
fn per_thousand(rate: f64) -> f64 {
    (rate * 1e9).round() / 1e6
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FBeta(beta) => write!(f, "f{beta}"),
            Self::Precision(precision) => write!(f, "precision={precision}"),
            Self::FalsePositives(rate) => write!(f, "fpr={rate}"),
            Self::Cost(costs) => {
                write!(f, "cost={}:{}", costs.false_positive, costs.false_negative)?;
                if costs.true_positive != 0.0 || costs.true_negative != 0.0 {
                    write!(f, ":{}:{}", costs.true_positive, costs.true_negative)?;
                }
                Ok(())
            }
            Self::Fixed(p) => write!(f, "{p}"),
        }
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for Rule {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Rule {
    type Err = Error;

    /// Parses the text that `Display` writes. Rates may also be fractions such as `5/1000`, and the costs of true
    /// positives and true negatives may be added: `cost=1:10:-2:0`.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason| Error::from(MetricError::InvalidRule { text: text.to_string(), reason });
        let number = |word: &str| word.trim().parse::<f64>().ok().filter(|x| x.is_finite());
        let fraction = |word: &str, error: RuleError| {
            match word.split_once('/') {
                Some((part, whole)) => number(part).zip(number(whole)).map(|(part, whole)| part / whole),
                None => number(word),
            }
            .filter(|x| (0.0..=1.0).contains(x))
            .ok_or_else(|| invalid(error))
        };
        if let Some(precision) = text.strip_prefix("precision=") {
            return fraction(precision, RuleError::Precision).map(Self::Precision);
        }
        if let Some(rate) = text.strip_prefix("fpr=") {
            return fraction(rate, RuleError::FalsePositiveRate).map(Self::FalsePositives);
        }
        if let Some(costs) = text.strip_prefix("cost=") {
            let all: Option<Vec<f64>> = costs.split(':').map(number).collect();
            let (false_positive, false_negative, true_positive, true_negative) = match all.as_deref() {
                Some([a, b]) => (*a, *b, 0.0, 0.0),
                Some([a, b, c, d]) => (*a, *b, *c, *d),
                _ => return Err(invalid(RuleError::CostCount)),
            };
            if false_positive - true_negative < 0.0 || false_negative - true_positive < 0.0 {
                return Err(invalid(RuleError::CostOrder));
            }
            return Ok(Self::Cost(Costs { false_negative, false_positive, true_positive, true_negative }));
        }
        if let Some(beta) = text.strip_prefix('f').and_then(number) {
            return if beta > 0.0 { Ok(Self::FBeta(beta)) } else { Err(invalid(RuleError::Beta)) };
        }
        match number(text) {
            Some(p) if p > 0.0 && p < 1.0 => Ok(Self::Fixed(p)),
            Some(_) => Err(invalid(RuleError::Probability)),
            None => Err(invalid(RuleError::Unknown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_read_as_it_is_written() {
        for text in ["f1", "f0.5", "precision=0.9", "fpr=0.005", "cost=1:10", "cost=1:10:-2:0.5", "0.3"] {
            let rule: Rule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            assert_eq!(serde_json::to_string(&rule).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Rule>(&format!("\"{text}\"")).unwrap(), rule);
        }
        assert_eq!(
            "fpr=3/1000".parse::<Rule>().unwrap().words(),
            "highest recall with at most 3 false positives per 1000 negative rows"
        );
    }

    #[test]
    fn invalid_rules_are_errors_with_examples() {
        for (text, why) in [
            ("best", "it has none of the known forms"),
            ("f0", "the number after f must be above 0"),
            ("f-1", "the number after f must be above 0"),
            ("fpr=2", "a fraction of negative rows must be between 0 and 1"),
            ("fpr=1/0", "a fraction of negative rows must be between 0 and 1"),
            ("precision=NaN", "a precision must be between 0 and 1"),
            ("cost=1", "two costs are needed"),
            ("cost=-1:1", "a mistake cannot cost less"),
            ("0", "a probability must be above 0 and below 1"),
            ("inf", "it has none of the known"),
        ] {
            let message = text.parse::<Rule>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("`{text}` is no rule for a threshold: {why}")), "{message}");
            assert!(message.contains("fix: f1"));
        }
    }
}
