//! The GPU adapters of this machine, and the code that opens them as devices.

use std::fmt;
use std::sync::{Arc, OnceLock};

use wgrad_core::{DeviceInfo, Limits, Result, TuningChoices, memory_of_host};

use super::device::{Device, OpenedGpu};
use super::probe;
use super::self_test::SelfTest;
use crate::gpu::Gpu;
use crate::kernels::compile::{Disk, Kernels};

/// Optional GPU features that are enabled if the adapter supports them: timestamps, used for profiling and tuning,
/// and the pipeline cache.
pub(crate) const OPTIONAL_FEATURES: wgpu::Features =
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::PIPELINE_CACHE);

/// Largest size of a buffer binding that a plan may use, in bytes.
const LARGEST_BINDING: u64 = (1 << 32) - 256;

/// GPU adapter of this machine, real or simulated in software; see [`adapters`].
#[derive(Clone)]
pub struct Adapter {
    adapter: wgpu::Adapter,
    info: wgpu::AdapterInfo,
    tested: Arc<OnceLock<SelfTest>>,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.info(), f)
    }
}

/// Returns all adapters that can run compute shaders, best first: real GPUs before software adapters; then Vulkan,
/// Metal and DX12 before OpenGL; then discrete before integrated GPUs.
///
/// Adapters are enumerated once per process.
pub fn adapters() -> &'static [Adapter] {
    static ADAPTERS: OnceLock<Vec<Adapter>> = OnceLock::new();
    ADAPTERS.get_or_init(|| {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
        let mut adapters: Vec<_> = found
            .into_iter()
            .filter(|adapter| {
                adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS)
                    && adapter.limits().max_storage_buffers_per_shader_stage >= 4
            })
            .map(|adapter| Adapter { info: adapter.get_info(), adapter, tested: Arc::default() })
            .collect();
        adapters.sort_by_key(Adapter::rank);
        adapters
    })
}

impl Adapter {
    /// Returns the key by which adapters are sorted; a smaller key means a better adapter.
    fn rank(&self) -> (bool, bool, u8) {
        let kind = match self.info.device_type {
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            wgpu::DeviceType::Other => 3,
            wgpu::DeviceType::Cpu => 4,
        };
        (self.is_software(), self.info.backend == wgpu::Backend::Gl, kind)
    }

    /// Returns whether the adapter computes on the CPU.
    pub fn is_software(&self) -> bool {
        // OpenGL drivers do not report software adapters as CPU devices, so the name is compared with known
        // software rasterisers.
        let name = self.info.name.to_lowercase();
        self.info.device_type == wgpu::DeviceType::Cpu
            || ["llvmpipe", "softpipe", "swiftshader", "basic render"].iter().any(|known| name.contains(known))
    }

    /// Returns the adapter's name, API and driver.
    pub fn info(&self) -> DeviceInfo {
        let driver = [&self.info.driver, &self.info.driver_info];
        DeviceInfo {
            kind: "gpu".into(),
            adapter: self.info.name.clone(),
            api: self.info.backend.to_string(),
            driver: driver.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" "),
            software: self.is_software(),
            self_test: self.tested.get().map_or_else(String::new, ToString::to_string),
        }
    }

    /// Returns the kind of adapter: `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub fn kind(&self) -> &'static str {
        match self.info.device_type {
            _ if self.is_software() => "software",
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            _ => "other",
        }
    }

    /// Returns the limits of the adapter.
    pub fn limits(&self) -> wgpu::Limits {
        self.adapter.limits()
    }

    /// Returns the features that the adapter supports.
    pub fn features(&self) -> wgpu::Features {
        self.adapter.features()
    }

    /// Returns the result of the driver's self-test, which runs when a device is first opened. If no device has
    /// been opened yet, this call opens one. The driver's answers are stored per adapter and driver in
    /// [`cache_folder`](crate::cache_folder), if there is such a folder.
    ///
    /// # Errors
    /// Returns an error if the driver does not open a device.
    pub fn self_test(&self) -> Result<&SelfTest> {
        match self.tested.get() {
            Some(test) => Ok(test),
            None => self.connect(true, OPTIONAL_FEATURES).map(|(_, _, test)| test),
        }
    }

    /// Opens a device, and runs the self-test unless it has already run in this process.
    fn connect(&self, cached: bool, optional: wgpu::Features) -> Result<(Arc<Gpu>, Kernels, &SelfTest)> {
        let gpu = Arc::new(Gpu::open(&self.adapter, self.info(), optional)?);
        let disk = if cached { Disk::open(&gpu, &self.info) } else { None };
        let kernels = Kernels::new(gpu.clone(), disk);
        let test = self.tested.get_or_init(|| probe::run(&gpu, &kernels));
        gpu.reset_counts();
        Ok((gpu, kernels, test))
    }

    /// Opens a device and checks that it passes the self-test. If `cached` is set, its compiled kernels are stored
    /// on disk.
    ///
    /// # Errors
    /// Returns the same errors as [`Self::open`].
    pub(crate) fn opened(&self, cached: bool, optional: wgpu::Features) -> Result<OpenedGpu> {
        let (gpu, kernels, test) = self.connect(cached, optional)?;
        probe::admit(test, &gpu.info, probe::forced())?;
        let (info, limits) = (self.info(), self.plan_limits(test.iterations()));
        Ok(OpenedGpu { gpu, kernels: Arc::new(kernels), info, limits, self_test: test.clone() })
    }

    /// Returns the adapter's limits, which every plan that runs on it must respect. `iterations` is the largest
    /// number of loop iterations that the driver runs per thread.
    fn plan_limits(&self, iterations: u32) -> Limits {
        let available = self.adapter.limits();
        Limits {
            // At most eight, WebGPU's default, so that a graph has the same plan on every device.
            storage_buffers: 8.min(available.max_storage_buffers_per_shader_stage as usize),
            // Every element has four bytes, and kernels compute positions as 32-bit numbers.
            binding_bytes: available
                .max_storage_buffer_binding_size
                .min(available.max_buffer_size)
                .min(LARGEST_BINDING),
            memory_bytes: if self.is_software() { memory_of_host() } else { u64::MAX },
            workgroups: available.max_compute_workgroups_per_dimension,
            invocations: available.max_compute_invocations_per_workgroup,
            workgroup_bytes: available.max_compute_workgroup_storage_size,
            iterations,
            software: self.is_software(),
            dispatches: true,
            choices: TuningChoices::default(),
        }
    }

    /// Opens a device on this adapter.
    ///
    /// When a device is first opened, the driver is tested for known faults; see [`Self::self_test`].
    ///
    /// If the API exports compiled kernels (Vulkan), they are stored in [`cache_folder`](crate::cache_folder) and
    /// reused by the next process.
    ///
    /// # Errors
    /// Returns an error if the driver does not open a device or fails its self-test. If the environment variable
    /// `WGRAD_FORCE` is `1`, a failed self-test is ignored.
    pub fn open(&self) -> Result<Device> {
        self.opened(true, OPTIONAL_FEATURES).map(Device::from)
    }

    /// Returns whether the adapter's name contains `name`, ignoring case. For `vulkan:name`, the API must be
    /// Vulkan, too.
    pub fn matches(&self, name: &str) -> bool {
        let (api, name) = match name.split_once(':') {
            Some((api, name)) if !api.contains(' ') => (Some(api), name),
            _ => (None, name),
        };
        self.info.name.to_lowercase().contains(&name.trim().to_lowercase())
            && api.is_none_or(|api| self.info.backend.to_string().eq_ignore_ascii_case(api.trim()))
    }
}
