//! Fusion as data: clusters of pointwise nodes, how values are read, and which op or group a cluster runs with.

use std::collections::BTreeMap;

use super::ids::{ClusterId, GroupId};
use super::live::Live;
use crate::graph::node::{GraphData, NodeId, NodeKind, ValueId};
use crate::{Dispatch, Launch, Limits, Spec, TuningChoice, View};

/// Who computes a buffer: one future task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unit {
    /// The structured op at this node.
    Op(NodeId),
    /// This cluster.
    Cluster(ClusterId),
    /// This group.
    Group(GroupId),
    /// A copy of this value, for a reader that needs it in a buffer of its own.
    Copy(ValueId),
}

/// What has (or stands for) a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Base {
    /// The value as its node makes it.
    Own(ValueId),
    /// The copy of a value.
    Copy(ValueId),
}

impl Base {
    /// The value that it holds.
    pub fn value(self) -> ValueId {
        match self {
            Self::Own(value) | Self::Copy(value) => value,
        }
    }

    /// The node of the value.
    pub fn node(self) -> NodeId {
        self.value().node
    }
}

/// A value as it can be read: elements of something that has a buffer, or of a number or an index.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// What is read.
    pub base: Base,
    /// How.
    pub view: View,
}

/// Which side of an op a cluster is fused to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It makes this input.
    Prologue(usize),
    /// It reads this output.
    Epilogue(usize),
}

/// The op in whose kernel a cluster runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// The op's node.
    pub op: NodeId,
    /// On which side of it.
    pub side: Side,
}

/// Launch of an op, described once: fusion counts its bindings, the tasks take it over.
#[derive(Clone, Default)]
pub(super) struct Launched {
    pub dispatches: Vec<Dispatch>,
    pub scratch: Vec<Spec>,
    pub choices: Vec<TuningChoice>,
}

impl Launched {
    /// Describes the launch of the op at a node; none for other nodes, and nothing where there is nothing to compute:
    /// buffers of size zero do not exist on a GPU.
    pub fn of(data: &GraphData, live: &Live, limits: &Limits, node: NodeId) -> Option<Self> {
        let NodeKind::Op(op) = &data.nodes[node].kind else { return None };
        let outputs = &data.nodes[node].outputs;
        if outputs.iter().all(|spec| spec.shape.numel() == 0) {
            return Some(Self::default());
        }
        let input = |&input: &ValueId| data.spec(live.resolve(input)).clone();
        let inputs: Vec<Spec> = data.nodes[node].inputs.iter().map(input).collect();
        let mut launch = Launch::new(&inputs, outputs, limits);
        op.launch(&mut launch);
        let Launch { dispatches, scratch, choices, .. } = launch;
        Some(Self { dispatches, scratch, choices })
    }
}

/// Clusters, the readings of values and the copies: what `fuse` and `attach` found.
#[derive(Default)]
pub(super) struct Fused {
    /// How every needed value is read by pointwise readers.
    pub readings: BTreeMap<ValueId, Reading>,
    /// The nodes of each cluster, ascending.
    pub clusters: Vec<Vec<NodeId>>,
    /// The cluster of each pointwise node.
    pub cluster_of: BTreeMap<NodeId, ClusterId>,
    /// The values that get a copy, and what the copy reads.
    pub copies: BTreeMap<ValueId, Reading>,
    /// For each cluster that runs in the kernel of an op: of which, and on which side.
    pub hosts: BTreeMap<ClusterId, Host>,
    /// Clusters that are the same but for their buffers, and run as one task.
    pub groups: Vec<Vec<ClusterId>>,
    /// The launches of ops that clusters might have joined.
    pub launched: BTreeMap<NodeId, Launched>,
}

impl Fused {
    /// Who makes a buffer, if a task does.
    pub fn maker(&self, data: &GraphData, base: Base) -> Option<Unit> {
        match base {
            Base::Copy(value) => Some(Unit::Copy(value)),
            Base::Own(value) => match &data.nodes[value.node].kind {
                NodeKind::Pointwise(..) => self.cluster_of.get(&value.node).map(|&cluster| self.unit(cluster)),
                NodeKind::Op(_) => Some(Unit::Op(value.node)),
                _ => None,
            },
        }
    }

    /// Returns the unit that a cluster is part of.
    pub fn unit(&self, cluster: ClusterId) -> Unit {
        if let Some(host) = self.hosts.get(&cluster) {
            return Unit::Op(host.op);
        }
        let group = self.groups.iter().position(|group| group.contains(&cluster));
        group.map_or(Unit::Cluster(cluster), |group| Unit::Group(GroupId(group)))
    }

    /// Returns the clusters that run in the kernel of an op, and on which side.
    pub fn attached(&self, op: NodeId) -> impl Iterator<Item = (ClusterId, Side)> {
        let of_this = self.hosts.iter().filter(move |(_, host)| host.op == op);
        of_this.map(|(&cluster, host)| (cluster, host.side))
    }

    /// Returns the last node of a cluster.
    pub fn last(&self, cluster: ClusterId) -> NodeId {
        *self.clusters[cluster].last().expect("clusters have members")
    }

    /// The value that a prologue hands to its op.
    pub fn fed(&self, data: &GraphData, live: &Live, cluster: ClusterId) -> Option<ValueId> {
        match self.hosts.get(&cluster) {
            Some(&Host { op, side: Side::Prologue(input) }) => {
                match self.whole(live.resolve(data.nodes[op].inputs[input])) {
                    Base::Own(value) => Some(value),
                    Base::Copy(_) => None,
                }
            }
            _ => None,
        }
    }

    /// The buffer that a reader which needs a whole one reads: the copy if there is one.
    pub fn whole(&self, value: ValueId) -> Base {
        if self.copies.contains_key(&value) { Base::Copy(value) } else { self.readings[&value].base }
    }

    /// Whether the value is only another reading of an earlier one.
    pub fn is_view(&self, node: NodeId) -> bool {
        let own = node.output(0);
        self.readings.get(&own).is_some_and(|reading| reading.base != Base::Own(own))
    }
}

/// Whether a value has no buffer unless it is copied into one.
pub(super) fn is_bufferless(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Constant(_) | NodeKind::Iota | NodeKind::Scheduled(_))
}
