//! Devices on which sessions run: a GPU or the CPU.

use std::fmt;
use std::sync::Arc;

use wgrad_core::{Backend, CpuBackend, DeviceInfo, Limits, TuningChoices};

use super::self_test::SelfTest;
use crate::gpu::Gpu;
use crate::kernels::compile::Kernels;
use crate::run::GpuBackend;

/// GPU that has been opened, with its kernels, limits and self-test.
pub(crate) struct OpenedGpu {
    pub gpu: Arc<Gpu>,
    pub kernels: Arc<Kernels>,
    pub info: DeviceInfo,
    /// The device's limits, which every plan that runs on it must respect.
    pub limits: Limits,
    pub self_test: SelfTest,
}

/// Device on which sessions run: a GPU, or the CPU backend in single or double precision. Cloning is cheap; all
/// clones refer to the same device.
#[derive(Clone)]
pub struct Device(Kind);

#[derive(Clone)]
enum Kind {
    Cpu,
    CpuF64,
    Gpu(Arc<OpenedGpu>, TuningChoices),
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.info())
    }
}

impl Device {
    /// Returns the CPU backend in single precision, on all cores.
    pub fn cpu() -> Self {
        Self(Kind::Cpu)
    }

    /// Returns the CPU backend in double precision, whose results are the reference for all other devices.
    pub fn cpu_f64() -> Self {
        Self(Kind::CpuF64)
    }

    /// Returns this device with other tuning choices (a kernel variant per op), such as those that
    /// [`Backend::tune`] finds. Has no effect on the CPU, where ops have no variants.
    pub fn choosing(&self, choices: TuningChoices) -> Self {
        match &self.0 {
            Kind::Gpu(opened, _) => Self(Kind::Gpu(opened.clone(), choices)),
            _ => self.clone(),
        }
    }

    /// Returns the result of the driver's self-test; `None` on the CPU.
    pub fn self_test(&self) -> Option<SelfTest> {
        self.opened().map(|opened| opened.self_test.clone())
    }

    /// Returns the device's name, API and driver.
    pub fn info(&self) -> DeviceInfo {
        match &self.0 {
            Kind::Cpu => CpuBackend::<f32>::new().device(),
            Kind::CpuF64 => CpuBackend::<f64>::new().device(),
            Kind::Gpu(opened, _) => opened.info.clone(),
        }
    }

    /// Returns the open GPU; `None` if this device is the CPU.
    pub(crate) fn opened(&self) -> Option<&OpenedGpu> {
        match &self.0 {
            Kind::Gpu(opened, _) => Some(opened),
            Kind::Cpu | Kind::CpuF64 => None,
        }
    }
}

/// Creates a device from an open GPU, with the tuning choices (a kernel variant per op) in the GPU's limits.
impl From<OpenedGpu> for Device {
    fn from(opened: OpenedGpu) -> Self {
        let choices = opened.limits.choices.clone();
        Self(Kind::Gpu(Arc::new(opened), choices))
    }
}

impl From<Device> for Box<dyn Backend> {
    fn from(device: Device) -> Self {
        match device.0 {
            Kind::Cpu => Box::new(CpuBackend::<f32>::new()),
            Kind::CpuF64 => Box::new(CpuBackend::<f64>::new()),
            Kind::Gpu(opened, choices) => {
                let limits = Limits { choices, ..opened.limits.clone() };
                Box::new(GpuBackend::new(opened.gpu.clone(), opened.kernels.clone(), opened.info.clone(), limits))
            }
        }
    }
}
