//! The order of the rows of PyTorch's `DataLoader(…, shuffle=True)`, epoch by epoch.
//!
//! Beginning an epoch, the loader draws a seed for its worker processes, whether there are any or not. Then its sampler
//! draws the order: from a new generator, whose seed comes next, or, if the loader was given a generator, from that one.

use wgrad_core::{Params, Result, TorchRandom};

use crate::error::BatchError;

/// Where the orders come from.
#[derive(Debug)]
pub(crate) enum Loader {
    /// A store's generator; the seeds that were drawn so far.
    Of { params: Params, seeds: Vec<u64> },
    /// A generator of the loader's own: its seed, the epoch that is next, and its state then.
    Own { seed: u64, next: u64, random: Box<TorchRandom> },
}

impl Loader {
    pub fn of(params: &Params) -> Result<Self> {
        if params.with_torch_random(|_| ()).is_none() {
            return Err(BatchError::NoTorchGenerator.into());
        }
        Ok(Self::Of { params: params.clone(), seeds: vec![] })
    }

    pub fn seeded(seed: u64) -> Self {
        Self::Own { seed, next: 0, random: Box::new(TorchRandom::new(seed)) }
    }

    /// The order of an epoch.
    pub fn epoch(&mut self, rows: u32, epoch: u64) -> Vec<u32> {
        match self {
            Self::Of { params, seeds } => {
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
                    // The sampler looks for rows beyond a whole number of epochs, of which it takes none.
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

/// What a loader draws from the generator of `params`, if there is one, when it begins a pass over its rows.
pub fn begin(params: &Params) {
    params.with_torch_random(TorchRandom::seed);
}
