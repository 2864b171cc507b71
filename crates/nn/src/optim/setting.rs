//! Hyperparameters of optimizers: numbers that can be changed between runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Schedule that updates hyperparameters just before a step reads them.
pub(super) trait HyperparameterDriver: Send + Sync {
    /// Sets the hyperparameters to the values that apply after `steps` steps of the optimizer.
    fn advance_to(&self, steps: u64);
}

/// Hyperparameter of an optimizer, such as the learning rate: a number that can be changed between runs without
/// compiling anything again. Clones share the value.
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

/// Learning rate that can be changed between runs. Clones share the value.
pub type LearningRate = Hyperparameter;

struct Inner {
    value: AtomicU64,
    /// The value before the first schedule changed it, or NaN if no schedule uses this hyperparameter.
    initial: AtomicU64,
    /// `true` if code outside the optimizer has a clone, through which it can change the value.
    shared: AtomicBool,
    driver: Mutex<Option<Weak<dyn HyperparameterDriver>>>,
}

impl Hyperparameter {
    /// Creates a hyperparameter.
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

    /// Sets the value, which applies from the next run on.
    pub fn set(&self, value: f64) {
        self.0.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Returns the value for the next step after `steps` steps of the optimizer. If a schedule is attached, the
    /// schedule updates the value first.
    pub(super) fn at(&self, steps: u64) -> f64 {
        let driver = self.0.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(driver) = driver.and_then(|driver| driver.upgrade()) {
            driver.advance_to(steps);
        }
        self.get()
    }

    /// Returns a clone through which the value can be changed. Graphs traced after this call read the value before
    /// each step instead of treating it as a constant.
    pub(super) fn shared(&self) -> Self {
        self.0.shared.store(true, Ordering::Relaxed);
        self.clone()
    }

    /// Returns whether [`Self::shared`] was called, so that the value can be changed through a clone.
    pub(super) fn is_shared(&self) -> bool {
        self.0.shared.load(Ordering::Relaxed)
    }

    pub(super) fn set_driver(&self, driver: Weak<dyn HyperparameterDriver>) {
        *self.0.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    }

    /// Returns the initial value, which schedules need to compute later values. If no initial value is stored yet,
    /// stores the current value as the initial one.
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
