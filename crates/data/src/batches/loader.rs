//! Row order of PyTorch's `DataLoader(…, shuffle=True)`.
//!
//! At the start of an epoch, the loader draws a seed for its worker processes, even without workers. Then its
//! sampler draws the order: from the loader's own generator if it was given one, else from a new generator, whose
//! seed is drawn next from the default generator.

use wgrad_core::{Params, Result, TorchRandom};

use crate::error::BatchError;

/// Source of the row orders.
#[derive(Debug)]
pub(crate) enum Loader {
    /// The generator of a store of parameters, and the seeds of the epochs drawn so far.
    Shared { params: Params, seeds: Vec<u64> },
    /// A generator of the loader's own: its seed, the next epoch, and its state before that epoch.
    Own { seed: u64, next: u64, random: Box<TorchRandom> },
}

impl Loader {
    /// Uses the generator of `params`.
    ///
    /// # Errors
    /// When `params` were not seeded with [`Params::torch_seed`].
    pub fn shared(params: &Params) -> Result<Self> {
        if params.with_torch_random(|_| ()).is_none() {
            return Err(BatchError::NoTorchGenerator.into());
        }
        Ok(Self::Shared { params: params.clone(), seeds: vec![] })
    }

    /// Uses a generator of the loader's own.
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
                    // PyTorch's sampler draws one more permutation, for the samples beyond a whole number of epochs,
                    // and takes no row of it.
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

/// Draws the seed that a `DataLoader` takes from the generator of `params` when it begins a pass over its rows.
///
/// Does nothing if `params` have no PyTorch generator.
pub fn begin(params: &Params) {
    params.with_torch_random(TorchRandom::seed);
}
