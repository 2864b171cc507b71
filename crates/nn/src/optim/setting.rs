//! Hyperparameters: numbers that can be changed between runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A schedule that sets hyperparameters when a step reads them.
pub(super) trait HyperparameterDriver: Send + Sync {
    /// Sets the hyperparameters to their values after `steps` steps of the optimizer.
    fn advance_to(&self, steps: u64);
}

/// A number of an optimizer that can be changed between runs without compiling anything again; clones share the value.
///
/// The learning rate can always change. The momentum, or Adam's first beta, can change if it was passed as
/// `&Hyperparameter` or a schedule changes it; otherwise it is a constant of the compiled step.
///
/// ```
/// use wgrad_nn::optim::{AdamW, LearningRate};
/// let lr = LearningRate::new(1e-3);
/// let optimizer = AdamW::new(&lr);
/// lr.set(1e-4);
/// assert_eq!(optimizer.lr_handle().get(), 1e-4);
/// ```
#[derive(Clone)]
pub struct Hyperparameter(Arc<Inner>);

/// A learning rate that can be changed between runs; clones share the value.
pub type LearningRate = Hyperparameter;

struct Inner {
    value: AtomicU64,
    /// The value before a schedule changed it for the first time; NaN if there is no schedule.
    initial: AtomicU64,
    /// Set if something other than the optimizer has a clone.
    shared: AtomicBool,
    driver: Mutex<Option<Weak<dyn HyperparameterDriver>>>,
}

impl Hyperparameter {
    /// Creates a hyperparameter with this value.
    pub fn new(value: f64) -> Self {
        Self(Arc::new(Inner {
            value: AtomicU64::new(value.to_bits()),
            initial: AtomicU64::new(f64::NAN.to_bits()),
            shared: AtomicBool::new(false),
            driver: Mutex::default(),
        }))
    }

    /// Returns the value for the next run.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.value.load(Ordering::Relaxed))
    }

    /// Sets the value from the next run on.
    pub fn set(&self, value: f64) {
        self.0.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Returns the value of the step after `steps` steps of the optimizer.
    pub(super) fn at(&self, steps: u64) -> f64 {
        let driver = self.0.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(driver) = driver.and_then(|driver| driver.upgrade()) {
            driver.advance_to(steps);
        }
        self.get()
    }

    /// Returns a clone through which the value can be changed. Graphs traced afterwards read it before each step.
    pub(super) fn shared(&self) -> Self {
        self.0.shared.store(true, Ordering::Relaxed);
        self.clone()
    }

    /// Returns whether the value can be changed through a shared clone.
    pub(super) fn is_shared(&self) -> bool {
        self.0.shared.load(Ordering::Relaxed)
    }

    pub(super) fn set_driver(&self, driver: Weak<dyn HyperparameterDriver>) {
        *self.0.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    }

    /// Returns the initial value for schedules: the value at the first call.
    pub(super) fn initial(&self) -> f64 {
        let known = f64::from_bits(self.0.initial.load(Ordering::Relaxed));
        if known.is_nan() {
            self.set_initial(self.get());
            return self.get();
        }
        known
    }

    pub(super) fn set_initial(&self, value: f64) {
        self.0.initial.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl fmt::Debug for Hyperparameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hyperparameter({})", self.get())
    }
}

impl From<f64> for Hyperparameter {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl From<&Self> for Hyperparameter {
    fn from(shared: &Self) -> Self {
        shared.shared()
    }
}
