//! Tasks of a plan: the operations to run and the buffers that they use.

use std::sync::Arc;

use super::ids::BufferIndex;
use crate::{DType, Dispatch, Op, Pointwise, Shape, Site, Spec, TuningChoice, View};

/// Source of an argument of a cluster's instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// Input `i` of the cluster.
    Input(usize),
    /// The result of instruction `i`.
    Result(usize),
    /// A constant.
    Number(f64, DType),
    /// The linear index of the element.
    Index,
}

/// One pointwise op of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The op.
    pub op: &'static Pointwise,
    /// Attributes of the op.
    pub attributes: Vec<f64>,
    /// Arguments of the op.
    pub args: Vec<Arg>,
}

/// An input of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterInput {
    /// View through which its buffer is read.
    pub view: View,
    /// The element type.
    pub dtype: DType,
}

/// Pointwise ops that run as one loop over the elements of `shape`.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The shape that every result has.
    pub shape: Shape,
    /// Inputs, in the order of the stage's inputs.
    pub inputs: Vec<ClusterInput>,
    /// Instructions, each after those that compute its arguments.
    pub instructions: Vec<Instruction>,
    /// Value that each output of the stage receives.
    pub outputs: Vec<Arg>,
}

impl Cluster {
    /// Returns the names of its pointwise ops, shortened to the first three if there are more than four.
    fn name(&self) -> String {
        let names: Vec<_> = self.instructions.iter().map(|i| i.op.name).collect();
        match &names[..] {
            [] => "copy".into(),
            [first, second, third, _, rest @ ..] if !rest.is_empty() => {
                format!("{first}·{second}·{third}·…({})", names.len())
            }
            _ => names.join("·"),
        }
    }
}

/// Specs of an op's inputs and outputs; a buffer may be larger than its spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The inputs, in order.
    pub inputs: Vec<Spec>,
    /// The outputs, in order.
    pub outputs: Vec<Spec>,
}

/// Computation of a stage.
#[derive(Clone, Debug)]
pub enum Work {
    /// A cluster of pointwise ops. An input may be the same buffer as an output; then both are read and written at
    /// the same position.
    Cluster(Cluster),
    /// A structured op.
    Op {
        /// The op.
        op: Arc<dyn Op>,
        /// Dispatches of its launch; empty on the CPU.
        dispatches: Vec<Dispatch>,
        /// The scratch buffers of the launch.
        scratch: Vec<BufferIndex>,
        /// Tuning choices of the launch.
        choices: Vec<TuningChoice>,
        /// The specs of inputs and outputs.
        signature: Signature,
    },
    /// The same pointwise ops over several lists of buffers: the update of many parameters. All clusters have the
    /// same number of inputs and outputs, which the stage lists cluster by cluster.
    Group(Vec<Cluster>),
}

/// Part of a task: a computation with its buffers.
#[derive(Clone, Debug)]
pub struct TaskStage {
    /// Computation.
    pub work: Work,
    /// The buffers read.
    pub inputs: Vec<BufferIndex>,
    /// The buffers written.
    pub outputs: Vec<BufferIndex>,
}

impl TaskStage {
    fn name(&self) -> String {
        match &self.work {
            Work::Op { op, .. } => op.name().into(),
            Work::Cluster(cluster) => cluster.name(),
            Work::Group(clusters) => format!("{} × {}", clusters[0].name(), clusters.len()),
        }
    }

    /// Returns the scratch buffers.
    pub fn scratch(&self) -> &[BufferIndex] {
        match &self.work {
            Work::Op { scratch, .. } => scratch,
            Work::Cluster(_) | Work::Group(_) => &[],
        }
    }
}

/// One entry of a plan: a cluster, a group, or an op with the clusters before and after it that run in its kernel.
#[derive(Clone, Debug)]
pub struct Task {
    /// Stages in order. A GPU runs them in the kernels of the op. Buffers between them are
    /// [`Role::Passed`](super::Role::Passed) if no other task reads them.
    pub stages: Vec<TaskStage>,
    /// Source location of its last node.
    pub site: Site,
}

impl Task {
    /// Returns the name for plans and profiles: the op or the pointwise ops of a cluster, with arrows between the
    /// stages.
    pub fn name(&self) -> String {
        self.stages.iter().map(TaskStage::name).collect::<Vec<_>>().join(" → ")
    }

    /// Returns the buffers read, without duplicates and without those that an earlier stage of the task writes.
    pub fn inputs(&self) -> Vec<BufferIndex> {
        let mut made: Vec<BufferIndex> = vec![];
        let mut read: Vec<BufferIndex> = vec![];
        for stage in &self.stages {
            for &input in &stage.inputs {
                if !made.contains(&input) && !read.contains(&input) {
                    read.push(input);
                }
            }
            made.extend(&stage.outputs);
        }
        read
    }

    /// Returns the buffers written, in the order of the stages.
    pub fn outputs(&self) -> Vec<BufferIndex> {
        self.stages.iter().flat_map(|stage| stage.outputs.iter().copied()).collect()
    }

    /// Returns the scratch buffers.
    pub(super) fn scratch(&self) -> impl Iterator<Item = BufferIndex> {
        self.stages.iter().flat_map(|stage| stage.scratch().iter().copied())
    }

    /// Returns all buffers that it reads, writes or uses as scratch.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = BufferIndex> {
        let stages = self.stages.iter();
        stages.flat_map(|stage| stage.inputs.iter().chain(&stage.outputs).chain(stage.scratch()).copied())
    }

    /// Returns the name, followed by the scope in parentheses.
    pub fn label(&self) -> String {
        let scope = &self.site.scope;
        if scope.is_empty() { self.name() } else { format!("{} ({scope})", self.name()) }
    }

    /// Returns the tuning choices.
    pub fn choices(&self) -> impl Iterator<Item = &TuningChoice> {
        self.stages.iter().flat_map(|stage| match &stage.work {
            Work::Op { choices, .. } => &choices[..],
            Work::Cluster(_) | Work::Group(_) => &[],
        })
    }

    /// Returns the number of kernel launches on a GPU.
    pub fn dispatches(&self) -> usize {
        let op = self.stages.iter().find_map(|stage| match &stage.work {
            Work::Op { dispatches, .. } => Some(dispatches.len()),
            Work::Cluster(_) | Work::Group(_) => None,
        });
        op.unwrap_or(1)
    }
}
