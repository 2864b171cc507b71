//! Result of fusion: clusters of pointwise nodes, how values are read, and which op or group a cluster runs with.

use std::collections::BTreeMap;

use super::ids::{ClusterId, GroupId};
use super::live::Live;
use crate::graph::node::{GraphData, NodeId, NodeKind, ValueId};
use crate::{Dispatch, Launch, Limits, Spec, TuningChoice, View};

/// Producer of a buffer: one task of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unit {
    /// The structured op at this node.
    Op(NodeId),
    /// This cluster.
    Cluster(ClusterId),
    /// This group.
    Group(GroupId),
    /// The copy of this value, for a reader that needs it in a buffer of its own.
    Copy(ValueId),
}

/// Value that has a buffer, or the constant or index that replaces one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Base {
    /// The value as its node computes it.
    Own(ValueId),
    /// The copy of a value.
    Copy(ValueId),
}

impl Base {
    /// Returns the value that it holds.
    pub fn value(self) -> ValueId {
        match self {
            Self::Own(value) | Self::Copy(value) => value,
        }
    }

    /// Returns the node of the value.
    pub fn node(self) -> NodeId {
        self.value().node
    }
}

/// View of a base: how the elements of a value are read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Base that is read.
    pub base: Base,
    /// View through which it is read.
    pub view: View,
}

/// Side of an op that a cluster is fused to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The cluster computes this input of the op.
    Prologue(usize),
    /// The cluster reads this output of the op.
    Epilogue(usize),
}

/// Op in whose kernel a cluster runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// The op's node.
    pub op: NodeId,
    /// Side of the op that the cluster is on.
    pub side: Side,
}

/// Launch of an op, described once: fusion counts its bindings, and `emit` reuses it for the task.
#[derive(Clone, Default)]
pub(super) struct OpLaunch {
    pub dispatches: Vec<Dispatch>,
    pub scratch: Vec<Spec>,
    pub choices: Vec<TuningChoice>,
}

impl OpLaunch {
    /// Describes the launch of the op at a node; `None` for other nodes. The launch is empty if the outputs have no
    /// elements, because a GPU has no buffers of size zero.
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

/// Clusters, readings and copies: the result of `fuse` and `attach`.
#[derive(Default)]
pub(super) struct Fused {
    /// Reading of every needed value by pointwise nodes.
    pub readings: BTreeMap<ValueId, Reading>,
    /// Nodes of each cluster, ascending.
    pub clusters: Vec<Vec<NodeId>>,
    /// Cluster of each pointwise node.
    pub cluster_of: BTreeMap<NodeId, ClusterId>,
    /// Values that are copied to a buffer, with what the copy reads.
    pub copies: BTreeMap<ValueId, Reading>,
    /// Host op of each cluster that runs in the kernel of an op.
    pub hosts: BTreeMap<ClusterId, Host>,
    /// Groups of clusters that differ only in their buffers and run as one task.
    pub groups: Vec<Vec<ClusterId>>,
    /// Launches of the ops for which attaching a cluster was tried.
    pub launches: BTreeMap<NodeId, OpLaunch>,
}

impl Fused {
    /// Returns the unit that produces a base, if a task does.
    pub fn producer(&self, data: &GraphData, base: Base) -> Option<Unit> {
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

    /// Returns the clusters that run in the kernel of an op, each with its side.
    pub fn attached(&self, op: NodeId) -> impl Iterator<Item = (ClusterId, Side)> {
        let of_this = self.hosts.iter().filter(move |(_, host)| host.op == op);
        of_this.map(|(&cluster, host)| (cluster, host.side))
    }

    /// Returns the last node of a cluster.
    pub fn last(&self, cluster: ClusterId) -> NodeId {
        *self.clusters[cluster].last().expect("clusters have members")
    }

    /// Returns the value that a prologue passes to its op.
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

    /// Returns the base for a reader that needs a whole buffer: the copy if there is one.
    pub fn whole(&self, value: ValueId) -> Base {
        if self.copies.contains_key(&value) { Base::Copy(value) } else { self.readings[&value].base }
    }

    /// Returns whether the node is only a view of an earlier value.
    pub fn is_view(&self, node: NodeId) -> bool {
        let own = node.output(0);
        self.readings.get(&own).is_some_and(|reading| reading.base != Base::Own(own))
    }
}

/// Returns whether a value has no buffer unless it is copied into one.
pub(super) fn is_bufferless(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Constant(_) | NodeKind::Iota | NodeKind::Scheduled(_))
}
