//! The third pass: tasks in sequence. Updates write in place where nothing reads the old value afterwards.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::fuse::{Base, Fused, Reading, Unit};
use super::live::Live;
use super::{Arg, Cluster, Input, Instruction, Task, Work};
use crate::node::{GraphData, NodeKind, Scheduled, ValueId};
use crate::params::{Counter, Variable};
use crate::{DType, Launch, Limits, Site, Spec, View};

/// A buffer before it is placed.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Fed.
    Input(usize),
    /// Kept.
    Variable(usize),
    /// Written once.
    Array(std::sync::Arc<crate::Array>),
    /// The scheduled numbers of a type.
    Schedule,
    /// Made by a task.
    Made,
    /// Scratch space of the task with this number.
    Scratch,
}

/// Tasks in order, over buffers without memory.
#[derive(Default)]
pub(super) struct Ordered {
    pub tasks: Vec<Task>,
    pub buffers: Vec<(Spec, Place)>,
    pub inputs: Vec<Input>,
    pub variables: Vec<(Variable, usize, bool)>,
    pub schedule: Vec<(Scheduled, usize, usize)>,
    pub counters: Vec<Counter>,
    pub fetches: Vec<(usize, Spec)>,
}

/// What a unit stands for in the sequence: a unit, or the last copy of update `k` into its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Job {
    Unit(Unit),
    Assign(usize),
}

pub(super) fn pass(data: &GraphData, live: &Live, fused: &Fused, limits: &Limits, passes: &mut Vec<String>) -> Ordered {
    let mut schedule = Schedule::new(data, live, fused);
    schedule.place_updates();
    let in_place = schedule.in_place.len();
    let copied = live.updates.len() - in_place;
    let sequence = schedule.sequence();
    let stored = schedule.stored();
    let mut emit = Emit {
        data,
        live,
        fused,
        limits,
        stored,
        in_place: schedule.in_place,
        out: Ordered::default(),
        of: BTreeMap::new(),
        places: BTreeMap::new(),
    };
    emit.declare();
    for job in sequence {
        emit.job(job);
    }
    for &value in &live.fetches {
        let buffer = emit.buffer(fused.whole(value));
        emit.out.fetches.push((buffer, data.spec(value).clone()));
    }
    passes.push(format!("order: {} tasks, {in_place} updates in place, {copied} by copy", emit.out.tasks.len()));
    emit.out
}

/// Dependencies between jobs.
struct Schedule<'a> {
    data: &'a GraphData,
    live: &'a Live,
    fused: &'a Fused,
    after: BTreeMap<Job, BTreeSet<Job>>,
    /// The jobs that read each base.
    readers: BTreeMap<Base, BTreeSet<Job>>,
    /// The variable's node that each base is written into.
    in_place: BTreeMap<Base, usize>,
}

impl<'a> Schedule<'a> {
    fn new(data: &'a GraphData, live: &'a Live, fused: &'a Fused) -> Self {
        let mut schedule =
            Self { data, live, fused, after: BTreeMap::new(), readers: BTreeMap::new(), in_place: BTreeMap::new() };
        for (node, _) in data.nodes.iter().enumerate().filter(|&(i, _)| live.needed[i]) {
            match &data.nodes[node].kind {
                NodeKind::Op(_) if !fused.is_view(node) => {
                    let job = Job::Unit(Unit::Op(node));
                    schedule.after.entry(job).or_default();
                    for &input in &data.nodes[node].inputs {
                        schedule.reads(job, fused.whole(live.resolve(input)));
                    }
                }
                NodeKind::Pointwise(..) => {
                    let job = Job::Unit(Unit::Cluster(fused.cluster_of[&node]));
                    schedule.after.entry(job).or_default();
                    for &input in &data.nodes[node].inputs {
                        schedule.reads(job, fused.readings[&live.resolve(input)].base);
                    }
                }
                _ => {}
            }
        }
        for (&value, reading) in &fused.copies {
            let job = Job::Unit(Unit::Copy(value));
            schedule.after.entry(job).or_default();
            schedule.reads(job, reading.base);
        }
        schedule
    }

    fn reads(&mut self, job: Job, base: Base) {
        if let Some(maker) = self.fused.maker(self.data, base).map(Job::Unit)
            && maker != job
        {
            self.link(maker, job);
        }
        self.readers.entry(base).or_default().insert(job);
    }

    fn link(&mut self, first: Job, then: Job) {
        self.after.entry(first).or_default().insert(then);
        self.after.entry(then).or_default();
    }

    fn reaches(&self, from: Job, to: Job) -> bool {
        let mut seen = BTreeSet::new();
        let mut stack = vec![from];
        while let Some(job) = stack.pop() {
            if job == to {
                return true;
            }
            if seen.insert(job) {
                stack.extend(&self.after[&job]);
            }
        }
        false
    }

    /// Decides for each update whether its maker writes the variable's buffer itself.
    fn place_updates(&mut self) {
        for (k, update) in self.data.updates.iter().enumerate() {
            let node = self.data.variables[&update.variable.id()];
            let old = Base::Own(ValueId { node, output: 0 });
            let new = self.fused.whole(self.live.updates[k]);
            let readers = self.readers.get(&old).cloned().unwrap_or_default();
            let maker = self.fused.maker(self.data, new).map(Job::Unit);
            let writer = maker.filter(|&maker| {
                !self.in_place.contains_key(&new)
                    && self.reads_in_step(maker, old)
                    && readers.iter().all(|&reader| reader == maker || !self.reaches(maker, reader))
            });
            let writer = if let Some(writer) = writer {
                self.in_place.insert(new, node);
                writer
            } else {
                let assign = Job::Assign(k);
                self.after.entry(assign).or_default();
                self.reads(assign, new);
                assign
            };
            for reader in readers {
                if reader != writer {
                    self.link(reader, writer);
                }
            }
        }
    }

    /// Whether a job that reads `old` at all reads it only at the position that it writes.
    fn reads_in_step(&self, job: Job, old: Base) -> bool {
        let Job::Unit(unit) = job else { return false };
        let in_step = |reading: &Reading| reading.base != old || reading.view.is_contiguous();
        match unit {
            Unit::Op(node) => {
                self.data.nodes[node].inputs.iter().all(|&input| self.fused.whole(self.live.resolve(input)) != old)
            }
            Unit::Cluster(cluster) => self.fused.clusters[cluster].iter().all(|&member| {
                let inputs = self.data.nodes[member].inputs.iter();
                inputs.map(|&input| &self.fused.readings[&self.live.resolve(input)]).all(in_step)
            }),
            Unit::Copy(value) => in_step(&self.fused.copies[&value]),
        }
    }

    /// The bases that somebody reads from a buffer: another job, a fetch, or an update.
    fn stored(&self) -> BTreeSet<Base> {
        let across = self.readers.iter().filter(|(base, readers)| {
            let maker = self.fused.maker(self.data, **base).map(Job::Unit);
            readers.iter().any(|&reader| Some(reader) != maker)
        });
        let kept = self.live.fetches.iter().chain(&self.live.updates).map(|&value| self.fused.whole(value));
        across.map(|(&base, _)| base).chain(kept).collect()
    }

    /// The jobs in an order that respects every dependency and otherwise follows the trace.
    fn sequence(&self) -> Vec<Job> {
        let traced = |job: Job| match job {
            Job::Unit(Unit::Op(node)) => node,
            Job::Unit(Unit::Cluster(cluster)) => *self.fused.clusters[cluster].last().expect("clusters have members"),
            Job::Unit(Unit::Copy(value)) => value.node,
            Job::Assign(k) => self.data.nodes.len() + k,
        };
        let mut waiting: BTreeMap<Job, usize> = self.after.keys().map(|&job| (job, 0)).collect();
        for then in self.after.values().flatten() {
            *waiting.entry(*then).or_default() += 1;
        }
        let mut ready: BinaryHeap<Reverse<(usize, Job)>> =
            waiting.iter().filter(|&(_, &count)| count == 0).map(|(&job, _)| Reverse((traced(job), job))).collect();
        let mut sequence = Vec::with_capacity(waiting.len());
        while let Some(Reverse((_, job))) = ready.pop() {
            sequence.push(job);
            for &then in &self.after[&job] {
                let count = waiting.get_mut(&then).expect("every job is counted");
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse((traced(then), then)));
                }
            }
        }
        assert_eq!(sequence.len(), self.after.len(), "the tasks of a plan form a cycle: a bug of the planner");
        sequence
    }
}

/// Turns jobs into tasks.
struct Emit<'a> {
    data: &'a GraphData,
    live: &'a Live,
    fused: &'a Fused,
    limits: &'a Limits,
    in_place: BTreeMap<Base, usize>,
    out: Ordered,
    /// The bases that need a buffer although their cluster makes them.
    stored: BTreeSet<Base>,
    of: BTreeMap<Base, usize>,
    /// The buffer of each scheduled number, and its place in it.
    places: BTreeMap<usize, (usize, usize)>,
}

impl Emit<'_> {
    fn new_buffer(&mut self, spec: Spec, place: Place) -> usize {
        self.out.buffers.push((spec, place));
        self.out.buffers.len() - 1
    }

    /// Inputs, variables and schedules, in the order of the trace.
    fn declare(&mut self) {
        let updated: BTreeSet<_> = self.data.updates.iter().map(|update| update.variable.id()).collect();
        for (i, node) in self.data.nodes.iter().enumerate() {
            let value = ValueId { node: i, output: 0 };
            match &node.kind {
                NodeKind::Input(name) => {
                    let spec = node.outputs[0].clone();
                    let index = self.out.inputs.len();
                    let buffer = self.live.needed[i].then(|| self.new_buffer(spec.clone(), Place::Input(index)));
                    if let Some(buffer) = buffer {
                        self.of.insert(Base::Own(value), buffer);
                    }
                    self.out.inputs.push(Input { value, name: name.clone(), buffer, spec });
                }
                NodeKind::Variable(variable) => {
                    let written = updated.contains(&variable.id());
                    if self.live.needed[i] || written {
                        let index = self.out.variables.len();
                        let buffer = self.new_buffer(node.outputs[0].clone(), Place::Variable(index));
                        self.of.insert(Base::Own(value), buffer);
                        self.out.variables.push((variable.clone(), buffer, written));
                    }
                }
                NodeKind::Array(array) if self.live.needed[i] => {
                    let buffer = self.new_buffer(node.outputs[0].clone(), Place::Array(array.clone()));
                    self.of.insert(Base::Own(value), buffer);
                }
                NodeKind::Scheduled(index) if self.live.needed[i] => {
                    let entry = self.data.schedule[*index].clone();
                    let known = self.out.schedule.iter().find(|(other, ..)| other.dtype == entry.dtype);
                    let buffer = match known {
                        Some(&(_, buffer, _)) => buffer,
                        None => self.new_buffer(Spec::new([0], entry.dtype), Place::Schedule),
                    };
                    let place = self.out.buffers[buffer].0.shape.numel();
                    self.out.buffers[buffer].0.shape = [place + 1].into();
                    self.places.insert(*index, (buffer, place));
                    self.out.schedule.push((entry, buffer, place));
                }
                _ => {}
            }
        }
        self.out.counters.clone_from(&self.data.counters);
    }

    /// The buffer of a base, made on first use.
    fn buffer(&mut self, base: Base) -> usize {
        if let Some(&variable) = self.in_place.get(&base) {
            return self.of[&Base::Own(ValueId { node: variable, output: 0 })];
        }
        if let Some(&buffer) = self.of.get(&base) {
            return buffer;
        }
        let (Base::Own(value) | Base::Copy(value)) = base;
        let buffer = self.new_buffer(self.data.spec(value).clone(), Place::Made);
        self.of.insert(base, buffer);
        buffer
    }

    fn job(&mut self, job: Job) {
        match job {
            Job::Unit(Unit::Op(node)) => self.op(node),
            Job::Unit(Unit::Cluster(cluster)) => self.cluster(&self.fused.clusters[cluster]),
            Job::Unit(Unit::Copy(value)) => {
                let reading = self.fused.copies[&value].clone();
                let output = self.buffer(Base::Copy(value));
                self.copy(&reading, output, self.data.spec(value).dtype, self.data.nodes[value.node].site.clone());
            }
            Job::Assign(k) => {
                let value = self.live.updates[k];
                let variable = self.data.variables[&self.data.updates[k].variable.id()];
                let output = self.of[&Base::Own(ValueId { node: variable, output: 0 })];
                let spec = self.data.spec(value).clone();
                let reading = Reading { base: self.fused.whole(value), view: View::contiguous(&spec.shape) };
                self.copy(&reading, output, spec.dtype, self.data.nodes[value.node].site.clone());
            }
        }
    }

    fn copy(&mut self, reading: &Reading, output: usize, dtype: DType, site: Site) {
        let mut cluster = Reader::new(reading.view.shape.clone());
        let arg = cluster.read(self, reading, dtype);
        let Reader { inputs, buffers, shape, .. } = cluster;
        let work = Work::Cluster(Cluster { shape, inputs, instructions: vec![], outputs: vec![arg] });
        self.out.tasks.push(Task { work, inputs: buffers, outputs: vec![output], site });
    }

    fn op(&mut self, node: usize) {
        let n = &self.data.nodes[node];
        let NodeKind::Op(op) = &n.kind else { unreachable!("only ops become op tasks") };
        let values: Vec<_> = n.inputs.iter().map(|&input| self.live.resolve(input)).collect();
        let specs: (Vec<Spec>, Vec<Spec>) =
            (values.iter().map(|&value| self.data.spec(value).clone()).collect(), n.outputs.clone());
        let inputs = values.iter().map(|&value| self.buffer(self.fused.whole(value))).collect();
        let outputs = (0..n.outputs.len()).map(|output| self.buffer(Base::Own(ValueId { node, output }))).collect();
        let mut launch = Launch::new(&specs.0, &specs.1, self.limits);
        // Nothing to compute, nothing to launch; buffers of size zero do not exist on a GPU.
        if self.limits.dispatches && specs.1.iter().any(|spec| spec.shape.numel() > 0) {
            op.launch(&mut launch);
        }
        let (dispatches, scratch) = (launch.dispatches, launch.scratch);
        let scratch = scratch.into_iter().map(|spec| self.new_buffer(spec, Place::Scratch)).collect();
        let work = Work::Op { op: op.clone(), dispatches, scratch, specs };
        self.out.tasks.push(Task { work, inputs, outputs, site: n.site.clone() });
    }

    fn cluster(&mut self, members: &[usize]) {
        let last = *members.last().expect("clusters have members");
        let mut reader = Reader::new(self.data.nodes[last].outputs[0].shape.clone());
        let mut results: BTreeMap<usize, usize> = BTreeMap::new();
        let mut instructions = vec![];
        for &member in members {
            let node = &self.data.nodes[member];
            let NodeKind::Pointwise(row, attributes) = &node.kind else { unreachable!("clusters are pointwise") };
            let args = node
                .inputs
                .iter()
                .map(|&input| {
                    let input = self.live.resolve(input);
                    let reading = self.fused.readings[&input].clone();
                    match (results.get(&input.node), reading.base) {
                        (Some(&result), Base::Own(base)) if base == input => Arg::Result(result),
                        _ => reader.read(self, &reading, self.data.spec(input).dtype),
                    }
                })
                .collect();
            results.insert(member, instructions.len());
            instructions.push(Instruction { row, attributes: attributes.clone(), args });
        }
        let (mut outputs, mut buffers) = (vec![], vec![]);
        for &member in members {
            let value = ValueId { node: member, output: 0 };
            if self.stored.contains(&Base::Own(value)) {
                outputs.push(Arg::Result(results[&member]));
                buffers.push(self.buffer(Base::Own(value)));
            }
        }
        let Reader { inputs, buffers: reads, shape, .. } = reader;
        let work = Work::Cluster(Cluster { shape, inputs, instructions, outputs });
        let site = self.data.nodes[last].site.clone();
        self.out.tasks.push(Task { work, inputs: reads, outputs: buffers, site });
    }
}

/// Collects the inputs of a cluster, each reading once.
struct Reader {
    shape: crate::Shape,
    inputs: Vec<(View, DType)>,
    buffers: Vec<usize>,
    seen: BTreeMap<(usize, Vec<usize>, usize), usize>,
}

impl Reader {
    fn new(shape: crate::Shape) -> Self {
        Self { shape, inputs: vec![], buffers: vec![], seen: BTreeMap::new() }
    }

    fn read(&mut self, emit: &mut Emit<'_>, reading: &Reading, dtype: DType) -> Arg {
        let mut view = reading.view.clone();
        let mut buffer = None;
        if let Base::Own(base) = reading.base {
            match &emit.data.nodes[base.node].kind {
                NodeKind::Constant(value) => return Arg::Number(*value, dtype),
                NodeKind::Iota => return Arg::Index,
                NodeKind::Scheduled(index) => {
                    let (schedule, place) = emit.places[index];
                    buffer = Some(schedule);
                    view.offset = place;
                }
                _ => {}
            }
        }
        let buffer = buffer.unwrap_or_else(|| emit.buffer(reading.base));
        let key = (buffer, view.strides.clone(), view.offset);
        let index = *self.seen.entry(key).or_insert_with(|| {
            self.inputs.push((view, dtype));
            self.buffers.push(buffer);
            self.inputs.len() - 1
        });
        Arg::Input(index)
    }
}
