//! What happened during a training.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochStats {
    /// Which epoch of this fit, from 1.
    pub epoch: usize,
    /// How many epochs this fit has.
    pub epochs: usize,
    /// The mean loss of the epoch's batches, each weighted by its rows, as they were trained on.
    pub loss: f64,
    /// The mean loss of the validation rows after the epoch, if there are such rows.
    pub validation_loss: Option<f64>,
    /// How long the steps took, without validation.
    pub seconds: f64,
    /// Steps of the epoch.
    pub steps: usize,
    /// The learning rate of the epoch's last step, of the parameters that are in no group; none if the optimizer has no
    /// such thing.
    pub lr: Option<f64>,
    /// The means over the epoch's rows of what [`Graph::track`](wgrad_core::Graph::track) was given, in row-major order, as
    /// they were while the model trained.
    pub tracked: BTreeMap<String, Vec<f64>>,
    /// The same of the validation rows after the epoch.
    pub validation_tracked: BTreeMap<String, Vec<f64>>,
}

/// Number that was tracked in an epoch: of the training rows, and of the validation rows if there are some.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackedNumber {
    pub name: String,
    pub value: f64,
    pub validation: Option<f64>,
}

impl EpochStats {
    /// Returns what was tracked as one number.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = TrackedNumber> {
        self.tracked.iter().filter_map(|(name, values)| match values[..] {
            [value] => {
                let validation = self.validation_tracked.get(name).and_then(|of| of.first().copied());
                Some(TrackedNumber { name: name.clone(), value, validation })
            }
            _ => None,
        })
    }
}

impl fmt::Display for EpochStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.epochs.to_string().len();
        write!(f, "epoch {:>width$}/{}  loss {:.4}", self.epoch, self.epochs, self.loss)?;
        if let Some(loss) = self.validation_loss {
            write!(f, "  validation {loss:.4}")?;
        }
        for TrackedNumber { name, value, validation } in self.numbers() {
            write!(f, "  {name} {value:.4}")?;
            if let Some(value) = validation {
                write!(f, " (validation {value:.4})")?;
            }
        }
        if let Some(lr) = self.lr {
            write!(f, "  lr {}", Short(lr))?;
        }
        write!(f, "  {:.3} s", self.seconds)
    }
}

/// A number with three digits, short.
pub(crate) struct Short(pub f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(x) = *self;
        if x == 0.0 || !x.is_finite() {
            return write!(f, "{x}");
        }
        // What three digits leave of it, in the shorter of both notations.
        let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
        let (plain, scientific) = (rounded.to_string(), format!("{rounded:e}"));
        f.write_str(if plain.len() <= scientific.len() + 1 { &plain } else { &scientific })
    }
}

/// Why a fit ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ended {
    /// All its epochs were trained.
    #[default]
    Completed,
    /// The measure of [`EarlyStopping`](crate::EarlyStopping) did not get better any more.
    EarlyStopping,
    /// A callback wanted it.
    Callback,
    /// The flag of [`Trainer::stop_flag`](crate::Trainer::stop_flag) was set, and there was more to train.
    Stopped,
}

/// All epochs of one fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The epochs, in order.
    pub epochs: Vec<EpochStats>,
    /// Why there are no more.
    pub ended: Ended,
    /// The epoch whose weights [`EarlyStopping`](crate::EarlyStopping) has put back at the end, if it did.
    pub restored: Option<usize>,
}

impl History {
    /// The mean loss of the last epoch; NaN if there was none.
    pub fn loss(&self) -> f64 {
        self.epochs.last().map_or(f64::NAN, |epoch| epoch.loss)
    }

    /// The median of the epochs' times; the first has to prepare things, and does not count where there are others.
    pub fn seconds_per_epoch(&self) -> f64 {
        let mut seconds: Vec<_> = self.epochs.iter().map(|epoch| epoch.seconds).collect();
        if seconds.len() > 1 {
            seconds.remove(0);
        }
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(0.0)
    }
}
