//! Loaded plans. Every launch has its pipeline and bind group, so a run only encodes commands.
//!
//! Values that differ between the steps of a run are in per-step buffers, which have one slot per step. The
//! dynamic offset of a binding selects the slot.

use std::ops::Range;
use std::sync::Arc;

use wgrad_core::{BufferId, Result};

use super::buffers::Buffers;
use crate::gpu::Gpu;
use crate::kernels::compile::Pipeline;

/// Number of bindings with dynamic offset that every device allows per kernel: WebGPU's default limit.
pub(super) const OFFSETS: usize = 4;

/// Resource that a binding refers to.
#[derive(Clone, Copy)]
pub(super) enum Resource {
    /// Range of the uniform buffer that contains all parameters: offset and size in bytes.
    Uniform(u64, u64),
    /// One of the session's buffers.
    Buffer(BufferId),
    /// The complete device buffer in which this buffer lies.
    Whole(BufferId),
}

/// Launch with its pipeline, whose buffers are not bound yet.
pub(super) struct CompiledLaunch {
    pub pipeline: Arc<Pipeline>,
    pub groups: [u32; 3],
    /// Binding numbers with their resources.
    pub bindings: Vec<(u32, Resource)>,
    /// Per-step buffers (buffers with a slot per step) among the bindings, in order of binding number; at most
    /// [`OFFSETS`].
    pub per_step: Vec<BufferId>,
}

/// Launch whose commands can be encoded.
struct ReadyLaunch {
    /// Index into [`Program::pipelines`].
    pipeline: u32,
    groups: [u32; 3],
    group: wgpu::BindGroup,
    /// Number of per-step buffers that the launch binds, and their indices in [`Program::per_step`] in order of
    /// binding number.
    per_step: (u8, [u16; OFFSETS]),
}

/// Plan that has been loaded: its launches, with pipelines and bind groups.
pub(super) struct Program {
    launches: Vec<ReadyLaunch>,
    pipelines: Vec<Arc<Pipeline>>,
    /// End of each task: the index of the launch that follows the task's last launch.
    tasks: Vec<usize>,
    /// Per-step buffers in use, each with the number of slots that it had when it was bound.
    per_step: Vec<(BufferId, usize)>,
    /// Per-step buffers that the steps write.
    written: Vec<BufferId>,
    /// Offset of each per-step buffer in the current step. The list is a field so that runs need not allocate it.
    offsets: Vec<u32>,
    /// Indices of the launches with per-step buffers, each with the launch's bindings, which are bound again after
    /// a buffer has grown.
    bindings: Vec<(usize, Vec<(u32, Resource)>)>,
    uniform: wgpu::Buffer,
    /// Buffers that are released together with this program.
    own: Vec<BufferId>,
    /// Number of steps that are submitted together.
    pub chunk: usize,
}

impl Program {
    /// Creates a program without launches. `written` are the per-step buffers that its steps write.
    pub fn new(uniform: wgpu::Buffer, written: Vec<BufferId>) -> Self {
        Self {
            launches: vec![],
            pipelines: vec![],
            tasks: vec![],
            per_step: vec![],
            written,
            offsets: vec![],
            bindings: vec![],
            uniform,
            own: vec![],
            chunk: 1,
        }
    }

    /// Binds the buffers of a launch, then appends the launch.
    pub fn add(&mut self, gpu: &Gpu, buffers: &Buffers, compiled: CompiledLaunch) {
        let CompiledLaunch { pipeline, groups, bindings, per_step } = compiled;
        let mut indices = (0, [0; OFFSETS]);
        for id in per_step {
            let known = self.per_step.iter().position(|&(other, _)| other == id);
            let index = known.unwrap_or_else(|| {
                self.per_step.push((id, capacity(buffers, id)));
                self.per_step.len() - 1
            });
            indices.1[usize::from(indices.0)] = u16::try_from(index).expect("a plan has few per-step buffers");
            indices.0 += 1;
        }
        let group = bind(gpu, buffers, &pipeline, &bindings, &self.uniform);
        let known = self.pipelines.iter().position(|known| Arc::ptr_eq(known, &pipeline));
        let index = known.unwrap_or_else(|| {
            self.pipelines.push(pipeline);
            self.pipelines.len() - 1
        });
        if indices.0 > 0 {
            self.bindings.push((self.launches.len(), bindings));
        }
        let pipeline = u32::try_from(index).expect("a plan has few pipelines");
        self.launches.push(ReadyLaunch { pipeline, groups, group, per_step: indices });
    }

    /// Sets the end of each task: the index of the launch that follows the task's last launch. Launches after the
    /// end of the last task count as part of that task.
    pub fn end_tasks(&mut self, ends: Vec<usize>) {
        self.tasks = ends;
        if let Some(last) = self.tasks.last_mut() {
            *last = self.launches.len();
        }
    }

    /// Returns the number of launches per step.
    pub fn len(&self) -> usize {
        self.launches.len()
    }

    /// Returns the range of launches of each task.
    pub fn tasks(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = [0].into_iter().chain(self.tasks.iter().copied());
        starts.zip(&self.tasks).map(|(start, &end)| start..end)
    }

    /// Makes the program the owner of these buffers, which are released with it.
    pub fn take(&mut self, own: Vec<BufferId>) {
        self.own.extend(own);
    }

    /// Returns the buffers owned by this program.
    pub fn own(&self) -> &[BufferId] {
        &self.own
    }

    /// Prepares a run of `steps` steps: allocates a slot per step in the per-step buffers that the steps write,
    /// and binds all per-step buffers again if one has grown since the last run.
    ///
    /// # Errors
    /// Returns an error if the device cannot allocate this number of slots.
    pub fn fit(&mut self, gpu: &Gpu, buffers: &mut Buffers, steps: usize) -> Result<()> {
        for &id in &self.written {
            buffers.fill(id, steps)?;
        }
        if self.per_step.iter().any(|&(id, bound)| capacity(buffers, id) != bound) {
            for (launch, bindings) in &self.bindings {
                let launch = &mut self.launches[*launch];
                let pipeline = &self.pipelines[launch.pipeline as usize];
                launch.group = bind(gpu, buffers, pipeline, bindings, &self.uniform);
            }
            for (id, bound) in &mut self.per_step {
                *bound = capacity(buffers, *id);
            }
        }
        Ok(())
    }

    /// Encodes all launches of one step of a run.
    pub fn encode(&mut self, pass: &mut wgpu::ComputePass<'_>, buffers: &Buffers, step: usize) {
        self.offsets.clear();
        self.offsets.extend(self.per_step.iter().map(|&(id, _)| {
            let offset = buffers.get(id).slots.map_or(0, |slots| slots.offset(step));
            u32::try_from(offset).expect("slot offsets have 32 bits")
        }));
        self.encode_launches(pass, 0..self.launches.len(), &self.offsets);
    }

    /// Encodes a range of launches of the first step.
    pub fn encode_first(&self, pass: &mut wgpu::ComputePass<'_>, launches: Range<usize>) {
        self.encode_launches(pass, launches, &[]);
    }

    fn encode_launches(&self, pass: &mut wgpu::ComputePass<'_>, launches: Range<usize>, offsets: &[u32]) {
        let mut current = u32::MAX;
        for launch in self.launches[launches].iter().filter(|launch| !launch.groups.contains(&0)) {
            if current != launch.pipeline {
                current = launch.pipeline;
                pass.set_pipeline(&self.pipelines[current as usize].pipeline);
            }
            let (count, indices) = launch.per_step;
            let at = indices.map(|index| offsets.get(usize::from(index)).copied().unwrap_or(0));
            pass.set_bind_group(0, &launch.group, &at[..usize::from(count)]);
            let [x, y, z] = launch.groups;
            pass.dispatch_workgroups(x, y, z);
        }
    }
}

fn capacity(buffers: &Buffers, id: BufferId) -> usize {
    buffers.get(id).slots.map_or(1, |slots| slots.capacity)
}

fn bind(
    gpu: &Gpu,
    buffers: &Buffers,
    pipeline: &Pipeline,
    bindings: &[(u32, Resource)],
    uniform: &wgpu::Buffer,
) -> wgpu::BindGroup {
    let entry = |&(binding, resource): &(u32, Resource)| {
        let (buffer, offset, size) = match resource {
            Resource::Uniform(offset, size) => (uniform, offset, size),
            Resource::Buffer(id) => {
                let allocation = buffers.get(id);
                (&allocation.buffer, allocation.offset, allocation.size)
            }
            Resource::Whole(id) => (&buffers.get(id).buffer, 0, buffers.get(id).buffer.size()),
        };
        let size = wgpu::BufferSize::new(size);
        let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size });
        wgpu::BindGroupEntry { binding, resource }
    };
    let entries: Vec<_> = bindings.iter().map(entry).collect();
    gpu.bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &pipeline.layout, entries: &entries })
}
