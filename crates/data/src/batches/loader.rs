//! Row orders that equal those of PyTorch's `DataLoader(…, shuffle=True)`.
//!
//! At the start of an epoch, PyTorch's loader draws a seed for its worker processes, even if it has no workers.
//! Then its sampler draws the row order: from the loader's own generator if the loader has one, else from a new
//! generator, whose seed is the next number drawn from the default generator.

use wgrad_core::{Params, Result, TorchRandom};

use crate::error::BatchError;

/// Source of the row orders.
#[derive(Debug)]
pub(crate) enum Loader {
    /// The generator of a parameter store, and the seeds drawn from it so far, one per epoch.
    Shared { params: Params, seeds: Vec<u64> },
    /// A separate generator: its seed, the next epoch, and the generator's state before that epoch.
    Own { seed: u64, next: u64, random: Box<TorchRandom> },
}

impl Loader {
    /// Creates a loader that draws from the generator of `params`.
    ///
    /// # Errors
    /// When `params` was not created with [`Params::torch_seed`].
    pub fn shared(params: &Params) -> Result<Self> {
        if params.with_torch_random(|_| ()).is_none() {
            return Err(BatchError::NoTorchGenerator.into());
        }
        Ok(Self::Shared { params: params.clone(), seeds: vec![] })
    }

    /// Creates a loader with a separate generator, which starts from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self::Own { seed, next: 0, random: Box::new(TorchRandom::new(seed)) }
    }

    /// Returns the row order of an epoch.
    pub fn epoch(&mut self, rows: u32, epoch: u64) -> Vec<u32> {
        match self {
            Self::Shared { params, seeds } => {
                while seeds.len() as u64 <= epoch {
                    begin(params);
                    seeds.extend(params.with_torch_random(TorchRandom::seed));
                }
                TorchRandom::new(seeds[epoch as usize]).permutation(rows)
            }
            Self::Own { seed, next, random } => {
                if epoch < *next {
                    (*next, **random) = (0, TorchRandom::new(*seed));
                }
                loop {
                    random.seed();
                    let order = random.permutation(rows);
                    // In each epoch, PyTorch's sampler draws a second permutation and discards it. The same draw
                    // here keeps the generator in the same state as PyTorch's.
                    let _ = random.permutation(rows);
                    *next += 1;
                    if *next > epoch {
                        return order;
                    }
                }
            }
        }
    }
}

/// Draws the seed that a PyTorch `DataLoader` draws from the generator of `params` when it starts to iterate over
/// its rows.
///
/// Does nothing if `params` has no PyTorch generator.
pub fn begin(params: &Params) {
    params.with_torch_random(TorchRandom::seed);
}
