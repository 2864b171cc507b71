//! Loading of plans: allocates buffers, compiles kernels and binds launches.
//!
//! WebGPU guarantees only [`OFFSETS`] bindings with dynamic offset per kernel. A per-step buffer, which has a slot
//! for each step of a run, needs such a binding. If a kernel uses more per-step buffers than that, the surplus
//! buffers are replaced with ordinary buffers, and each step copies data between the two.

use std::collections::HashMap;
use std::sync::Arc;

use wgrad_core::plan::{BufferIndex, Plan, Role};
use wgrad_core::{BufferId, DeviceError, Dispatch, Grid, Kernel, KernelProblem, OnCompile, Result, Spec, StepCopy};

use super::buffers::{Buffers, padded};
use super::program::{CompiledLaunch, OFFSETS, Program, Resource};
use crate::gpu::Gpu;
use crate::kernels::bound::{BoundDispatch, Target};
use crate::kernels::compile::{Kernels, Pipeline, PipelineRequest, Shader};
use crate::kernels::launch::launches;

/// Launch that has buffers but is not compiled yet.
struct PlannedLaunch {
    dispatch: Dispatch,
    /// Names of WGSL variables, each with its buffer. The flag is true if the complete device buffer is bound.
    buffers: Vec<(String, BufferId, bool)>,
}

impl PlannedLaunch {
    /// Returns a launch that copies `bytes` bytes from one buffer to another.
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

/// Loads one plan into a session.
pub(super) struct Loader<'a> {
    pub gpu: &'a Gpu,
    pub kernels: &'a Kernels,
    pub buffers: &'a mut Buffers,
    /// Largest number of workgroups of a launch along one axis.
    pub workgroups: u32,
    pub on_compile: Option<&'a OnCompile>,
}

impl Loader<'_> {
    /// Loads a plan; see [`wgrad_core::Backend::load`].
    ///
    /// # Errors
    /// Returns an error if the device is out of memory, or if a kernel does not compile. In this case no buffer
    /// stays allocated.
    pub fn load(mut self, plan: &Plan, bound: &[Option<BufferId>], copies: &[StepCopy]) -> Result<Program> {
        let mut own = vec![];
        match self.prepare(plan, bound, copies, &mut own) {
            Ok(mut program) => {
                program.take(own);
                Ok(program)
            }
            Err(error) => {
                self.buffers.release(&own);
                Err(error)
            }
        }
    }

    /// Allocates buffers, then creates the program. Adds the ids of the allocated buffers to `own`, even if it
    /// returns an error.
    fn prepare(
        &mut self,
        plan: &Plan,
        bound: &[Option<BufferId>],
        copies: &[StepCopy],
        own: &mut Vec<BufferId>,
    ) -> Result<Program> {
        for slot in &plan.slots {
            own.push(self.buffers.allocate(padded(&Spec::new([slot.elements], slot.dtype)))?);
        }
        // Values that one stage passes to the next in registers need no buffer.
        let mut places: Vec<Option<BufferId>> = bound.to_vec();
        for (place, buffer) in places.iter_mut().zip(&plan.buffers) {
            if let Role::Temp { slot, first } = buffer.role {
                own.push(self.buffers.part(own[slot], first, &buffer.spec));
                *place = own.last().copied();
            }
        }
        let place = |buffer: BufferIndex| places[buffer].expect("kernels bind only buffers with memory");
        let fetched = plan.buffer_indices().filter(|&at| matches!(plan.buffers[at].role, Role::Fetch)).map(place);
        let written: Vec<BufferId> = fetched.chain(copies.iter().map(|copy| copy.to)).collect();
        let (mut planned, mut tasks) = (vec![], vec![]);
        for task in &plan.tasks {
            let physical = |buffer: BufferIndex| {
                let allocation = self.buffers.get(place(buffer));
                (allocation.number, allocation.first())
            };
            for bound in launches(plan, task, &physical, &self.kernels.outlines)? {
                planned.push(self.planned(bound, place, own)?);
            }
            tasks.push(planned.len());
        }
        planned.extend(
            copies.iter().map(|&StepCopy { from, to }| PlannedLaunch::copy(from, to, self.buffers.get(from).size)),
        );
        self.program(planned, tasks, written, own)
    }

    /// Replaces the plan's buffers in the targets of a launch with buffers of the session.
    fn planned(
        &mut self,
        bound: BoundDispatch,
        place: impl Fn(BufferIndex) -> BufferId,
        own: &mut Vec<BufferId>,
    ) -> Result<PlannedLaunch> {
        let BoundDispatch { dispatch, targets } = bound;
        let mut buffers = Vec::with_capacity(targets.len());
        for (name, target) in targets {
            buffers.push(match target {
                Target::Buffer(buffer) => (name, place(buffer), false),
                // If the buffer is a per-step buffer, only the slot of the current step is bound.
                Target::Whole(buffer) => (name, place(buffer), self.buffers.get(place(buffer)).slots.is_none()),
                Target::Table(words) => {
                    let id = self.buffers.allocate(padded(&Spec::u32([words.len()])))?;
                    own.push(id);
                    self.gpu.write(&self.buffers.get(id).buffer, 0, bytemuck::cast_slice(&words));
                    (name, id, false)
                }
            });
        }
        Ok(PlannedLaunch { dispatch, buffers })
    }

    /// Compiles the launches and binds their buffers.
    fn program(
        &mut self,
        mut launches: Vec<PlannedLaunch>,
        mut tasks: Vec<usize>,
        written: Vec<BufferId>,
        own: &mut Vec<BufferId>,
    ) -> Result<Program> {
        #[cfg(feature = "fault-injection")]
        for launch in &mut launches {
            self.kernels.inject(&mut launch.dispatch.kernel)?;
        }
        let mut shaders = self.kernels.shaders(launches.iter().map(|launch| &launch.dispatch))?;
        let before = self.limit_offsets(&mut launches, &shaders, &written, own)?;
        if before > 0 || launches.len() > shaders.len() {
            shaders = self.kernels.shaders(launches.iter().map(|launch| &launch.dispatch))?;
            for end in &mut tasks {
                *end += before;
            }
        }
        let requests = launches.iter().zip(&shaders).map(|(launch, shader)| {
            let bindings = &shader.module.entries[launch.dispatch.entry].bindings;
            let per_step = |buffer| self.buffers.get(buffer).slots.is_some();
            let offsets = bindings.iter().map(|binding| launch.buffer(&binding.name).is_some_and(per_step)).collect();
            PipelineRequest { shader, dispatch: &launch.dispatch, offsets }
        });
        let compiled = |done, of| self.on_compile.iter().for_each(|f| f(done, of));
        let pipelines = self.kernels.pipelines(&requests.collect::<Vec<_>>(), compiled)?;
        let (uniform, offsets) = self.uniforms(&launches, &shaders)?;
        let mut program = Program::new(uniform, written);
        for (((launch, shader), pipeline), offset) in launches.iter().zip(&shaders).zip(pipelines).zip(offsets) {
            program.add(self.gpu, self.buffers, self.compiled(launch, shader, pipeline, offset)?);
        }
        self.gpu.check()?;
        // Copies before the first launch count as part of the first task, and copies after the last launch as
        // part of the last task.
        program.end_tasks(tasks);
        Ok(program)
    }

    /// Replaces per-step buffers with ordinary buffers if a kernel uses more than [`OFFSETS`] of them. Returns the
    /// number of copies that were inserted before the first launch.
    fn limit_offsets(
        &mut self,
        launches: &mut Vec<PlannedLaunch>,
        shaders: &[Arc<Shader>],
        written: &[BufferId],
        own: &mut Vec<BufferId>,
    ) -> Result<usize> {
        let mut replaced: HashMap<BufferId, BufferId> = HashMap::new();
        for (launch, shader) in launches.iter().zip(shaders) {
            let bindings = &shader.module.entries[launch.dispatch.entry].bindings;
            let per_step = bindings.iter().filter_map(|binding| launch.buffer(&binding.name));
            let per_step = per_step.filter(|&id| self.buffers.get(id).slots.is_some() && !replaced.contains_key(&id));
            for id in per_step.skip(OFFSETS).collect::<Vec<_>>() {
                let buffer = self.buffers.allocate(self.buffers.get(id).size)?;
                own.push(buffer);
                replaced.insert(id, buffer);
            }
        }
        for (_, buffer, _) in launches.iter_mut().flat_map(|launch| &mut launch.buffers) {
            *buffer = replaced.get(buffer).copied().unwrap_or(*buffer);
        }
        let mut replaced: Vec<_> = replaced.into_iter().collect();
        replaced.sort_by_key(|(id, _)| id.0);
        let (out, into): (Vec<_>, Vec<_>) = replaced.into_iter().partition(|(id, _)| written.contains(id));
        let size = |id| self.buffers.get(id).size;
        launches.extend(out.into_iter().map(|(id, buffer)| PlannedLaunch::copy(buffer, id, size(id))));
        let before = into.len();
        launches.splice(0..0, into.into_iter().map(|(id, buffer)| PlannedLaunch::copy(id, buffer, size(id))));
        Ok(before)
    }

    /// Creates one uniform buffer with the parameters of all launches. Also returns the offset of each launch's
    /// parameters.
    fn uniforms(&self, launches: &[PlannedLaunch], shaders: &[Arc<Shader>]) -> Result<(wgpu::Buffer, Vec<u64>)> {
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
        let buffer = self.buffers.make("params", bytes.len().max(16) as u64, usage)?;
        self.gpu.write(&buffer, 0, &bytes);
        Ok((buffer, offsets))
    }

    /// Returns a launch with its pipeline. The launch's parameters are at `offset` in the uniform buffer.
    fn compiled(
        &self,
        launch: &PlannedLaunch,
        shader: &Shader,
        pipeline: Arc<Pipeline>,
        offset: u64,
    ) -> Result<CompiledLaunch> {
        let entry = &shader.module.entries[launch.dispatch.entry];
        let groups = self.groups(&launch.dispatch, entry.workgroup)?;
        let (mut bindings, mut per_step) = (vec![], vec![]);
        for binding in &entry.bindings {
            if binding.uniform {
                bindings.push((binding.index, Resource::Uniform(offset, u64::from(shader.module.params_size))));
                continue;
            }
            let buffer = launch.buffer(&binding.name).ok_or_else(|| {
                let problem = KernelProblem::Unbound { variable: binding.name.clone() };
                DeviceError::kernel(shader.name.clone(), problem)
            })?;
            let whole = launch.whole(&binding.name);
            bindings.push((binding.index, if whole { Resource::Whole(buffer) } else { Resource::Buffer(buffer) }));
            if self.buffers.get(buffer).slots.is_some() {
                per_step.push(buffer);
            }
        }
        Ok(CompiledLaunch { pipeline, groups, bindings, per_step })
    }

    /// Returns the number of workgroups along each axis. If a one-dimensional grid has more workgroups than an
    /// axis may have, the workgroups are divided between the first and the second axis.
    fn groups(&self, dispatch: &Dispatch, workgroup: [u32; 3]) -> Result<[u32; 3]> {
        let [x, y, z] = match dispatch.grid {
            Grid::Groups(groups) => groups,
            Grid::Blocks { .. } => unreachable!("blocks were counted when buffers were bound"),
            Grid::Threads(threads) => [0, 1, 2].map(|axis| threads[axis].div_ceil(workgroup[axis] as usize)),
        };
        let limit = self.workgroups as usize;
        let [x, y] = if x > limit && y == 1 { [x.div_ceil(x.div_ceil(limit)), x.div_ceil(limit)] } else { [x, y] };
        let groups = [x, y, z].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        if groups.iter().any(|&n| n as usize > limit) {
            let problem = KernelProblem::TooManyWorkgroups { groups, device: self.gpu.info.clone(), limit };
            return Err(DeviceError::kernel(dispatch.kernel.name.to_string(), problem).into());
        }
        Ok(groups)
    }
}
