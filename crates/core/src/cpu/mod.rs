//! The CPU backend: the reference of every op, in `f32` or `f64`, over the same plan that a GPU runs.

mod cluster;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, BufferId, DeviceInfo, LocalFuture, ProgramId};
use crate::plan::{Cluster, Plan, Role, Stage, Work};
use crate::pointwise::Precision;
use crate::reference::{Buffers, Slice, SliceMut};
use crate::{Array, DType, Limits, Op, Result, Spec};

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

struct Program {
    plan: Arc<Plan>,
    /// The memory of each of the plan's buffers.
    memory: Vec<usize>,
    /// The memory that is this program's alone.
    slots: Vec<BufferId>,
}

/// Runs plans on the CPU, in single precision (to train without a GPU) or in double precision (the truth).
pub struct CpuBackend<F> {
    memory: Vec<Memory<F>>,
    free: Vec<BufferId>,
    programs: Vec<Option<Program>>,
}

impl<F> Default for CpuBackend<F> {
    fn default() -> Self {
        Self { memory: vec![], free: vec![], programs: vec![] }
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

    fn task(&mut self, program: usize, index: usize) {
        let plan = self.programs[program].as_ref().expect(LOADED).plan.clone();
        for stage in &plan.tasks[index].stages {
            match &stage.work {
                Work::Cluster(cluster) => self.cluster(program, cluster, &stage.inputs, &stage.outputs),
                Work::Op { op, specs, .. } => self.op(program, &**op, specs, stage),
                Work::Group(clusters) => {
                    let (reads, writes) = (stage.inputs.len() / clusters.len(), stage.outputs.len() / clusters.len());
                    let buffers = stage.inputs.chunks(reads.max(1)).zip(stage.outputs.chunks(writes.max(1)));
                    for (cluster, (inputs, outputs)) in clusters.iter().zip(buffers) {
                        self.cluster(program, cluster, inputs, outputs);
                    }
                }
            }
        }
    }

    /// Outputs are taken out of memory while inputs are borrowed from it.
    fn take(&mut self, outputs: &[usize]) -> Vec<Memory<F>> {
        outputs.iter().map(|&i| std::mem::replace(&mut self.memory[i], Memory::Uint(vec![]))).collect()
    }

    fn give_back(&mut self, outputs: Vec<usize>, written: Vec<Memory<F>>) {
        for (i, memory) in outputs.into_iter().zip(written) {
            self.memory[i] = memory;
        }
    }

    fn cluster(&mut self, program: usize, cluster: &Cluster, inputs: &[usize], outputs: &[usize]) {
        let places = &self.programs[program].as_ref().expect(LOADED).memory;
        let outputs: Vec<usize> = outputs.iter().map(|&buffer| places[buffer]).collect();
        let mut written = self.take(&outputs);
        let Program { plan, memory, .. } = self.programs[program].as_ref().expect(LOADED);
        let sources = inputs.iter().map(|&buffer| {
            if let Some(output) = outputs.iter().position(|&output| output == memory[buffer]) {
                cluster::Source::Output(output)
            } else {
                let elements = plan.buffers[buffer].spec.shape.numel();
                cluster::Source::Slice(self.memory[memory[buffer]].read(elements))
            }
        });
        let sources: Vec<cluster::Source<'_, F>> = sources.collect();
        let elements = cluster.shape.numel();
        cluster::run(cluster, &sources, written.iter_mut().map(|memory| memory.write(elements)).collect());
        self.give_back(outputs, written);
    }

    fn op(&mut self, program: usize, op: &dyn Op, specs: &(Vec<Spec>, Vec<Spec>), stage: &Stage) {
        let places = &self.programs[program].as_ref().expect(LOADED).memory;
        let outputs: Vec<usize> = stage.outputs.iter().map(|&buffer| places[buffer]).collect();
        let mut written = self.take(&outputs);
        let memory = &self.programs[program].as_ref().expect(LOADED).memory;
        let inputs = stage.inputs.iter().zip(&specs.0);
        let inputs = inputs.map(|(&buffer, spec)| self.memory[memory[buffer]].read(spec.shape.numel())).collect();
        let slices = written.iter_mut().zip(&specs.1);
        let slices = slices.map(|(memory, spec)| memory.write(spec.shape.numel())).collect();
        op.reference(F::reference(Buffers::new((&specs.0, &specs.1), inputs, slices)));
        self.give_back(outputs, written);
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
            (Memory::Float(values), _) => values.copy_from_slice(&F::from_array(array)),
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
            (Role::Temp(slot, _), _) => slots[*slot].0,
            (_, Some(buffer)) => buffer.0,
            (_, None) => unreachable!("the session binds everything but temporaries"),
        });
        let memory = memory.collect();
        self.programs.push(Some(Program { plan, memory, slots }));
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
        let tasks = self.programs[program.0].as_ref().expect(LOADED).plan.tasks.len();
        (0..tasks).for_each(|task| self.task(program.0, task));
        Ok(())
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        let tasks = self.programs[program.0].as_ref().expect(LOADED).plan.tasks.len();
        let time = |task| {
            let start = Instant::now();
            self.task(program.0, task);
            start.elapsed()
        };
        Ok((0..tasks).map(time).collect())
    }
}
