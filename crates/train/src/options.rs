//! Options of a trainer, which its builder methods set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wgrad_core::{Limits, Params, Result};

use crate::data_source::{DataSource, Targets};
use crate::error::TrainSettingError;
use wgrad_data::{Batches, Dataset, Sampler, Seed};
use wgrad_nn::optim::{Ema, Optimizer};

/// Options of a trainer, which its builder methods set. They do not change during a fit, except that the fit takes
/// the optimizer out while it runs.
pub(crate) struct TrainerOptions {
    pub optimizer: Option<Box<dyn Optimizer>>,
    pub ema: Option<Ema>,
    pub accumulate: usize,
    pub batch_size: usize,
    /// Seed for the order of the rows. `None` means the seed of the parameters.
    pub seed: Option<Seed>,
    pub shuffle: bool,
    pub sampler: Option<Sampler>,
    pub drop_last: bool,
    pub streaming: bool,
    pub targets: Targets,
    pub validation: Option<Dataset>,
    /// Flag that ends a fit when it becomes true.
    pub stop: Option<Arc<AtomicBool>>,
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            optimizer: None,
            ema: None,
            accumulate: 1,
            batch_size: 64,
            seed: None,
            shuffle: true,
            sampler: None,
            drop_last: false,
            streaming: false,
            targets: Targets::Automatic,
            validation: None,
            stop: None,
        }
    }
}

/// Batches of a data set, and the number of steps per epoch.
pub(crate) struct EpochBatches {
    pub batches: Batches,
    pub steps: usize,
}

impl TrainerOptions {
    /// Returns the optimizer.
    pub fn optimizer(&self) -> Result<&dyn Optimizer> {
        self.optimizer.as_deref().ok_or_else(|| TrainSettingError::NoOptimizer.into())
    }

    /// Takes the optimizer out of the options. The caller puts it back at the end.
    pub fn lend_optimizer(&mut self) -> Result<Box<dyn Optimizer>> {
        self.optimizer.take().ok_or_else(|| TrainSettingError::NoOptimizer.into())
    }

    /// Returns the seed for the order of the rows.
    pub fn order_seed(&self, params: &Params) -> Seed {
        self.seed.unwrap_or(Seed(params.seed()))
    }

    /// Returns whether the batches are the same as those of PyTorch's `DataLoader`.
    pub fn as_torch(&self, params: &Params) -> bool {
        self.seed.is_none() && params.with_torch_random(|_| ()).is_some()
    }

    /// Returns whether the stop flag is set.
    pub fn is_stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Returns whether the features of a data set are kept on a device with these limits.
    pub fn keeps_on_device(&self, data: &Dataset, limits: &Limits) -> bool {
        !self.streaming && DataSource::fits(data, limits)
    }

    /// Returns the batches of a data set with `rows` rows.
    pub fn batches(&self, params: &Params, rows: usize) -> Result<EpochBatches> {
        let batches = self.order(params, rows)?;
        let steps = batches.len() - usize::from(self.drops_one(params, rows));
        Ok(EpochBatches { batches, steps })
    }

    fn order(&self, params: &Params, rows: usize) -> Result<Batches> {
        let mut batches = Batches::new(rows, self.batch_size)?;
        if let Some(sampler) = &self.sampler {
            batches = batches.sampler(sampler, self.order_seed(params))?;
            return if self.drop_last { batches.drop_last() } else { Ok(batches) };
        }
        let batches = if self.drop_last { batches.drop_last()? } else { batches };
        match (self.shuffle, self.as_torch(params)) {
            (true, true) => batches.shuffle_as_torch(params),
            (true, false) => Ok(batches.shuffle(self.order_seed(params))),
            (false, _) => Ok(batches),
        }
    }

    /// Returns whether an epoch leaves out its last row because this row would be a batch by itself.
    fn drops_one(&self, params: &Params, rows: usize) -> bool {
        let rows = self.sampler.as_ref().map_or(rows, Sampler::samples);
        !self.drop_last
            && !self.as_torch(params)
            && self.batch_size > 1
            && rows > self.batch_size
            && rows % self.batch_size == 1
    }
}
