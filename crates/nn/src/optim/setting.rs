//! Settings: numbers that others can turn while the optimizer runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What sets settings by itself when a step asks for their values.
pub(super) trait Drive: Send + Sync {
    /// Brings all settings to where they are after so many steps of the optimizer.
    fn advance_to(&self, steps: u64);
}

/// A setting of an optimizer that can be changed between runs without compiling anything again; clones share it.
///
/// The learning rate always can. The momentum, or Adam's first beta, can when it was given as a `&Setting`, or when a
/// schedule turns it; otherwise it is a constant of the compiled step.
///
/// ```
/// use wgrad_nn::optim::{AdamW, LearningRate};
/// let lr = LearningRate::new(1e-3);
/// let optimizer = AdamW::new(&lr);
/// lr.set(1e-4);
/// assert_eq!(optimizer.lr_handle().get(), 1e-4);
/// ```
#[derive(Clone)]
pub struct Setting(Arc<Inner>);

/// A learning rate that can be changed between runs; clones share it.
pub type LearningRate = Setting;

struct Inner {
    value: AtomicU64,
    /// The value before the first schedule changed it; NaN while there was none.
    initial: AtomicU64,
    handed_out: AtomicBool,
    driver: Mutex<Option<Weak<dyn Drive>>>,
}

impl Setting {
    /// A setting that begins at `value`.
    pub fn new(value: f64) -> Self {
        Self(Arc::new(Inner {
            value: AtomicU64::new(value.to_bits()),
            initial: AtomicU64::new(f64::NAN.to_bits()),
            handed_out: AtomicBool::new(false),
            driver: Mutex::default(),
        }))
    }

    /// The value of the next run.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.value.load(Ordering::Relaxed))
    }

    /// Sets the value from the next run on.
    pub fn set(&self, value: f64) {
        self.0.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The value in the step after `steps` steps of the optimizer.
    pub(super) fn at(&self, steps: u64) -> f64 {
        let driver = self.0.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(driver) = driver.and_then(|driver| driver.upgrade()) {
            driver.advance_to(steps);
        }
        self.get()
    }

    /// A clone for others to set. Graphs that are traced from now on read it before each step.
    pub(super) fn hand_out(&self) -> Self {
        self.0.handed_out.store(true, Ordering::Relaxed);
        self.clone()
    }

    /// Whether somebody may set it.
    pub(super) fn is_handed_out(&self) -> bool {
        self.0.handed_out.load(Ordering::Relaxed)
    }

    pub(super) fn driven_by(&self, driver: Weak<dyn Drive>) {
        *self.0.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver);
    }

    /// The value from which schedules count: that of the first call.
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

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({})", self.get())
    }
}

impl From<f64> for Setting {
    fn from(value: f64) -> Self {
        Self::new(value)
    }
}

impl From<&Self> for Setting {
    fn from(shared: &Self) -> Self {
        shared.hand_out()
    }
}
