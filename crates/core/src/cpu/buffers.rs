//! Buffers in host memory. One that differs from step to step has a memory for each, which a step swaps with the one that
//! its tasks use.

use crate::backend::{BufferId, Read};
use crate::op::pointwise::Precision;
use crate::op::reference::{Slice, SliceMut};
use crate::{Array, DType, Result};

/// A buffer in host memory.
#[derive(Clone, Debug)]
pub(super) enum Memory<F> {
    Float(Vec<F>),
    Uint(Vec<u32>),
}

impl<F: Precision> Memory<F> {
    pub fn zeros(dtype: DType, elements: usize) -> Self {
        if dtype.is_float() { Self::Float(vec![F::zero(); elements]) } else { Self::Uint(vec![0; elements]) }
    }

    pub fn read(&self, elements: usize) -> Slice<'_, F> {
        match self {
            Self::Float(values) => Slice::Float(&values[..elements]),
            Self::Uint(values) => Slice::Uint(&values[..elements]),
        }
    }

    pub fn float(&mut self) -> &mut [F] {
        match self {
            Self::Float(values) => values,
            Self::Uint(_) => unreachable!("the session checks types before it writes"),
        }
    }

    pub fn uint(&mut self) -> &mut [u32] {
        match self {
            Self::Uint(values) => values,
            Self::Float(_) => unreachable!("the session checks types before it writes"),
        }
    }

    pub fn write(&mut self, elements: usize) -> SliceMut<'_, F> {
        match self {
            Self::Float(values) => SliceMut::Float(&mut values[..elements]),
            Self::Uint(values) => SliceMut::Uint(&mut values[..elements]),
        }
    }
}

/// The per-step memories of a buffer.
struct Table<F> {
    /// One for each step; a step swaps its own with the one that tasks use.
    steps: Vec<Memory<F>>,
    /// How many of them count; with one, the memory that tasks use is that of every step.
    filled: usize,
}

impl<F> Default for Table<F> {
    fn default() -> Self {
        Self { steps: vec![], filled: 1 }
    }
}

impl<F: Precision> Table<F> {
    /// Makes room for memories like `one`.
    fn fill(&mut self, one: &Memory<F>, steps: usize) {
        self.filled = steps;
        if steps > 1 {
            self.steps.resize_with(self.steps.len().max(steps), || one.clone());
        }
    }
}

/// What a plan reads or writes by steps.
const TABLE: &str = "the session allocates it as a table";

/// All buffers of a backend. A [`BufferId`] is the position of a memory.
pub(super) struct Buffers<F> {
    pub memory: Vec<Memory<F>>,
    /// Of each memory that differs from step to step.
    tables: Vec<Option<Table<F>>>,
    free: Vec<BufferId>,
}

impl<F> Default for Buffers<F> {
    fn default() -> Self {
        Self { memory: vec![], tables: vec![], free: vec![] }
    }
}

impl<F: Precision> Buffers<F> {
    /// Keeps memory under a free id or a new one.
    pub fn place(&mut self, memory: Memory<F>) -> BufferId {
        let id = self.free.pop().unwrap_or(BufferId(self.memory.len()));
        if id.0 == self.memory.len() {
            self.memory.push(memory);
            self.tables.push(None);
        } else {
            self.memory[id.0] = memory;
        }
        id
    }

    /// Keeps memory that may differ from step to step.
    pub fn place_table(&mut self, memory: Memory<F>) -> BufferId {
        let id = self.place(memory);
        self.tables[id.0] = Some(Table::default());
        id
    }

    /// Frees a memory; its id may be handed out again.
    pub fn release(&mut self, buffer: BufferId) {
        self.memory[buffer.0] = Memory::Uint(vec![]);
        self.tables[buffer.0] = None;
        self.free.push(buffer);
    }

    /// Makes room for `steps` steps, if the buffer differs from step to step.
    pub fn fill(&mut self, buffer: BufferId, steps: usize) {
        if let Some(table) = &mut self.tables[buffer.0] {
            table.fill(&self.memory[buffer.0], steps);
        }
    }

    /// Makes room for the results of `steps` steps.
    pub fn fill_written(&mut self, memory: usize, steps: usize) {
        self.tables[memory].as_mut().expect(TABLE).fill(&self.memory[memory], steps);
    }

    /// Returns what step `step` of `steps` finds in a buffer.
    pub fn of_step(&mut self, buffer: BufferId, step: usize, steps: usize) -> &mut Memory<F> {
        match &mut self.tables[buffer.0] {
            Some(table) if steps > 1 => &mut table.steps[step],
            _ => &mut self.memory[buffer.0],
        }
    }

    /// Swaps the memories of a step into their places; and back, when called again.
    pub fn swap<'m>(&mut self, memories: impl Iterator<Item = &'m usize>, step: usize) {
        for &memory in memories {
            if let Some(table) = &mut self.tables[memory]
                && table.filled > 1
            {
                std::mem::swap(&mut self.memory[memory], &mut table.steps[step]);
            }
        }
    }

    /// Copies one memory to another of its type and size.
    pub fn copy(&mut self, from: usize, to: usize) {
        let mut target = std::mem::replace(&mut self.memory[to], Memory::Uint(vec![]));
        match (&self.memory[from], &mut target) {
            (Memory::Float(from), Memory::Float(to)) => to.copy_from_slice(from),
            (Memory::Uint(from), Memory::Uint(to)) => to.copy_from_slice(from),
            _ => unreachable!("a copy has the type of its source"),
        }
        self.memory[to] = target;
    }

    /// Reads a buffer as it is, or what the first steps left in it.
    pub fn array(&self, read: &Read) -> Result<Array> {
        let (id, elements) = (read.buffer.0, read.spec.shape.numel());
        let of_step = |step: usize| match &self.tables[id] {
            Some(table) if table.filled > 1 => table.steps[step].read(elements),
            _ => self.memory[id].read(elements),
        };
        let steps = 0..read.steps.unwrap_or(1);
        match &self.memory[id] {
            Memory::Float(_) => Array::new(read.shape(), steps.flat_map(|i| of_step(i).float()).copied().collect()),
            Memory::Uint(_) => Array::new(read.shape(), steps.flat_map(|i| of_step(i).uint()).copied().collect()),
        }
    }
}
