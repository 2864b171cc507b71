//! The CPU backend: the reference of every op, in `f32` or `f64`, over the same plan that a GPU runs.

mod cluster;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, BufferId, DeviceInfo, Pending, ProgramId, Read};
use crate::plan::{Cluster, Plan, Role, Stage, Work};
use crate::pointwise::Precision;
use crate::reference::{Buffers, Slice, SliceMut};
use crate::{Array, DType, Limits, Op, Result, Spec};

use table::Table;

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

    fn float(&mut self) -> &mut [F] {
        match self {
            Self::Float(values) => values,
            Self::Uint(_) => unreachable!("the session checks types before it writes"),
        }
    }

    fn uint(&mut self) -> &mut [u32] {
        match self {
            Self::Uint(values) => values,
            Self::Float(_) => unreachable!("the session checks types before it writes"),
        }
    }

    fn write(&mut self, elements: usize) -> SliceMut<'_, F> {
        match self {
            Self::Float(values) => SliceMut::Float(&mut values[..elements]),
            Self::Uint(values) => SliceMut::Uint(&mut values[..elements]),
        }
    }
}

/// What a plan reads or writes by steps.
const TABLE: &str = "the session allocates it as a table";

/// A session runs a program only while it holds its step.
const LOADED: &str = "the program is loaded";

struct Program {
    plan: Arc<Plan>,
    /// The memory of each of the plan's buffers.
    memory: Vec<usize>,
    /// The memory that is this program's alone.
    slots: Vec<BufferId>,
    /// The tables that steps read.
    fed: Vec<usize>,
    /// The tables that steps write.
    written: Vec<usize>,
    /// What is copied to a table after each step.
    copies: Vec<(usize, usize)>,
}

/// Runs plans on the CPU, in single precision (to train without a GPU) or in double precision (the truth).
pub struct CpuBackend<F> {
    memory: Vec<Memory<F>>,
    /// The rows of each memory that is a table; the row in use is in `memory`.
    tables: Vec<Option<Table<F>>>,
    free: Vec<BufferId>,
    programs: Vec<Option<Program>>,
}

impl<F> Default for CpuBackend<F> {
    fn default() -> Self {
        Self { memory: vec![], tables: vec![], free: vec![], programs: vec![] }
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
            self.tables.push(None);
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

    fn allocate_table(&mut self, spec: &Spec) -> Result<BufferId> {
        let id = self.allocate(spec)?;
        self.tables[id.0] = Some(Table::default());
        Ok(id)
    }

    fn write(&mut self, buffer: BufferId, array: &Array, rows: usize) -> Result<()> {
        if let Some(table) = &mut self.tables[buffer.0] {
            table.fill(&self.memory[buffer.0], rows);
        }
        let part = |row: usize, whole: usize| row * (whole / rows)..(row + 1) * (whole / rows);
        if let Some(values) = array.as_slice::<u32>().filter(|_| matches!(self.memory[buffer.0], Memory::Uint(_))) {
            for row in 0..rows {
                self.row(buffer.0, row, rows).uint().copy_from_slice(&values[part(row, values.len())]);
            }
        } else {
            let values = F::from_array(array);
            for row in 0..rows {
                self.row(buffer.0, row, rows).float().copy_from_slice(&values[part(row, values.len())]);
            }
        }
        Ok(())
    }

    fn read(&mut self, reads: &[Read]) -> Result<Pending> {
        let arrays = reads.iter().map(|read| self.array(read)).collect();
        Ok(Box::pin(std::future::ready(arrays)))
    }

    fn load(
        &mut self,
        plan: Arc<Plan>,
        bound: &[Option<BufferId>],
        copies: &[(BufferId, BufferId)],
    ) -> Result<ProgramId> {
        let slots: Vec<_> =
            plan.slots.iter().map(|slot| self.place(Memory::zeros(slot.dtype, slot.elements))).collect();
        let memory = plan.buffers.iter().zip(bound).map(|(buffer, bound)| match (&buffer.role, bound) {
            (Role::Temp(slot, _), _) => slots[*slot].0,
            (_, Some(buffer)) => buffer.0,
            (_, None) => unreachable!("the session binds everything but temporaries"),
        });
        let memory: Vec<usize> = memory.collect();
        let copies: Vec<_> = copies.iter().map(|&(from, to)| (from.0, to.0)).collect();
        let (mut fed, mut written) = (vec![], vec![]);
        for (buffer, &memory) in plan.buffers.iter().zip(&memory) {
            match buffer.role {
                Role::Input(_) | Role::Schedule => fed.push(memory),
                Role::Fetch => written.push(memory),
                _ => {}
            }
        }
        written.extend(copies.iter().map(|&(_, to)| to));
        self.programs.push(Some(Program { plan, memory, slots, fed, written, copies }));
        Ok(ProgramId(self.programs.len() - 1))
    }

    fn release(&mut self, program: Option<ProgramId>, buffers: &[BufferId]) {
        let program = program.and_then(|program| self.programs[program.0].take());
        for &buffer in buffers.iter().chain(program.iter().flat_map(|program| &program.slots)) {
            self.memory[buffer.0] = Memory::Uint(vec![]);
            self.tables[buffer.0] = None;
            self.free.push(buffer);
        }
    }

    fn run(&mut self, program: ProgramId, steps: usize) -> Result<()> {
        let loaded = self.programs[program.0].as_ref().expect(LOADED);
        let tasks = loaded.plan.tasks.len();
        for &table in &loaded.written {
            self.tables[table].as_mut().expect(TABLE).fill(&self.memory[table], steps);
        }
        for step in 0..steps {
            self.turn(program.0, step);
            (0..tasks).for_each(|task| self.task(program.0, task));
            self.copy(program.0);
            self.turn(program.0, step);
        }
        Ok(())
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        let tasks = self.programs[program.0].as_ref().expect(LOADED).plan.tasks.len();
        let time = |task| {
            let start = Instant::now();
            self.task(program.0, task);
            start.elapsed()
        };
        let times = (0..tasks).map(time).collect();
        self.copy(program.0);
        Ok(times)
    }
}
