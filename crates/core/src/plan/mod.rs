//! Plans: a graph turned into a list of tasks over placed buffers, ready for any backend.
//!
//! The passes, in order: `live` drops what nothing needs and merges equal nodes; `fuse` gathers pointwise nodes
//! into clusters and folds views into their readers; `attach` hangs clusters on the ops whose elements they read or
//! make, and puts updates of many parameters by one rule into groups; `order` puts the tasks in sequence, updates after
//! the last reader of the old value; `emit` writes them down; `memory` lets buffers share slots. Each leaves a line in
//! [`Plan::passes`].

mod attach;
mod bill;
mod emit;
mod fuse;
mod live;
mod memory;
mod order;

pub use bill::Bill;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::graph::Graph;
use crate::graph::node::{Scheduled, ValueId};
use crate::graph::params::{Counter, Variable};
use crate::{Array, Choice, DType, Dispatch, Limits, Op, Pointwise, Result, Shape, Site, Spec, Tensor, View};

/// What a buffer is for, and with that who provides it.
#[derive(Clone, Debug)]
pub enum Role {
    /// Written by the session before each run: index into [`Plan::inputs`].
    Input(usize),
    /// Kept by the session: index into [`Plan::variables`].
    Variable(usize),
    /// Written once.
    Array(Arc<Array>),
    /// All scheduled numbers of one element type, in the order of [`Plan::schedule`].
    Schedule,
    /// Read by the session after a run.
    Fetch,
    /// Lives within a run, in a slot that it shares: index into [`Plan::slots`], and the first element there.
    Temp(usize, usize),
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

/// Pointwise ops that run as one loop over the elements of `shape`.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The shape that every result has.
    pub shape: Shape,
    /// How each of the task's inputs is read, and its element type.
    pub inputs: Vec<(View, DType)>,
    /// The ops, each after its arguments.
    pub instructions: Vec<Instruction>,
    /// What each of the task's outputs receives.
    pub outputs: Vec<Arg>,
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
        scratch: Vec<usize>,
        /// Where the launch chose among variants of a kernel.
        choices: Vec<Choice>,
        /// The specs of inputs and outputs as the op sees them.
        specs: (Vec<Spec>, Vec<Spec>),
    },
    /// The same rows over several lists of buffers: the update of many parameters. All have the same number of inputs
    /// and of outputs, which the stage lists one after another.
    Group(Vec<Cluster>),
}

/// A part of a task: what runs, and on what.
#[derive(Clone, Debug)]
pub struct Stage {
    /// What runs.
    pub work: Work,
    /// The buffers read.
    pub inputs: Vec<usize>,
    /// The buffers written.
    pub outputs: Vec<usize>,
}

/// One entry of a plan: a cluster, a group, or an op with the clusters before and after it that run in its kernel.
#[derive(Clone, Debug)]
pub struct Task {
    /// One after another. A GPU runs them in the kernels of the op; buffers between them are [`Role::Passed`] if nobody
    /// else reads them.
    pub stages: Vec<Stage>,
    /// Where its last node came from.
    pub site: Site,
}

impl Stage {
    fn name(&self) -> String {
        match &self.work {
            Work::Op { op, .. } => op.name().into(),
            Work::Cluster(cluster) => cluster.name(),
            Work::Group(clusters) => format!("{} × {}", clusters[0].name(), clusters.len()),
        }
    }

    /// The scratch buffers.
    #[must_use]
    pub fn scratch(&self) -> &[usize] {
        match &self.work {
            Work::Op { scratch, .. } => scratch,
            Work::Cluster(_) | Work::Group(_) => &[],
        }
    }
}

impl Cluster {
    /// The names of its rows, at most three of them.
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

impl Task {
    /// The name for plans and profiles: the op, the rows of a cluster, and with arrows what runs in one kernel.
    #[must_use]
    pub fn name(&self) -> String {
        self.stages.iter().map(Stage::name).collect::<Vec<_>>().join(" → ")
    }

    /// The buffers read, each once, without those that only pass from stage to stage.
    #[must_use]
    pub fn inputs(&self) -> Vec<usize> {
        let mut made: Vec<usize> = vec![];
        let mut read: Vec<usize> = vec![];
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

    /// The buffers written, in the order of the stages.
    #[must_use]
    pub fn outputs(&self) -> Vec<usize> {
        self.stages.iter().flat_map(|stage| stage.outputs.iter().copied()).collect()
    }

    /// The scratch buffers.
    fn scratch(&self) -> impl Iterator<Item = usize> {
        self.stages.iter().flat_map(|stage| stage.scratch().iter().copied())
    }

    /// All buffers that it touches.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = usize> {
        let stages = self.stages.iter();
        stages.flat_map(|stage| stage.inputs.iter().chain(&stage.outputs).chain(stage.scratch()).copied())
    }

    /// The name and, in brackets, the scope.
    #[must_use]
    pub fn label(&self) -> String {
        let scope = &self.site.scope;
        if scope.is_empty() { self.name() } else { format!("{} ({scope})", self.name()) }
    }

    /// The choices among variants of kernels.
    pub fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.stages.iter().flat_map(|stage| match &stage.work {
            Work::Op { choices, .. } => &choices[..],
            Work::Cluster(_) | Work::Group(_) => &[],
        })
    }

    /// How many kernel launches this is on a GPU.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        let op = self.stages.iter().find_map(|stage| match &stage.work {
            Work::Op { dispatches, .. } => Some(dispatches.len()),
            Work::Cluster(_) | Work::Group(_) => None,
        });
        op.unwrap_or(1)
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
    pub buffer: Option<usize>,
    /// Shape and type.
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
    /// The variables used, with their buffer and whether the plan writes it.
    pub variables: Vec<(Variable, usize, bool)>,
    /// The numbers that the host computes before each run, with their buffer and place in it.
    pub schedule: Vec<(Scheduled, usize, usize)>,
    /// The counters that a run moves.
    pub counters: Vec<Counter>,
    /// The buffer and spec of each fetched tensor.
    pub fetches: Vec<(usize, Spec)>,
    /// One line per pass: what it did.
    pub passes: Vec<String>,
    /// Whether the plan is for a device that launches kernels.
    pub launches: bool,
}

impl Plan {
    /// Plans the graph so that `fetches` can be read after a run.
    ///
    /// # Errors
    /// The first error of the graph; a fetched tensor of another graph.
    pub fn new(graph: &Graph, fetches: &[&Tensor], limits: &Limits) -> Result<Self> {
        graph.check()?;
        if let Some(stranger) = fetches.iter().find(|t| !t.graph().is(graph)) {
            return Err(crate::Error::Feed(format!("{stranger:?} cannot be fetched: it belongs to another graph")));
        }
        let roots: Vec<_> = fetches.iter().map(|t| t.id()).collect();
        let data = graph.data();
        let mut passes = vec![];
        let live = live::pass(&data, &roots, &mut passes);
        let fused = fuse::pass(&data, &live, limits, &mut passes);
        let schedule = order::pass(&data, &live, &fused);
        let ordered = emit::pass(&data, &live, &fused, limits, schedule, &mut passes);
        drop(data);
        Ok(memory::pass(ordered, limits, passes))
    }

    /// The kernel launches of one run; without structured ops if the plan is for the CPU.
    #[must_use]
    pub fn dispatches(&self) -> usize {
        self.tasks.iter().map(Task::dispatches).sum()
    }

    /// The choices among variants of kernels, op by op.
    pub fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.tasks.iter().flat_map(Task::choices)
    }

    /// The buffers that groups touch: they should lie side by side.
    #[must_use]
    pub fn grouped(&self) -> BTreeSet<usize> {
        let stages = self.tasks.iter().flat_map(|task| &task.stages);
        let groups = stages.filter(|stage| matches!(stage.work, Work::Group(_)));
        groups.flat_map(|stage| stage.inputs.iter().chain(&stage.outputs).copied()).collect()
    }

    /// The kernel launches of one run if every op, every cluster and every update of a parameter had its own.
    #[must_use]
    pub fn unfused(&self) -> usize {
        let launches = |stage: &Stage| match &stage.work {
            Work::Op { dispatches, .. } => dispatches.len(),
            Work::Cluster(_) => 1,
            Work::Group(clusters) => clusters.len(),
        };
        self.tasks.iter().flat_map(|task| &task.stages).map(launches).sum()
    }

    /// Device bytes by purpose: variables, inputs and arrays, temporaries.
    #[must_use]
    pub fn bytes(&self) -> [usize; 3] {
        let mut bytes = [0, 0, self.slots.iter().map(|slot| slot.elements * slot.dtype.size()).sum()];
        for buffer in &self.buffers {
            match buffer.role {
                Role::Variable(_) => bytes[0] += buffer.spec.bytes(),
                Role::Temp(..) | Role::Passed => {}
                _ => bytes[1] += buffer.spec.bytes(),
            }
        }
        bytes
    }

    /// The bytes of the largest single buffer.
    #[must_use]
    pub fn largest_binding(&self) -> usize {
        let slots = self.slots.iter().map(|slot| slot.elements * slot.dtype.size());
        let buffers = self.buffers.iter().filter(|buffer| !matches!(buffer.role, Role::Temp(..) | Role::Passed));
        buffers.map(|buffer| buffer.spec.bytes()).chain(slots).max().unwrap_or(0)
    }

    /// The name under which a plan prints a buffer.
    #[must_use]
    pub fn buffer_name(&self, buffer: usize) -> String {
        match &self.buffers[buffer].role {
            Role::Input(i) => self.inputs[*i].name.clone(),
            Role::Variable(i) => self.variables[*i].0.name().into(),
            Role::Array(_) => format!("array{buffer}"),
            Role::Schedule => "schedule".into(),
            Role::Fetch => format!("fetch{buffer}"),
            Role::Temp(slot, 0) => format!("s{slot}"),
            Role::Temp(slot, first) => format!("s{slot}[{first}..]"),
            Role::Passed => "-".into(),
        }
    }
}

/// Bytes with a unit, for people.
#[must_use]
pub fn human_bytes(bytes: usize) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for reading")]
    let value = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", value / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", value / 1_048_576.0),
        _ => format!("{:.2} GiB", value / 1_073_741_824.0),
    }
}

/// `{plan:#}` names the variants of kernels, too.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [variables, inputs, temporaries] = self.bytes().map(human_bytes);
        write!(f, "plan: {} tasks", self.tasks.len())?;
        if self.launches {
            write!(f, ", {} dispatches ({} unfused)", self.dispatches(), self.unfused())?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "memory: variables {variables}, inputs {inputs}, temporaries {temporaries} in {} slots, largest buffer {}",
            self.slots.len(),
            human_bytes(self.largest_binding())
        )?;
        for pass in &self.passes {
            writeln!(f, "  {pass}")?;
        }
        let rows: Vec<[String; 4]> = self
            .tasks
            .iter()
            .enumerate()
            .map(|(i, task)| {
                let join = |ids: Vec<usize>| {
                    let stored = ids.into_iter().filter(|&id| !matches!(self.buffers[id].role, Role::Passed));
                    let mut names: Vec<_> = stored.map(|id| self.buffer_name(id)).collect();
                    if names.len() > 9 {
                        let more = format!("… ({})", names.len());
                        names.truncate(3);
                        names.push(more);
                    }
                    names.join(", ")
                };
                let main = task.stages.iter().find(|stage| matches!(stage.work, Work::Op { .. }));
                let shape = match &main.unwrap_or(&task.stages[0]).work {
                    Work::Cluster(cluster) => cluster.shape.to_string(),
                    Work::Op { specs, .. } => specs.1.first().map(|spec| spec.shape.to_string()).unwrap_or_default(),
                    Work::Group(clusters) => {
                        format!("[{}]", clusters.iter().map(|cluster| cluster.shape.numel()).sum::<usize>())
                    }
                };
                let place = format!("{} ← {}", join(task.outputs()), join(task.inputs()));
                let mut label = task.label();
                if f.alternate() {
                    label.extend(task.choices().map(|choice| format!(" [{}]", choice.variant())));
                }
                [format!("{i:>3}"), label, shape, place]
            })
            .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (name, shape) = (width(1), width(2));
        for [i, task, dims, place] in &rows {
            writeln!(f, "{i}  {task:<name$}  {dims:<shape$}  {place}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
