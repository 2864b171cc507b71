//! Functions for tests, benchmarks and the parity harness. They are not part of the stable API.

use std::sync::LazyLock;

use wgrad_core::plan::{Plan, Task};
use wgrad_core::{Limits, Result};

use crate::adapters::{Adapter, Device, OPTIONAL_FEATURES};
pub use crate::gpu::DeviceCounts;
pub use crate::kernels::bound::{BoundDispatch, Physical, Target};
use crate::kernels::launch;
use crate::kernels::reflect::Outlines;
pub use crate::kernels::reflect::{Binding, EntryPoint, ReflectedModule, reflect};

/// Returns the launches of a task. `physical` locates the plan's buffers in device memory.
///
/// # Errors
/// Returns an error if an op's kernel does not parse, or lacks the load or store function that the op promises.
pub fn launches(plan: &Plan, task: &Task, physical: &Physical<'_>) -> Result<Vec<BoundDispatch>> {
    static OUTLINES: LazyLock<Outlines> = LazyLock::new(Outlines::default);
    launch::launches(plan, task, physical, &OUTLINES)
}

/// Ways to open an adapter that only tests need.
pub trait AdapterHooks {
    /// Opens a device whose plans respect other limits than the adapter's. Tests use it to run the kernels of
    /// large GPUs on a software adapter, or to plan for WebGPU's minimum limits. Limits may only be lowered.
    /// Compiled kernels are not stored on disk.
    ///
    /// # Errors
    /// Returns the same errors as [`Adapter::open`].
    fn open_with(&self, change: impl FnOnce(&mut Limits)) -> Result<Device>;

    /// Opens a device without optional features, that is without timestamps and pipeline cache. Tests use it to
    /// check that these are not required. wgrad's kernels never use other optional features, such as f16 or
    /// subgroups.
    ///
    /// # Errors
    /// Returns the same errors as [`Adapter::open`].
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

/// Counters of a device, and ways to make the device fail.
pub trait DeviceHooks {
    /// Returns the numbers of resources that all sessions have created on the device since it was opened; 0 on the
    /// CPU.
    fn counts(&self) -> DeviceCounts;

    /// Returns the number of submissions of all sessions since the device was opened; 0 on the CPU.
    fn submissions(&self) -> u64;

    /// Destroys the GPU device for all its sessions, as a driver reset would. Every later run and read then
    /// returns an error with the reason. Has no effect on the CPU.
    fn destroy(&self);

    /// Opens the same adapter again, with the same limits and with one of the
    /// [`faults`](crate::fault_injection::faults) injected into its kernels. Tests use it to verify that a check
    /// finds the fault. The faulty kernels are compiled with all runtime checks, and no kernel is stored on disk.
    ///
    /// # Errors
    /// Returns an error if there is no such fault, or if the device is the CPU, which has no kernels.
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
            return Err(wgrad_core::DeviceError::NoKernels { device: self.info(), fault: name.into() }.into());
        };
        let adapter = crate::adapters::adapters().iter().find(|adapter| adapter.info() == opened.info);
        let mut faulty = adapter.expect("the adapter was found before").opened(false, OPTIONAL_FEATURES)?;
        faulty.limits = Box::<dyn wgrad_core::Backend>::from(self.clone()).limits();
        faulty.kernels = std::sync::Arc::new(crate::kernels::compile::Kernels::faulty(faulty.gpu.clone(), fault));
        Ok(faulty.into())
    }
}
