//! Which rows an epoch sees, and how often.

use std::sync::Arc;

use wgrad_core::{Result, Seed, SplitMix64};

use crate::error::BatchError;

/// Draws the rows of an epoch, in place of a shuffle in which each row comes once; for
/// [`Batches::sampler`](crate::Batches::sampler) and `Trainer::sampler`.
///
/// What an epoch draws depends on the seed and the epoch only, so any epoch can be made without those before it.
///
/// ```
/// use wgrad_data::{Batches, Sampler, Seed};
/// let classes = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1];
/// let epoch = Batches::new(10, 5)?.sampler(&Sampler::balanced(&classes)?, Seed(7))?.epoch(0);
/// assert_eq!(epoch.order().iter().filter(|&&row| classes[row as usize] == 1).count(), 5);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    rows: usize,
    samples: usize,
    draw: Draw,
}

#[derive(Clone, Debug)]
enum Draw {
    /// Running sums of the weights.
    Replaced(Arc<[f64]>),
    /// The weights.
    Once(Arc<[f64]>),
    /// The rows of each class.
    Balanced(Arc<[Vec<u32>]>),
}

impl Sampler {
    /// Each draw gives row `i` with probability `weights[i] / sum of weights`, whatever was drawn before:
    /// `WeightedRandomSampler(weights, samples, replacement=True)`. A row can come several times in an epoch, or not at all.
    ///
    /// # Errors
    /// When a weight is negative or not finite, no weight is above 0, or nothing is to be drawn.
    pub fn weighted(weights: &[f64], samples: usize) -> Result<Self> {
        check(weights, samples)?;
        let mut sum = 0.0;
        let sums: Arc<[f64]> = weights
            .iter()
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        if !sum.is_finite() {
            return Err(BatchError::WeightSum.into());
        }
        Ok(Self { rows: weights.len(), samples, draw: Draw::Replaced(sums) })
    }

    /// As [`Self::weighted`], but each row comes once at most: each draw is among the rows that are left, with
    /// probabilities in proportion to their weights; `WeightedRandomSampler(weights, samples, replacement=False)`.
    ///
    /// # Errors
    /// As [`Self::weighted`], and when fewer rows than draws have a weight above 0.
    pub fn weighted_once(weights: &[f64], samples: usize) -> Result<Self> {
        check(weights, samples)?;
        let weighted = weights.iter().filter(|weight| **weight > 0.0).count();
        if weighted < samples {
            return Err(BatchError::TooManyDraws { samples, weighted }.into());
        }
        Ok(Self { rows: weights.len(), samples, draw: Draw::Once(weights.into()) })
    }

    /// Each class equally often, to a row, in random order; an epoch has as many rows as the data. Within a class each row
    /// comes equally often, to once: those of a rare class several times, and of a frequent one other rows in each epoch.
    /// Classes without rows are left out.
    ///
    /// # Errors
    /// When there are no rows.
    pub fn balanced(y: &[u32]) -> Result<Self> {
        if y.is_empty() {
            return Err(BatchError::NoRows.into());
        }
        let mut classes: Vec<Vec<u32>> = vec![vec![]; y.iter().max().map_or(0, |&last| last as usize + 1)];
        for (&class, row) in y.iter().zip(0..) {
            classes[class as usize].push(row);
        }
        classes.retain(|rows| !rows.is_empty());
        Ok(Self { rows: y.len(), samples: y.len(), draw: Draw::Balanced(classes.into()) })
    }

    /// The number of rows of an epoch.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// What it draws, in words and a checksum: to tell whether a training goes on as it began.
    #[doc(hidden)]
    pub fn describe(&self) -> String {
        let mut hasher = crc32fast::Hasher::new();
        let kind = match &self.draw {
            Draw::Replaced(numbers) | Draw::Once(numbers) => {
                numbers.iter().for_each(|number| hasher.update(&number.to_le_bytes()));
                if matches!(self.draw, Draw::Once(_)) { "weighted, without replacement" } else { "weighted" }
            }
            Draw::Balanced(classes) => {
                let rows = classes.iter().flat_map(|rows| rows.iter().copied().chain([u32::MAX]));
                rows.for_each(|row| hasher.update(&row.to_le_bytes()));
                "balanced"
            }
        };
        format!("{kind}, {} of {} rows, checksum {:08x}", self.samples, self.rows, hasher.finalize())
    }

    /// The number of rows that it draws from.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The rows of an epoch.
    pub fn epoch(&self, seed: Seed, epoch: u64) -> Vec<u32> {
        let mut random = SplitMix64::new(seed, epoch.wrapping_add(1));
        match &self.draw {
            Draw::Replaced(sums) => {
                let total = sums.last().copied().unwrap_or_default();
                let mut draw = || {
                    let at = random.unit() * total;
                    // Rounding may give the total itself, which belongs to the last row with a weight.
                    let last = || sums.partition_point(|&sum| sum < total);
                    let row = sums.partition_point(|&sum| sum <= at);
                    number(if row < sums.len() { row } else { last() })
                };
                (0..self.samples).map(|_| draw()).collect()
            }
            Draw::Once(weights) => {
                // The rows whose exponential clocks of these rates ring first, in that order (Efraimidis and Spirakis, 2006).
                let mut keys: Vec<(f64, u32)> = weights
                    .iter()
                    .zip(0..)
                    .filter(|(weight, _)| **weight > 0.0)
                    .map(|(weight, row)| (-(1.0 - random.unit()).ln() / weight, row))
                    .collect();
                keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                keys.into_iter().take(self.samples).map(|(_, row)| row).collect()
            }
            Draw::Balanced(classes) => {
                let mut order = Vec::with_capacity(self.samples);
                // Which classes get one more, if they do not come out even, is another matter in each epoch.
                let mut turn: Vec<usize> = (0..classes.len()).collect();
                random.shuffle(&mut turn);
                for (at, &class) in turn.iter().enumerate() {
                    let share = self.samples / classes.len() + usize::from(at < self.samples % classes.len());
                    repeat(&classes[class], share, &mut random, &mut order);
                }
                random.shuffle(&mut order);
                order
            }
        }
    }
}

fn check(weights: &[f64], samples: usize) -> Result<()> {
    if let Some(row) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        return Err(BatchError::Weight { row, weight: weights[row] }.into());
    }
    let weighted = weights.iter().filter(|weight| **weight > 0.0).count();
    if samples == 0 || weighted == 0 {
        return Err(BatchError::NothingToDraw { samples, weighted }.into());
    }
    Ok(())
}

fn number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

/// Adds `n` of the rows to `order`: all of them as often as they fit, then some by chance.
pub(crate) fn repeat(rows: &[u32], n: usize, random: &mut SplitMix64, order: &mut Vec<u32>) {
    for _ in 0..n / rows.len() {
        order.extend_from_slice(rows);
    }
    let mut rest = rows.to_vec();
    random.shuffle(&mut rest);
    order.extend_from_slice(&rest[..n % rows.len()]);
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
