//! Hooks for tests, benchmarks and the parity harness. They are not stable: any version may change them.

use std::sync::LazyLock;

use wgrad_core::plan::{Plan, Task};
use wgrad_core::{Limits, Result};

use crate::adapters::{Adapter, Device, OPTIONAL_FEATURES};
pub use crate::gpu::DeviceCounts;
pub use crate::kernels::bound::{BoundDispatch, Physical, Target};
use crate::kernels::launch;
use crate::kernels::reflect::Outlines;
pub use crate::kernels::reflect::{Binding, EntryPoint, ReflectedModule, reflect};

/// Returns the launches of a task.
///
/// # Errors
/// When an op's kernel does not parse, or lacks the function that the op promises to store or load through.
pub fn launches(plan: &Plan, task: &Task, physical: &Physical<'_>) -> Result<Vec<BoundDispatch>> {
    static OUTLINES: LazyLock<Outlines> = LazyLock::new(Outlines::default);
    launch::launches(plan, task, physical, &OUTLINES)
}

/// Other ways to open an adapter.
pub trait AdapterHooks {
    /// Opens a device that plans for other limits than the adapter's own: how tests run the kernels of large GPUs on a
    /// software adapter, or keep to the smallest limits that WebGPU allows. Only ever lower a limit. Kernels compiled
    /// for it are not kept on disk.
    ///
    /// # Errors
    /// As [`Adapter::open`].
    fn open_with(&self, change: impl FnOnce(&mut Limits)) -> Result<Device>;

    /// Opens a device that has none of the features that adapters may lack, neither timestamps nor a cache of pipelines:
    /// how tests see to it that nothing needs them. Kernels use no feature (f16, subgroups) anywhere.
    ///
    /// # Errors
    /// As [`Adapter::open`].
    fn open_without_features(&self) -> Result<Device>;
}

impl AdapterHooks for Adapter {
    fn open_with(&self, change: impl FnOnce(&mut Limits)) -> Result<Device> {
        let mut opened = self.opened(false, OPTIONAL_FEATURES)?;
        change(&mut opened.limits);
        Ok(opened.into())
    }

    fn open_without_features(&self) -> Result<Device> {
        self.opened(false, wgpu::Features::empty()).map(Device::from)
    }
}

/// Counters of a device, and faults in it.
pub trait DeviceHooks {
    /// Returns how much was made on the device since it was opened, by all sessions; nothing on the CPU.
    fn counts(&self) -> DeviceCounts;

    /// Returns how often work was submitted to the device since it was opened, by all sessions; 0 on the CPU.
    fn submissions(&self) -> u64;

    /// Takes the GPU away from all sessions on this device, as a driver does that was reset; nothing happens to the CPU.
    /// Every run and read fails from then on, and says so.
    fn destroy(&self);

    /// Opens the same adapter anew, with the same limits and with a fault in its kernels, one of
    /// [`faults`](crate::fault_injection::faults): it computes wrongly on purpose, to prove that a check finds it. Its kernels have
    /// all runtime checks, and none of them is kept on disk.
    ///
    /// # Errors
    /// When there is no such fault, or the device is the CPU, which has no kernels.
    #[cfg(feature = "fault-injection")]
    fn with_fault(&self, name: &str) -> Result<Device>;
}

impl DeviceHooks for Device {
    fn counts(&self) -> DeviceCounts {
        self.opened().map_or_else(DeviceCounts::default, |opened| opened.gpu.counts())
    }

    fn submissions(&self) -> u64 {
        self.opened().map_or(0, |opened| opened.gpu.submissions())
    }

    fn destroy(&self) {
        if let Some(opened) = self.opened() {
            opened.gpu.destroy();
        }
    }

    #[cfg(feature = "fault-injection")]
    fn with_fault(&self, name: &str) -> Result<Device> {
        let fault = crate::fault_injection::Fault::named(name)?;
        let Some(opened) = self.opened() else {
            let info = self.info();
            let what = format!("`{name}` is a fault of a kernel, and {info} has none");
            return Err(wgrad_core::Error::Device(what));
        };
        let adapter = crate::adapters::adapters().iter().find(|adapter| adapter.info() == opened.info);
        let mut faulty = adapter.expect("the adapter was found before").opened(false, OPTIONAL_FEATURES)?;
        faulty.limits = Box::<dyn wgrad_core::Backend>::from(self.clone()).limits();
        faulty.kernels = std::sync::Arc::new(crate::kernels::compile::Kernels::faulty(faulty.gpu.clone(), fault));
        Ok(faulty.into())
    }
}
