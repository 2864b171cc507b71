//! Shaders and pipelines, made once per device: a shader per source, a pipeline per entry point, constants and bindings
//! with an offset.
//!
//! What a plan lacks is compiled on all cores at once, since drivers take 5 to 300 ms for a kernel.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use wgrad_core::{Dispatch, Error, Kernel, Result};

use super::reflect::{self, Outlines, ReflectedModule};
use crate::cache;
#[cfg(feature = "fault-injection")]
use crate::fault_injection::Fault;
use crate::gpu::{Gpu, lock};

/// Kernel, parsed.
pub(crate) struct Shader {
    pub name: String,
    pub module: ReflectedModule,
    trusted: bool,
    shader: wgpu::ShaderModule,
}

/// Pipeline with what is needed to bind it.
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Description of the pipeline that a launch needs.
pub(crate) struct PipelineRequest<'a> {
    pub shader: &'a Arc<Shader>,
    pub dispatch: &'a Dispatch,
    /// Whether each binding of the entry point is a per-step buffer, whose slot an offset picks.
    pub offsets: Vec<bool>,
}

/// Identity of a pipeline: the shader's address, entry point, constants and bindings with an offset.
type Key = (usize, &'static str, Vec<(&'static str, u64)>, Vec<bool>);

impl PipelineRequest<'_> {
    fn key(&self) -> Key {
        let constants = self.dispatch.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect();
        (Arc::as_ptr(self.shader).addr(), self.dispatch.entry, constants, self.offsets.clone())
    }
}

/// Shaders and pipelines made so far. Nothing is ever dropped, so that a shader's address stays its own.
#[derive(Default)]
struct KernelCache {
    shaders: HashMap<(String, bool), Arc<Shader>>,
    pipelines: HashMap<Key, Arc<Pipeline>>,
}

/// Compiled pipelines on disk, where the API hands them out (Vulkan). A file of another driver is as good as none.
pub(crate) struct Disk {
    pipelines: wgpu::PipelineCache,
    file: PathBuf,
}

impl Disk {
    /// Opens the file of an adapter; none if there is no way or no place to keep one.
    pub fn open(gpu: &Gpu, adapter: &wgpu::AdapterInfo) -> Option<Self> {
        if !gpu.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = cache::cache_folder()?.join(wgpu::util::pipeline_cache_key(adapter)?);
        let known = cache::read(&file);
        Some(Self { pipelines: Self::cache(&gpu.device, known.as_deref()), file })
    }

    /// Hands a driver the pipelines that an earlier process left, or none.
    #[allow(unsafe_code, reason = "wgpu cannot know where the bytes come from")]
    fn cache(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("wgrad"), data, fallback: true };
        // SAFETY: the bytes are what `PipelineCache::get_data` gave: their checksum was compared, and the file is the
        // user's own. wgpu compares adapter and driver, and takes none of the bytes where they differ.
        unsafe { device.create_pipeline_cache(&descriptor) }
    }

    /// Writes what the driver has now. A failure is not reported: the next process compiles again.
    fn store(&self) {
        if let Some(data) = self.pipelines.get_data() {
            let _ = cache::write(&self.file, &data);
        }
    }
}

/// The kernels of a device: shader modules, pipelines, and the file that keeps them between processes.
pub(crate) struct Kernels {
    gpu: Arc<Gpu>,
    compiled: Mutex<KernelCache>,
    disk: Option<Disk>,
    /// The sources of ops' kernels, read for fusion.
    pub outlines: Outlines,
    #[cfg(feature = "fault-injection")]
    fault: Option<&'static Fault>,
}

impl Kernels {
    /// Kernels of a device, of which none is compiled yet.
    pub fn new(gpu: Arc<Gpu>, disk: Option<Disk>) -> Self {
        Self {
            gpu,
            compiled: Mutex::default(),
            disk,
            outlines: Outlines::default(),
            #[cfg(feature = "fault-injection")]
            fault: None,
        }
    }

    /// Kernels of a device into which a fault is injected. None of them is kept on disk.
    #[cfg(feature = "fault-injection")]
    pub fn faulty(gpu: Arc<Gpu>, fault: &'static Fault) -> Self {
        Self { fault: Some(fault), ..Self::new(gpu, None) }
    }

    /// Injects the fault into a kernel that it belongs in.
    ///
    /// # Errors
    /// When the kernel has changed, so that the fault does not fit it.
    #[cfg(feature = "fault-injection")]
    pub fn inject(&self, kernel: &mut Kernel) -> Result<()> {
        if let Some(faulty) = self.fault.map(|fault| fault.in_kernel(kernel)).transpose()?.flatten() {
            *kernel = faulty;
        }
        Ok(())
    }

    /// Returns the shaders of some dispatches.
    ///
    /// # Errors
    /// When a kernel does not compile or lacks the entry point.
    pub fn shaders<'a>(&self, dispatches: impl Iterator<Item = &'a Dispatch>) -> Result<Vec<Arc<Shader>>> {
        let dispatches: Vec<&Dispatch> = dispatches.collect();
        let keys: Vec<_> = dispatches.iter().map(|d| (d.kernel.source(), d.kernel.is_trusted())).collect();
        let mut missing: HashMap<&(String, bool), &Kernel> = HashMap::new();
        {
            let known = lock(&self.compiled);
            for (dispatch, key) in dispatches.iter().zip(&keys).filter(|(_, key)| !known.shaders.contains_key(key)) {
                missing.entry(key).or_insert(&dispatch.kernel);
            }
        }
        let missing: Vec<_> = missing.into_iter().collect();
        let made = self.each(&missing, |(key, kernel)| self.shader(kernel, &key.0));
        for ((key, _), shader) in missing.into_iter().zip(made) {
            // Another thread may have been faster: what is there stays, because pipelines go by its address.
            lock(&self.compiled).shaders.entry(key.clone()).or_insert(shader?);
        }
        let known = lock(&self.compiled);
        let shader = |(dispatch, key): (&&Dispatch, _)| {
            let shader = &known.shaders[key];
            if shader.module.entries.contains_key(dispatch.entry) {
                Ok(shader.clone())
            } else {
                Err(Error::Device(format!("kernel `{}` has no entry point `{}`", shader.name, dispatch.entry)))
            }
        };
        dispatches.iter().zip(&keys).map(shader).collect()
    }

    /// Returns the pipelines of some launches; calls `compiled` with how many of how many new ones are there.
    ///
    /// # Errors
    /// When one needs more than the device has.
    pub fn pipelines(
        &self,
        wanted: &[PipelineRequest<'_>],
        compiled: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<Vec<Arc<Pipeline>>> {
        let keys: Vec<Key> = wanted.iter().map(PipelineRequest::key).collect();
        let mut missing: Vec<(&Key, &PipelineRequest<'_>)> = vec![];
        {
            let known = lock(&self.compiled);
            for (key, wanted) in keys.iter().zip(wanted) {
                if !known.pipelines.contains_key(key) && !missing.iter().any(|(other, _)| *other == key) {
                    missing.push((key, wanted));
                }
            }
        }
        let done = AtomicUsize::new(0);
        let made = self.each(&missing, |(_, wanted)| {
            let pipeline = self.pipeline(wanted);
            compiled(done.fetch_add(1, Ordering::Relaxed) + 1, missing.len());
            pipeline
        });
        for ((key, _), pipeline) in missing.iter().zip(made) {
            lock(&self.compiled).pipelines.entry((*key).clone()).or_insert(Arc::new(pipeline?));
        }
        if let (false, Some(disk)) = (missing.is_empty(), &self.disk) {
            disk.store();
        }
        let known = lock(&self.compiled);
        Ok(keys.iter().map(|key| known.pipelines[key].clone()).collect())
    }

    fn pipeline(&self, wanted: &PipelineRequest<'_>) -> Result<Pipeline> {
        let PipelineRequest { shader, dispatch, offsets } = wanted;
        let bindings = shader.module.entries[dispatch.entry].bindings.iter().zip(offsets);
        let entries: Vec<_> = bindings
            .map(|(binding, &offset)| wgpu::BindGroupLayoutEntry {
                binding: binding.index,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: if binding.uniform {
                        wgpu::BufferBindingType::Uniform
                    } else {
                        wgpu::BufferBindingType::Storage { read_only: !binding.writable }
                    },
                    has_dynamic_offset: offset,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let label = format!("{}.{}", shader.name, dispatch.entry);
        self.scoped(&label, || {
            let device = &self.gpu.device;
            let layout = device
                .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
            let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&label),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
            let pipeline = self.gpu.pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&label),
                layout: Some(&pipeline_layout),
                module: &shader.shader,
                entry_point: Some(dispatch.entry),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &dispatch.constants,
                    zero_initialize_workgroup_memory: !shader.trusted,
                },
                cache: self.disk.as_ref().map(|disk| &disk.pipelines),
            });
            Pipeline { pipeline, layout }
        })
    }

    fn shader(&self, kernel: &Kernel, source: &str) -> Result<Arc<Shader>> {
        let (name, trusted) = (kernel.name.to_string(), kernel.is_trusted());
        let module = reflect::reflect(&name, source)?;
        let shader = self.scoped(&name, || self.shader_module(&name, source, trusted))?;
        Ok(Arc::new(Shader { name, module, trusted, shader }))
    }

    #[allow(unsafe_code, reason = "wgpu's checks can only be turned off so")]
    fn shader_module(&self, label: &str, source: &str, trusted: bool) -> wgpu::ShaderModule {
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(source.into()) };
        if trusted {
            // SAFETY: `Kernel::trusted` is a promise that the kernel stays in bounds and ends.
            unsafe { self.gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        } else {
            self.gpu.device.create_shader_module(descriptor)
        }
    }

    /// Returns what `make` makes, unless the device objects. Error scopes are of one thread, so each kernel hears its own errors.
    fn scoped<T>(&self, kernel: &str, make: impl FnOnce() -> T) -> Result<T> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
            let scopes = [Validation, Internal, OutOfMemory].map(|filter| self.gpu.device.push_error_scope(filter));
            let result = make();
            // The last scope opened is the first to be closed.
            let errors = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop()));
            match errors.last() {
                Some(error) => Err(Error::Device(format!("kernel `{kernel}`: {}: {error}", self.gpu.info))),
                None => Ok(result),
            }
        }
        #[cfg(target_arch = "wasm32")]
        {
            let result = make();
            self.gpu.check().map_err(|error| Error::Device(format!("kernel `{kernel}`: {error}")))?;
            Ok(result)
        }
    }

    /// Applies `f` to each item, on all cores where the API has no lock around everything.
    #[cfg(not(target_arch = "wasm32"))]
    fn each<T: Sync, R: Send>(&self, items: &[T], f: impl Fn(&T) -> R + Send + Sync) -> Vec<R> {
        use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
        // OpenGL lives in one context at a time, for which wgpu waits a second and then panics.
        if self.gpu.has_one_context() { items.iter().map(f).collect() } else { items.par_iter().map(f).collect() }
    }

    /// Applies `f` to each item: a browser's GPU lives on one thread.
    #[cfg(target_arch = "wasm32")]
    fn each<T, R>(&self, items: &[T], f: impl Fn(&T) -> R) -> Vec<R> {
        items.iter().map(f).collect()
    }
}
