//! Tables on the CPU: each row is a memory of its own, which a step swaps with the one that its tasks use.

use super::{CpuBackend, LOADED, Memory};
use crate::op::pointwise::Precision;
use crate::session::backend::Read;
use crate::{Array, Result};

/// The rows of a table.
pub(super) struct Table<F> {
    rows: Vec<Memory<F>>,
    /// How many rows count; with one, the table's own memory is the row of every step.
    filled: usize,
}

impl<F> Default for Table<F> {
    fn default() -> Self {
        Self { rows: vec![], filled: 1 }
    }
}

impl<F: Precision> Table<F> {
    /// Makes room for rows like `one`.
    pub fn fill(&mut self, one: &Memory<F>, rows: usize) {
        self.filled = rows;
        if rows > 1 {
            self.rows.resize_with(self.rows.len().max(rows), || one.clone());
        }
    }
}

impl<F: Precision> CpuBackend<F> {
    /// Row `row` of a memory with `rows` of them.
    pub(super) fn row(&mut self, memory: usize, row: usize, rows: usize) -> &mut Memory<F> {
        match &mut self.tables[memory] {
            Some(table) if rows > 1 => &mut table.rows[row],
            _ => &mut self.memory[memory],
        }
    }

    /// Swaps the rows of a step into their places; and back, when called again.
    pub(super) fn turn(&mut self, program: usize, step: usize) {
        let program = self.programs[program].as_ref().expect(LOADED);
        for &memory in program.fed.iter().chain(&program.written) {
            if let Some(table) = &mut self.tables[memory]
                && table.filled > 1
            {
                std::mem::swap(&mut self.memory[memory], &mut table.rows[step]);
            }
        }
    }

    /// Copies what a step has left elsewhere to its rows.
    pub(super) fn copy(&mut self, program: usize) {
        for &(from, to) in &self.programs[program].as_ref().expect(LOADED).copies {
            let mut target = std::mem::replace(&mut self.memory[to], Memory::Uint(vec![]));
            match (&self.memory[from], &mut target) {
                (Memory::Float(from), Memory::Float(to)) => to.copy_from_slice(from),
                (Memory::Uint(from), Memory::Uint(to)) => to.copy_from_slice(from),
                _ => unreachable!("a copy has the type of its source"),
            }
            self.memory[to] = target;
        }
    }

    pub(super) fn array(&self, read: &Read) -> Result<Array> {
        let (id, elements) = (read.buffer.0, read.spec.shape.numel());
        let row = |row: usize| match &self.tables[id] {
            Some(table) if table.filled > 1 => table.rows[row].read(elements),
            _ => self.memory[id].read(elements),
        };
        let rows = 0..read.rows.unwrap_or(1);
        match &self.memory[id] {
            Memory::Float(_) => Array::new(read.shape(), rows.flat_map(|i| row(i).float()).copied().collect()),
            Memory::Uint(_) => Array::new(read.shape(), rows.flat_map(|i| row(i).uint()).copied().collect()),
        }
    }
}
