//! Pipelines, made once per source, entry point and constants.

use std::collections::HashMap;
use std::sync::Arc;

use wgrad_core::{Dispatch, Error, Result};

use super::device::Gpu;
use super::reflect::{self, Module};

/// A pipeline with what is needed to bind and launch it.
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub module: Arc<Module>,
}

/// Source, entry point, constants and trust: what tells two pipelines apart.
type Key = (String, &'static str, Vec<(&'static str, u64)>, bool);

/// The pipelines made so far.
#[derive(Default)]
pub(super) struct Pipelines(pub HashMap<Key, Arc<Pipeline>>);

impl Gpu {
    /// The pipeline of a dispatch.
    ///
    /// # Errors
    /// When the kernel does not compile, lacks the entry point, or needs more than the device has.
    pub(super) fn pipeline(&self, dispatch: &Dispatch) -> Result<Arc<Pipeline>> {
        let name = &dispatch.kernel.name;
        let source = dispatch.kernel.source();
        let constants = dispatch.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect();
        let key = (source, dispatch.entry, constants, dispatch.kernel.is_trusted());
        let mut pipelines = self.pipelines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = pipelines.0.get(&key) {
            return Ok(known.clone());
        }
        let module = Arc::new(reflect::reflect(name, &key.0)?);
        let entry = module
            .entries
            .get(dispatch.entry)
            .ok_or_else(|| Error::Device(format!("kernel `{name}` has no entry point `{}`", dispatch.entry)))?;
        let entries: Vec<_> = entry
            .bindings
            .iter()
            .map(|binding| wgpu::BindGroupLayoutEntry {
                binding: binding.index,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: if binding.uniform {
                        wgpu::BufferBindingType::Uniform
                    } else {
                        wgpu::BufferBindingType::Storage { read_only: !binding.writable }
                    },
                    has_dynamic_offset: false,
                    min_binding_size: None,
                },
                count: None,
            })
            .collect();
        let label = format!("{name}.{}", dispatch.entry);
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let trusted = dispatch.kernel.is_trusted();
        let shader = self.shader(&label, &key.0, trusted);
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &shader,
            entry_point: Some(dispatch.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &dispatch.constants,
                zero_initialize_workgroup_memory: !trusted,
            },
            cache: None,
        });
        self.check().map_err(|error| Error::Device(format!("kernel `{label}`: {error}")))?;
        let pipeline = Arc::new(Pipeline { pipeline, layout, module });
        pipelines.0.insert(key, pipeline.clone());
        Ok(pipeline)
    }

    #[allow(unsafe_code, reason = "wgpu's checks can only be turned off so")]
    fn shader(&self, label: &str, source: &str, trusted: bool) -> wgpu::ShaderModule {
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(label), source: wgpu::ShaderSource::Wgsl(source.into()) };
        if trusted {
            // SAFETY: `Kernel::trusted` is a promise that the kernel stays in bounds and ends.
            unsafe { self.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        } else {
            self.device.create_shader_module(descriptor)
        }
    }
}
