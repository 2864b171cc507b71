//! History of a fit: the statistics of each epoch, and the reason why the fit ended.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Statistics of an epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochStats {
    /// Number of the epoch within the fit, from 1.
    pub epoch: usize,
    /// Number of epochs of the fit.
    pub epochs: usize,
    /// Mean loss over the epoch's rows, measured in each training step with the weights at that time.
    pub loss: f64,
    /// Mean loss over the validation rows after the epoch. `None` without validation rows.
    pub validation_loss: Option<f64>,
    /// Duration of the steps in seconds, without validation.
    pub seconds: f64,
    /// Number of steps of the epoch.
    pub steps: usize,
    /// Learning rate of the epoch's last step, for the parameters that belong to no parameter group. `None` if the
    /// optimizer has no learning rate.
    pub lr: Option<f64>,
    /// Values passed to [`Graph::track`](wgrad_core::Graph::track), by name: their means over the epoch's rows,
    /// measured in each training step, with elements in row-major order.
    pub tracked: BTreeMap<String, Vec<f64>>,
    /// Tracked values by name: their means over the validation rows, measured after the epoch.
    pub validation_tracked: BTreeMap<String, Vec<f64>>,
}

/// Tracked value with one element: its means over the training rows and the validation rows of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackedNumber {
    pub name: String,
    pub value: f64,
    pub validation: Option<f64>,
}

impl EpochStats {
    /// Returns the tracked values that have one element.
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

/// Number that `Display` writes with three significant digits.
pub(crate) struct Short(pub f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(x) = *self;
        if x == 0.0 || !x.is_finite() {
            return write!(f, "{x}");
        }
        // Rounds to three digits. Uses scientific notation only if it is at least two characters shorter.
        let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
        let (plain, scientific) = (rounded.to_string(), format!("{rounded:e}"));
        f.write_str(if plain.len() <= scientific.len() + 1 { &plain } else { &scientific })
    }
}

/// Reason why a fit ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ended {
    /// All epochs were trained.
    #[default]
    Completed,
    /// The loss or metric of [`EarlyStopping`](crate::EarlyStopping) no longer improved.
    EarlyStopping,
    /// A callback returned `Break`.
    Callback,
    /// The flag of [`Trainer::stop_flag`](crate::Trainer::stop_flag) was set before the last step ran.
    Stopped,
}

/// Epochs of a fit, and the reason why the fit ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Statistics of each epoch, in order.
    pub epochs: Vec<EpochStats>,
    /// Reason why the fit ended.
    pub ended: Ended,
    /// Number of the epoch whose weights [`EarlyStopping`](crate::EarlyStopping) restored at the end. `None` if no
    /// weights were restored.
    pub restored: Option<usize>,
}

impl History {
    /// Returns the mean loss of the last epoch, or NaN if there are no epochs.
    pub fn loss(&self) -> f64 {
        self.epochs.last().map_or(f64::NAN, |epoch| epoch.loss)
    }

    /// Returns the median duration of an epoch in seconds, or 0 if there are no epochs. The first epoch, which
    /// includes compilation, counts only if it is the only epoch.
    pub fn seconds_per_epoch(&self) -> f64 {
        let mut seconds: Vec<_> = self.epochs.iter().map(|epoch| epoch.seconds).collect();
        if seconds.len() > 1 {
            seconds.remove(0);
        }
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(0.0)
    }
}
