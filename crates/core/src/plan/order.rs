//! The fourth pass: jobs in sequence. Updates write in place where nothing reads the old value afterwards.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::fused::{Base, Fused, Reading, Unit};
use super::ids::ClusterId;
use super::live::Live;
use crate::graph::node::{GraphData, NodeId, NodeKind};

/// What a unit stands for in the sequence: a unit, or the last copy of update `k` into its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Job {
    Unit(Unit),
    Assign(usize),
}

/// The jobs in order, and what that settled.
pub(super) struct Sequence {
    pub jobs: Vec<Job>,
    /// The variable's node that each base is written into.
    pub in_place: BTreeMap<Base, NodeId>,
    /// The bases that somebody reads from a buffer: another job, a fetch, or an update.
    pub stored: BTreeSet<Base>,
}

pub(super) fn pass(data: &GraphData, live: &Live, fused: &Fused) -> Sequence {
    let mut schedule = Schedule::new(data, live, fused);
    schedule.place_updates();
    Sequence { jobs: schedule.sequence(), stored: schedule.stored(), in_place: schedule.in_place }
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
    in_place: BTreeMap<Base, NodeId>,
}

impl<'a> Schedule<'a> {
    fn new(data: &'a GraphData, live: &'a Live, fused: &'a Fused) -> Self {
        let mut schedule =
            Self { data, live, fused, after: BTreeMap::new(), readers: BTreeMap::new(), in_place: BTreeMap::new() };
        for (node, of) in data.numbered().filter(|&(i, _)| live.needed[i]) {
            match &of.kind {
                NodeKind::Op(_) if !fused.is_view(node) => {
                    let job = Job::Unit(Unit::Op(node));
                    schedule.after.entry(job).or_default();
                    for &input in &of.inputs {
                        schedule.reads(job, fused.whole(live.resolve(input)));
                    }
                }
                NodeKind::Pointwise(..) => {
                    let job = Job::Unit(fused.unit(fused.cluster_of[&node]));
                    schedule.after.entry(job).or_default();
                    for &input in &of.inputs {
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
            let old = Base::Own(node.output(0));
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
        let cluster_in_step = |&cluster: &ClusterId| {
            self.fused.clusters[cluster].iter().all(|&member| {
                let inputs = self.data.nodes[member].inputs.iter();
                inputs.map(|&input| &self.fused.readings[&self.live.resolve(input)]).all(in_step)
            })
        };
        match unit {
            Unit::Op(node) => {
                let inputs = &self.data.nodes[node].inputs;
                inputs.iter().all(|&input| self.fused.whole(self.live.resolve(input)) != old)
                    && self.fused.attached(node).all(|(cluster, _)| cluster_in_step(&cluster))
            }
            Unit::Cluster(cluster) => cluster_in_step(&cluster),
            // Members run side by side: another one's reading may come before or after the update.
            Unit::Group(group) => {
                let reads = |cluster: ClusterId| {
                    let members = self.fused.clusters[cluster].iter();
                    let mut inputs = members.flat_map(|&member| &self.data.nodes[member].inputs);
                    inputs.any(|&input| self.fused.readings[&self.live.resolve(input)].base == old)
                };
                let group = &self.fused.groups[group];
                group.iter().filter(|&&cluster| reads(cluster)).count() <= 1 && group.iter().all(cluster_in_step)
            }
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
            Job::Unit(Unit::Op(node)) => node.0,
            Job::Unit(Unit::Cluster(cluster)) => self.fused.last(cluster).0,
            Job::Unit(Unit::Group(group)) => {
                let last = |&cluster: &ClusterId| self.fused.last(cluster).0;
                self.fused.groups[group].iter().map(last).max().expect("groups have clusters")
            }
            Job::Unit(Unit::Copy(value)) => value.node.0,
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
