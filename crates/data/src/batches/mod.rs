//! Batches: which rows each step of an epoch sees.

mod loader;
mod sampler;

use std::sync::{Arc, Mutex, PoisonError};

use wgrad_core::{Params, Result, Seed, SplitMix64};

use crate::error::BatchError;
use loader::Loader;

pub use loader::begin;
pub use sampler::Sampler;
pub(crate) use sampler::repeat;

/// How the rows are dealt into batches, epoch by epoch.
///
/// Without [`Batches::shuffle`] the rows come in their order; the last batch is smaller if the rows do not come out even,
/// unless [`Batches::drop_last`].
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

/// In which order an epoch sees the rows.
#[derive(Clone, Debug)]
enum Order {
    /// As they are.
    Rows,
    Shuffled(Seed),
    Sampled(Sampler, Seed),
    /// As PyTorch's data loader; shared by clones, because a generator draws each epoch once.
    Torch(Arc<Mutex<Loader>>),
}

impl Batches {
    /// Batches of `size` rows, in the order of the rows.
    ///
    /// # Errors
    /// When there are no rows, batches have none, or there are more rows than a `u32` can count.
    pub fn new(rows: usize, size: usize) -> Result<Self> {
        if rows == 0 || size == 0 {
            return Err(BatchError::Empty { rows, size }.into());
        }
        let rows = u32::try_from(rows).map_err(|_| BatchError::TooManyRows { rows })?;
        Ok(Self { rows, size, order: Order::Rows, drop_last: false })
    }

    /// Puts the rows of each epoch into an order of its own, which depends on the seed and the epoch only.
    pub fn shuffle(self, seed: Seed) -> Self {
        Self { order: Order::Shuffled(seed), ..self }
    }

    /// Puts the rows of each epoch into the order of `DataLoader(…, shuffle=True)`, whose seeds come from the generator of
    /// [`Params::torch_seed`]: two numbers per epoch, drawn when the epoch is first asked for.
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
    /// When the initial values of `params` are not PyTorch's.
    pub fn shuffle_as_torch(self, params: &Params) -> Result<Self> {
        let order = Order::Torch(Arc::new(Mutex::new(Loader::of(params)?)));
        Ok(Self { order, ..self })
    }

    /// Puts the rows of each epoch into the order of a data loader with a generator of its own:
    /// `DataLoader(…, shuffle=True, generator=torch.Generator().manual_seed(seed))`.
    pub fn shuffle_as_torch_generator(self, seed: u64) -> Self {
        Self { order: Order::Torch(Arc::new(Mutex::new(Loader::seeded(seed)))), ..self }
    }

    /// Lets a sampler draw the rows of each epoch, in the order of its draws; an epoch has as many rows as it draws.
    ///
    /// # Errors
    /// When the sampler is of another number of rows, or draws more of them than a `u32` can count.
    pub fn sampler(self, sampler: &Sampler, seed: Seed) -> Result<Self> {
        if sampler.rows() != self.rows as usize {
            return Err(BatchError::SamplerRows { sampler: sampler.rows(), data: self.rows as usize }.into());
        }
        let Self { rows, .. } = Self::new(sampler.samples(), self.size)?;
        Ok(Self { rows, order: Order::Sampled(sampler.clone(), seed), ..self })
    }

    /// Leaves out the last batch if it is not full. With a shuffle, other rows are left out in each epoch.
    ///
    /// # Errors
    /// When not even one batch is full.
    pub fn drop_last(self) -> Result<Self> {
        if (self.rows as usize) < self.size {
            return Err(BatchError::NoFullBatch { rows: self.rows as usize, size: self.size }.into());
        }
        Ok(Self { drop_last: true, ..self })
    }

    /// The number of batches of an epoch; at least one.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        let rows = self.rows as usize;
        if self.drop_last { rows / self.size } else { rows.div_ceil(self.size) }
    }

    /// The batches of an epoch.
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

/// The batches of one epoch; iterate over `&epoch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    order: Vec<u32>,
    size: usize,
}

impl Epoch {
    /// The rows of all batches, one batch after the other: what a device needs for the whole epoch.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The rows of each batch.
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
    fn the_order_of_a_seed_is_the_same_forever() {
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
        assert_eq!(message(Batches::new(3, 0)), "3 rows cannot be dealt into batches of 0: both must be at least 1");
        assert_eq!(message(Batches::new(0, 3)), "0 rows cannot be dealt into batches of 3: both must be at least 1");
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
