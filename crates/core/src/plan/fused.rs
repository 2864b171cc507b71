//! Result of fusion: clusters of pointwise nodes, how values are read, and the op or group that each cluster runs
//! with.

use std::collections::BTreeMap;

use super::ids::{ClusterId, GroupId};
use super::live::Live;
use crate::graph::node::{GraphData, NodeId, NodeKind, ValueId};
use crate::{Dispatch, Launch, Limits, Spec, TuningChoice, View};

/// Task of the plan that computes values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unit {
    /// The structured op at this node, with the clusters attached to it.
    Op(NodeId),
    /// This cluster of pointwise nodes.
    Cluster(ClusterId),
    /// This group of clusters, which differ only in their buffers.
    Group(GroupId),
    /// The copy of this value to a separate buffer, for a reader that cannot read it through a view.
    Copy(ValueId),
}

/// Value, or copy of a value, that nodes read. Constants, row-major indices and numbers that the host computes
/// before each run have no buffer of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Base {
    /// The value itself, as its node computes it.
    Own(ValueId),
    /// A copy of the value.
    Copy(ValueId),
}

impl Base {
    /// Returns the value or, for a copy, the value that was copied.
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
    /// The base that is read.
    pub base: Base,
    /// The view through which the base is read.
    pub view: View,
}

/// Side of an op (an input or an output) to which a cluster is attached.
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
    /// The side of the op that the cluster is attached to.
    pub side: Side,
}

/// Launch of an op. It is computed once and used twice: fusion counts the buffers that it binds, and the pass
/// `emit` adds it to the task.
#[derive(Clone, Default)]
pub(super) struct OpLaunch {
    pub dispatches: Vec<Dispatch>,
    pub scratch: Vec<Spec>,
    pub choices: Vec<TuningChoice>,
}

impl OpLaunch {
    /// Returns the launch of the op at a node; `None` for other nodes. The launch is empty if the outputs have no
    /// elements, because a GPU cannot have buffers of size zero.
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

/// Result of the passes `fuse` and `attach`.
#[derive(Default)]
pub(super) struct Fused {
    /// The view through which pointwise nodes read each needed value.
    pub readings: BTreeMap<ValueId, Reading>,
    /// The nodes of each cluster, in ascending order.
    pub clusters: Vec<Vec<NodeId>>,
    /// The cluster of each pointwise node.
    pub cluster_of: BTreeMap<NodeId, ClusterId>,
    /// The values that are copied to a separate buffer, with what each copy reads.
    pub copies: BTreeMap<ValueId, Reading>,
    /// The op in whose kernel each attached cluster runs.
    pub hosts: BTreeMap<ClusterId, Host>,
    /// The groups: clusters that differ only in shape and buffers, and run as one task.
    pub groups: Vec<Vec<ClusterId>>,
    /// The op launches computed so far, which the pass `emit` reuses.
    pub launches: BTreeMap<NodeId, OpLaunch>,
}

impl Fused {
    /// Returns the task that computes a base; `None` if no task does.
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

    /// Returns the task that a cluster is part of.
    pub fn unit(&self, cluster: ClusterId) -> Unit {
        if let Some(host) = self.hosts.get(&cluster) {
            return Unit::Op(host.op);
        }
        let group = self.groups.iter().position(|group| group.contains(&cluster));
        group.map_or(Unit::Cluster(cluster), |group| Unit::Group(GroupId(group)))
    }

    /// Returns the clusters that run in the kernel of an op, with the side that each is attached to.
    pub fn attached(&self, op: NodeId) -> impl Iterator<Item = (ClusterId, Side)> {
        let of_this = self.hosts.iter().filter(move |(_, host)| host.op == op);
        of_this.map(|(&cluster, host)| (cluster, host.side))
    }

    /// Returns the last node of a cluster.
    pub fn last(&self, cluster: ClusterId) -> NodeId {
        *self.clusters[cluster].last().expect("clusters have members")
    }

    /// Returns the value that a cluster passes to its op, if the cluster is a prologue.
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

    /// Returns the base for a reader that needs a complete, contiguous buffer: the copy of the value if there is
    /// one, else the base from which the value is read.
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
