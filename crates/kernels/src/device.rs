//! Adapters and the choice among them.

use std::fmt;
use std::sync::{Arc, OnceLock};

use wgrad_core::{Backend, Choices, CpuBackend, DeviceInfo, Error, Limits, Result};

use super::backend::GpuBackend;
use super::open::{Counts, Gpu};
use super::probe;
use super::self_test::SelfTest;

/// What devices are opened with where the adapter has it: the clock of profiles and tuning, and compiled kernels.
const WANTED: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::PIPELINE_CACHE);

/// An adapter of this machine, as [`adapters`] found it.
#[derive(Clone)]
pub struct Adapter {
    pub(super) adapter: wgpu::Adapter,
    pub(super) info: wgpu::AdapterInfo,
    tested: Arc<OnceLock<SelfTest>>,
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.info(), f)
    }
}

/// Every adapter that can run compute shaders, best first: real GPUs before software, discrete before integrated,
/// Vulkan, Metal and DX12 before OpenGL.
///
/// The machine is asked once per process.
#[must_use]
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

    /// Whether it computes on the CPU.
    #[must_use]
    pub fn is_software(&self) -> bool {
        // OpenGL drivers do not say; these are the software rasterisers that exist.
        let name = self.info.name.to_lowercase();
        self.info.device_type == wgpu::DeviceType::Cpu
            || ["llvmpipe", "softpipe", "swiftshader", "basic render"].iter().any(|known| name.contains(known))
    }

    /// What it is.
    #[must_use]
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

    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.info.device_type {
            _ if self.is_software() => "software",
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            _ => "other",
        }
    }

    /// What the adapter allows.
    #[must_use]
    pub fn limits(&self) -> wgpu::Limits {
        self.adapter.limits()
    }

    /// What the adapter can do.
    #[must_use]
    pub fn features(&self) -> wgpu::Features {
        self.adapter.features()
    }

    /// What the driver answered when it was asked for known faults: when a device was first opened here, or now. The
    /// answers are kept per adapter and driver in the folder `wgrad` of the user's caches, unless `WGRAD_CACHE` is `off`.
    ///
    /// # Errors
    /// When the driver does not open a device.
    pub fn self_test(&self) -> Result<&SelfTest> {
        match self.tested.get() {
            Some(test) => Ok(test),
            None => Gpu::open(self, true, WANTED).map(|mut gpu| self.tested(&mut gpu)),
        }
    }

    /// The self-test, made on this device if it was not made yet.
    fn tested(&self, gpu: &mut Gpu) -> &SelfTest {
        let test = self.tested.get_or_init(|| probe::run(gpu));
        gpu.info.self_test = test.to_string();
        gpu.limits.iterations = test.iterations();
        gpu.begin_counts();
        test
    }

    /// A device that has passed the self-test.
    fn gpu(&self, cached: bool, wanted: wgpu::Features) -> Result<Gpu> {
        let mut gpu = Gpu::open(self, cached, wanted)?;
        probe::admit(self.tested(&mut gpu), &gpu.info, probe::forced())?;
        Ok(gpu)
    }

    /// Opens a device on this adapter.
    ///
    /// The first time, its driver is asked for known faults ([`Self::self_test`]).
    ///
    /// Where the API can hand out compiled kernels (Vulkan), they are kept in the folder `wgrad` of the user's caches and
    /// found there by the next process; not so if the environment variable `WGRAD_CACHE` is `off`.
    ///
    /// # Errors
    /// When the driver refuses, or fails its self-test; in the environment, `WGRAD_FORCE=1` opens such a one, too.
    pub fn open(&self) -> Result<Device> {
        Ok(Device(Kind::Gpu(Arc::new(self.gpu(true, WANTED)?), Choices::default())))
    }

    /// Opens a device that plans for other limits than the adapter's own: how tests run the kernels of large GPUs on a
    /// software adapter, or keep to the smallest limits that WebGPU allows. Only ever lower a limit. Kernels compiled
    /// for it are not kept on disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(&self, change: impl FnOnce(&mut Limits)) -> Result<Device> {
        let mut gpu = self.gpu(false, WANTED)?;
        change(&mut gpu.limits);
        let choices = gpu.limits.choices.clone();
        Ok(Device(Kind::Gpu(Arc::new(gpu), choices)))
    }

    /// Opens a device that has none of the features that adapters may lack, neither timestamps nor a cache of pipelines:
    /// how tests see to it that nothing needs them. Kernels use no feature (f16, subgroups) anywhere.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_without_features(&self) -> Result<Device> {
        Ok(Device(Kind::Gpu(Arc::new(self.gpu(false, wgpu::Features::empty())?), Choices::default())))
    }

    /// Whether `name` is a part of its name, in any case; `vulkan:name` asks for the API, too.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (api, name) = match name.split_once(':') {
            Some((api, name)) if !api.contains(' ') => (Some(api), name),
            _ => (None, name),
        };
        self.info.name.to_lowercase().contains(&name.trim().to_lowercase())
            && api.is_none_or(|api| self.info.backend.to_string().eq_ignore_ascii_case(api.trim()))
    }
}

/// What computes: a GPU, or the CPU backend in single or double precision. Cheap to clone; clones share the device.
#[derive(Clone)]
pub struct Device(Kind);

#[derive(Clone)]
enum Kind {
    Cpu,
    CpuF64,
    Gpu(Arc<Gpu>, Choices),
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.info())
    }
}

impl Device {
    /// The CPU backend in single precision, on all cores.
    #[must_use]
    pub fn cpu() -> Self {
        Self(Kind::Cpu)
    }

    /// The CPU backend in double precision: the reference that others are compared with.
    #[must_use]
    pub fn cpu_f64() -> Self {
        Self(Kind::CpuF64)
    }

    /// The best real GPU, or else the CPU backend: a software adapter is slower than that and is only used when asked
    /// for by name.
    ///
    /// # Errors
    /// When a GPU is there but its driver refuses to open it.
    pub fn best() -> Result<Self> {
        match adapters().iter().find(|adapter| !adapter.is_software()) {
            Some(adapter) => adapter.open(),
            None => Ok(Self::cpu()),
        }
    }

    /// The device that a user names: `auto`, `cpu`, `cpu-f64`, `gpu` (the best real one), or a part of an adapter's
    /// name with an optional API before it, such as `llvmpipe`, `gl:llvmpipe` or `vulkan:nvidia`.
    ///
    /// # Errors
    /// When there is no such device; the message lists those that there are.
    pub fn named(name: &str) -> Result<Self> {
        let listed = || {
            let names: Vec<_> = adapters()
                .iter()
                .map(|adapter| format!("`{}:{}`", adapter.info.backend, adapter.info.name.to_lowercase()))
                .collect();
            if names.is_empty() {
                "there is no GPU adapter on this machine; use `cpu`, or install a driver \
                 (on Debian or Ubuntu `mesa-vulkan-drivers` has a software one)"
                    .into()
            } else {
                format!("there are `cpu`, `cpu-f64` and {}", names.join(", "))
            }
        };
        match name {
            "auto" => Self::best(),
            "cpu" => Ok(Self::cpu()),
            "cpu-f64" => Ok(Self::cpu_f64()),
            "gpu" => match adapters().iter().find(|adapter| !adapter.is_software()) {
                Some(adapter) => adapter.open(),
                None => Err(Error::Device(format!("no real GPU was found; {}", listed()))),
            },
            _ if name.trim().is_empty() => Err(Error::Device(format!("the device's name is empty; {}", listed()))),
            _ => match adapters().iter().find(|adapter| adapter.matches(name)) {
                Some(adapter) => adapter.open(),
                None => Err(Error::Device(format!("no device matches `{name}`; {}", listed()))),
            },
        }
    }

    /// What was made on the device since it was opened, by all sessions; nothing on the CPU.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match &self.0 {
            Kind::Gpu(gpu, _) => gpu.counts(),
            Kind::Cpu | Kind::CpuF64 => Counts::default(),
        }
    }

    /// The same device with other variants of kernels: those that [`Backend::tune`] found to be fastest on it, or that a
    /// test asks for. The CPU has no variants.
    #[must_use]
    pub fn choosing(&self, choices: Choices) -> Self {
        match &self.0 {
            Kind::Gpu(gpu, _) => Self(Kind::Gpu(gpu.clone(), choices)),
            _ => self.clone(),
        }
    }

    /// The same adapter and limits, opened anew with a fault in its kernels, one of [`plants`](crate::plant::plants): what
    /// computes wrongly on purpose, to prove that a check finds it. Its kernels have all runtime checks, and none of them
    /// is kept on disk.
    ///
    /// # Errors
    /// When there is no such fault, or the device is the CPU, which has no kernels.
    #[cfg(feature = "plant")]
    pub fn planted(&self, name: &str) -> Result<Self> {
        let plant = crate::plant::Plant::named(name)?;
        let Kind::Gpu(gpu, choices) = &self.0 else {
            return Err(Error::Device(format!("`{name}` is a fault of a kernel, and {} has none", self.info())));
        };
        let adapter = adapters().iter().find(|adapter| adapter.info() == gpu.info);
        let mut planted = adapter.expect("the adapter was found before").gpu(false, WANTED)?;
        planted.limits = gpu.limits.clone();
        planted.planted = Some(plant);
        Ok(Self(Kind::Gpu(Arc::new(planted), choices.clone())))
    }

    /// What the self-test of its driver found; none on the CPU.
    #[must_use]
    pub fn self_test(&self) -> Option<SelfTest> {
        let Kind::Gpu(gpu, _) = &self.0 else { return None };
        let adapter = adapters().iter().find(|adapter| adapter.info() == gpu.info)?;
        adapter.tested.get().cloned()
    }

    /// Takes the GPU away from all sessions on this device, as a driver does that was reset; nothing happens to the CPU.
    /// For tests of what goes on then: every run and read fails, and says so.
    pub fn destroy(&self) {
        if let Kind::Gpu(gpu, _) = &self.0 {
            gpu.destroy();
        }
    }

    /// How often work was handed to the device since it was opened, by all sessions; 0 on the CPU.
    #[must_use]
    pub fn submissions(&self) -> u64 {
        match &self.0 {
            Kind::Gpu(gpu, _) => gpu.submissions(),
            Kind::Cpu | Kind::CpuF64 => 0,
        }
    }

    /// What the device is.
    #[must_use]
    pub fn info(&self) -> DeviceInfo {
        Box::<dyn Backend>::from(self.clone()).device()
    }
}

impl From<Device> for Box<dyn Backend> {
    fn from(device: Device) -> Self {
        match device.0 {
            Kind::Cpu => Box::new(CpuBackend::<f32>::new()),
            Kind::CpuF64 => Box::new(CpuBackend::<f64>::new()),
            Kind::Gpu(gpu, choices) => Box::new(GpuBackend::new(gpu).choosing(choices)),
        }
    }
}
