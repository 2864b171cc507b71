//! Tasks of a plan: the computations to run, and the buffers that they use.

use std::sync::Arc;

use super::ids::BufferIndex;
use crate::{DType, Dispatch, Op, Pointwise, Shape, Site, Spec, TuningChoice, View};

/// Argument of a pointwise op in a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// Input `i` of the cluster.
    Input(usize),
    /// The result of instruction `i`.
    Result(usize),
    /// A constant.
    Number(f64, DType),
    /// The element's row-major index.
    Index,
}

/// Pointwise op in a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The op.
    pub op: &'static Pointwise,
    /// The values of the op's attributes.
    pub attributes: Vec<f64>,
    /// The op's arguments.
    pub args: Vec<Arg>,
}

/// Input of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterInput {
    /// The view through which the input's buffer is read.
    pub view: View,
    /// The element type.
    pub dtype: DType,
}

/// Cluster: pointwise ops that run as one loop over the elements of `shape`.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The shape that every result has.
    pub shape: Shape,
    /// The inputs, in the order of the stage's inputs.
    pub inputs: Vec<ClusterInput>,
    /// The ops, each after the ops that compute its arguments.
    pub instructions: Vec<Instruction>,
    /// The value that each output of the stage receives.
    pub outputs: Vec<Arg>,
}

impl Cluster {
    /// Returns the names of the cluster's pointwise ops; only the first three if there are more than four.
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

/// Shapes and types of an op's inputs and outputs. A buffer may be larger than the input or output that it stores.
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
    /// A cluster of pointwise ops. An input may be the same buffer as an output. Each element is then read and
    /// written at the same position.
    Cluster(Cluster),
    /// A structured op.
    Op {
        /// The op.
        op: Arc<dyn Op>,
        /// The dispatches of the op's kernels; empty on the CPU.
        dispatches: Vec<Dispatch>,
        /// The temporary buffers of the launch.
        scratch: Vec<BufferIndex>,
        /// The choices among variants of the op's kernel.
        choices: Vec<TuningChoice>,
        /// The shapes and types of the inputs and outputs.
        signature: Signature,
    },
    /// A group: clusters with the same pointwise ops and different buffers, which update many parameters. All
    /// clusters have equally many inputs and outputs. The stage lists those of the first cluster, then those of
    /// the second, and so on.
    Group(Vec<Cluster>),
}

/// Stage of a task: a computation with its buffers.
#[derive(Clone, Debug)]
pub struct TaskStage {
    /// The computation.
    pub work: Work,
    /// The buffers that the stage reads.
    pub inputs: Vec<BufferIndex>,
    /// The buffers that the stage writes.
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

    /// Returns the temporary buffers that ops use internally.
    pub fn scratch(&self) -> &[BufferIndex] {
        match &self.work {
            Work::Op { scratch, .. } => scratch,
            Work::Cluster(_) | Work::Group(_) => &[],
        }
    }
}

/// Task of a plan: a cluster, a group of clusters, or an op with the clusters that run in the op's kernel.
#[derive(Clone, Debug)]
pub struct Task {
    /// The stages, in order. A GPU runs all stages in the op's kernels. Buffers that one stage passes to the next
    /// are [`Role::Passed`](super::Role::Passed) if no other task reads them.
    pub stages: Vec<TaskStage>,
    /// The place in the program where the task's last node was traced.
    pub site: Site,
}

impl Task {
    /// Returns the name that plans and profiles print: the op or the pointwise ops of each stage, with arrows
    /// between stages.
    pub fn name(&self) -> String {
        self.stages.iter().map(TaskStage::name).collect::<Vec<_>>().join(" → ")
    }

    /// Returns the buffers that the task reads, without duplicates and without those that an earlier stage of the
    /// task writes.
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

    /// Returns the buffers that the task writes, in the order of the stages.
    pub fn outputs(&self) -> Vec<BufferIndex> {
        self.stages.iter().flat_map(|stage| stage.outputs.iter().copied()).collect()
    }

    /// Returns the temporary buffers that ops use internally.
    pub(super) fn scratch(&self) -> impl Iterator<Item = BufferIndex> {
        self.stages.iter().flat_map(|stage| stage.scratch().iter().copied())
    }

    /// Returns all buffers that the task reads or writes, including temporary buffers of ops.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = BufferIndex> {
        let stages = self.stages.iter();
        stages.flat_map(|stage| stage.inputs.iter().chain(&stage.outputs).chain(stage.scratch()).copied())
    }

    /// Returns the name of the task, followed by the scope in parentheses.
    pub fn label(&self) -> String {
        let scope = &self.site.scope;
        if scope.is_empty() { self.name() } else { format!("{} ({scope})", self.name()) }
    }

    /// Returns the choices among variants of the task's kernels.
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
