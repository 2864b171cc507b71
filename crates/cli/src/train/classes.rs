//! The options of `wgrad train` about classes that are not equally frequent, and what they come to.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::ValueEnum;
use wgrad_core::{Error, Result};
use wgrad_data::{Dataset, Sampler};
use wgrad_nn::layers::Linear;
use wgrad_train::prior::{Prior, PriorShift};

use crate::model::Loss;

/// Below this share of the rows, a class is rare.
const RARE: f64 = 0.1;

/// What is done about classes that are not equally frequent.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Classes")]
pub struct ClassArgs {
    /// The weight of positive rows in bce: none, auto (negative rows per positive row), or a number.
    #[arg(long, allow_negative_numbers = true, value_name = "none|auto|X", default_value = "none")]
    pos_weight: PosWeight,
    /// Which rows an epoch sees: shuffle (each row once), or balanced (each class equally often, rare rows several times).
    #[arg(long, value_name = "shuffle|balanced", default_value = "shuffle", hide_possible_values = true)]
    sampler: Sampling,
    /// What the model answers before its first step: prior (the shares of the classes, as the loss sees them), or random.
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

/// What the options come to for some training rows.
#[derive(Clone, Debug)]
pub struct Balance {
    /// The weight of positive rows.
    pub pos_weight: Option<f64>,
    /// Which rows an epoch sees, if not each one once.
    pub sampler: Option<Sampler>,
    /// None where a class has no row.
    shares: Option<Shares>,
    start: Start,
}

/// Shares of the classes.
#[derive(Clone, Debug)]
struct Shares {
    /// Among the rows.
    rows: Prior,
    /// As the loss sees them.
    seen: Prior,
}

impl ClassArgs {
    /// Applies the options to the training rows.
    ///
    /// # Errors
    /// When an option does not fit the loss or another option.
    pub fn balance(&self, train: &Dataset, loss: Loss) -> Result<Balance> {
        let classes = train.classes().len();
        let pos_weight = match self.pos_weight {
            PosWeight::None => None,
            _ if loss == Loss::Ce => {
                return Err(Error::Data(format!(
                    "--pos-weight is for one logit and two classes (--loss bce), but here are {classes} logits; leave it \
                     away, or use --sampler balanced"
                )));
            }
            _ if self.sampler == Sampling::Balanced => {
                return Err(Error::Config(
                    "--pos-weight and --sampler balanced do the same twice; leave one of them away".into(),
                ));
            }
            PosWeight::Auto => Some(train.pos_weight().into()),
            PosWeight::Number(weight) => Some(weight),
        };
        let sampler = (self.sampler == Sampling::Balanced).then(|| Sampler::balanced(train.y())).transpose()?;
        let shares = match Prior::of(train) {
            Ok(rows) => {
                let seen = match (pos_weight, &sampler) {
                    (Some(weight), _) => rows.with_pos_weight(weight)?,
                    (None, Some(_)) => Prior::from_counts(&vec![1; classes])?,
                    (None, None) => rows.clone(),
                };
                Some(Shares { rows, seen })
            }
            Err(_) => None,
        };
        Ok(Balance { pos_weight, sampler, shares, start: self.start })
    }

    /// What of it changes the model and is said nowhere else, by name, where it is not as it is if nothing is said.
    pub fn described(&self) -> BTreeMap<String, String> {
        let all = [
            ("sampler", (self.sampler == Sampling::Balanced).then_some("balanced")),
            ("start", (self.start == Start::Random).then_some("random")),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?.to_string()))).collect()
    }
}

impl Balance {
    /// Lets the model begin as the options say.
    ///
    /// # Errors
    /// Those of [`Prior::initialize`].
    pub fn start(&self, head: &Linear) -> Result<()> {
        match &self.shares {
            Some(Shares { seen, .. }) if self.start == Start::Prior => seen.initialize(head),
            _ => Ok(()),
        }
    }

    /// Whether the loss sees other shares than the rows have.
    pub fn is_weighted(&self) -> bool {
        self.pos_weight.is_some() || self.sampler.is_some()
    }

    /// What takes weights and resampling out of the logits again, if there were any.
    pub fn shift(&self) -> Option<PriorShift> {
        let Shares { rows, seen } = self.shares.as_ref().filter(|_| self.is_weighted())?;
        rows.shift_from(seen).ok()
    }

    /// The shares that the loss sees, if they are others than those of the rows.
    pub fn seen(&self) -> Option<&Prior> {
        self.shares.as_ref().filter(|_| self.is_weighted()).map(|shares| &shares.seen)
    }

    /// What is worth knowing about it; `chosen` if a threshold is chosen.
    pub fn notes(&self, train: &Dataset, chosen: bool) -> Vec<String> {
        let Some(Shares { rows: here, seen }) = &self.shares else { return vec![] };
        let mut notes = vec![];
        let rare = here.shares().iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).filter(|(_, p)| **p < RARE);
        if let (Some((class, share)), false) = (rare, self.is_weighted()) {
            let advice = match here.pos_weight() {
                Some(weight) => format!("--pos-weight auto weighs a positive row as {weight:.3}"),
                None => "--sampler balanced lets an epoch see each class equally often".into(),
            };
            let threshold = if chosen || here.shares().len() > 2 {
                ""
            } else {
                ", and --threshold f1 chooses another threshold than 0.5"
            };
            notes.push(format!(
                "note: {:.2} % of the training rows are {}; always answering with the shares costs {:.4}; {advice}{threshold}",
                100.0 * share,
                train.classes()[class],
                here.entropy(),
            ));
        }
        if let (true, [_, positives]) = (self.is_weighted(), here.shares()) {
            notes.push(format!(
                "note: {:.2} % of the training rows are {}, and the loss sees {:.1} %{}; that is taken out of the \
                 probabilities again, and stays in the threshold{}",
                100.0 * positives,
                train.classes()[1],
                100.0 * seen.shares()[1],
                self.pos_weight.map_or_else(String::new, |weight| format!(" (pos_weight {weight:.3})")),
                if chosen { " only if the rule leaves it there" } else { "" },
            ));
        } else if self.is_weighted() {
            notes.push("note: the loss sees each class equally often, and so do the probabilities".into());
        }
        if self.start == Start::Prior {
            notes.push(format!("start: the shares of the classes for every row, a loss of {:.4}", seen.entropy()));
        }
        notes
    }
}
