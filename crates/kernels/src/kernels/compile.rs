//! Shaders and pipelines, compiled once per device. There is one shader per WGSL source. A shader has one pipeline
//! for each combination of entry point, constants, and choice of the bindings that have a dynamic offset.
//!
//! The kernels that a plan lacks are compiled in parallel on all cores, because drivers take 5 to 300 ms per
//! kernel.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use wgrad_core::{DeviceError, Dispatch, Kernel, KernelProblem, Result};

use super::reflect::{self, Outlines, ReflectedModule};
use crate::cache;
#[cfg(feature = "fault-injection")]
use crate::fault_injection::Fault;
use crate::gpu::{Gpu, lock};

/// Compiled WGSL module, with its reflection (entry points, bindings and parameters).
pub(crate) struct Shader {
    pub name: String,
    pub module: ReflectedModule,
    trusted: bool,
    shader: wgpu::ShaderModule,
}

/// Compute pipeline with its bind group layout.
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// Description of a pipeline that a launch needs.
pub(crate) struct PipelineRequest<'a> {
    pub shader: &'a Arc<Shader>,
    pub dispatch: &'a Dispatch,
    /// Flags, one per binding of the entry point: true if the bound buffer has a slot per step of a run, and
    /// therefore a dynamic offset.
    pub offsets: Vec<bool>,
}

/// Key of a pipeline: address of the shader, entry point, constants, and for each binding whether its offset is
/// dynamic.
type Key = (usize, &'static str, Vec<(&'static str, u64)>, Vec<bool>);

impl PipelineRequest<'_> {
    fn key(&self) -> Key {
        let constants = self.dispatch.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect();
        (Arc::as_ptr(self.shader).addr(), self.dispatch.entry, constants, self.offsets.clone())
    }
}

/// Shaders and pipelines compiled so far. Entries are never dropped, so a shader's address identifies it.
#[derive(Default)]
struct KernelCache {
    shaders: HashMap<(String, bool), Arc<Shader>>,
    pipelines: HashMap<Key, Arc<Pipeline>>,
}

/// File of compiled pipelines, for APIs that can export them (Vulkan). Pipelines of another driver are ignored.
pub(crate) struct Disk {
    pipelines: wgpu::PipelineCache,
    file: PathBuf,
}

impl Disk {
    /// Opens the file for an adapter. Returns `None` if the API cannot export pipelines or if there is no cache
    /// folder.
    pub fn open(gpu: &Gpu, adapter: &wgpu::AdapterInfo) -> Option<Self> {
        if !gpu.device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = cache::cache_folder()?.join(wgpu::util::pipeline_cache_key(adapter)?);
        let known = cache::read(&file);
        Some(Self { pipelines: Self::cache(&gpu.device, known.as_deref()), file })
    }

    /// Creates the driver's pipeline cache, with the contents of the file if an earlier process wrote it.
    #[allow(unsafe_code, reason = "wgpu cannot verify the origin of the bytes")]
    fn cache(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("wgrad"), data, fallback: true };
        // SAFETY: the bytes were returned by `PipelineCache::get_data`. Their checksum was verified, and the file
        // belongs to the user. wgpu ignores the bytes if adapter or driver differ.
        unsafe { device.create_pipeline_cache(&descriptor) }
    }

    /// Writes the driver's current pipeline cache to the file. Errors are ignored: the next process then compiles
    /// again.
    fn store(&self) {
        if let Some(data) = self.pipelines.get_data() {
            let _ = cache::write(&self.file, &data);
        }
    }
}

/// Kernels of a device: shader modules, pipelines, and the file that stores pipelines for later processes.
pub(crate) struct Kernels {
    gpu: Arc<Gpu>,
    compiled: Mutex<KernelCache>,
    disk: Option<Disk>,
    /// Positions of the functions in ops' kernels, which are needed to fuse pointwise ops into these kernels.
    pub outlines: Outlines,
    #[cfg(feature = "fault-injection")]
    fault: Option<&'static Fault>,
}

impl Kernels {
    /// Creates the store for a device's kernels, without any compiled kernel.
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

    /// Creates the kernels of a device with an injected fault. Kernels with the fault are not stored on disk.
    #[cfg(feature = "fault-injection")]
    pub fn faulty(gpu: Arc<Gpu>, fault: &'static Fault) -> Self {
        Self { fault: Some(fault), ..Self::new(gpu, None) }
    }

    /// Injects the fault into a kernel, if the fault applies to this kernel.
    ///
    /// # Errors
    /// Returns an error if the kernel has changed, so that the fault cannot be injected.
    #[cfg(feature = "fault-injection")]
    pub fn inject(&self, kernel: &mut Kernel) -> Result<()> {
        if let Some(faulty) = self.fault.map(|fault| fault.in_kernel(kernel)).transpose()?.flatten() {
            *kernel = faulty;
        }
        Ok(())
    }

    /// Returns the shader of each dispatch, and compiles the missing shaders.
    ///
    /// # Errors
    /// Returns an error if a kernel does not compile or lacks the entry point.
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
            // If another thread has compiled the same shader meanwhile, keep the other thread's shader, because
            // pipeline keys contain its address.
            lock(&self.compiled).shaders.entry(key.clone()).or_insert(shader?);
        }
        let known = lock(&self.compiled);
        let shader = |(dispatch, key): (&&Dispatch, _)| {
            let shader = &known.shaders[key];
            if shader.module.entries.contains_key(dispatch.entry) {
                Ok(shader.clone())
            } else {
                let problem = KernelProblem::NoEntryPoint { entry: dispatch.entry.into() };
                Err(DeviceError::kernel(shader.name.clone(), problem).into())
            }
        };
        dispatches.iter().zip(&keys).map(shader).collect()
    }

    /// Returns the pipeline of each request, and compiles the missing pipelines. After each compilation, calls
    /// `compiled` with the number of pipelines compiled so far and the number of pipelines to compile.
    ///
    /// # Errors
    /// Returns an error if a pipeline exceeds the limits of the device.
    pub fn pipelines(
        &self,
        requests: &[PipelineRequest<'_>],
        compiled: impl Fn(usize, usize) + Send + Sync,
    ) -> Result<Vec<Arc<Pipeline>>> {
        let keys: Vec<Key> = requests.iter().map(PipelineRequest::key).collect();
        let mut missing: Vec<(&Key, &PipelineRequest<'_>)> = vec![];
        {
            let known = lock(&self.compiled);
            for (key, request) in keys.iter().zip(requests) {
                if !known.pipelines.contains_key(key) && !missing.iter().any(|(other, _)| *other == key) {
                    missing.push((key, request));
                }
            }
        }
        let done = AtomicUsize::new(0);
        let made = self.each(&missing, |(_, request)| {
            let pipeline = self.pipeline(request);
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

    fn pipeline(&self, request: &PipelineRequest<'_>) -> Result<Pipeline> {
        let PipelineRequest { shader, dispatch, offsets } = request;
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

    #[allow(unsafe_code, reason = "the only way to turn off wgpu's runtime checks")]
    fn shader_module(&self, label: &str, source: &str, trusted: bool) -> wgpu::ShaderModule {
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(source.into()) };
        if trusted {
            // SAFETY: `Kernel::trusted` promises that the kernel stays within its buffers and terminates.
            unsafe { self.gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        } else {
            self.gpu.device.create_shader_module(descriptor)
        }
    }

    /// Calls `make` in error scopes, and returns its result or the error that the device reported. Error scopes
    /// are per thread, so parallel compilations do not receive each other's errors.
    fn scoped<T>(&self, kernel: &str, make: impl FnOnce() -> T) -> Result<T> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
            let scopes = [Validation, Internal, OutOfMemory].map(|filter| self.gpu.device.push_error_scope(filter));
            let result = make();
            // Scopes must be closed in reverse order.
            let errors = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop()));
            match errors.last() {
                Some(error) => {
                    let problem = KernelProblem::NotCompiled { device: self.gpu.info.clone(), source: error.into() };
                    Err(DeviceError::kernel(kernel, problem).into())
                }
                None => Ok(result),
            }
        }
        #[cfg(target_arch = "wasm32")]
        {
            let result = make();
            self.gpu.check().map_err(|error| {
                let problem = KernelProblem::NotCompiled { device: self.gpu.info.clone(), source: error.into() };
                DeviceError::kernel(kernel, problem)
            })?;
            Ok(result)
        }
    }

    /// Applies `f` to each item, in parallel unless the API has one context for all threads.
    #[cfg(not(target_arch = "wasm32"))]
    fn each<T: Sync, R: Send>(&self, items: &[T], f: impl Fn(&T) -> R + Send + Sync) -> Vec<R> {
        use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
        // With OpenGL, all threads share one context, and wgpu panics after waiting for it for some seconds.
        if self.gpu.has_one_context() { items.iter().map(f).collect() } else { items.par_iter().map(f).collect() }
    }

    /// Applies `f` to one item after another, because a browser's GPU can be used from only one thread.
    #[cfg(target_arch = "wasm32")]
    fn each<T, R>(&self, items: &[T], f: impl Fn(&T) -> R) -> Vec<R> {
        items.iter().map(f).collect()
    }
}
