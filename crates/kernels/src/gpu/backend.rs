//! Plans on a GPU: every dispatch is prepared when a plan is loaded; a run encodes them into one compute pass.

use std::sync::Arc;
use std::time::Duration;

use wgrad_core::plan::{Plan, Role};
use wgrad_core::{
    Array, Backend, BufferId, DType, DeviceInfo, Dispatch, Error, Grid, Limits, LocalFuture, ProgramId, Result, Spec,
};

use super::device::Gpu;
use super::launch::{Bound, Target, launches};
use super::memory::{Part, padded};
use super::pipeline::Pipeline;

/// A dispatch ready to be encoded.
pub(super) struct Launch {
    pub pipeline: Arc<Pipeline>,
    pub group: wgpu::BindGroup,
    pub groups: [u32; 3],
}

/// A loaded plan: the launches of each task, and the buffers that are its alone.
#[derive(Default)]
pub(super) struct Program {
    pub tasks: Vec<Vec<Launch>>,
    slots: Vec<BufferId>,
}

/// Runs plans on a [`Gpu`].
pub struct GpuBackend {
    pub(super) gpu: Arc<Gpu>,
    parts: Vec<Option<Part>>,
    free: Vec<BufferId>,
    pub(super) programs: Vec<Program>,
    /// Kept for the next read of at most its size.
    pub(super) staging: Option<wgpu::Buffer>,
}

impl std::fmt::Debug for GpuBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuBackend({}, {} buffers)", self.gpu.info, self.parts.len())
    }
}

impl GpuBackend {
    /// A backend on an open device, without buffers yet.
    #[must_use]
    pub fn new(gpu: Arc<Gpu>) -> Self {
        Self { gpu, parts: vec![], free: vec![], programs: vec![], staging: None }
    }

    /// Keeps a part under a free id or a new one.
    fn keep(&mut self, part: Part) -> BufferId {
        let id = self.free.pop().unwrap_or(BufferId(self.parts.len()));
        if id.0 == self.parts.len() {
            self.parts.push(Some(part));
        } else {
            self.parts[id.0] = Some(part);
        }
        id
    }

    /// A buffer that was allocated and not released.
    pub(super) fn held(&self, id: BufferId) -> &Part {
        self.parts[id.0].as_ref().expect("a session uses a buffer only while it holds it")
    }

    /// Divides threads by the kernel's workgroup and folds what one dimension cannot hold into the next.
    fn groups(&self, dispatch: &Dispatch, workgroup: [u32; 3]) -> Result<[u32; 3]> {
        let [x, y, z] = match dispatch.grid {
            Grid::Groups(groups) => groups,
            Grid::Threads(threads) => [0, 1, 2].map(|axis| threads[axis].div_ceil(workgroup[axis] as usize)),
        };
        let limit = self.gpu.limits.workgroups as usize;
        let [x, y] = if x > limit && y == 1 { [x.div_ceil(x.div_ceil(limit)), x.div_ceil(limit)] } else { [x, y] };
        let groups = [x, y, z].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        if groups.iter().any(|&n| n as usize > limit) {
            return Err(Error::Device(format!(
                "kernel `{}` needs {groups:?} workgroups, {} launches at most {limit} per axis",
                dispatch.kernel.name, self.gpu.info
            )));
        }
        Ok(groups)
    }
}

/// A dispatch resolved to buffers of the plan, before its uniform has a place.
struct Prepared {
    task: usize,
    pipeline: Arc<Pipeline>,
    entry: &'static str,
    parts: Vec<(String, Part)>,
    params: Option<usize>,
    groups: [u32; 3],
    name: String,
}

impl Backend for GpuBackend {
    fn device(&self) -> DeviceInfo {
        self.gpu.info.clone()
    }

    fn limits(&self) -> Limits {
        self.gpu.limits.clone()
    }

    fn allocate(&mut self, spec: &Spec) -> Result<BufferId> {
        let part = self.gpu.storage(padded(spec))?;
        Ok(self.keep(part))
    }

    fn allocate_together(&mut self, specs: &[&Spec]) -> Result<Vec<BufferId>> {
        let parts = self.gpu.together(specs)?;
        Ok(parts.into_iter().map(|part| self.keep(part)).collect())
    }

    fn write(&mut self, buffer: BufferId, array: &Array) -> Result<()> {
        let to = self.held(buffer);
        match (array.as_slice::<f32>(), array.as_slice::<u32>()) {
            (Some(values), _) => self.gpu.queue.write_buffer(&to.buffer, to.offset, bytemuck::cast_slice(values)),
            (_, Some(values)) => self.gpu.queue.write_buffer(&to.buffer, to.offset, bytemuck::cast_slice(values)),
            _ => self.gpu.queue.write_buffer(&to.buffer, to.offset, bytemuck::cast_slice(&array.to_f32())),
        }
        self.gpu.check()
    }

    fn read<'a>(&'a mut self, buffers: &'a [(BufferId, Spec)]) -> LocalFuture<'a, Result<Vec<Array>>> {
        Box::pin(self.read_back(buffers))
    }

    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>]) -> Result<ProgramId> {
        let mut slots = vec![];
        for slot in &plan.slots {
            let spec = Spec::new([slot.elements], if slot.dtype.is_float() { DType::F32 } else { DType::U32 });
            slots.push(self.allocate(&spec)?);
        }
        let part = |buffer: usize| match (&plan.buffers[buffer].role, bound[buffer]) {
            (Role::Temp(slot, first), _) => self.held(slots[*slot]).narrow(*first, &plan.buffers[buffer].spec),
            (_, Some(id)) => self.held(id).clone(),
            (_, None) => unreachable!("the session binds everything but temporaries"),
        };
        let physical = |buffer: usize| {
            let part = part(buffer);
            (part.number, part.first())
        };
        // Two passes: first every uniform gets its place in one buffer, then bind groups can name it.
        let mut uniforms: Vec<u8> = vec![];
        let align = self.gpu.device.limits().min_uniform_buffer_offset_alignment as usize;
        let mut prepared = vec![];
        for (t, task) in plan.tasks.iter().enumerate() {
            for Bound { dispatch, targets } in launches(&plan, task, &physical)? {
                let pipeline = self.gpu.pipeline(&dispatch)?;
                let name = &dispatch.kernel.name;
                let workgroup = pipeline.module.entries[dispatch.entry].workgroup;
                let groups = self.groups(&dispatch, workgroup)?;
                if groups.contains(&0) {
                    continue;
                }
                let params = if pipeline.module.entries[dispatch.entry].bindings.iter().any(|b| b.uniform) {
                    uniforms.resize(uniforms.len().next_multiple_of(align), 0);
                    let offset = uniforms.len();
                    uniforms.extend(pipeline.module.pack(name, &dispatch.params)?);
                    Some(offset)
                } else {
                    None
                };
                let target = |(name, target)| {
                    let part = match target {
                        Target::Buffer(buffer) => part(buffer),
                        Target::Whole(buffer) => {
                            let part = part(buffer);
                            Part { offset: 0, size: part.buffer.size(), ..part }
                        }
                        Target::Table(words) => {
                            let part = self.gpu.storage(4 * words.len() as u64)?;
                            self.gpu.queue.write_buffer(&part.buffer, 0, bytemuck::cast_slice(&words));
                            part
                        }
                    };
                    Ok((name, part))
                };
                let parts = targets.into_iter().map(target).collect::<Result<Vec<_>>>()?;
                let (entry, name) = (dispatch.entry, name.to_string());
                prepared.push(Prepared { task: t, pipeline, entry, parts, params, groups, name });
            }
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniform = self.gpu.buffer("params", uniforms.len().max(16) as u64, usage)?;
        self.gpu.queue.write_buffer(&uniform, 0, &uniforms);
        let mut tasks: Vec<Vec<Launch>> = plan.tasks.iter().map(|_| vec![]).collect();
        for launch in prepared {
            let group = self.bind(&launch, &uniform)?;
            tasks[launch.task].push(Launch { pipeline: launch.pipeline, group, groups: launch.groups });
        }
        self.gpu.check()?;
        self.programs.push(Program { tasks, slots });
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn release(&mut self, program: ProgramId, buffers: &[BufferId]) {
        // Bind groups keep their buffers alive; wgpu keeps both until the device has finished with them.
        let slots = std::mem::take(&mut self.programs[program.0]).slots;
        for &buffer in buffers.iter().chain(&slots) {
            self.parts[buffer.0] = None;
            self.free.push(buffer);
        }
    }

    fn run(&mut self, program: ProgramId) -> Result<()> {
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            let mut current: Option<&Arc<Pipeline>> = None;
            for launch in self.programs[program.0].tasks.iter().flatten() {
                if current.is_none_or(|current| !Arc::ptr_eq(current, &launch.pipeline)) {
                    pass.set_pipeline(&launch.pipeline.pipeline);
                    current = Some(&launch.pipeline);
                }
                pass.set_bind_group(0, &launch.group, &[]);
                let [x, y, z] = launch.groups;
                pass.dispatch_workgroups(x, y, z);
            }
        }
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.check()
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        self.measure(program)
    }
}

impl GpuBackend {
    fn bind(&self, launch: &Prepared, uniform: &wgpu::Buffer) -> Result<wgpu::BindGroup> {
        let Prepared { pipeline, name, .. } = launch;
        let mut entries = vec![];
        for binding in &pipeline.module.entries[launch.entry].bindings {
            let resource = if binding.uniform {
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: uniform,
                    offset: launch.params.unwrap_or(0) as u64,
                    size: std::num::NonZeroU64::new(u64::from(pipeline.module.params_size)),
                })
            } else {
                let bound = launch.parts.iter().find(|(name, _)| *name == binding.name);
                let (_, part) = bound
                    .ok_or_else(|| Error::Device(format!("kernel `{name}`: nothing is bound to `{}`", binding.name)))?;
                part.binding()
            };
            entries.push(wgpu::BindGroupEntry { binding: binding.index, resource });
        }
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
        Ok(self.gpu.device.create_bind_group(&descriptor))
    }
}
