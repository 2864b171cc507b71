//! Options of `wgrad train` for imbalanced classes, and their effect on the training rows.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::ValueEnum;
use wgrad_core::Result;
use wgrad_data::{Dataset, Sampler};
use wgrad_nn::layers::Linear;
use wgrad_train::prior::{Prior, PriorShift};

use crate::error::CommandError;
use crate::model::Loss;

/// Class frequency below which a class is called rare.
const RARE: f64 = 0.1;

/// Options for imbalanced classes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Classes")]
pub struct ClassArgs {
    /// The weight of positive rows in the loss bce: none, auto (negative rows per positive row), or a number.
    #[arg(long, allow_negative_numbers = true, value_name = "none|auto|X", default_value = "none")]
    pos_weight: PosWeight,
    /// The rows of an epoch: shuffle (each row once), or balanced (each class equally often, so rows of rare classes
    /// repeat).
    #[arg(long, value_name = "shuffle|balanced", default_value = "shuffle", hide_possible_values = true)]
    sampler: Sampling,
    /// The model's first predictions: prior (the class frequencies, as the loss sees them), or random.
    #[arg(long, value_name = "prior|random", default_value = "prior", hide_possible_values = true)]
    start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum PosWeight {
    None,
    Auto,
    Number(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sampling {
    Shuffle,
    Balanced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Start {
    Prior,
    Random,
}

impl FromStr for PosWeight {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "none" => Ok(Self::None),
            "auto" => Ok(Self::Auto),
            _ => match word.parse::<f64>() {
                Ok(x) if x.is_finite() && x > 0.0 => Ok(Self::Number(x)),
                _ => Err("none, auto or a number above 0 is needed".into()),
            },
        }
    }
}

/// Effect of the class options on a set of training rows.
#[derive(Clone, Debug)]
pub struct Balance {
    /// Weight of the positive rows in the loss.
    pub pos_weight: Option<f64>,
    /// Sampler that draws the rows of an epoch; `None` if each row is used once.
    pub sampler: Option<Sampler>,
    /// Class priors; `None` if a class has no rows.
    priors: Option<Priors>,
    start: Start,
}

/// Class priors (the frequency of each class) before and after weighting.
#[derive(Clone, Debug)]
struct Priors {
    /// Class frequencies in the training rows.
    rows: Prior,
    /// Class frequencies in the loss, after weighting or resampling.
    in_loss: Prior,
}

impl ClassArgs {
    /// Applies the options to the training rows.
    ///
    /// # Errors
    /// If an option does not fit the loss or another option.
    pub fn balance(&self, train: &Dataset, loss: Loss) -> Result<Balance> {
        let classes = train.classes().len();
        let pos_weight = match self.pos_weight {
            PosWeight::None => None,
            _ if loss == Loss::Ce => {
                return Err(CommandError::PosWeightNeedsBce { logits: classes }.into());
            }
            _ if self.sampler == Sampling::Balanced => return Err(CommandError::BalancedTwice.into()),
            PosWeight::Auto => Some(train.pos_weight().into()),
            PosWeight::Number(weight) => Some(weight),
        };
        let sampler = (self.sampler == Sampling::Balanced).then(|| Sampler::balanced(train.y())).transpose()?;
        let priors = match Prior::of(train) {
            Ok(rows) => {
                let in_loss = match (pos_weight, &sampler) {
                    (Some(weight), _) => rows.with_pos_weight(weight)?,
                    (None, Some(_)) => Prior::from_counts(&vec![1; classes])?,
                    (None, None) => rows.clone(),
                };
                Some(Priors { rows, in_loss })
            }
            Err(_) => None,
        };
        Ok(Balance { pos_weight, sampler, priors, start: self.start })
    }

    /// Returns the options that affect the model and differ from their defaults, by name. `--pos-weight` is not
    /// among them, because it has its own field in `model.json`.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let all = [
            ("sampler", (self.sampler == Sampling::Balanced).then_some("balanced")),
            ("start", (self.start == Start::Random).then_some("random")),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?.to_string()))).collect()
    }
}

impl Balance {
    /// Initializes the model's output layer with the class priors or at random, as `--start` requests.
    ///
    /// # Errors
    /// If [`Prior::initialize`] returns an error.
    pub fn start(&self, head: &Linear) -> Result<()> {
        match &self.priors {
            Some(Priors { in_loss, .. }) if self.start == Start::Prior => in_loss.initialize(head),
            _ => Ok(()),
        }
    }

    /// Returns whether weights or resampling change the class frequencies that the loss sees.
    pub fn is_weighted(&self) -> bool {
        self.pos_weight.is_some() || self.sampler.is_some()
    }

    /// Returns the shift of the logits that removes the effect of weights and resampling, if there are any.
    pub fn shift(&self) -> Option<PriorShift> {
        let Priors { rows, in_loss } = self.priors.as_ref().filter(|_| self.is_weighted())?;
        rows.shift_from(in_loss).ok()
    }

    /// Returns the class frequencies that the loss sees, or `None` if they equal those in the training rows.
    pub fn prior_in_loss(&self) -> Option<&Prior> {
        self.priors.as_ref().filter(|_| self.is_weighted()).map(|priors| &priors.in_loss)
    }

    /// Returns notes for the user about the classes. `chosen` is `true` if `--threshold` is given.
    pub fn notes(&self, train: &Dataset, chosen: bool) -> Vec<String> {
        let Some(Priors { rows: prior, in_loss }) = &self.priors else { return vec![] };
        let mut notes = vec![];
        let rare = prior.shares().iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).filter(|(_, p)| **p < RARE);
        if let (Some((class, fraction)), false) = (rare, self.is_weighted()) {
            let remedy = match prior.pos_weight() {
                Some(weight) => format!("--pos-weight auto weighs a positive row as {weight:.3}"),
                None => "--sampler balanced lets an epoch see each class equally often".into(),
            };
            let threshold = if chosen || prior.shares().len() > 2 {
                ""
            } else {
                ", and --threshold f1 chooses another threshold than 0.5"
            };
            notes.push(format!(
                "note: {:.2} % of the training rows are {}; always predicting the class frequencies has a loss of {:.4}; {remedy}{threshold}",
                100.0 * fraction,
                train.classes()[class],
                prior.entropy(),
            ));
        }
        if let (true, [_, positives]) = (self.is_weighted(), prior.shares()) {
            notes.push(format!(
                "note: {:.2} % of the training rows are {}, and the loss sees {:.1} %{}; that is taken out of the \
                 probabilities again, and stays in the threshold{}",
                100.0 * positives,
                train.classes()[1],
                100.0 * in_loss.shares()[1],
                self.pos_weight.map_or_else(String::new, |weight| format!(" (pos_weight {weight:.3})")),
                if chosen { " only if the rule leaves it there" } else { "" },
            ));
        } else if self.is_weighted() {
            notes.push("note: the loss sees each class equally often, and the probabilities assume the same".into());
        }
        if self.start == Start::Prior {
            notes.push(format!(
                "start: predicts the class frequencies for every row, a loss of {:.4}",
                in_loss.entropy()
            ));
        }
        notes
    }
}
