//! Data structures of a plan: buffers, tasks, inputs and variables, with methods that query them.

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
    /// Input that the session writes before each run.
    Input(InputIndex),
    /// Variable, which the session keeps between runs.
    Variable(VariableIndex),
    /// Constant array, which is written once.
    Array(Arc<Array>),
    /// All numbers of one element type that the host computes before each run, in the order of [`Plan::schedule`].
    Schedule,
    /// Result that the session reads after a run.
    Fetch,
    /// Temporary of a run, stored in a memory slot that several temporaries can share.
    Temp {
        /// The slot.
        slot: SlotIndex,
        /// The offset of the temporary's first element in the slot.
        first: usize,
    },
    /// Value that the stages of one task pass on element by element. It needs no memory if the task is a single
    /// kernel.
    Passed,
}

/// Buffer of a plan.
#[derive(Clone, Debug)]
pub struct Buffer {
    /// The element type and shape. If several values are written to the buffer, the shape is that of the first
    /// value.
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
    /// Returns the size in bytes.
    pub fn bytes(&self) -> usize {
        self.elements * self.dtype.size()
    }
}

/// Input of the graph, to which each run is fed an array.
#[derive(Clone, Debug)]
pub struct Input {
    /// The input's value in the graph.
    pub value: ValueId,
    /// The name that error messages print.
    pub name: String,
    /// The buffer; `None` if no task reads the input, which then need not be fed.
    pub buffer: Option<BufferIndex>,
    /// The shape and type.
    pub spec: Spec,
}

/// Variable that a plan reads or updates.
#[derive(Clone, Debug)]
pub struct UsedVariable {
    /// The variable.
    pub variable: Variable,
    /// The variable's buffer.
    pub buffer: BufferIndex,
    /// True if the plan updates the variable.
    pub written: bool,
}

/// Number that the host computes before each run, with its location on the device.
#[derive(Clone)]
pub struct ScheduledNumber {
    /// The number.
    pub scheduled: Scheduled,
    /// The buffer, which contains all such numbers of the same element type.
    pub buffer: BufferIndex,
    /// The index of the number in the buffer.
    pub element: usize,
}

/// Tensor that is read after a run.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The buffer that the tensor is read from.
    pub buffer: BufferIndex,
    /// The tensor's shape and type.
    pub spec: Spec,
}

/// Planned step, which a [`Backend`](crate::Backend) runs.
#[derive(Clone)]
pub struct Plan {
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// The blocks of memory that temporaries share.
    pub slots: Vec<MemorySlot>,
    /// The tasks, in order.
    pub tasks: Vec<Task>,
    /// The graph's inputs.
    pub inputs: Vec<Input>,
    /// The variables used.
    pub variables: Vec<UsedVariable>,
    /// The numbers that the host computes before each run.
    pub schedule: Vec<ScheduledNumber>,
    /// The counters that each run increments.
    pub counters: Vec<Counter>,
    /// The fetched tensors, in the order passed to `compile`.
    pub fetches: Vec<Fetched>,
    /// The summary of each planning pass, one line per pass.
    pub passes: Vec<String>,
    /// True if the plan is for a device that launches kernels; false for the CPU.
    pub launches: bool,
}

impl Plan {
    /// Returns the number of kernel launches of one run. In a plan for the CPU, structured ops have no launches.
    pub fn dispatches(&self) -> usize {
        self.tasks.iter().map(Task::dispatches).sum()
    }

    /// Returns the tuning choices of all ops.
    pub fn choices(&self) -> impl Iterator<Item = &TuningChoice> {
        self.tasks.iter().flat_map(Task::choices)
    }

    /// Returns the buffers that groups read or write. A group updates many parameters in one kernel, so its
    /// buffers should be allocated next to each other.
    pub fn grouped(&self) -> BTreeSet<BufferIndex> {
        let stages = self.tasks.iter().flat_map(|task| &task.stages);
        let groups = stages.filter(|stage| matches!(stage.work, Work::Group(_)));
        groups.flat_map(|stage| stage.inputs.iter().chain(&stage.outputs).copied()).collect()
    }

    /// Returns how many kernel launches one run would have if clusters were not fused into the kernels of ops and
    /// parameter updates not grouped.
    pub fn unfused(&self) -> usize {
        let launches = |stage: &TaskStage| match &stage.work {
            Work::Op { dispatches, .. } => dispatches.len(),
            Work::Cluster(_) => 1,
            Work::Group(clusters) => clusters.len(),
        };
        self.tasks.iter().flat_map(|task| &task.stages).map(launches).sum()
    }

    /// Returns three amounts of device memory, in bytes: for variables, for everything that is fed, fetched or
    /// constant, and for temporaries.
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

    /// Returns the size of the largest buffer or memory slot, in bytes.
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
