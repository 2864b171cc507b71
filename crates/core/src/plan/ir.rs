//! Data structures of a plan: buffers, tasks, and what a session provides; with queries on them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ids::{BufferIndex, InputIndex, SlotIndex, VariableIndex};
use super::task::{Task, TaskStage, Work};
use crate::graph::node::{Scheduled, ValueId};
use crate::graph::params::{Counter, Variable};
use crate::{Array, DType, Spec, TuningChoice};

/// Purpose of a buffer, which determines who provides its memory and values.
#[derive(Clone, Debug)]
pub enum Role {
    /// Written by the session before each run.
    Input(InputIndex),
    /// Kept by the session between runs.
    Variable(VariableIndex),
    /// Constant array, written once.
    Array(Arc<Array>),
    /// All scheduled numbers of one element type, in the order of [`Plan::schedule`].
    Schedule,
    /// Read by the session after a run.
    Fetch,
    /// Temporary that lives within a run, in a shared slot.
    Temp {
        /// The slot.
        slot: SlotIndex,
        /// Offset of its first element in the slot.
        first: usize,
    },
    /// Passed between stages of one task, element by element: needs no memory if the task is a single kernel.
    Passed,
}

/// A buffer of a plan.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// Element type and shape; the shape is that of the first value written to it.
    pub spec: Spec,
    /// Purpose of the buffer.
    pub role: Role,
}

/// Block of device memory that temporaries of one element type share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySlot {
    /// The element type.
    pub dtype: DType,
    /// Number of elements.
    pub elements: usize,
}

impl MemorySlot {
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
    /// Name used in errors.
    pub name: String,
    /// Its buffer; `None` if no task reads it.
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
    /// True if the plan updates it.
    pub written: bool,
}

/// Number that the host computes before each run, with its location.
#[derive(Clone)]
pub struct ScheduledNumber {
    /// The number.
    pub scheduled: Scheduled,
    /// Buffer of all such numbers of its type.
    pub buffer: BufferIndex,
    /// Index of its element in the buffer.
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

/// Planned step: what a [`Backend`](crate::Backend) runs.
#[derive(Clone)]
pub struct Plan {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// Memory slots that temporaries share.
    pub slots: Vec<MemorySlot>,
    /// The tasks, in order.
    pub tasks: Vec<Task>,
    /// Inputs that must be fed.
    pub inputs: Vec<Input>,
    /// The variables used.
    pub variables: Vec<UsedVariable>,
    /// Numbers that the host computes before each run.
    pub schedule: Vec<ScheduledNumber>,
    /// Counters that a run advances.
    pub counters: Vec<Counter>,
    /// Fetched tensors, in the order passed to `compile`.
    pub fetches: Vec<Fetched>,
    /// Summary of each pass, one line per pass.
    pub passes: Vec<String>,
    /// True if the plan is for a device that launches kernels; false for the CPU.
    pub launches: bool,
}

impl Plan {
    /// Returns the number of kernel launches of one run. In a plan for the CPU, structured ops count as none.
    pub fn dispatches(&self) -> usize {
        self.tasks.iter().map(Task::dispatches).sum()
    }

    /// Returns the tuning choices, op by op.
    pub fn choices(&self) -> impl Iterator<Item = &TuningChoice> {
        self.tasks.iter().flat_map(Task::choices)
    }

    /// Returns the buffers that groups read or write. They should be allocated side by side.
    pub fn grouped(&self) -> BTreeSet<BufferIndex> {
        let stages = self.tasks.iter().flat_map(|task| &task.stages);
        let groups = stages.filter(|stage| matches!(stage.work, Work::Group(_)));
        groups.flat_map(|stage| stage.inputs.iter().chain(&stage.outputs).copied()).collect()
    }

    /// Returns the number of kernel launches of one run without attaching and grouping: one per cluster and per
    /// parameter update, plus those of each op.
    pub fn unfused(&self) -> usize {
        let launches = |stage: &TaskStage| match &stage.work {
            Work::Op { dispatches, .. } => dispatches.len(),
            Work::Cluster(_) => 1,
            Work::Group(clusters) => clusters.len(),
        };
        self.tasks.iter().flat_map(|task| &task.stages).map(launches).sum()
    }

    /// Returns the device memory in bytes: variables, inputs and arrays, temporaries.
    pub fn bytes(&self) -> [usize; 3] {
        let mut bytes = [0, 0, self.slots.iter().map(MemorySlot::bytes).sum()];
        for buffer in &self.buffers {
            match buffer.role {
                Role::Variable(_) => bytes[0] += buffer.spec.bytes(),
                Role::Temp { .. } | Role::Passed => {}
                _ => bytes[1] += buffer.spec.bytes(),
            }
        }
        bytes
    }

    /// Returns the size of the largest single buffer, in bytes.
    pub fn largest_binding(&self) -> usize {
        let buffers = self.buffers.iter().filter(|buffer| !matches!(buffer.role, Role::Temp { .. } | Role::Passed));
        buffers.map(|buffer| buffer.spec.bytes()).chain(self.slots.iter().map(MemorySlot::bytes)).max().unwrap_or(0)
    }

    /// Returns the indices of all buffers.
    pub fn buffer_indices(&self) -> impl Iterator<Item = BufferIndex> + use<> {
        (0..self.buffers.len()).map(BufferIndex)
    }

    /// Returns the name of a buffer in a printed plan.
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
