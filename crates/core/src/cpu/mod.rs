//! The CPU backend: the reference of every op, in `f32` or `f64`, over the same plan that a GPU runs.

mod cluster;
mod lower;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::op::pointwise::Precision;
use crate::op::reference::{Buffers, Slice, SliceMut};
use crate::plan::{Cluster, Plan, Role, Work};
use crate::session::backend::{Backend, BufferId, DeviceInfo, Pending, ProgramId, Read};
use crate::{Array, DType, Data, Limits, Op, Result, Spec};

use cluster::Registers;
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

struct Program<F> {
    plan: Arc<Plan>,
    /// What each task runs, one after another.
    tasks: Vec<Vec<Part<F>>>,
    /// The memory that is this program's alone.
    slots: Vec<BufferId>,
    /// The tables that steps read.
    fed: Vec<usize>,
    /// The tables that steps write.
    written: Vec<usize>,
    /// What is copied to a table after each step.
    copies: Vec<(usize, usize)>,
}

/// An op or a cluster, ready to run.
struct Part<F> {
    work: Ready<F>,
    /// The memory of what is read, and its elements.
    inputs: Vec<(usize, usize)>,
    /// The memory of what is written, and its elements.
    outputs: Vec<(usize, usize)>,
}

enum Ready<F> {
    Op(Arc<dyn Op>, (Vec<Spec>, Vec<Spec>)),
    Cluster(lower::Program<F>),
}

/// Runs plans on the CPU, in single precision (to train without a GPU) or in double precision (the truth).
pub struct CpuBackend<F> {
    memory: Vec<Memory<F>>,
    /// The rows of each memory that is a table; the row in use is in `memory`.
    tables: Vec<Option<Table<F>>>,
    free: Vec<BufferId>,
    programs: Vec<Option<Program<F>>>,
    /// Registers of clusters, per thread.
    registers: Vec<Registers<F>>,
    /// What the running part writes, taken out of memory; kept for its room.
    written: Vec<Memory<F>>,
}

impl<F> Default for CpuBackend<F> {
    fn default() -> Self {
        let (registers, written) = (vec![], vec![]);
        Self { memory: vec![], tables: vec![], free: vec![], programs: vec![], registers, written }
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
        let Self { memory, registers, written, programs, .. } = self;
        for Part { work, inputs, outputs } in &programs[program].as_ref().expect(LOADED).tasks[index] {
            // Outputs are taken out of memory while inputs are borrowed from it.
            let empty = || Memory::Uint(vec![]);
            written.extend(outputs.iter().map(|&(to, _)| std::mem::replace(&mut memory[to], empty())));
            let slices = written.iter_mut().zip(outputs).map(|(memory, &(_, elements))| memory.write(elements));
            match work {
                Ready::Cluster(cluster) => {
                    let input = |i: usize| memory[inputs[i].0].read(inputs[i].1);
                    cluster.run(input, slices.collect(), registers);
                }
                Ready::Op(op, specs) => {
                    let inputs = inputs.iter().map(|&(from, elements)| memory[from].read(elements)).collect();
                    let buffers = Buffers::new((&specs.0, &specs.1), inputs, slices.collect());
                    op.reference(F::reference(buffers));
                }
            }
            for (&(to, _), written) in outputs.iter().zip(written.drain(..)) {
                memory[to] = written;
            }
        }
    }

    /// The parts of each task of a plan whose buffers are in these memories.
    fn ready(&mut self, plan: &Plan, memory: &[usize]) -> Vec<Vec<Part<F>>> {
        let place = |&buffer: &usize| (memory[buffer], plan.buffers[buffer].spec.shape.numel());
        let places = |buffers: &[usize]| -> Vec<(usize, usize)> { buffers.iter().map(place).collect() };
        let cluster = |cluster: &Cluster, inputs: &[usize], outputs: &[usize]| {
            let (inputs, mut outputs) = (places(inputs), places(outputs));
            for (_, elements) in &mut outputs {
                *elements = cluster.shape.numel();
            }
            let output = |input: &(usize, usize)| outputs.iter().position(|output| output.0 == input.0);
            let in_place: Vec<_> = inputs.iter().map(output).collect();
            Part { work: Ready::Cluster(lower::lower(cluster, &in_place)), inputs, outputs }
        };
        let mut tasks = vec![];
        for task in &plan.tasks {
            let mut parts = vec![];
            for stage in &task.stages {
                let (inputs, outputs) = (&stage.inputs[..], &stage.outputs[..]);
                match &stage.work {
                    Work::Cluster(of) => parts.push(cluster(of, inputs, outputs)),
                    Work::Group(of) => {
                        let (reads, writes) = (inputs.len() / of.len(), outputs.len() / of.len());
                        parts.extend(of.iter().enumerate().map(|(i, of)| {
                            cluster(of, &inputs[i * reads..][..reads], &outputs[i * writes..][..writes])
                        }));
                    }
                    Work::Op { op, specs, .. } => {
                        // A slot may be larger than what the op sees.
                        let sized = |buffers: &[usize], specs: &[Spec]| {
                            let sizes = specs.iter().map(|spec| spec.shape.numel());
                            buffers.iter().map(|&buffer| memory[buffer]).zip(sizes).collect()
                        };
                        let (inputs, outputs) = (sized(inputs, &specs.0), sized(outputs, &specs.1));
                        parts.push(Part { work: Ready::Op(op.clone(), specs.clone()), inputs, outputs });
                    }
                }
            }
            tasks.push(parts);
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
        // As many buffers per task as a GPU binds, so that one graph is one plan on every device.
        let memory_bytes = Limits::memory_of_host();
        Limits { binding_bytes: u64::MAX, memory_bytes, software: true, dispatches: false, ..Limits::default() }
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
            for row in 0..rows {
                let part = part(row, array.shape().numel());
                let to = self.row(buffer.0, row, rows).float();
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
        let tasks = self.ready(&plan, &memory);
        self.programs.push(Some(Program { plan, tasks, slots, fed, written, copies }));
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
        for &table in &loaded.written {
            self.tables[table].as_mut().expect(TABLE).fill(&self.memory[table], steps);
        }
        for step in 0..steps {
            self.turn(program.0, step);
            self.tasks(program, |this, task| this.task(program.0, task));
            self.copy(program.0);
            self.turn(program.0, step);
        }
        Ok(())
    }

    fn profile(&mut self, program: ProgramId) -> Result<Vec<Duration>> {
        let times = self.tasks(program, |this, task| {
            let start = Instant::now();
            this.task(program.0, task);
            start.elapsed()
        });
        self.copy(program.0);
        Ok(times)
    }
}
