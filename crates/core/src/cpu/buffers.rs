//! Buffers in host memory. A run can consist of several steps. A per-step buffer, whose values differ between
//! these steps, has an active memory, which tasks read and write, and one memory for each step. Before a step
//! runs, its memory is swapped with the active memory; after the step, both are swapped back.

use crate::backend::{BufferId, Read};
use crate::op::pointwise::Precision;
use crate::op::reference::{Slice, SliceMut};
use crate::{Array, DType, Result};

/// Memory of a buffer: its elements, on the host.
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

/// Memories of a per-step buffer, one for each step.
struct StepMemories<F> {
    /// One memory per step.
    steps: Vec<Memory<F>>,
    /// The number of steps in use. If the number is 1, only the active memory is used.
    filled: usize,
}

impl<F> Default for StepMemories<F> {
    fn default() -> Self {
        Self { steps: vec![], filled: 1 }
    }
}

impl<F: Precision> StepMemories<F> {
    /// Sets the number of steps in use. If there are several, copies of the active memory `one` are added until
    /// each step has a memory.
    fn fill(&mut self, one: &Memory<F>, steps: usize) {
        self.filled = steps;
        if steps > 1 {
            self.steps.resize_with(self.steps.len().max(steps), || one.clone());
        }
    }
}

/// Message of a panic that cannot happen, because the session allocates a per-step buffer for everything whose
/// values differ between the steps of a run.
const PER_STEP: &str = "the session allocates it as a per-step buffer";

/// All buffers of a backend. `memory` contains the active memory of each buffer; a [`BufferId`] is an index into
/// it.
pub(super) struct Buffers<F> {
    pub memory: Vec<Memory<F>>,
    /// The memories of each buffer's steps; `None` for a buffer that is not a per-step buffer.
    per_step: Vec<Option<StepMemories<F>>>,
    free: Vec<BufferId>,
}

impl<F> Default for Buffers<F> {
    fn default() -> Self {
        Self { memory: vec![], per_step: vec![], free: vec![] }
    }
}

impl<F: Precision> Buffers<F> {
    /// Adds a buffer with this memory, and returns an id, which may be that of a freed buffer.
    pub fn place(&mut self, memory: Memory<F>) -> BufferId {
        let id = self.free.pop().unwrap_or(BufferId(self.memory.len()));
        if id.0 == self.memory.len() {
            self.memory.push(memory);
            self.per_step.push(None);
        } else {
            self.memory[id.0] = memory;
        }
        id
    }

    /// Adds a per-step buffer with this active memory, and returns its id.
    pub fn place_per_step(&mut self, memory: Memory<F>) -> BufferId {
        let id = self.place(memory);
        self.per_step[id.0] = Some(StepMemories::default());
        id
    }

    /// Frees a buffer. The id may be reused.
    pub fn release(&mut self, buffer: BufferId) {
        self.memory[buffer.0] = Memory::Uint(vec![]);
        self.per_step[buffer.0] = None;
        self.free.push(buffer);
    }

    /// Allocates memories for `steps` steps if the buffer is a per-step buffer.
    pub fn fill(&mut self, buffer: BufferId, steps: usize) {
        if let Some(memories) = &mut self.per_step[buffer.0] {
            memories.fill(&self.memory[buffer.0], steps);
        }
    }

    /// Allocates memories for `steps` steps in the per-step buffer at index `memory`, which steps write to.
    pub fn fill_written(&mut self, memory: usize, steps: usize) {
        self.per_step[memory].as_mut().expect(PER_STEP).fill(&self.memory[memory], steps);
    }

    /// Returns the memory that step `step` uses in a run of `steps` steps.
    pub fn of_step(&mut self, buffer: BufferId, step: usize, steps: usize) -> &mut Memory<F> {
        match &mut self.per_step[buffer.0] {
            Some(memories) if steps > 1 => &mut memories.steps[step],
            _ => &mut self.memory[buffer.0],
        }
    }

    /// Swaps the memory of step `step` with the active memory, in each of the buffers at the indices `memories`. A
    /// second call swaps them back.
    pub fn swap<'m>(&mut self, memories: impl Iterator<Item = &'m usize>, step: usize) {
        for &memory in memories {
            if let Some(memories) = &mut self.per_step[memory]
                && memories.filled > 1
            {
                std::mem::swap(&mut self.memory[memory], &mut memories.steps[step]);
            }
        }
    }

    /// Copies one buffer to another buffer of the same type and size.
    pub fn copy(&mut self, from: usize, to: usize) {
        let mut target = std::mem::replace(&mut self.memory[to], Memory::Uint(vec![]));
        match (&self.memory[from], &mut target) {
            (Memory::Float(from), Memory::Float(to)) => to.copy_from_slice(from),
            (Memory::Uint(from), Memory::Uint(to)) => to.copy_from_slice(from),
            _ => unreachable!("a copy has the type of its source"),
        }
        self.memory[to] = target;
    }

    /// Returns the contents of a buffer as an array. For a per-step buffer, the array contains the values of as
    /// many steps as `read` requests, beginning with the first.
    pub fn array(&self, read: &Read) -> Result<Array> {
        let (id, elements) = (read.buffer.0, read.spec.shape.numel());
        let of_step = |step: usize| match &self.per_step[id] {
            Some(memories) if memories.filled > 1 => memories.steps[step].read(elements),
            _ => self.memory[id].read(elements),
        };
        let steps = 0..read.steps.unwrap_or(1);
        match &self.memory[id] {
            Memory::Float(_) => Array::new(read.shape(), steps.flat_map(|i| of_step(i).float()).copied().collect()),
            Memory::Uint(_) => Array::new(read.shape(), steps.flat_map(|i| of_step(i).uint()).copied().collect()),
        }
    }
}
