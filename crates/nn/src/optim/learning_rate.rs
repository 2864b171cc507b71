//! The learning rate: a number that others can turn while the optimizer runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A learning rate that can be changed between runs; clones share it.
///
/// ```
/// use wgrad_nn::optim::{AdamW, LearningRate};
/// let lr = LearningRate::new(1e-3);
/// let optimizer = AdamW::new(&lr);
/// lr.set(1e-4);
/// assert_eq!(optimizer.lr_handle().get(), 1e-4);
/// ```
#[derive(Clone)]
pub struct LearningRate(Arc<AtomicU64>);

impl LearningRate {
    /// A learning rate that begins at `lr`.
    #[must_use]
    pub fn new(lr: f64) -> Self {
        Self(Arc::new(AtomicU64::new(lr.to_bits())))
    }

    /// The learning rate of the next run.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Sets the learning rate from the next run on.
    pub fn set(&self, lr: f64) {
        self.0.store(lr.to_bits(), Ordering::Relaxed);
    }
}

impl fmt::Debug for LearningRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LearningRate({})", self.get())
    }
}

impl From<f64> for LearningRate {
    fn from(lr: f64) -> Self {
        Self::new(lr)
    }
}

impl From<&Self> for LearningRate {
    fn from(lr: &Self) -> Self {
        lr.clone()
    }
}
