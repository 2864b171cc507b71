//! Plans on a GPU: every dispatch is prepared when a plan is loaded; a run encodes them into one compute pass.

use std::sync::Arc;
use std::time::Duration;

use wgrad_core::plan::{Plan, Role, Work};
use wgrad_core::{
    Array, Backend, BufferId, Choices, DType, DeviceInfo, Dispatch, Error, Grid, Limits, LocalFuture, Operand,
    ProgramId, Result, Spec,
};

use super::cluster;
use super::device::Gpu;
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
    pub(super) choices: Choices,
    buffers: Vec<Option<wgpu::Buffer>>,
    free: Vec<BufferId>,
    pub(super) programs: Vec<Program>,
    /// Kept for the next read of at most its size.
    pub(super) staging: Option<wgpu::Buffer>,
}

impl std::fmt::Debug for GpuBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GpuBackend({}, {} buffers)", self.gpu.info, self.buffers.len())
    }
}

/// The bytes of a buffer: a multiple of 16, because clusters load and store `vec4`, and never none.
pub(super) fn padded(spec: &Spec) -> u64 {
    spec.bytes().next_multiple_of(16).max(16) as u64
}

impl GpuBackend {
    /// A backend on an open device, without buffers yet.
    #[must_use]
    pub fn new(gpu: Arc<Gpu>) -> Self {
        let choices = gpu.limits.choices.clone();
        Self { gpu, choices, buffers: vec![], free: vec![], programs: vec![], staging: None }
    }

    /// The same backend with other variants of kernels in the plans that it will load.
    #[must_use]
    pub fn choosing(mut self, choices: Choices) -> Self {
        self.choices = choices;
        self
    }

    fn buffer(&self, label: &str, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let limit = self.gpu.limits.binding_bytes;
        if size > limit {
            return Err(Error::Device(format!(
                "{}: a buffer of {size} bytes exceeds the largest binding, {limit}",
                self.gpu.info
            )));
        }
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let buffer = self.gpu.device.create_buffer(&descriptor);
        self.gpu.check()?;
        Ok(buffer)
    }

    /// A buffer that was allocated and not released.
    pub(super) fn held(&self, id: BufferId) -> &wgpu::Buffer {
        self.buffers[id.0].as_ref().expect("a session uses a buffer only while it holds it")
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
    buffers: Vec<(&'static str, BufferId)>,
    params: Option<usize>,
    groups: [u32; 3],
    name: String,
}

impl Backend for GpuBackend {
    fn device(&self) -> DeviceInfo {
        self.gpu.info.clone()
    }

    fn limits(&self) -> Limits {
        Limits { choices: self.choices.clone(), ..self.gpu.limits.clone() }
    }

    fn allocate(&mut self, spec: &Spec) -> Result<BufferId> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let buffer = Some(self.buffer("persistent", padded(spec), usage)?);
        let id = self.free.pop().unwrap_or(BufferId(self.buffers.len()));
        if id.0 == self.buffers.len() {
            self.buffers.push(buffer);
        } else {
            self.buffers[id.0] = buffer;
        }
        Ok(id)
    }

    fn write(&mut self, buffer: BufferId, array: &Array) -> Result<()> {
        let to = self.held(buffer);
        match (array.as_slice::<f32>(), array.as_slice::<u32>()) {
            (Some(values), _) => self.gpu.queue.write_buffer(to, 0, bytemuck::cast_slice(values)),
            (_, Some(values)) => self.gpu.queue.write_buffer(to, 0, bytemuck::cast_slice(values)),
            _ => self.gpu.queue.write_buffer(to, 0, bytemuck::cast_slice(&array.to_f32())),
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
        let place = |buffer: usize| match (&plan.buffers[buffer].role, bound[buffer]) {
            (Role::Temp(slot), _) => slots[*slot],
            (_, Some(id)) => id,
            (_, None) => unreachable!("the session binds everything but temporaries"),
        };
        // Two passes: first every uniform gets its place in one buffer, then bind groups can name it.
        let mut uniforms: Vec<u8> = vec![];
        let align = self.gpu.device.limits().min_uniform_buffer_offset_alignment as usize;
        let mut prepared = vec![];
        for (t, task) in plan.tasks.iter().enumerate() {
            let (dispatches, scratch) = match &task.work {
                Work::Cluster(cluster) if cluster.shape.numel() == 0 => (vec![], &[][..]),
                Work::Cluster(cluster) => (vec![cluster::print(cluster, &task.inputs, &task.outputs)], &[][..]),
                Work::Op { dispatches, scratch, .. } => (dispatches.clone(), &scratch[..]),
            };
            for dispatch in &dispatches {
                let pipeline = self.gpu.pipeline(dispatch)?;
                let name = &dispatch.kernel.name;
                let workgroup = pipeline.module.entries[dispatch.entry].workgroup;
                let groups = self.groups(dispatch, workgroup)?;
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
                let buffers = dispatch.bindings.iter().map(|&(name, operand)| {
                    let buffer = match operand {
                        Operand::Input(i) => task.inputs[i],
                        Operand::Output(i) => task.outputs[i],
                        Operand::Scratch(i) => scratch[i],
                    };
                    (name, place(buffer))
                });
                let buffers = buffers.collect();
                let (entry, name) = (dispatch.entry, name.to_string());
                prepared.push(Prepared { task: t, pipeline, entry, buffers, params, groups, name });
            }
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let uniform = self.buffer("params", uniforms.len().max(16) as u64, usage)?;
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
            self.buffers[buffer.0] = None;
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

    fn tune(&mut self, plan: &Plan) -> Result<Choices> {
        self.tune_plan(plan)
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
                let bound = launch.buffers.iter().find(|(name, _)| *name == binding.name);
                let &(_, buffer) = bound
                    .ok_or_else(|| Error::Device(format!("kernel `{name}`: nothing is bound to `{}`", binding.name)))?;
                self.held(buffer).as_entire_binding()
            };
            entries.push(wgpu::BindGroupEntry { binding: binding.index, resource });
        }
        let descriptor = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
        Ok(self.gpu.device.create_bind_group(&descriptor))
    }
}
