//! The plan as data: its buffers, its tasks and what a session provides, and questions about them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ids::{BufferIndex, InputIndex, SlotIndex, VariableIndex};
use super::task::{Stage, Task, Work};
use crate::graph::node::{Scheduled, ValueId};
use crate::graph::params::{Counter, Variable};
use crate::{Array, DType, Spec, TuningChoice};

/// What a buffer is for, and with that who provides it.
#[derive(Clone, Debug)]
pub enum Role {
    /// Written by the session before each run.
    Input(InputIndex),
    /// Kept by the session.
    Variable(VariableIndex),
    /// Written once.
    Array(Arc<Array>),
    /// All scheduled numbers of one element type, in the order of [`Plan::schedule`].
    Schedule,
    /// Read by the session after a run.
    Fetch,
    /// Lives within a run, in a slot that it shares.
    Temp {
        /// The slot.
        slot: SlotIndex,
        /// The first element there.
        first: usize,
    },
    /// Handed from stage to stage of one task, element by element: needs no memory where that is one kernel.
    Passed,
}

/// A buffer of a plan.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Elements and type; the shape is that of the value made first in it.
    pub spec: Spec,
    /// What it is for.
    pub role: Role,
}

/// A piece of device memory that temporaries of one element type share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The element type.
    pub dtype: DType,
    /// How many elements fit.
    pub elements: usize,
}

impl Slot {
    /// Returns its size in bytes.
    pub fn bytes(&self) -> usize {
        self.elements * self.dtype.size()
    }
}

/// An input that a run must be fed.
#[derive(Clone, Debug)]
pub struct Input {
    /// The graph's value.
    pub value: ValueId,
    /// The name that errors use.
    pub name: String,
    /// Its buffer; none if nothing reads it.
    pub buffer: Option<BufferIndex>,
    /// Shape and type.
    pub spec: Spec,
}

/// A variable that a plan uses.
#[derive(Clone, Debug)]
pub struct UsedVariable {
    /// The variable.
    pub variable: Variable,
    /// Its buffer.
    pub buffer: BufferIndex,
    /// Whether the plan writes it.
    pub written: bool,
}

/// A number that the host computes before each run, and its place.
#[derive(Clone)]
pub struct ScheduledNumber {
    /// The number.
    pub scheduled: Scheduled,
    /// The buffer of all such numbers of its type.
    pub buffer: BufferIndex,
    /// The element there.
    pub element: usize,
}

/// A tensor that is read after a run.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The buffer that holds it.
    pub buffer: BufferIndex,
    /// Its shape and type.
    pub spec: Spec,
}

/// A step, planned: what [`Backend`](crate::Backend)s run.
#[derive(Clone)]
pub struct Plan {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// The memory that temporaries share.
    pub slots: Vec<Slot>,
    /// The tasks, in order.
    pub tasks: Vec<Task>,
    /// What must be fed.
    pub inputs: Vec<Input>,
    /// The variables used.
    pub variables: Vec<UsedVariable>,
    /// The numbers that the host computes before each run.
    pub schedule: Vec<ScheduledNumber>,
    /// The counters that a run moves.
    pub counters: Vec<Counter>,
    /// The fetched tensors, in the order given to `compile`.
    pub fetches: Vec<Fetched>,
    /// One line per pass: what it did.
    pub passes: Vec<String>,
    /// Whether the plan is for a device that launches kernels.
    pub launches: bool,
}

impl Plan {
    /// Returns the kernel launches of one run; without structured ops if the plan is for the CPU.
    pub fn dispatches(&self) -> usize {
        self.tasks.iter().map(Task::dispatches).sum()
    }

    /// Returns the choices among variants of kernels, op by op.
    pub fn choices(&self) -> impl Iterator<Item = &TuningChoice> {
        self.tasks.iter().flat_map(Task::choices)
    }

    /// Returns the buffers that groups touch: they should lie side by side.
    pub fn grouped(&self) -> BTreeSet<BufferIndex> {
        let stages = self.tasks.iter().flat_map(|task| &task.stages);
        let groups = stages.filter(|stage| matches!(stage.work, Work::Group(_)));
        groups.flat_map(|stage| stage.inputs.iter().chain(&stage.outputs).copied()).collect()
    }

    /// Returns the kernel launches of one run if every op, every cluster and every update of a parameter had its own.
    pub fn unfused(&self) -> usize {
        let launches = |stage: &Stage| match &stage.work {
            Work::Op { dispatches, .. } => dispatches.len(),
            Work::Cluster(_) => 1,
            Work::Group(clusters) => clusters.len(),
        };
        self.tasks.iter().flat_map(|task| &task.stages).map(launches).sum()
    }

    /// Returns the device bytes by purpose: variables, inputs and arrays, temporaries.
    pub fn bytes(&self) -> [usize; 3] {
        let mut bytes = [0, 0, self.slots.iter().map(Slot::bytes).sum()];
        for buffer in &self.buffers {
            match buffer.role {
                Role::Variable(_) => bytes[0] += buffer.spec.bytes(),
                Role::Temp { .. } | Role::Passed => {}
                _ => bytes[1] += buffer.spec.bytes(),
            }
        }
        bytes
    }

    /// Returns the bytes of the largest single buffer.
    pub fn largest_binding(&self) -> usize {
        let buffers = self.buffers.iter().filter(|buffer| !matches!(buffer.role, Role::Temp { .. } | Role::Passed));
        buffers.map(|buffer| buffer.spec.bytes()).chain(self.slots.iter().map(Slot::bytes)).max().unwrap_or(0)
    }

    /// Returns the positions of all buffers.
    pub fn buffer_indices(&self) -> impl Iterator<Item = BufferIndex> + use<> {
        (0..self.buffers.len()).map(BufferIndex)
    }

    /// Returns the name under which a plan prints a buffer.
    pub fn buffer_name(&self, buffer: BufferIndex) -> String {
        match &self.buffers[buffer].role {
            Role::Input(input) => self.inputs[*input].name.clone(),
            Role::Variable(variable) => self.variables[*variable].variable.name().into(),
            Role::Array(_) => format!("array{buffer}"),
            Role::Schedule => "schedule".into(),
            Role::Fetch => format!("fetch{buffer}"),
            Role::Temp { slot, first: 0 } => format!("s{slot}"),
            Role::Temp { slot, first } => format!("s{slot}[{first}..]"),
            Role::Passed => "-".into(),
        }
    }
}
