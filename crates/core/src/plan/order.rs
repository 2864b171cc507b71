//! The fourth pass: puts the tasks in order. An update writes its variable in place if no later task reads the old
//! value.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::fused::{Base, Fused, Reading, Unit};
use super::ids::ClusterId;
use super::live::Live;
use crate::graph::node::{GraphData, NodeId, NodeKind};

/// Task that has not yet been converted to its final form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum PlannedTask {
    /// Task that computes values.
    Unit(Unit),
    /// Copy of the new value of update `k` into the variable, for a value that cannot be written there directly.
    Assign(usize),
}

/// Planned tasks in order, and the values that need a buffer or are written in place.
pub(super) struct Sequence {
    pub planned: Vec<PlannedTask>,
    /// Map from each new value that is written directly into its variable to the variable's node.
    pub in_place: BTreeMap<Base, NodeId>,
    /// The values that need a buffer, because another task, a fetch or an update reads them.
    pub stored: BTreeSet<Base>,
}

pub(super) fn pass(data: &GraphData, live: &Live, fused: &Fused) -> Sequence {
    let mut schedule = Schedule::new(data, live, fused);
    schedule.place_updates();
    Sequence { planned: schedule.sequence(), stored: schedule.stored(), in_place: schedule.in_place }
}

/// Dependencies between planned tasks.
struct Schedule<'a> {
    data: &'a GraphData,
    live: &'a Live,
    fused: &'a Fused,
    /// The tasks that must run after each task.
    after: BTreeMap<PlannedTask, BTreeSet<PlannedTask>>,
    /// The tasks that read each base, which is a value or a copy of a value.
    readers: BTreeMap<Base, BTreeSet<PlannedTask>>,
    /// Map from each new value that is written directly into its variable to the variable's node.
    in_place: BTreeMap<Base, NodeId>,
}

impl<'a> Schedule<'a> {
    fn new(data: &'a GraphData, live: &'a Live, fused: &'a Fused) -> Self {
        let mut schedule =
            Self { data, live, fused, after: BTreeMap::new(), readers: BTreeMap::new(), in_place: BTreeMap::new() };
        for (node, of) in data.numbered().filter(|&(i, _)| live.needed[i]) {
            match &of.kind {
                NodeKind::Op(_) if !fused.is_view(node) => {
                    let task = PlannedTask::Unit(Unit::Op(node));
                    schedule.after.entry(task).or_default();
                    for &input in &of.inputs {
                        schedule.reads(task, fused.whole(live.resolve(input)));
                    }
                }
                NodeKind::Pointwise(..) => {
                    let task = PlannedTask::Unit(fused.unit(fused.cluster_of[&node]));
                    schedule.after.entry(task).or_default();
                    for &input in &of.inputs {
                        schedule.reads(task, fused.readings[&live.resolve(input)].base);
                    }
                }
                _ => {}
            }
        }
        for (&value, reading) in &fused.copies {
            let task = PlannedTask::Unit(Unit::Copy(value));
            schedule.after.entry(task).or_default();
            schedule.reads(task, reading.base);
        }
        schedule
    }

    /// Records that a task reads a base, and therefore must run after the task that computes the base.
    fn reads(&mut self, task: PlannedTask, base: Base) {
        if let Some(producer) = self.fused.producer(self.data, base).map(PlannedTask::Unit)
            && producer != task
        {
            self.link(producer, task);
        }
        self.readers.entry(base).or_default().insert(task);
    }

    /// Records that task `later` must run after task `first`.
    fn link(&mut self, first: PlannedTask, later: PlannedTask) {
        self.after.entry(first).or_default().insert(later);
        self.after.entry(later).or_default();
    }

    /// Returns whether task `to` depends on task `from`, directly or indirectly.
    fn reaches(&self, from: PlannedTask, to: PlannedTask) -> bool {
        let mut visited = BTreeSet::new();
        let mut stack = vec![from];
        while let Some(task) = stack.pop() {
            if task == to {
                return true;
            }
            if visited.insert(task) {
                stack.extend(&self.after[&task]);
            }
        }
        false
    }

    /// Decides for each update whether the new value is written directly into the variable's buffer or copied
    /// there by a separate task.
    fn place_updates(&mut self) {
        for (k, update) in self.data.updates.iter().enumerate() {
            let node = self.data.variables[&update.variable.id()];
            let old = Base::Own(node.output(0));
            let new = self.fused.whole(self.live.updates[k]);
            let readers = self.readers.get(&old).cloned().unwrap_or_default();
            let producer = self.fused.producer(self.data, new).map(PlannedTask::Unit);
            let writer = producer.filter(|&producer| {
                !self.in_place.contains_key(&new)
                    && self.reads_elementwise(producer, old)
                    && readers.iter().all(|&reader| reader == producer || !self.reaches(producer, reader))
            });
            let writer = if let Some(writer) = writer {
                self.in_place.insert(new, node);
                writer
            } else {
                let assign = PlannedTask::Assign(k);
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

    /// Returns whether a task reads `old` only at the position of the element that it writes.
    fn reads_elementwise(&self, task: PlannedTask, old: Base) -> bool {
        let PlannedTask::Unit(unit) = task else { return false };
        let elementwise = |reading: &Reading| reading.base != old || reading.view.is_contiguous();
        let cluster_elementwise = |&cluster: &ClusterId| {
            self.fused.clusters[cluster].iter().all(|&member| {
                let inputs = self.data.nodes[member].inputs.iter();
                inputs.map(|&input| &self.fused.readings[&self.live.resolve(input)]).all(elementwise)
            })
        };
        match unit {
            Unit::Op(node) => {
                let inputs = &self.data.nodes[node].inputs;
                inputs.iter().all(|&input| self.fused.whole(self.live.resolve(input)) != old)
                    && self.fused.attached(node).all(|(cluster, _)| cluster_elementwise(&cluster))
            }
            Unit::Cluster(cluster) => cluster_elementwise(&cluster),
            // The members of a group run concurrently: another member's read may happen before or after the
            // update.
            Unit::Group(group) => {
                let reads = |cluster: ClusterId| {
                    let members = self.fused.clusters[cluster].iter();
                    let mut inputs = members.flat_map(|&member| &self.data.nodes[member].inputs);
                    inputs.any(|&input| self.fused.readings[&self.live.resolve(input)].base == old)
                };
                let group = &self.fused.groups[group];
                group.iter().filter(|&&cluster| reads(cluster)).count() <= 1 && group.iter().all(cluster_elementwise)
            }
            Unit::Copy(value) => elementwise(&self.fused.copies[&value]),
        }
    }

    /// Returns the values that need a buffer, because another task, a fetch or an update reads them.
    fn stored(&self) -> BTreeSet<Base> {
        let across = self.readers.iter().filter(|(base, readers)| {
            let producer = self.fused.producer(self.data, **base).map(PlannedTask::Unit);
            readers.iter().any(|&reader| Some(reader) != producer)
        });
        let kept = self.live.fetches.iter().chain(&self.live.updates).map(|&value| self.fused.whole(value));
        across.map(|(&base, _)| base).chain(kept).collect()
    }

    /// Returns the tasks in an order that respects every dependency, and otherwise is the order in which they were
    /// traced.
    fn sequence(&self) -> Vec<PlannedTask> {
        let traced = |task: PlannedTask| match task {
            PlannedTask::Unit(Unit::Op(node)) => node.0,
            PlannedTask::Unit(Unit::Cluster(cluster)) => self.fused.last(cluster).0,
            PlannedTask::Unit(Unit::Group(group)) => {
                let last = |&cluster: &ClusterId| self.fused.last(cluster).0;
                self.fused.groups[group].iter().map(last).max().expect("groups have clusters")
            }
            PlannedTask::Unit(Unit::Copy(value)) => value.node.0,
            PlannedTask::Assign(k) => self.data.nodes.len() + k,
        };
        let mut waiting: BTreeMap<PlannedTask, usize> = self.after.keys().map(|&task| (task, 0)).collect();
        for later in self.after.values().flatten() {
            *waiting.entry(*later).or_default() += 1;
        }
        let mut ready: BinaryHeap<Reverse<(usize, PlannedTask)>> =
            waiting.iter().filter(|&(_, &count)| count == 0).map(|(&task, _)| Reverse((traced(task), task))).collect();
        let mut sequence = Vec::with_capacity(waiting.len());
        while let Some(Reverse((_, task))) = ready.pop() {
            sequence.push(task);
            for &later in &self.after[&task] {
                let count = waiting.get_mut(&later).expect("every task is counted");
                *count -= 1;
                if *count == 0 {
                    ready.push(Reverse((traced(later), later)));
                }
            }
        }
        assert_eq!(sequence.len(), self.after.len(), "the tasks of a plan form a cycle: a bug of the planner");
        sequence
    }
}
