//! Division of the rows of an epoch into batches.

mod loader;
mod sampler;

use std::sync::{Arc, Mutex, PoisonError};

use wgrad_core::{Params, Result, Seed, SplitMix64};

use crate::error::BatchError;
use loader::Loader;

pub use loader::begin;
pub use sampler::Sampler;
pub(crate) use sampler::repeat;

/// Division of the rows of each epoch into batches.
///
/// Without [`Batches::shuffle`] the rows keep their order. The last batch is smaller if the batch size does not
/// divide the number of rows; [`Batches::drop_last`] leaves it out.
///
/// ```
/// use wgrad_data::{Batches, Seed};
/// let batches = Batches::new(10, 4)?;
/// assert_eq!(batches.epoch(0).iter().collect::<Vec<_>>(), [&[0, 1, 2, 3][..], &[4, 5, 6, 7], &[8, 9]]);
/// let shuffled = batches.shuffle(Seed(7)).drop_last()?;
/// assert_eq!(shuffled.len(), 2);
/// assert_ne!(shuffled.epoch(0), shuffled.epoch(1));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Batches {
    rows: u32,
    size: usize,
    order: Order,
    drop_last: bool,
}

/// Order of the rows of an epoch.
#[derive(Clone, Debug)]
enum Order {
    /// The order of the data.
    Rows,
    Shuffled(Seed),
    Sampled(Sampler, Seed),
    /// The order of PyTorch's `DataLoader`. Clones share the loader, because its generator must draw each epoch
    /// only once.
    Torch(Arc<Mutex<Loader>>),
}

impl Batches {
    /// Divides rows into batches of `size` in the order of the data.
    ///
    /// # Errors
    /// When `rows` or `size` is 0, or there are more rows than a `u32` can count.
    pub fn new(rows: usize, size: usize) -> Result<Self> {
        if rows == 0 || size == 0 {
            return Err(BatchError::Empty { rows, size }.into());
        }
        let rows = u32::try_from(rows).map_err(|_| BatchError::TooManyRows { rows })?;
        Ok(Self { rows, size, order: Order::Rows, drop_last: false })
    }

    /// Shuffles the rows of each epoch. The order depends only on the seed and the epoch.
    pub fn shuffle(self, seed: Seed) -> Self {
        Self { order: Order::Shuffled(seed), ..self }
    }

    /// Shuffles the rows of each epoch as `DataLoader(…, shuffle=True)` does. The generator of
    /// [`Params::torch_seed`] draws two seeds per epoch, when the epoch is first requested.
    ///
    /// ```
    /// use wgrad_core::Params;
    /// use wgrad_data::Batches;
    /// // torch.manual_seed(0); [batch.tolist() for batch in DataLoader(torch.arange(5), 2, shuffle=True)]
    /// let batches = Batches::new(5, 2)?.shuffle_as_torch(&Params::torch_seed(0))?;
    /// assert_eq!(batches.epoch(0).iter().collect::<Vec<_>>(), [&[1, 4][..], &[2, 3], &[0]]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `params` was not created with [`Params::torch_seed`].
    pub fn shuffle_as_torch(self, params: &Params) -> Result<Self> {
        let order = Order::Torch(Arc::new(Mutex::new(Loader::shared(params)?)));
        Ok(Self { order, ..self })
    }

    /// Shuffles the rows of each epoch as a PyTorch data loader with its own generator does:
    /// `DataLoader(…, shuffle=True, generator=torch.Generator().manual_seed(seed))`.
    pub fn shuffle_as_torch_generator(self, seed: u64) -> Self {
        Self { order: Order::Torch(Arc::new(Mutex::new(Loader::seeded(seed)))), ..self }
    }

    /// Selects the rows of each epoch with a sampler. An epoch has [`Sampler::samples`] rows, in the order in
    /// which the sampler draws them.
    ///
    /// # Errors
    /// When the sampler was created for a different number of rows, or draws more rows than a `u32` can count.
    pub fn sampler(self, sampler: &Sampler, seed: Seed) -> Result<Self> {
        if sampler.rows() != self.rows as usize {
            return Err(BatchError::SamplerRows { sampler: sampler.rows(), data: self.rows as usize }.into());
        }
        let Self { rows, .. } = Self::new(sampler.samples(), self.size)?;
        Ok(Self { rows, order: Order::Sampled(sampler.clone(), seed), ..self })
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others. If rows are shuffled, the rows left
    /// out differ from epoch to epoch.
    ///
    /// # Errors
    /// When there are fewer rows than one batch needs.
    pub fn drop_last(self) -> Result<Self> {
        if (self.rows as usize) < self.size {
            return Err(BatchError::NoFullBatch { rows: self.rows as usize, size: self.size }.into());
        }
        Ok(Self { drop_last: true, ..self })
    }

    /// Returns the number of batches of an epoch; at least 1.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        let rows = self.rows as usize;
        if self.drop_last { rows / self.size } else { rows.div_ceil(self.size) }
    }

    /// Returns the batches of an epoch.
    pub fn epoch(&self, epoch: u64) -> Epoch {
        let rows = || (0..self.rows).collect::<Vec<u32>>();
        let mut order = match &self.order {
            Order::Rows => rows(),
            Order::Shuffled(seed) => {
                let mut order = rows();
                SplitMix64::new(*seed, epoch.wrapping_add(1)).shuffle(&mut order);
                order
            }
            Order::Sampled(sampler, seed) => sampler.epoch(*seed, epoch),
            Order::Torch(loader) => loader.lock().unwrap_or_else(PoisonError::into_inner).epoch(self.rows, epoch),
        };
        if self.drop_last {
            order.truncate(self.len() * self.size);
        }
        Epoch { order, size: self.size }
    }
}

/// Batches of one epoch; iterate over `&epoch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    order: Vec<u32>,
    size: usize,
}

impl Epoch {
    /// Returns the rows of all batches, one batch after the other.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Iterates over the rows of each batch.
    pub fn iter(&self) -> std::slice::Chunks<'_, u32> {
        self.order.chunks(self.size)
    }
}

impl<'e> IntoIterator for &'e Epoch {
    type Item = &'e [u32];
    type IntoIter = std::slice::Chunks<'e, u32>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_sees_every_row_once() {
        let batches = Batches::new(103, 10).unwrap().shuffle(Seed(3));
        let epoch = batches.epoch(5);
        assert_eq!((batches.len(), epoch.iter().count()), (11, 11));
        assert_eq!(epoch.iter().last().map(<[u32]>::len), Some(3));
        let mut rows = epoch.order().to_vec();
        rows.sort_unstable();
        assert_eq!(rows, (0..103).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch_only() {
        let batches = Batches::new(50, 8).unwrap().shuffle(Seed(3));
        assert_eq!(batches.epoch(2), batches.epoch(2));
        assert_ne!(batches.epoch(2), batches.epoch(3));
        assert_ne!(batches.epoch(2), batches.clone().shuffle(Seed(4)).epoch(2));
        assert_eq!(Batches::new(50, 5).unwrap().shuffle(Seed(3)).epoch(2).order(), batches.epoch(2).order());
    }

    #[test]
    fn the_order_of_a_seed_never_changes() {
        let epoch = Batches::new(8, 3).unwrap().shuffle(Seed(7)).epoch(0);
        assert_eq!(epoch.order(), [3, 5, 7, 0, 2, 4, 6, 1]);
    }

    #[test]
    fn dropping_the_last_batch_leaves_full_ones() {
        let batches = Batches::new(10, 4).unwrap().drop_last().unwrap();
        assert_eq!((batches.len(), batches.epoch(0).order().len()), (2, 8));
        assert!(batches.epoch(0).iter().all(|batch| batch.len() == 4));
        assert_eq!(Batches::new(8, 4).unwrap().drop_last().unwrap().len(), 2);
    }

    #[test]
    fn settings_that_leave_no_batch_are_errors() {
        let message = |batches: Result<Batches>| batches.unwrap_err().to_string();
        assert_eq!(message(Batches::new(3, 0)), "3 rows cannot be divided into batches of 0: both must be at least 1");
        assert_eq!(message(Batches::new(0, 3)), "0 rows cannot be divided into batches of 3: both must be at least 1");
        assert_eq!(
            message(Batches::new(3, 4).and_then(Batches::drop_last)),
            "3 rows do not fill a batch of 4, so no batch is left once the last one is dropped: \
             make the batches smaller or keep the last one"
        );
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn more_rows_than_row_numbers_are_an_error() {
        assert_eq!(
            Batches::new(1 << 32, 3).unwrap_err().to_string(),
            "4294967296 rows are too many: row numbers are 32-bit, so 4294967295 at most"
        );
    }
}
