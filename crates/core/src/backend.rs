//! Backends, which run plans on a device.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::Plan;
use crate::{Array, DeviceInfo, Limits, Result, Shape, Spec, TuningChoices, WasmNotSend};

/// Id of a persistent buffer of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// Id of a plan that a backend has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramId(pub usize);

/// Boxed future: `Send` natively, but not in a browser, whose GPU objects belong to one thread.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Boxed future: `Send` natively, but not in a browser, whose GPU objects belong to one thread.
#[cfg(target_arch = "wasm32")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Arrays being read to the host. The copy is already submitted, so later runs do not change it.
pub type Pending = BoxFuture<'static, Result<Vec<Array>>>;

/// Callback with the number of compiled kernels and the number of all kernels to compile. Called from any thread.
pub type OnCompile = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// Read of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The buffer.
    pub buffer: BufferId,
    /// The shape and type of the buffer, or of one slot of a per-step buffer.
    pub spec: Spec,
    /// None to read the buffer, or the first slot of a per-step buffer, in its own shape; `n` to stack the first `n`
    /// slots along a new first axis, where a buffer with one value for all steps is repeated.
    pub steps: Option<usize>,
}

impl Read {
    /// Returns the shape of the array that is read.
    pub fn shape(&self) -> Shape {
        [self.steps.as_slice(), self.spec.shape.dims()].concat().into()
    }
}

/// Copy that a run makes after each of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCopy {
    /// The buffer that is copied.
    pub from: BufferId,
    /// The per-step buffer whose slot of the step receives the copy.
    pub to: BufferId,
}

/// Measurement of tuning for one tuning key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuned {
    /// The tuning key; see [`TuningChoice`](crate::TuningChoice).
    pub key: String,
    /// The variant that runs without tuning, and its time.
    pub default: TimedVariant,
    /// The fastest variant, which runs from now on, and its time.
    pub chosen: TimedVariant,
    /// The number of keys of the plan that are still to be measured.
    pub left: usize,
}

/// Variant of a kernel with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedVariant {
    /// The variant's name.
    pub variant: &'static str,
    /// The median time.
    pub time: Duration,
}

/// Device that runs plans. A [`Session`](crate::Session) owns one, and may move from thread to thread.
///
/// The session allocates a persistent buffer for everything that outlives a run (inputs, variables, fetches); the
/// backend places temporaries itself, by the plan's slots. Values that differ between the steps of a run (inputs,
/// scheduled numbers, fetched results) are in *per-step buffers*: step `i` of a run uses slot `i`.
pub trait Backend: WasmNotSend {
    /// Returns the description of the device.
    fn device(&self) -> DeviceInfo;

    /// Returns the limits of plans on the device.
    fn limits(&self) -> Limits;

    /// Allocates a persistent buffer, filled with zeros.
    ///
    /// # Errors
    /// When the device has no room, or the buffer is larger than one binding.
    fn allocate(&mut self, spec: &Spec) -> Result<BufferId>;

    /// Allocates persistent buffers that one kernel may process as a whole: side by side, on devices where that
    /// matters.
    ///
    /// # Errors
    /// As [`Self::allocate`]. Nothing stays allocated then.
    fn allocate_together(&mut self, specs: &[&Spec]) -> Result<Vec<BufferId>> {
        let mut buffers = vec![];
        for spec in specs {
            match self.allocate(spec) {
                Ok(buffer) => buffers.push(buffer),
                Err(error) => {
                    self.release(None, &buffers);
                    return Err(error);
                }
            }
        }
        Ok(buffers)
    }

    /// Allocates a per-step buffer with one slot, filled with zeros. It grows to the number of slots that are written
    /// or that a run needs.
    ///
    /// # Errors
    /// As [`Self::allocate`].
    fn allocate_per_step(&mut self, spec: &Spec) -> Result<BufferId>;

    /// Writes a buffer, or the first `slots` slots of a per-step buffer, from an array of a fitting type. If one slot
    /// of a per-step buffer is written, every step reads it.
    ///
    /// # Errors
    /// When the device is lost, or has no room for a per-step buffer to grow.
    fn write(&mut self, buffer: BufferId, array: &Array, slots: usize) -> Result<()>;

    /// Starts reading buffers, after everything submitted before.
    ///
    /// # Errors
    /// When the device is lost.
    fn read(&mut self, reads: &[Read]) -> Result<Pending>;

    /// Prepares a plan to run. `bound` has a buffer for everything but temporaries; `copies` are made after each step.
    ///
    /// # Errors
    /// When a kernel does not compile or a limit is exceeded. Nothing stays allocated then.
    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>], copies: &[StepCopy]) -> Result<ProgramId>;

    /// Sets the callback for the progress of [`Self::load`], on backends that compile kernels.
    fn on_compile(&mut self, _f: OnCompile) {}

    /// Frees a loaded plan with its temporaries, and buffers. Their ids may be reused.
    fn release(&mut self, program: Option<ProgramId>, buffers: &[BufferId]);

    /// Runs a loaded plan `steps` times, at least once. May return before the device has finished.
    ///
    /// # Errors
    /// When the device is lost, or has no room for the per-step buffers of fetches to grow.
    fn run(&mut self, program: ProgramId, steps: usize) -> Result<()>;

    /// Calls [`Self::run`], then [`Self::read`]; a backend may do both in one submission.
    ///
    /// # Errors
    /// As [`Self::run`] and [`Self::read`].
    fn run_and_read(&mut self, program: ProgramId, steps: usize, reads: &[Read]) -> Result<Pending> {
        self.run(program, steps)?;
        self.read(reads)
    }

    /// Runs a loaded plan once and measures each task.
    ///
    /// # Errors
    /// When the device is lost or cannot measure times.
    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>>;

    /// Measures the variants of each op of a plan that has several and whose tuning key has no entry yet, and calls
    /// `f` after each key. From then on [`Self::limits`] has the fastest ones, so that later plans use them. Returns
    /// all choices.
    ///
    /// After `limit` no further run starts, and the key that was being measured gets no entry. The default, for
    /// backends without variants, measures nothing.
    ///
    /// # Errors
    /// When the device has no room, or is lost.
    fn tune(&mut self, _plan: &Plan, _limit: Duration, _f: &mut dyn FnMut(&Tuned)) -> Result<TuningChoices> {
        Ok(TuningChoices::default())
    }
}
