//! What runs plans.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::Plan;
use crate::{Array, Choices, Limits, Result, Spec};

/// A persistent buffer of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// A plan that a backend has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProgramId(pub usize);

/// What a device is, for people and reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceInfo {
    /// `cpu`, `cpu-f64` or `gpu`.
    pub kind: String,
    /// The adapter's name.
    pub adapter: String,
    /// The API: `vulkan`, `metal`, `dx12`, `gl`, `webgpu`; for the CPU its number of threads.
    pub api: String,
    /// The driver and its version.
    pub driver: String,
    /// Whether it is a GPU adapter that computes on the CPU.
    pub software: bool,
}

impl std::fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}", self.adapter, self.api)?;
        if !self.driver.is_empty() {
            write!(f, ", {}", self.driver)?;
        }
        write!(f, "{})", if self.software { ", software" } else { "" })
    }
}

/// A future that may not be `Send`: a browser's GPU lives on one thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Runs plans on one device. A [`Session`](crate::Session) owns one.
///
/// The session asks for a persistent buffer for everything that outlives a run (inputs, variables, fetches); the
/// backend places temporaries itself, by the plan's slots.
pub trait Backend {
    /// What the device is.
    fn device(&self) -> DeviceInfo;

    /// What plans must keep to.
    fn limits(&self) -> Limits;

    /// A persistent buffer, filled with zeros.
    ///
    /// # Errors
    /// When the device has no room, or the buffer is larger than one binding.
    fn allocate(&mut self, spec: &Spec) -> Result<BufferId>;

    /// Fills a buffer; the array has its number of elements and a fitting type.
    ///
    /// # Errors
    /// When the device is lost.
    fn write(&mut self, buffer: BufferId, array: &Array) -> Result<()>;

    /// Reads buffers, after everything submitted before.
    fn read<'a>(&'a mut self, buffers: &'a [(BufferId, Spec)]) -> LocalFuture<'a, Result<Vec<Array>>>;

    /// Makes a plan ready to run; `bound` has a buffer for everything but temporaries.
    ///
    /// # Errors
    /// When a kernel does not compile or a limit is exceeded.
    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>]) -> Result<ProgramId>;

    /// Gives back a loaded plan, its temporaries, and these buffers; their ids may be handed out again.
    fn release(&mut self, program: ProgramId, buffers: &[BufferId]);

    /// Runs a loaded plan once; may return before the device has finished.
    ///
    /// # Errors
    /// When the device is lost.
    fn run(&mut self, program: ProgramId) -> Result<()>;

    /// Runs a loaded plan once and measures each task.
    ///
    /// # Errors
    /// When the device is lost or cannot tell the time.
    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>>;

    /// Times the variants of every op of a plan that has several and whose site has no choice yet. [`Self::limits`]
    /// names the fastest ones from then on, so plans made after that use them. Returns all choices, to be kept.
    ///
    /// A backend without variants has none.
    ///
    /// # Errors
    /// When the device cannot tell the time, has no room, or is lost.
    fn tune(&mut self, _plan: &Plan) -> Result<Choices> {
        Ok(Choices::default())
    }
}
