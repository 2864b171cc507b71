//! Tally: running sums over the steps of an epoch.

use crate::number::{Number, Numbers};

/// Sums, over the steps of an epoch so far, of the losses and of the values passed to
/// [`Graph::track`](wgrad_core::Graph::track).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Number of steps so far.
    pub steps: usize,
    /// Sum of the losses of these steps, each multiplied by the step's number of rows.
    pub sum: f64,
    /// Sums of the tracked values of these steps, each multiplied by the step's number of rows.
    pub tracked: Numbers,
}

impl Tally {
    /// Returns an empty tally for an epoch that continues after `steps` steps.
    pub fn from_step(steps: usize) -> Self {
        Self { steps, ..Self::default() }
    }

    /// Adds a step with `rows` rows. `names` are the names of its tracked values, and `values` has a slice for
    /// each name.
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

    /// Divides all sums by the number of rows, which turns them into means.
    pub fn means(mut self, rows: usize) -> Self {
        self.sum /= rows as f64;
        self.tracked.values_mut().flatten().for_each(|number| number.0 /= rows as f64);
        self
    }
}
