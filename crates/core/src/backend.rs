//! Backends: devices that run plans.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::Plan;
use crate::{Array, DeviceInfo, Limits, Result, Shape, Spec, TuningChoices, WasmNotSend};

/// Id of a buffer that a session allocated on a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// Id of a plan that a backend has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramId(pub usize);

/// Boxed future. It is `Send`, except in a browser, where GPU objects belong to one thread.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Boxed future. It is `Send`, except in a browser, where GPU objects belong to one thread.
#[cfg(target_arch = "wasm32")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Arrays that are being copied from the device to the host. The copy commands are already in the device's queue,
/// so later runs do not change the arrays.
pub type Pending = BoxFuture<'static, Result<Vec<Array>>>;

/// Callback that receives the number of kernels compiled so far and the number of all kernels to compile. It may
/// be called from any thread.
pub type OnCompile = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// Request to read a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The buffer.
    pub buffer: BufferId,
    /// The shape and type of the buffer or, for a per-step buffer (which has a slot for each step of a run), of
    /// one slot.
    pub spec: Spec,
    /// `None` reads the buffer, or the first slot of a per-step buffer. `Some(n)` reads the first `n` slots,
    /// stacked along a new first axis; a buffer with one value for all steps is repeated `n` times.
    pub steps: Option<usize>,
}

impl Read {
    /// Returns the shape of the array that is read.
    pub fn shape(&self) -> Shape {
        [self.steps.as_slice(), self.spec.shape.dims()].concat().into()
    }
}

/// Copy that is made after each step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCopy {
    /// The buffer that is copied.
    pub from: BufferId,
    /// The per-step buffer. The copy is stored in the slot of the step.
    pub to: BufferId,
}

/// Result of tuning for one tuning key, which is an op's name with the sizes that its speed depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuned {
    /// The tuning key; see [`TuningChoice`](crate::TuningChoice).
    pub key: String,
    /// The variant that would run without tuning, and its time.
    pub default: TimedVariant,
    /// The variant that will run from now on, and its time.
    pub chosen: TimedVariant,
    /// The number of tuning keys of the plan that are not measured yet.
    pub left: usize,
}

/// Kernel variant and the time that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedVariant {
    /// The variant's name.
    pub variant: &'static str,
    /// The median time.
    pub time: Duration,
}

/// Device that runs plans. Each [`Session`](crate::Session) owns a backend, and may be moved to another thread.
///
/// The session allocates a persistent buffer for every value that exists before or after a run: inputs, variables,
/// fetched results. The backend allocates the memory of temporaries, whose layout the plan describes. Values that
/// differ between the steps of a run (inputs, numbers that the host computes, fetched results) are in *per-step
/// buffers*, which have several slots: step `i` of a run uses slot `i`.
pub trait Backend: WasmNotSend {
    /// Returns the description of the device.
    fn device(&self) -> DeviceInfo;

    /// Returns the device's limits, which every plan that runs on it must respect.
    fn limits(&self) -> Limits;

    /// Allocates a persistent buffer, filled with zeros.
    ///
    /// # Errors
    /// When the device does not have enough memory, or the buffer is larger than the device's largest
    /// binding.
    fn allocate(&mut self, spec: &Spec) -> Result<BufferId>;

    /// Allocates persistent buffers that one kernel may process together. On devices where this matters, they are
    /// placed next to each other.
    ///
    /// # Errors
    /// The same as for [`Self::allocate`]. After an error, none of the buffers stays allocated.
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

    /// Allocates a per-step buffer with one slot, filled with zeros. The number of slots grows when more are
    /// written or a run needs more.
    ///
    /// # Errors
    /// The same as for [`Self::allocate`].
    fn allocate_per_step(&mut self, spec: &Spec) -> Result<BufferId>;

    /// Writes an array to a buffer, or to the first `slots` slots of a per-step buffer. If only one slot is
    /// written, every step reads that slot. The array's element type must be compatible with the buffer's.
    ///
    /// # Errors
    /// When the device is lost, or does not have enough memory for further slots.
    fn write(&mut self, buffer: BufferId, array: &Array, slots: usize) -> Result<()>;

    /// Starts reading buffers. The values read are those after everything submitted earlier has run.
    ///
    /// # Errors
    /// When the device is lost.
    fn read(&mut self, reads: &[Read]) -> Result<Pending>;

    /// Prepares a plan to run. For each buffer of the plan, `bound` contains the id of the allocated buffer, or
    /// `None` if the plan's buffer exists only during a run. `copies` are made after each step of a run.
    ///
    /// # Errors
    /// When a kernel cannot be compiled or a limit is exceeded. After an error, nothing that was allocated for the
    /// plan stays allocated.
    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>], copies: &[StepCopy]) -> Result<ProgramId>;

    /// Sets the callback that reports the progress of [`Self::load`], on backends that compile kernels.
    fn on_compile(&mut self, _f: OnCompile) {}

    /// Frees a loaded plan with its temporaries, and the given buffers. The ids may be reused.
    fn release(&mut self, program: Option<ProgramId>, buffers: &[BufferId]);

    /// Runs a loaded plan `steps` times; `steps` must be at least 1. May return before the device has finished.
    ///
    /// # Errors
    /// When the device is lost, or does not have enough memory for the fetched results of all steps.
    fn run(&mut self, program: ProgramId, steps: usize) -> Result<()>;

    /// Calls [`Self::run`], then [`Self::read`]. A backend may submit both to the device at once.
    ///
    /// # Errors
    /// The same as for [`Self::run`] and [`Self::read`].
    fn run_and_read(&mut self, program: ProgramId, steps: usize, reads: &[Read]) -> Result<Pending> {
        self.run(program, steps)?;
        self.read(reads)
    }

    /// Runs a loaded plan once and measures the time of each of the plan's tasks.
    ///
    /// # Errors
    /// When the device is lost or cannot measure times.
    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>>;

    /// Tunes the ops of a plan whose kernels have several variants: measures the variants for each tuning key that
    /// was not tuned before, and calls `f` after each key. Afterwards, [`Self::limits`] contains the fastest
    /// variants, so that later plans use them. Returns all choices.
    ///
    /// After the time `limit`, no further run is started, and no variant is chosen for the key that was being
    /// measured. The default implementation, for backends without variants, measures nothing.
    ///
    /// # Errors
    /// When the device is lost, or does not have enough memory.
    fn tune(&mut self, _plan: &Plan, _limit: Duration, _f: &mut dyn FnMut(&Tuned)) -> Result<TuningChoices> {
        Ok(TuningChoices::default())
    }
}
