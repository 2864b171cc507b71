//! What runs plans.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::Plan;
use crate::{Array, Choices, DeviceInfo, Limits, Result, Shape, Spec, WasmNotSend};

/// A persistent buffer of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// A plan that a backend has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramId(pub usize);

/// A future in a box: `Send` natively, but not in a browser, whose GPU lives on one thread.
#[cfg(not(target_arch = "wasm32"))]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A future in a box: `Send` natively, but not in a browser, whose GPU lives on one thread.
#[cfg(target_arch = "wasm32")]
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Arrays on their way to the host. The copy is under way: what runs later does not change it.
pub type Pending = BoxFuture<'static, Result<Vec<Array>>>;

/// Called with how many of how many kernels are compiled, from any thread.
pub type OnCompile = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// What to read from a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The buffer.
    pub buffer: BufferId,
    /// What it holds, or each of its rows.
    pub spec: Spec,
    /// None for the buffer, or a table's first row, as it is; `n` to stack the first `n` rows of a table along a new
    /// axis, in which whatever has one row for all steps is repeated.
    pub rows: Option<usize>,
}

impl Read {
    /// The shape of the array read.
    pub fn shape(&self) -> Shape {
        let rows = self.rows.as_slice();
        [rows, self.spec.shape.dims()].concat().into()
    }
}

/// A copy that a run makes after each of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepCopy {
    /// The buffer that is copied.
    pub from: BufferId,
    /// The table whose row of the step receives it.
    pub to: BufferId,
}

/// What tuning measured at one site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuned {
    /// The op and what its speed depends on; see [`Choice`](crate::Choice).
    pub site: String,
    /// The variant that runs there without tuning, and its time.
    pub default: TimedVariant,
    /// The variant that runs there from now on, and its time.
    pub chosen: TimedVariant,
    /// How many sites of the plan are still to be measured.
    pub left: usize,
}

/// A variant of a kernel and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedVariant {
    /// Its name.
    pub variant: &'static str,
    /// The median of its times.
    pub time: Duration,
}

/// Runs plans on one device. A [`Session`](crate::Session) owns one, which may move from thread to thread.
///
/// The session asks for a persistent buffer for everything that outlives a run (inputs, variables, fetches); the
/// backend places temporaries itself, by the plan's slots. What differs between the steps of one run (inputs,
/// scheduled numbers, fetched results) is in *tables*: step `i` of a run uses row `i`.
pub trait Backend: WasmNotSend {
    /// What the device is.
    fn device(&self) -> DeviceInfo;

    /// What plans must keep to.
    fn limits(&self) -> Limits;

    /// A persistent buffer, filled with zeros.
    ///
    /// # Errors
    /// When the device has no room, or the buffer is larger than one binding.
    fn allocate(&mut self, spec: &Spec) -> Result<BufferId>;

    /// Persistent buffers that one kernel may touch as a whole: where that matters, they lie side by side.
    ///
    /// # Errors
    /// As [`Self::allocate`]. Then nothing stays allocated.
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

    /// A table of one row, filled with zeros; it grows to what is written to it, and to what runs ask of it.
    ///
    /// # Errors
    /// As [`Self::allocate`].
    fn allocate_table(&mut self, spec: &Spec) -> Result<BufferId>;

    /// Fills a buffer, or the first rows of a table, one after the other. The array has a fitting type. A table with one
    /// row written shows it to every step.
    ///
    /// # Errors
    /// When the device is lost, or has no room for a table to grow.
    fn write(&mut self, buffer: BufferId, array: &Array, rows: usize) -> Result<()>;

    /// Begins to read, after everything submitted before.
    ///
    /// # Errors
    /// When the device is lost.
    fn read(&mut self, reads: &[Read]) -> Result<Pending>;

    /// Makes a plan ready to run; `bound` has a buffer for everything but temporaries. After each step of a run, the
    /// `copies` are made.
    ///
    /// # Errors
    /// When a kernel does not compile or a limit is exceeded. Then nothing stays allocated.
    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>], copies: &[StepCopy]) -> Result<ProgramId>;

    /// Whom [`Self::load`] tells how far it is, if it compiles kernels.
    fn on_compile(&mut self, _f: OnCompile) {}

    /// Gives back a loaded plan with its temporaries, and these buffers; their ids may be handed out again.
    fn release(&mut self, program: Option<ProgramId>, buffers: &[BufferId]);

    /// Runs a loaded plan `steps` times, at least once; may return before the device has finished.
    ///
    /// # Errors
    /// When the device is lost, or has no room for the tables of fetches to grow.
    fn run(&mut self, program: ProgramId, steps: usize) -> Result<()>;

    /// [`Self::run`], then [`Self::read`]; a backend may make one submission of both.
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
    /// When the device is lost or cannot tell the time.
    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>>;

    /// Times the variants of every op of a plan that has several and whose site has no choice yet, and tells `f` of each
    /// site. [`Self::limits`] names the fastest ones from then on, so plans made after that use them. Returns all
    /// choices, to be kept.
    ///
    /// After `limit` no run begins any more; the site that was being measured has no choice then. A backend without
    /// variants has none.
    ///
    /// # Errors
    /// When the device has no room, or is lost.
    fn tune(&mut self, _plan: &Plan, _limit: Duration, _f: &mut dyn FnMut(&Tuned)) -> Result<Choices> {
        Ok(Choices::default())
    }
}
