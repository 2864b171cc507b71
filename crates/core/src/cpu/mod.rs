//! The CPU backend: the reference of every op, in `f32` or `f64`, over the same plan that a GPU runs.

mod cluster;
mod lower;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, BufferId, DeviceInfo, LocalFuture, ProgramId};
use crate::plan::{Plan, Role, Task, Work};
use crate::pointwise::Precision;
use crate::reference::{Buffers, Slice, SliceMut};
use crate::{Array, DType, Data, Limits, Result, Spec};

use cluster::Registers;

/// A buffer in host memory.
#[derive(Clone, Debug)]
enum Memory<F> {
    Float(Vec<F>),
    Uint(Vec<u32>),
}

impl<F: Precision> Memory<F> {
    fn zeros(dtype: DType, elements: usize) -> Self {
        if dtype.is_float() { Self::Float(vec![F::zero(); elements]) } else { Self::Uint(vec![0; elements]) }
    }

    fn read(&self, elements: usize) -> Slice<'_, F> {
        match self {
            Self::Float(values) => Slice::Float(&values[..elements]),
            Self::Uint(values) => Slice::Uint(&values[..elements]),
        }
    }

    fn write(&mut self, elements: usize) -> SliceMut<'_, F> {
        match self {
            Self::Float(values) => SliceMut::Float(&mut values[..elements]),
            Self::Uint(values) => SliceMut::Uint(&mut values[..elements]),
        }
    }
}

/// A session runs a program only while it holds its step.
const LOADED: &str = "the program is loaded";

struct Program<F> {
    plan: Arc<Plan>,
    /// The memory of each of the plan's buffers.
    memory: Vec<usize>,
    /// The memory that is this program's alone.
    slots: Vec<BufferId>,
    /// The cluster of each task that has one, ready to run.
    clusters: Vec<Option<lower::Program<F>>>,
}

/// Runs plans on the CPU, in single precision (to train without a GPU) or in double precision (the truth).
pub struct CpuBackend<F> {
    memory: Vec<Memory<F>>,
    free: Vec<BufferId>,
    programs: Vec<Option<Program<F>>>,
    /// Registers of clusters, per thread.
    registers: Vec<Registers<F>>,
    /// What the running task writes, taken out of memory; kept for its room.
    written: Vec<Memory<F>>,
}

impl<F> Default for CpuBackend<F> {
    fn default() -> Self {
        Self { memory: vec![], free: vec![], programs: vec![], registers: vec![], written: vec![] }
    }
}

impl<F> std::fmt::Debug for CpuBackend<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CpuBackend({} programs)", self.programs.len())
    }
}

impl<F: Precision> CpuBackend<F> {
    /// A backend without buffers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps memory under a free id or a new one.
    fn place(&mut self, memory: Memory<F>) -> BufferId {
        let id = self.free.pop().unwrap_or(BufferId(self.memory.len()));
        if id.0 == self.memory.len() {
            self.memory.push(memory);
        } else {
            self.memory[id.0] = memory;
        }
        id
    }

    /// Calls `run` for each task in order. Large programs move to the thread pool as a whole, so that a task that runs
    /// on several cores need not call it from outside; small ones stay on this thread.
    fn tasks<T: Send>(&mut self, program: ProgramId, run: impl Fn(&mut Self, usize) -> T + Sync) -> Vec<T> {
        const LARGE: usize = 1 << 15;
        let plan = self.programs[program.0].as_ref().expect(LOADED).plan.clone();
        let large = plan.buffers.iter().any(|buffer| buffer.spec.shape.numel() >= LARGE);
        let mut all = || (0..plan.tasks.len()).map(|task| run(self, task)).collect();
        if large { rayon::scope(|_| all()) } else { all() }
    }

    fn task(&mut self, program: usize, index: usize) {
        let Self { memory: all, registers, written, programs, .. } = self;
        let Program { plan, memory, clusters, .. } = programs[program].as_ref().expect(LOADED);
        let task: &Task = &plan.tasks[index];
        // Outputs are taken out of memory while inputs are borrowed from it.
        let empty = || Memory::Uint(vec![]);
        written.extend(task.outputs.iter().map(|&buffer| std::mem::replace(&mut all[memory[buffer]], empty())));
        let elements = |buffer: usize| plan.buffers[buffer].spec.shape.numel();
        match (&task.work, &clusters[index]) {
            (_, Some(cluster)) => {
                let input = |i: usize| all[memory[task.inputs[i]]].read(elements(task.inputs[i]));
                let outputs = written.iter_mut().map(|memory| memory.write(cluster.elements)).collect();
                cluster.run(input, outputs, registers);
            }
            (Work::Op { op, specs, .. }, None) => {
                let inputs = task.inputs.iter().zip(&specs.0);
                let inputs = inputs.map(|(&buffer, spec)| all[memory[buffer]].read(spec.shape.numel())).collect();
                let outputs = written.iter_mut().zip(&specs.1);
                let outputs = outputs.map(|(memory, spec)| memory.write(spec.shape.numel())).collect();
                op.reference(F::reference(Buffers::new((&specs.0, &specs.1), inputs, outputs)));
            }
            (Work::Cluster(_), None) => unreachable!("clusters are lowered when their plan is loaded"),
        }
        for (&buffer, written) in task.outputs.iter().zip(written.drain(..)) {
            all[memory[buffer]] = written;
        }
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
        }
    }

    fn limits(&self) -> Limits {
        // As many buffers per task as a GPU binds, so that one graph is one plan on every device.
        Limits { binding_bytes: u64::MAX, software: true, dispatches: false, ..Limits::default() }
    }

    fn allocate(&mut self, spec: &Spec) -> Result<BufferId> {
        Ok(self.place(Memory::zeros(spec.dtype, spec.shape.numel())))
    }

    fn write(&mut self, buffer: BufferId, array: &Array) -> Result<()> {
        match (&mut self.memory[buffer.0], array.as_slice::<u32>()) {
            (Memory::Uint(values), Some(new)) => values.copy_from_slice(new),
            (Memory::Float(values), _) => match array.data() {
                Data::F32(new) => values.iter_mut().zip(new).for_each(|(to, &from)| *to = F::lit(from.into())),
                Data::F64(new) => values.iter_mut().zip(new).for_each(|(to, &from)| *to = F::lit(from)),
                Data::U32(_) => unreachable!("the session checks types before it writes"),
            },
            (Memory::Uint(_), None) => unreachable!("the session checks types before it writes"),
        }
        Ok(())
    }

    fn read<'a>(&'a mut self, buffers: &'a [(BufferId, Spec)]) -> LocalFuture<'a, Result<Vec<Array>>> {
        let read = |(buffer, spec): &(BufferId, Spec)| {
            let elements = spec.shape.numel();
            match self.memory[buffer.0].read(elements) {
                Slice::Float(values) => Array::new(&spec.shape, values.to_vec()),
                Slice::Uint(values) => Array::new(&spec.shape, values.to_vec()),
            }
        };
        Box::pin(std::future::ready(buffers.iter().map(read).collect()))
    }

    fn load(&mut self, plan: Arc<Plan>, bound: &[Option<BufferId>]) -> Result<ProgramId> {
        let slots: Vec<_> =
            plan.slots.iter().map(|slot| self.place(Memory::zeros(slot.dtype, slot.elements))).collect();
        let memory = plan.buffers.iter().zip(bound).map(|(buffer, bound)| match (&buffer.role, bound) {
            (Role::Temp(slot), _) => slots[*slot].0,
            (_, Some(buffer)) => buffer.0,
            (_, None) => unreachable!("the session binds everything but temporaries"),
        });
        let memory: Vec<usize> = memory.collect();
        let clusters = plan.tasks.iter().map(|task| {
            let Work::Cluster(cluster) = &task.work else { return None };
            let output = |&input: &usize| task.outputs.iter().position(|&output| memory[output] == memory[input]);
            let in_place: Vec<_> = task.inputs.iter().map(output).collect();
            Some(lower::lower(cluster, &in_place))
        });
        let clusters: Vec<Option<lower::Program<F>>> = clusters.collect();
        self.registers.resize_with(rayon::current_num_threads().max(1), Registers::default);
        self.programs.push(Some(Program { plan, memory, slots, clusters }));
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn release(&mut self, program: ProgramId, buffers: &[BufferId]) {
        let slots = self.programs[program.0].take().map(|program| program.slots).unwrap_or_default();
        for &buffer in buffers.iter().chain(&slots) {
            self.memory[buffer.0] = Memory::Uint(vec![]);
            self.free.push(buffer);
        }
    }

    fn run(&mut self, program: ProgramId) -> Result<()> {
        self.tasks(program, |backend, task| backend.task(program.0, task));
        Ok(())
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        Ok(self.tasks(program, |backend, task| {
            let start = Instant::now();
            backend.task(program.0, task);
            start.elapsed()
        }))
    }
}
