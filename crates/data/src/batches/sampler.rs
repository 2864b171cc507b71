//! Samplers, which draw the rows of each epoch at random.

use std::sync::Arc;

use wgrad_core::{Result, Seed, SplitMix64};

use crate::error::BatchError;

/// Sampler of the rows of an epoch, for [`Batches::sampler`](crate::Batches::sampler) and `Trainer::sampler`. It
/// replaces shuffling, which uses each row exactly once.
///
/// The draws depend only on the seed and the epoch number, so an epoch can be drawn without drawing the earlier
/// ones.
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

/// Method of drawing rows, with the data that the method needs.
#[derive(Clone, Debug)]
enum Draw {
    /// Drawing with replacement, from the cumulative sums of the weights.
    WithReplacement(Arc<[f64]>),
    /// Drawing without replacement, from the weights.
    WithoutReplacement(Arc<[f64]>),
    /// Drawing all classes equally often, from the rows of each class.
    Balanced(Arc<[Vec<u32>]>),
}

impl Sampler {
    /// Creates a sampler that draws with replacement: each draw selects row `i` with probability
    /// `weights[i] / sum of weights`, as `WeightedRandomSampler(weights, samples, replacement=True)` does. A row
    /// can occur several times in an epoch, or not at all.
    ///
    /// # Errors
    /// When a weight is negative or not finite, no weight is above 0, or `samples` is 0.
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
        Ok(Self { rows: weights.len(), samples, draw: Draw::WithReplacement(sums) })
    }

    /// Creates a sampler that draws without replacement: each draw selects one of the rows not yet drawn, with a
    /// probability proportional to its weight, as `WeightedRandomSampler(weights, samples, replacement=False)`
    /// does.
    ///
    /// # Errors
    /// The same as for [`Self::weighted`], and when fewer than `samples` rows have a weight above 0.
    pub fn weighted_once(weights: &[f64], samples: usize) -> Result<Self> {
        check(weights, samples)?;
        let weighted = weights.iter().filter(|weight| **weight > 0.0).count();
        if weighted < samples {
            return Err(BatchError::TooManyDraws { samples, weighted }.into());
        }
        Ok(Self { rows: weights.len(), samples, draw: Draw::WithoutReplacement(weights.into()) })
    }

    /// Creates a sampler that draws every class equally often, in random order. An epoch has as many rows as the
    /// data.
    ///
    /// In an epoch, the numbers of draws of two classes differ by at most one, and so do the numbers of draws of
    /// two rows of the same class. Rows of a rare class are drawn repeatedly. Of a frequent class, only some rows
    /// are drawn, different ones in each epoch. Classes without rows are ignored.
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

    /// Returns the number of rows of an epoch.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Returns a description of the sampler, including a checksum of its weights or classes. When training
    /// resumes, the description is compared with the one in the checkpoint.
    #[doc(hidden)]
    pub fn describe(&self) -> String {
        let mut hasher = crc32fast::Hasher::new();
        let kind = match &self.draw {
            Draw::WithReplacement(numbers) | Draw::WithoutReplacement(numbers) => {
                numbers.iter().for_each(|number| hasher.update(&number.to_le_bytes()));
                if matches!(self.draw, Draw::WithoutReplacement(_)) {
                    "weighted, without replacement"
                } else {
                    "weighted"
                }
            }
            Draw::Balanced(classes) => {
                let rows = classes.iter().flat_map(|rows| rows.iter().copied().chain([u32::MAX]));
                rows.for_each(|row| hasher.update(&row.to_le_bytes()));
                "balanced"
            }
        };
        format!("{kind}, {} of {} rows, checksum {:08x}", self.samples, self.rows, hasher.finalize())
    }

    /// Returns the number of rows of the data that the sampler draws from.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Draws the rows of an epoch.
    pub fn epoch(&self, seed: Seed, epoch: u64) -> Vec<u32> {
        let mut random = SplitMix64::new(seed, epoch.wrapping_add(1));
        match &self.draw {
            Draw::WithReplacement(sums) => {
                let total = sums.last().copied().unwrap_or_default();
                let mut draw = || {
                    let at = random.unit() * total;
                    // The drawn number should be below the total, but rounding can make it equal to the total. The
                    // last row with a weight above 0 is drawn then.
                    let last = || sums.partition_point(|&sum| sum < total);
                    let row = sums.partition_point(|&sum| sum <= at);
                    number(if row < sums.len() { row } else { last() })
                };
                (0..self.samples).map(|_| draw()).collect()
            }
            Draw::WithoutReplacement(weights) => {
                // Draws a number for each row from the exponential distribution whose rate is the row's weight.
                // The rows with the smallest numbers are selected, in ascending order of these numbers (Efraimidis
                // and Spirakis, 2006).
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
                // If the number of draws is not a multiple of the number of classes, some classes get one draw
                // more: the first ones of a random permutation.
                let mut permutation: Vec<usize> = (0..classes.len()).collect();
                random.shuffle(&mut permutation);
                for (at, &class) in permutation.iter().enumerate() {
                    let draws = self.samples / classes.len() + usize::from(at < self.samples % classes.len());
                    repeat(&classes[class], draws, &mut random, &mut order);
                }
                random.shuffle(&mut order);
                order
            }
        }
    }
}

/// Checks that `samples` rows can be drawn with these weights.
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

/// Appends `n` rows to `order`: all of `rows` as many times as `n` allows, then a random subset of `rows`.
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
