//! A loaded plan: every launch with its pipeline and bind group, so that a run only encodes.
//!
//! What differs between the steps of a run is a slot of a per-step buffer, picked by an offset of its binding.

use std::ops::Range;
use std::sync::Arc;

use wgrad_core::{BufferId, Result};

use super::buffers::Buffers;
use crate::gpu::Gpu;
use crate::kernels::compile::Pipeline;

/// Bindings with offsets that one kernel may have everywhere: WebGPU's default limit.
pub(super) const OFFSETS: usize = 4;

/// Resource that a binding refers to.
#[derive(Clone, Copy)]
pub(super) enum Resource {
    /// Bytes of the uniforms: offset and size.
    Uniform(u64, u64),
    Buffer(BufferId),
    /// The device's buffer that this one is a part of.
    Whole(BufferId),
}

/// ReadyLaunch before it is bound.
pub(super) struct CompiledLaunch {
    pub pipeline: Arc<Pipeline>,
    pub groups: [u32; 3],
    /// The number of each binding, and what it refers to.
    pub bindings: Vec<(u32, Resource)>,
    /// The per-step buffers among them, in the order of their bindings; at most [`OFFSETS`].
    pub per_step: Vec<BufferId>,
}

/// Dispatch ready to be encoded.
struct ReadyLaunch {
    /// Index into [`Program::pipelines`].
    pipeline: u32,
    groups: [u32; 3],
    group: wgpu::BindGroup,
    /// Its per-step buffers, in the order of their bindings: how many, and their indices in [`Program::per_step`].
    per_step: (u8, [u16; OFFSETS]),
}

/// Loaded plan.
pub(super) struct Program {
    launches: Vec<ReadyLaunch>,
    pipelines: Vec<Arc<Pipeline>>,
    /// The ends of the launches of each task.
    tasks: Vec<usize>,
    /// The per-step buffers in use, with the capacity that they were bound at.
    per_step: Vec<(BufferId, usize)>,
    /// The per-step buffers that steps write.
    written: Vec<BufferId>,
    /// The offset of each per-step buffer; here so that a run need not allocate.
    offsets: Vec<u32>,
    /// The bindings of the launches that have per-step buffers, for when one has grown.
    bindings: Vec<(usize, Vec<(u32, Resource)>)>,
    uniform: wgpu::Buffer,
    /// The buffers that are this program's alone.
    own: Vec<BufferId>,
    /// Steps of one submission.
    pub chunk: usize,
}

impl Program {
    /// A program without launches, of which each step writes `written`.
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

    /// Binds and adds a launch.
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

    /// Ends each task after so many of the launches; launches after the last end are part of the last task.
    pub fn end_tasks(&mut self, ends: Vec<usize>) {
        self.tasks = ends;
        if let Some(last) = self.tasks.last_mut() {
            *last = self.launches.len();
        }
    }

    /// Returns the number of launches of a step.
    pub fn len(&self) -> usize {
        self.launches.len()
    }

    /// Returns the launches of each task.
    pub fn tasks(&self) -> impl Iterator<Item = Range<usize>> {
        let starts = [0].into_iter().chain(self.tasks.iter().copied());
        starts.zip(&self.tasks).map(|(start, &end)| start..end)
    }

    /// Adds buffers that are this program's alone.
    pub fn take(&mut self, own: Vec<BufferId>) {
        self.own.extend(own);
    }

    /// Returns the buffers that are this program's alone.
    pub fn own(&self) -> &[BufferId] {
        &self.own
    }

    /// Gives the per-step buffers that steps write a slot for each of them, and binds what has grown since the last run.
    ///
    /// # Errors
    /// When there is no room for so many slots.
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

    /// Encodes one step of a run.
    pub fn encode(&mut self, pass: &mut wgpu::ComputePass<'_>, buffers: &Buffers, step: usize) {
        self.offsets.clear();
        self.offsets.extend(self.per_step.iter().map(|&(id, _)| {
            let offset = buffers.get(id).slots.map_or(0, |slots| slots.offset(step));
            u32::try_from(offset).expect("offsets of slots are 32-bit")
        }));
        self.encode_launches(pass, 0..self.launches.len(), &self.offsets);
    }

    /// Encodes some launches of the first step.
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
