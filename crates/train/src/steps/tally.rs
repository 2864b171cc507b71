//! Running sums over the steps of an epoch.

use crate::number::{Number, Numbers};

/// Sums of the losses and tracked values of the steps of an epoch so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Steps so far.
    pub steps: usize,
    /// Sum of their losses, each times its rows.
    pub sum: f64,
    /// Sums of the tracked values, each times its rows.
    pub tracked: Numbers,
}

impl Tally {
    /// Returns an empty tally that begins at a step.
    pub fn from_step(steps: usize) -> Self {
        Self { steps, ..Self::default() }
    }

    /// Adds a step over `rows` rows, with a slice of values for each of the tracked `names`.
    pub fn add<'t>(&mut self, loss: f64, rows: f64, names: &[String], values: impl Iterator<Item = &'t [f64]>) {
        self.steps += 1;
        self.sum += loss * rows;
        for (name, values) in names.iter().zip(values) {
            if !self.tracked.contains_key(name) {
                self.tracked.insert(name.clone(), vec![Number(0.0); values.len()]);
            }
            for (sum, value) in self.tracked.get_mut(name).into_iter().flatten().zip(values) {
                sum.0 += value * rows;
            }
        }
    }

    /// Divides all sums by the number of rows.
    pub fn means(mut self, rows: usize) -> Self {
        self.sum /= rows as f64;
        self.tracked.values_mut().flatten().for_each(|number| number.0 /= rows as f64);
        self
    }
}
