//! A plan made ready: every launch with its pipeline and bind group, so that a run only encodes.
//!
//! What differs between the steps of a run is a row of a table, picked by an offset of its binding. Devices need to
//! allow no more than four such bindings per kernel; where a kernel would have more, a buffer stands in for a table,
//! and a copy goes between the two in each step.

use std::collections::HashMap;
use std::sync::Arc;

use wgrad_core::plan::{BufferIndex, Plan, Role};
use wgrad_core::{BufferId, Dispatch, Error, Grid, Kernel, Result, Spec, StepCopy};

use super::backend::{GpuBackend, padded};
use super::launch::{self, Target, launches};
use super::pipeline::{Pipeline, Shader, Wanted};

/// Bindings with offsets that one kernel may have everywhere: WebGPU's default limit.
pub(super) const OFFSETS: usize = 4;

/// A dispatch ready to be encoded.
pub(super) struct Launch {
    /// Index into [`Program::pipelines`].
    pub pipeline: u32,
    pub groups: [u32; 3],
    pub group: wgpu::BindGroup,
    /// Its tables, in the order of their bindings: how many, and their indices in [`Program::tables`].
    pub tables: (u8, [u16; OFFSETS]),
}

/// A loaded plan.
pub(super) struct Program {
    pub launches: Vec<Launch>,
    pub pipelines: Vec<Arc<Pipeline>>,
    /// Where the launches of each task end.
    pub tasks: Vec<usize>,
    /// The tables in use, with the capacity that they were bound at.
    pub tables: Vec<(BufferId, usize)>,
    /// The tables that steps write.
    pub written: Vec<BufferId>,
    /// Steps of one submission.
    pub portion: usize,
    /// The offset of each table's row; here so that a run need not allocate.
    pub offsets: Vec<u32>,
    /// How to bind the launches that have tables, when a table has grown.
    bindings: Vec<(usize, Vec<(u32, Bound)>)>,
    uniform: wgpu::Buffer,
    /// The buffers that are this program's alone.
    pub own: Vec<BufferId>,
}

impl Program {
    pub fn owning(self, own: Vec<BufferId>) -> Self {
        Self { own, ..self }
    }
}

/// What a binding refers to.
#[derive(Clone, Copy)]
enum Bound {
    /// Bytes of the uniforms: offset and size.
    Uniform(u64, u64),
    Buffer(BufferId),
    /// The device's buffer that this one is a part of.
    Whole(BufferId),
}

/// A launch before it is compiled.
struct Planned {
    dispatch: Dispatch,
    /// WGSL variable → buffer, and whether all of the device's buffer is meant.
    buffers: Vec<(String, BufferId, bool)>,
}

impl Planned {
    /// A copy of a buffer's `bytes` to another.
    fn copy(from: BufferId, to: BufferId, bytes: u64) -> Self {
        let kernel = Kernel::generated("copy", COPY.into());
        let quads = usize::try_from(bytes / 16).expect("a buffer's size");
        let dispatch = Dispatch::new(kernel, "forward", Grid::Threads([quads, 1, 1])).param("n", quads);
        Self { dispatch, buffers: vec![("x".into(), from, false), ("y".into(), to, false)] }
    }

    fn buffer(&self, variable: &str) -> Option<BufferId> {
        self.buffers.iter().find(|(name, ..)| *name == variable).map(|&(_, buffer, _)| buffer)
    }

    fn whole(&self, variable: &str) -> bool {
        self.buffers.iter().any(|(name, _, whole)| name == variable && *whole)
    }
}

const COPY: &str = "\
// y[i] = x[i], four words at a time
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < params.n {
        y[i] = x[i];
    }
}
";

impl GpuBackend {
    /// Makes a plan ready. The buffers in `own` are the program's, also when this fails.
    pub(super) fn prepare(
        &mut self,
        plan: &Plan,
        bound: &[Option<BufferId>],
        copies: &[StepCopy],
        own: &mut Vec<BufferId>,
    ) -> Result<Program> {
        for slot in &plan.slots {
            own.push(self.allocate_bytes(padded(&Spec::new([slot.elements], slot.dtype)))?);
        }
        // Nothing stands for what passes from stage to stage in registers.
        let mut places: Vec<Option<BufferId>> = bound.to_vec();
        for (place, buffer) in places.iter_mut().zip(&plan.buffers) {
            if let Role::Temp { slot, first } = buffer.role {
                let part = self.held(own[slot]).narrow(first, &buffer.spec);
                own.push(self.keep(part));
                *place = own.last().copied();
            }
        }
        let place = |buffer: BufferIndex| places[buffer].expect("a kernel binds what has memory");
        let fetched = plan.buffer_indices().filter(|&at| matches!(plan.buffers[at].role, Role::Fetch)).map(place);
        let written: Vec<BufferId> = fetched.chain(copies.iter().map(|copy| copy.to)).collect();
        let (mut planned, mut tasks) = (vec![], vec![]);
        for task in &plan.tasks {
            let physical = |buffer: BufferIndex| {
                let held = self.held(place(buffer));
                (held.number, held.first())
            };
            for bound in launches(plan, task, &physical)? {
                planned.push(self.planned(bound, place, own)?);
            }
            tasks.push(planned.len());
        }
        planned.extend(copies.iter().map(|&StepCopy { from, to }| Planned::copy(from, to, self.held(from).size)));
        self.program(planned, tasks, written, own)
    }

    /// A launch over buffers of the device.
    fn planned(
        &mut self,
        bound: launch::Bound,
        place: impl Fn(BufferIndex) -> BufferId,
        own: &mut Vec<BufferId>,
    ) -> Result<Planned> {
        let launch::Bound { dispatch, targets } = bound;
        let mut buffers = Vec::with_capacity(targets.len());
        for (name, target) in targets {
            buffers.push(match target {
                Target::Buffer(buffer) => (name, place(buffer), false),
                // Of a table, the row of the step is meant.
                Target::Whole(buffer) => (name, place(buffer), self.held(place(buffer)).table.is_none()),
                Target::Table(words) => {
                    let id = self.allocate_bytes(padded(&Spec::u32([words.len()])))?;
                    own.push(id);
                    self.gpu.write(&self.held(id).buffer, 0, bytemuck::cast_slice(&words));
                    (name, id, false)
                }
            });
        }
        Ok(Planned { dispatch, buffers })
    }

    /// Compiles and binds launches.
    fn program(
        &mut self,
        mut launches: Vec<Planned>,
        mut tasks: Vec<usize>,
        written: Vec<BufferId>,
        own: &mut Vec<BufferId>,
    ) -> Result<Program> {
        #[cfg(feature = "plant")]
        for launch in &mut launches {
            self.gpu.plant(&mut launch.dispatch.kernel)?;
        }
        let mut shaders = self.gpu.shaders(launches.iter().map(|launch| &launch.dispatch))?;
        let before = self.stand_in(&mut launches, &shaders, &written, own)?;
        if before > 0 || launches.len() > shaders.len() {
            shaders = self.gpu.shaders(launches.iter().map(|launch| &launch.dispatch))?;
            for end in &mut tasks {
                *end += before;
            }
        }
        let wanted = launches.iter().zip(&shaders).map(|(launch, shader)| {
            let bindings = &shader.module.entries[launch.dispatch.entry].bindings;
            let table = |buffer| self.held(buffer).table.is_some();
            let tables = bindings.iter().map(|binding| launch.buffer(&binding.name).is_some_and(table)).collect();
            Wanted { shader, dispatch: &launch.dispatch, tables }
        });
        let compiled = |done, of| self.on_compile.iter().for_each(|f| f(done, of));
        let pipelines = self.gpu.pipelines(&wanted.collect::<Vec<_>>(), compiled)?;
        let (uniform, offsets) = self.uniforms(&launches, &shaders)?;
        let mut program = Program {
            launches: Vec::with_capacity(launches.len()),
            pipelines: vec![],
            tasks,
            tables: vec![],
            written,
            portion: 1,
            offsets: vec![],
            bindings: vec![],
            uniform,
            own: vec![],
        };
        for (((launch, shader), pipeline), offset) in launches.iter().zip(&shaders).zip(pipelines).zip(offsets) {
            self.add(&mut program, launch, shader, pipeline, offset)?;
        }
        self.gpu.check()?;
        // Copies count as part of the first and the last task.
        if let Some(last) = program.tasks.last_mut() {
            *last = program.launches.len();
        }
        Ok(program)
    }

    /// Lets buffers stand in for tables where a kernel has too many of them. Returns how many launches came first.
    fn stand_in(
        &mut self,
        launches: &mut Vec<Planned>,
        shaders: &[Arc<Shader>],
        written: &[BufferId],
        own: &mut Vec<BufferId>,
    ) -> Result<usize> {
        let mut replaced: HashMap<BufferId, BufferId> = HashMap::new();
        for (launch, shader) in launches.iter().zip(shaders) {
            let bindings = &shader.module.entries[launch.dispatch.entry].bindings;
            let tables = bindings.iter().filter_map(|binding| launch.buffer(&binding.name));
            let tables = tables.filter(|&id| self.held(id).table.is_some() && !replaced.contains_key(&id));
            for table in tables.skip(OFFSETS).collect::<Vec<_>>() {
                let buffer = self.allocate_bytes(self.held(table).size)?;
                own.push(buffer);
                replaced.insert(table, buffer);
            }
        }
        for (_, buffer, _) in launches.iter_mut().flat_map(|launch| &mut launch.buffers) {
            *buffer = replaced.get(buffer).copied().unwrap_or(*buffer);
        }
        let mut replaced: Vec<_> = replaced.into_iter().collect();
        replaced.sort_by_key(|(table, _)| table.0);
        let (out, into): (Vec<_>, Vec<_>) = replaced.into_iter().partition(|(table, _)| written.contains(table));
        let size = |id| self.held(id).size;
        launches.extend(out.into_iter().map(|(table, buffer)| Planned::copy(buffer, table, size(table))));
        let before = into.len();
        launches.splice(0..0, into.into_iter().map(|(table, buffer)| Planned::copy(table, buffer, size(table))));
        Ok(before)
    }

    /// One buffer with the parameters of all launches, and where each finds its own.
    fn uniforms(&self, launches: &[Planned], shaders: &[Arc<Shader>]) -> Result<(wgpu::Buffer, Vec<u64>)> {
        let align = self.gpu.device.limits().min_uniform_buffer_offset_alignment as usize;
        let (mut bytes, mut offsets) = (vec![], vec![]);
        for (launch, shader) in launches.iter().zip(shaders) {
            bytes.resize(bytes.len().next_multiple_of(align), 0);
            offsets.push(bytes.len() as u64);
            if shader.module.entries[launch.dispatch.entry].bindings.iter().any(|binding| binding.uniform) {
                bytes.extend(shader.module.pack(&shader.name, &launch.dispatch.params)?);
            }
        }
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.buffer("params", bytes.len().max(16) as u64, usage)?;
        self.gpu.write(&buffer, 0, &bytes);
        Ok((buffer, offsets))
    }

    /// Adds a launch to a program.
    fn add(
        &self,
        program: &mut Program,
        launch: &Planned,
        shader: &Shader,
        pipeline: Arc<Pipeline>,
        offset: u64,
    ) -> Result<()> {
        let entry = &shader.module.entries[launch.dispatch.entry];
        let groups = self.groups(&launch.dispatch, entry.workgroup)?;
        let (mut bindings, mut tables) = (vec![], (0, [0; OFFSETS]));
        for binding in &entry.bindings {
            if binding.uniform {
                bindings.push((binding.index, Bound::Uniform(offset, u64::from(shader.module.params_size))));
                continue;
            }
            let buffer = launch.buffer(&binding.name).ok_or_else(|| {
                Error::Device(format!("kernel `{}`: nothing is bound to `{}`", shader.name, binding.name))
            })?;
            let bound = if launch.whole(&binding.name) { Bound::Whole(buffer) } else { Bound::Buffer(buffer) };
            bindings.push((binding.index, bound));
            if let Some(table) = self.held(buffer).table {
                let known = program.tables.iter().position(|&(id, _)| id == buffer);
                let index = known.unwrap_or_else(|| {
                    program.tables.push((buffer, table.capacity));
                    program.tables.len() - 1
                });
                tables.1[usize::from(tables.0)] = u16::try_from(index).expect("a plan has few tables");
                tables.0 += 1;
            }
        }
        let group = self.bind(&pipeline, &bindings, &program.uniform);
        let known = program.pipelines.iter().position(|known| Arc::ptr_eq(known, &pipeline));
        let index = known.unwrap_or_else(|| {
            program.pipelines.push(pipeline);
            program.pipelines.len() - 1
        });
        if tables.0 > 0 {
            program.bindings.push((program.launches.len(), bindings));
        }
        let pipeline = u32::try_from(index).expect("a plan has few pipelines");
        program.launches.push(Launch { pipeline, groups, group, tables });
        Ok(())
    }

    fn bind(&self, pipeline: &Pipeline, bindings: &[(u32, Bound)], uniform: &wgpu::Buffer) -> wgpu::BindGroup {
        let entry = |&(binding, bound): &(u32, Bound)| {
            let (buffer, offset, size) = match bound {
                Bound::Uniform(offset, size) => (uniform, offset, size),
                Bound::Buffer(id) => {
                    let held = self.held(id);
                    (&held.buffer, held.offset, held.size)
                }
                Bound::Whole(id) => (&self.held(id).buffer, 0, self.held(id).buffer.size()),
            };
            let size = wgpu::BufferSize::new(size);
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size });
            wgpu::BindGroupEntry { binding, resource }
        };
        let entries: Vec<_> = bindings.iter().map(entry).collect();
        self.gpu.bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &pipeline.layout, entries: &entries })
    }

    /// Gives the tables that steps write a row for each of them, and binds what has grown since the last run.
    pub(super) fn fit(&mut self, program: &mut Program, steps: usize) -> Result<()> {
        for &table in &program.written {
            self.fill(table, steps)?;
        }
        let capacity = |id: BufferId| self.held(id).table.map_or(1, |table| table.capacity);
        if program.tables.iter().any(|&(id, bound)| capacity(id) != bound) {
            for (launch, bindings) in &program.bindings {
                let launch = &mut program.launches[*launch];
                launch.group = self.bind(&program.pipelines[launch.pipeline as usize], bindings, &program.uniform);
            }
            for (id, bound) in &mut program.tables {
                *bound = capacity(*id);
            }
        }
        Ok(())
    }

    /// Divides threads by the kernel's workgroup and folds what one dimension cannot hold into the next.
    fn groups(&self, dispatch: &Dispatch, workgroup: [u32; 3]) -> Result<[u32; 3]> {
        let [x, y, z] = match dispatch.grid {
            Grid::Groups(groups) => groups,
            Grid::Blocks { .. } => unreachable!("blocks were counted when buffers were bound"),
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
