//! The fifth pass: converts planned tasks to [`Task`]s. The last pass assigns memory to the buffers of the tasks.

use std::collections::{BTreeMap, BTreeSet};

use super::fused::{Base, Fused, OpLaunch, Reading, Side, Unit};
use super::ids::{BufferIndex, ClusterId, GroupId, InputIndex, VariableIndex};
use super::ir::{Fetched, Input, ScheduledNumber, UsedVariable};
use super::live::Live;
use super::order::{PlannedTask, Sequence};
use super::task::{Arg, Cluster, ClusterInput, Instruction, Signature, Task, TaskStage, Work};
use crate::graph::node::{GraphData, NodeId, NodeKind};
use crate::graph::params::Counter;
use crate::{DType, Limits, Operand, Shape, Site, Spec, View};

/// Buffer to which no memory has been assigned yet.
#[derive(Clone, Debug)]
pub(super) struct Unplaced {
    pub spec: Spec,
    pub usage: BufferUse,
}

/// Purpose of a buffer to which no memory has been assigned yet.
#[derive(Clone, Debug)]
pub(super) enum BufferUse {
    /// Input that the session writes before a run.
    Input(InputIndex),
    /// Variable, which the session keeps between runs.
    Variable(VariableIndex),
    /// Constant array, which is written once.
    Array(std::sync::Arc<crate::Array>),
    /// All numbers of one element type that the host computes before each run.
    Schedule,
    /// Result that is read outside the task that writes it.
    Made,
    /// Result that is read only within the task that writes it.
    Passed,
    /// Temporary space of one task.
    Scratch,
}

/// Result of the pass: the tasks in order, and their buffers, which have no memory yet.
#[derive(Default)]
pub(super) struct Ordered {
    pub tasks: Vec<Task>,
    pub buffers: Vec<Unplaced>,
    pub inputs: Vec<Input>,
    pub variables: Vec<UsedVariable>,
    pub schedule: Vec<ScheduledNumber>,
    pub counters: Vec<Counter>,
    pub fetches: Vec<Fetched>,
}

pub(super) fn pass(
    data: &GraphData,
    live: &Live,
    fused: &Fused,
    limits: &Limits,
    sequence: Sequence,
    passes: &mut Vec<String>,
) -> Ordered {
    let Sequence { planned, in_place, stored } = sequence;
    let (in_place_count, copied) = (in_place.len(), live.updates.len() - in_place.len());
    let mut emit = Emit {
        data,
        live,
        fused,
        limits,
        stored,
        in_place,
        out: Ordered::default(),
        buffer_of: BTreeMap::new(),
        scheduled: BTreeMap::new(),
    };
    emit.declare();
    for planned in planned {
        emit.planned_task(planned);
    }
    for &value in &live.fetches {
        let buffer = emit.buffer(fused.whole(value));
        emit.out.fetches.push(Fetched { buffer, spec: data.spec(value).clone() });
    }
    passes.push(format!("order: {} tasks, {in_place_count} updates in place, {copied} by copy", emit.out.tasks.len()));
    emit.out
}

/// Graph and fusion results that the pass reads, with the tasks and buffers created so far.
struct Emit<'a> {
    data: &'a GraphData,
    live: &'a Live,
    fused: &'a Fused,
    limits: &'a Limits,
    in_place: BTreeMap<Base, NodeId>,
    out: Ordered,
    /// Values that need a buffer because they are read outside the task that computes them.
    stored: BTreeSet<Base>,
    /// Buffer of each base, which is a value or a copy of a value.
    buffer_of: BTreeMap<Base, BufferIndex>,
    /// Map from indices in the graph's list of scheduled numbers, which the host computes before each run, to
    /// indices in the plan's list.
    scheduled: BTreeMap<usize, usize>,
}

impl Emit<'_> {
    fn new_buffer(&mut self, spec: Spec, usage: BufferUse) -> BufferIndex {
        self.out.buffers.push(Unplaced { spec, usage });
        BufferIndex(self.out.buffers.len() - 1)
    }

    /// Declares the buffers of inputs, variables, arrays and scheduled numbers, in the order in which they were
    /// traced.
    fn declare(&mut self) {
        let updated: BTreeSet<_> = self.data.updates.iter().map(|update| update.variable.id()).collect();
        for (i, node) in self.data.numbered() {
            let value = i.output(0);
            match &node.kind {
                NodeKind::Input(name) => {
                    let spec = node.outputs[0].clone();
                    let index = InputIndex(self.out.inputs.len());
                    let buffer = self.live.needed[i].then(|| self.new_buffer(spec.clone(), BufferUse::Input(index)));
                    if let Some(buffer) = buffer {
                        self.buffer_of.insert(Base::Own(value), buffer);
                    }
                    self.out.inputs.push(Input { value, name: name.clone(), buffer, spec });
                }
                NodeKind::Variable(variable) => {
                    let written = updated.contains(&variable.id());
                    if self.live.needed[i] || written {
                        let index = VariableIndex(self.out.variables.len());
                        let buffer = self.new_buffer(node.outputs[0].clone(), BufferUse::Variable(index));
                        self.buffer_of.insert(Base::Own(value), buffer);
                        self.out.variables.push(UsedVariable { variable: variable.clone(), buffer, written });
                    }
                }
                NodeKind::Array(array) if self.live.needed[i] => {
                    let buffer = self.new_buffer(node.outputs[0].clone(), BufferUse::Array(array.clone()));
                    self.buffer_of.insert(Base::Own(value), buffer);
                }
                NodeKind::Scheduled(index) if self.live.needed[i] => {
                    let scheduled = self.data.schedule[*index].clone();
                    let known = self.out.schedule.iter().find(|known| known.scheduled.dtype == scheduled.dtype);
                    let buffer = match known {
                        Some(known) => known.buffer,
                        None => self.new_buffer(Spec::new([0], scheduled.dtype), BufferUse::Schedule),
                    };
                    let element = self.out.buffers[buffer].spec.shape.numel();
                    self.out.buffers[buffer].spec.shape = [element + 1].into();
                    self.scheduled.insert(*index, self.out.schedule.len());
                    self.out.schedule.push(ScheduledNumber { scheduled, buffer, element });
                }
                _ => {}
            }
        }
        self.out.counters.clone_from(&self.data.counters);
    }

    /// Returns the buffer of a base, which is created on first use.
    fn buffer(&mut self, base: Base) -> BufferIndex {
        if let Some(&variable) = self.in_place.get(&base) {
            return self.buffer_of[&Base::Own(variable.output(0))];
        }
        if let Some(&buffer) = self.buffer_of.get(&base) {
            return buffer;
        }
        let value = base.value();
        let usage = if self.stored.contains(&base) { BufferUse::Made } else { BufferUse::Passed };
        let buffer = self.new_buffer(self.data.spec(value).clone(), usage);
        self.buffer_of.insert(base, buffer);
        buffer
    }

    fn planned_task(&mut self, planned: PlannedTask) {
        match planned {
            PlannedTask::Unit(Unit::Op(node)) => self.op(node),
            PlannedTask::Unit(Unit::Cluster(cluster)) => {
                let site = self.site(cluster);
                let BufferedCluster { cluster, inputs, outputs } = self.cluster(cluster);
                self.task(vec![TaskStage { work: Work::Cluster(cluster), inputs, outputs }], site);
            }
            PlannedTask::Unit(Unit::Group(group)) => self.group(group),
            PlannedTask::Unit(Unit::Copy(value)) => {
                let reading = self.fused.copies[&value].clone();
                let output = self.buffer(Base::Copy(value));
                self.copy(&reading, output, self.data.spec(value).dtype, self.data.nodes[value.node].site.clone());
            }
            PlannedTask::Assign(k) => {
                let value = self.live.updates[k];
                let variable = self.data.variables[&self.data.updates[k].variable.id()];
                let output = self.buffer_of[&Base::Own(variable.output(0))];
                let spec = self.data.spec(value).clone();
                let reading = Reading { base: self.fused.whole(value), view: View::contiguous(&spec.shape) };
                self.copy(&reading, output, spec.dtype, self.data.nodes[value.node].site.clone());
            }
        }
    }

    fn copy(&mut self, reading: &Reading, output: BufferIndex, dtype: DType, site: Site) {
        let mut cluster = ClusterReads::new(reading.view.shape.clone());
        let arg = cluster.read(self, reading, dtype);
        let ClusterReads { inputs, buffers, shape, .. } = cluster;
        let work = Work::Cluster(Cluster { shape, inputs, instructions: vec![], outputs: vec![arg] });
        self.task(vec![TaskStage { work, inputs: buffers, outputs: vec![output] }], site);
    }

    fn task(&mut self, stages: Vec<TaskStage>, site: Site) {
        self.out.tasks.push(Task { stages, site });
    }

    /// Returns the source location at which a cluster's last node was traced.
    fn site(&self, cluster: ClusterId) -> Site {
        self.data.nodes[self.fused.last(cluster)].site.clone()
    }

    fn group(&mut self, group: GroupId) {
        let members = &self.fused.groups[group];
        let (mut clusters, mut inputs, mut outputs) = (vec![], vec![], vec![]);
        for &member in members {
            let placed = self.cluster(member);
            clusters.push(placed.cluster);
            inputs.extend(placed.inputs);
            outputs.extend(placed.outputs);
        }
        let site = self.site(members[0]);
        // The group updates many parameters, but has the scope of the first update, such as `adam of fc.weight`.
        // The name of that parameter is removed from the scope.
        let scope = site.scope.split(" of ").next().unwrap_or_default().to_owned();
        self.task(vec![TaskStage { work: Work::Group(clusters), inputs, outputs }], Site { scope, ..site });
    }

    fn stages(&mut self, node: NodeId, prologue: bool) -> Vec<TaskStage> {
        let attached: Vec<_> = self.fused.attached(node).collect();
        let these = attached.into_iter().filter(|(_, side)| matches!(side, Side::Prologue(_)) == prologue);
        let stage = |(cluster, _)| {
            let BufferedCluster { cluster, inputs, outputs } = self.cluster(cluster);
            TaskStage { work: Work::Cluster(cluster), inputs, outputs }
        };
        these.map(stage).collect()
    }

    fn op(&mut self, node: NodeId) {
        let n = &self.data.nodes[node];
        let NodeKind::Op(op) = &n.kind else { unreachable!("an op unit has an op node") };
        let mut stages = self.stages(node, true);
        let values: Vec<_> = n.inputs.iter().map(|&input| self.live.resolve(input)).collect();
        let inputs = values.iter().map(|&value| self.data.spec(value).clone()).collect();
        let signature = Signature { inputs, outputs: n.outputs.clone() };
        let inputs = values.iter().map(|&value| self.buffer(self.fused.whole(value))).collect();
        let bases: Vec<_> = (0..n.outputs.len()).map(|output| Base::Own(node.output(output))).collect();
        let outputs = bases.iter().map(|&base| self.buffer(base)).collect();
        let epilogues: Vec<_> = self.fused.attached(node).map(|(_, side)| side).collect();
        let launch = || {
            let known = self.fused.launches.get(&node).cloned();
            known.or_else(|| OpLaunch::of(self.data, self.live, self.limits, node))
        };
        let launch = if self.limits.dispatches { launch() } else { None };
        let OpLaunch { dispatches, scratch, choices } = launch.unwrap_or_default();
        for (output, base) in bases.iter().enumerate() {
            let read = self.stored.contains(base) || epilogues.contains(&Side::Epilogue(output));
            let mut operands = dispatches.iter().flat_map(|dispatch| &dispatch.bindings);
            // The kernel writes this output although nothing reads it, so the output needs memory.
            if !read && operands.any(|&(_, operand)| operand == Operand::Output(output)) {
                self.out.buffers[self.buffer_of[base]].usage = BufferUse::Scratch;
            }
        }
        let scratch = scratch.into_iter().map(|spec| self.new_buffer(spec, BufferUse::Scratch)).collect();
        let work = Work::Op { op: op.clone(), dispatches, scratch, choices, signature };
        stages.push(TaskStage { work, inputs, outputs });
        stages.extend(self.stages(node, false));
        self.task(stages, n.site.clone());
    }

    /// Converts a cluster to its instructions, and lists the buffers that they read and write.
    fn cluster(&mut self, cluster: ClusterId) -> BufferedCluster {
        let members = &self.fused.clusters[cluster];
        let feeds = self.fused.fed(self.data, self.live, cluster);
        let last = self.fused.last(cluster);
        let mut reader = ClusterReads::new(self.data.nodes[last].outputs[0].shape.clone());
        let mut results: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut instructions = vec![];
        for &member in members {
            let node = &self.data.nodes[member];
            let NodeKind::Pointwise(op, attributes) = &node.kind else { unreachable!("clusters are pointwise") };
            let args = node
                .inputs
                .iter()
                .map(|&input| {
                    let input = self.live.resolve(input);
                    let reading = self.fused.readings[&input].clone();
                    match (results.get(&reading.base.node()), reading.base) {
                        (Some(&result), Base::Own(_)) if reading.view.is_contiguous() => Arg::Result(result),
                        _ => reader.read(self, &reading, self.data.spec(input).dtype),
                    }
                })
                .collect();
            results.insert(member, instructions.len());
            instructions.push(Instruction { op, attributes: attributes.clone(), args });
        }
        let (mut outputs, mut buffers) = (vec![], vec![]);
        for &member in members {
            let value = member.output(0);
            if self.stored.contains(&Base::Own(value)) || feeds == Some(value) {
                outputs.push(Arg::Result(results[&member]));
                buffers.push(self.buffer(Base::Own(value)));
            }
        }
        let ClusterReads { inputs, buffers: reads, shape, .. } = reader;
        BufferedCluster { cluster: Cluster { shape, inputs, instructions, outputs }, inputs: reads, outputs: buffers }
    }
}

/// Cluster with the buffers that it reads and writes.
struct BufferedCluster {
    cluster: Cluster,
    inputs: Vec<BufferIndex>,
    outputs: Vec<BufferIndex>,
}

/// Inputs of a cluster, collected without duplicates.
struct ClusterReads {
    shape: Shape,
    inputs: Vec<ClusterInput>,
    buffers: Vec<BufferIndex>,
    /// Map from a buffer, strides and an offset to the index of the input that has them.
    known: BTreeMap<(BufferIndex, Vec<usize>, usize), usize>,
}

impl ClusterReads {
    fn new(shape: Shape) -> Self {
        Self { shape, inputs: vec![], buffers: vec![], known: BTreeMap::new() }
    }

    fn read(&mut self, emit: &mut Emit<'_>, reading: &Reading, dtype: DType) -> Arg {
        let mut view = reading.view.clone();
        let mut buffer = None;
        if let Base::Own(base) = reading.base {
            match &emit.data.nodes[base.node].kind {
                NodeKind::Constant(value) => return Arg::Number(*value, dtype),
                NodeKind::Iota => return Arg::Index,
                NodeKind::Scheduled(index) => {
                    let number = &emit.out.schedule[emit.scheduled[index]];
                    buffer = Some(number.buffer);
                    view.offset = number.element;
                }
                _ => {}
            }
        }
        let buffer = buffer.unwrap_or_else(|| emit.buffer(reading.base));
        let key = (buffer, view.strides.clone(), view.offset);
        let index = *self.known.entry(key).or_insert_with(|| {
            self.inputs.push(ClusterInput { view, dtype });
            self.buffers.push(buffer);
            self.inputs.len() - 1
        });
        Arg::Input(index)
    }
}
