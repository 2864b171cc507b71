//! Tasks: what a plan runs, and on which of its buffers.

use std::sync::Arc;

use super::ids::BufferIndex;
use crate::{DType, Dispatch, Op, Pointwise, Shape, Site, Spec, TuningChoice, View};

/// Where an instruction of a cluster finds an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arg {
    /// Input `i` of the cluster.
    Input(usize),
    /// The result of instruction `i`.
    Result(usize),
    /// A number.
    Number(f64, DType),
    /// The linear index of the element.
    Index,
}

/// One pointwise op of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// The row.
    pub row: &'static Pointwise,
    /// Its attributes.
    pub attributes: Vec<f64>,
    /// Its arguments.
    pub args: Vec<Arg>,
}

/// An input of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterInput {
    /// How its buffer is read.
    pub view: View,
    /// The element type.
    pub dtype: DType,
}

/// Pointwise ops that run as one loop over the elements of `shape`.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The shape that every result has.
    pub shape: Shape,
    /// The inputs, one for each that the stage lists.
    pub inputs: Vec<ClusterInput>,
    /// The ops, each after its arguments.
    pub instructions: Vec<Instruction>,
    /// What each of the task's outputs receives.
    pub outputs: Vec<Arg>,
}

impl Cluster {
    /// Returns the names of its pointwise ops, at most three of them.
    fn name(&self) -> String {
        let names: Vec<_> = self.instructions.iter().map(|i| i.row.name).collect();
        match &names[..] {
            [] => "copy".into(),
            [first, second, third, _, rest @ ..] if !rest.is_empty() => {
                format!("{first}·{second}·{third}·…({})", names.len())
            }
            _ => names.join("·"),
        }
    }
}

/// The specs of an op's inputs and outputs, as the op sees them: a buffer may be larger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The inputs, in order.
    pub inputs: Vec<Spec>,
    /// The outputs, in order.
    pub outputs: Vec<Spec>,
}

/// What a task runs.
#[derive(Clone, Debug)]
pub enum Work {
    /// A cluster of pointwise ops. An input may be the same buffer as an output; then both are read and written at
    /// the same position.
    Cluster(Cluster),
    /// A structured op.
    Op {
        /// The op.
        op: Arc<dyn Op>,
        /// Its launch on this device; empty on the CPU.
        dispatches: Vec<Dispatch>,
        /// The scratch buffers of the launch.
        scratch: Vec<BufferIndex>,
        /// Where the launch chose among variants of a kernel.
        choices: Vec<TuningChoice>,
        /// The specs of inputs and outputs.
        signature: Signature,
    },
    /// The same pointwise ops over several lists of buffers: the update of many parameters. All have the same number of
    /// inputs and of outputs, which the stage lists one after another.
    Group(Vec<Cluster>),
}

/// A part of a task: what runs, and on what.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What runs.
    pub work: Work,
    /// The buffers read.
    pub inputs: Vec<BufferIndex>,
    /// The buffers written.
    pub outputs: Vec<BufferIndex>,
}

impl Stage {
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
    /// One after another. A GPU runs them in the kernels of the op; buffers between them are
    /// [`Role::Passed`](super::Role::Passed) if nobody else reads them.
    pub stages: Vec<Stage>,
    /// Where its last node came from.
    pub site: Site,
}

impl Task {
    /// Returns the name for plans and profiles: the op, the pointwise ops of a cluster, and with arrows what runs in one
    /// kernel.
    pub fn name(&self) -> String {
        self.stages.iter().map(Stage::name).collect::<Vec<_>>().join(" → ")
    }

    /// Returns the buffers read, each once, without those that only pass from stage to stage.
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

    /// Returns all buffers that it touches.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = BufferIndex> {
        let stages = self.stages.iter();
        stages.flat_map(|stage| stage.inputs.iter().chain(&stage.outputs).chain(stage.scratch()).copied())
    }

    /// Returns the name and, in brackets, the scope.
    pub fn label(&self) -> String {
        let scope = &self.site.scope;
        if scope.is_empty() { self.name() } else { format!("{} ({scope})", self.name()) }
    }

    /// Returns the choices among variants of kernels.
    pub fn choices(&self) -> impl Iterator<Item = &TuningChoice> {
        self.stages.iter().flat_map(|stage| match &stage.work {
            Work::Op { choices, .. } => &choices[..],
            Work::Cluster(_) | Work::Group(_) => &[],
        })
    }

    /// Returns the number of kernel launches that this is on a GPU.
    pub fn dispatches(&self) -> usize {
        let op = self.stages.iter().find_map(|stage| match &stage.work {
            Work::Op { dispatches, .. } => Some(dispatches.len()),
            Work::Cluster(_) | Work::Group(_) => None,
        });
        op.unwrap_or(1)
    }
}
