//! The CPU backend, which runs the same plans as a GPU. It computes ops with their reference implementations, in
//! `f32` or `f64`.

mod buffers;
mod cluster;
mod lower;
mod program;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::DeviceInfo;
use crate::backend::{Backend, BufferId, Pending, ProgramId, Read, StepCopy};
use crate::host::memory::memory_of_host;
use crate::op::pointwise::Precision;
use crate::op::reference;
use crate::plan::{BufferIndex, Cluster, Plan, Role, Signature, Work};
use crate::{Array, DType, Data, Limits, Op, Result, Spec};

use buffers::{Buffers, Memory};
use cluster::Registers;
use program::ClusterProgram;

/// Message of a panic that cannot happen, because a session runs a program only while the program's step exists.
const LOADED: &str = "the program is loaded";

struct Program<F> {
    plan: Arc<Plan>,
    /// The stages of each task, in order.
    tasks: Vec<Vec<CpuStage<F>>>,
    /// The memory of temporaries, which belongs to this program.
    slots: Vec<BufferId>,
    /// The per-step buffers that steps read: inputs, and numbers that the host computes, such as a learning rate.
    fed: Vec<usize>,
    /// The per-step buffers that steps write: fetched results.
    written: Vec<usize>,
    /// The copies to per-step buffers that are made after each step.
    copies: Vec<StepCopy>,
}

/// Op, or cluster of pointwise ops, that is ready to run.
struct CpuStage<F> {
    work: CpuWork<F>,
    /// The memory that the stage reads.
    inputs: Vec<Extent>,
    /// The memory that the stage writes.
    outputs: Vec<Extent>,
}

/// Part of a memory that a stage uses: a number of elements, counted from the start of the memory.
#[derive(Clone, Copy)]
struct Extent {
    memory: usize,
    elements: usize,
}

enum CpuWork<F> {
    Op(Arc<dyn Op>, Signature),
    Cluster(ClusterProgram<F>),
}

/// Backend that runs plans on the CPU: in single precision to train without a GPU, or in double precision to
/// compute reference values.
pub struct CpuBackend<F> {
    buffers: Buffers<F>,
    programs: Vec<Option<Program<F>>>,
    /// The registers of each thread, which clusters use.
    registers: Vec<Registers<F>>,
    /// The outputs of the running stage, moved out of `buffers`. The vector is kept between runs to avoid
    /// allocation.
    written: Vec<Memory<F>>,
}

impl<F> Default for CpuBackend<F> {
    fn default() -> Self {
        let (registers, written) = (vec![], vec![]);
        Self { buffers: Buffers::default(), programs: vec![], registers, written }
    }
}

impl From<CpuBackend<f32>> for Box<dyn Backend> {
    fn from(backend: CpuBackend<f32>) -> Self {
        Box::new(backend)
    }
}

impl From<CpuBackend<f64>> for Box<dyn Backend> {
    fn from(backend: CpuBackend<f64>) -> Self {
        Box::new(backend)
    }
}

impl<F> std::fmt::Debug for CpuBackend<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CpuBackend({} programs)", self.programs.len())
    }
}

impl<F: Precision> CpuBackend<F> {
    /// Creates a backend without buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `run` for each task in order. All tasks of a large program run inside the thread pool, so that the
    /// pool is not entered again for each parallel task. A small program runs on the current thread.
    fn tasks<T: Send>(&mut self, program: ProgramId, run: impl Fn(&mut Self, usize) -> T + Sync) -> Vec<T> {
        const LARGE: usize = 1 << 15;
        let plan = self.programs[program.0].as_ref().expect(LOADED).plan.clone();
        let large = plan.buffers.iter().any(|buffer| buffer.spec.shape.numel() >= LARGE);
        let mut all = || (0..plan.tasks.len()).map(|task| run(self, task)).collect();
        if large { rayon::scope(|_| all()) } else { all() }
    }

    fn task(&mut self, program: usize, index: usize) {
        let Self { buffers: Buffers { memory, .. }, registers, written, programs } = self;
        for CpuStage { work, inputs, outputs } in &programs[program].as_ref().expect(LOADED).tasks[index] {
            // Outputs are moved out of `memory`, so that inputs can be borrowed from it.
            let empty = || Memory::Uint(vec![]);
            written.extend(outputs.iter().map(|to| std::mem::replace(&mut memory[to.memory], empty())));
            let slices = written.iter_mut().zip(outputs).map(|(memory, to)| memory.write(to.elements));
            match work {
                CpuWork::Cluster(cluster) => {
                    let input = |i: usize| memory[inputs[i].memory].read(inputs[i].elements);
                    cluster.run(input, slices.collect(), registers);
                }
                CpuWork::Op(op, signature) => {
                    let inputs = inputs.iter().map(|from| memory[from.memory].read(from.elements)).collect();
                    let Signature { inputs: read, outputs: made } = signature;
                    let buffers = reference::Buffers::new(read, made, inputs, slices.collect());
                    op.reference(F::reference(buffers));
                }
            }
            for (to, written) in outputs.iter().zip(written.drain(..)) {
                memory[to.memory] = written;
            }
        }
    }

    /// Swaps the memory of step `step` with the memory that tasks use, in each per-step buffer of the program. A
    /// second call swaps them back.
    fn swap(&mut self, program: ProgramId, step: usize) {
        let program = self.programs[program.0].as_ref().expect(LOADED);
        self.buffers.swap(program.fed.iter().chain(&program.written), step);
    }

    /// Makes the copies to per-step buffers that follow each step.
    fn copy(&mut self, program: ProgramId) {
        for copy in &self.programs[program.0].as_ref().expect(LOADED).copies {
            self.buffers.copy(copy.from.0, copy.to.0);
        }
    }

    /// Returns the stages of each task. `memory` contains the index of the memory of each buffer of the plan.
    fn lower(&mut self, plan: &Plan, memory: &[usize]) -> Vec<Vec<CpuStage<F>>> {
        let extent = |&buffer: &BufferIndex| Extent {
            memory: memory[buffer],
            elements: plan.buffers[buffer].spec.shape.numel(),
        };
        let extents = |buffers: &[BufferIndex]| -> Vec<Extent> { buffers.iter().map(extent).collect() };
        let cluster = |cluster: &Cluster, inputs: &[BufferIndex], outputs: &[BufferIndex]| {
            let (inputs, mut outputs) = (extents(inputs), extents(outputs));
            for output in &mut outputs {
                output.elements = cluster.shape.numel();
            }
            let output = |input: &Extent| outputs.iter().position(|output| output.memory == input.memory);
            let in_place: Vec<_> = inputs.iter().map(output).collect();
            CpuStage { work: CpuWork::Cluster(lower::lower(cluster, &in_place)), inputs, outputs }
        };
        let mut tasks = vec![];
        for task in &plan.tasks {
            let mut stages = vec![];
            for stage in &task.stages {
                let (inputs, outputs) = (&stage.inputs[..], &stage.outputs[..]);
                match &stage.work {
                    Work::Cluster(of) => stages.push(cluster(of, inputs, outputs)),
                    Work::Group(of) => {
                        let (reads, writes) = (inputs.len() / of.len(), outputs.len() / of.len());
                        stages.extend(of.iter().enumerate().map(|(i, of)| {
                            cluster(of, &inputs[i * reads..][..reads], &outputs[i * writes..][..writes])
                        }));
                    }
                    Work::Op { op, signature, .. } => {
                        // The memory may be larger than the op's input or output that it stores.
                        let sized = |buffers: &[BufferIndex], specs: &[Spec]| {
                            let extent = |(buffer, spec): (&BufferIndex, &Spec)| Extent {
                                memory: memory[*buffer],
                                elements: spec.shape.numel(),
                            };
                            buffers.iter().zip(specs).map(extent).collect()
                        };
                        let (inputs, outputs) = (sized(inputs, &signature.inputs), sized(outputs, &signature.outputs));
                        stages.push(CpuStage { work: CpuWork::Op(op.clone(), signature.clone()), inputs, outputs });
                    }
                }
            }
            tasks.push(stages);
        }
        self.registers.resize_with(rayon::current_num_threads().max(1), Registers::default);
        tasks
    }
}

impl<F: Precision> Backend for CpuBackend<F> {
    fn device(&self) -> DeviceInfo {
        DeviceInfo {
            kind: if F::DTYPE == DType::F64 { "cpu-f64" } else { "cpu" }.into(),
            adapter: format!("CPU backend in {}", F::DTYPE),
            api: format!("{} threads", rayon::current_num_threads()),
            driver: String::new(),
            software: false,
            self_test: String::new(),
        }
    }

    fn limits(&self) -> Limits {
        // The limit on buffers per task is the same as on a GPU, so that a graph has the same plan on every
        // device.
        let memory_bytes = memory_of_host();
        Limits { binding_bytes: u64::MAX, memory_bytes, software: true, dispatches: false, ..Limits::default() }
    }

    fn allocate(&mut self, spec: &Spec) -> Result<BufferId> {
        Ok(self.buffers.place(Memory::zeros(spec.dtype, spec.shape.numel())))
    }

    fn allocate_per_step(&mut self, spec: &Spec) -> Result<BufferId> {
        Ok(self.buffers.place_per_step(Memory::zeros(spec.dtype, spec.shape.numel())))
    }

    fn write(&mut self, buffer: BufferId, array: &Array, rows: usize) -> Result<()> {
        self.buffers.fill(buffer, rows);
        let part = |row: usize, whole: usize| row * (whole / rows)..(row + 1) * (whole / rows);
        let uint = matches!(self.buffers.memory[buffer.0], Memory::Uint(_));
        if let Some(values) = array.as_slice::<u32>().filter(|_| uint) {
            for row in 0..rows {
                let to = self.buffers.of_step(buffer, row, rows).uint();
                to.copy_from_slice(&values[part(row, values.len())]);
            }
        } else {
            for row in 0..rows {
                let part = part(row, array.shape().numel());
                let to = self.buffers.of_step(buffer, row, rows).float();
                match array.data() {
                    Data::F32(from) => to.iter_mut().zip(&from[part]).for_each(|(to, &from)| *to = F::lit(from.into())),
                    Data::F64(from) => to.iter_mut().zip(&from[part]).for_each(|(to, &from)| *to = F::lit(from)),
                    Data::U32(_) => unreachable!("the session checks types before it writes"),
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, reads: &[Read]) -> Result<Pending> {
        let arrays = reads.iter().map(|read| self.buffers.array(read)).collect();
        Ok(Box::pin(std::future::ready(arrays)))
    }

    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>], copies: &[StepCopy]) -> Result<ProgramId> {
        let slots: Vec<_> =
            plan.slots.iter().map(|slot| self.buffers.place(Memory::zeros(slot.dtype, slot.elements))).collect();
        let memory = plan.buffers.iter().zip(bound).map(|(buffer, bound)| match (&buffer.role, bound) {
            (Role::Temp { slot, .. }, _) => slots[*slot].0,
            (_, Some(buffer)) => buffer.0,
            (_, None) => unreachable!("the session binds everything but temporaries"),
        });
        let memory: Vec<usize> = memory.collect();
        let (mut fed, mut written) = (vec![], vec![]);
        for (buffer, &memory) in plan.buffers.iter().zip(&memory) {
            match buffer.role {
                Role::Input(_) | Role::Schedule => fed.push(memory),
                Role::Fetch => written.push(memory),
                _ => {}
            }
        }
        written.extend(copies.iter().map(|copy| copy.to.0));
        let tasks = self.lower(&plan, &memory);
        self.programs.push(Some(Program { plan, tasks, slots, fed, written, copies: copies.to_vec() }));
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn release(&mut self, program: Option<ProgramId>, buffers: &[BufferId]) {
        let program = program.and_then(|program| self.programs[program.0].take());
        for &buffer in buffers.iter().chain(program.iter().flat_map(|program| &program.slots)) {
            self.buffers.release(buffer);
        }
    }

    fn run(&mut self, program: ProgramId, steps: usize) -> Result<()> {
        for &memory in &self.programs[program.0].as_ref().expect(LOADED).written {
            self.buffers.fill_written(memory, steps);
        }
        for step in 0..steps {
            self.swap(program, step);
            self.tasks(program, |this, task| this.task(program.0, task));
            self.copy(program);
            self.swap(program, step);
        }
        Ok(())
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        let times = self.tasks(program, |this, task| {
            let start = Instant::now();
            this.task(program.0, task);
            start.elapsed()
        });
        self.copy(program);
        Ok(times)
    }
}
