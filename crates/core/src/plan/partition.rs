//! Partition of the nodes into sets that run in one kernel, and the check whether two sets can be merged.

use std::collections::{BTreeMap, BTreeSet};

use super::fused::{Base, Fused, OpLaunch, is_bufferless};
use super::live::Live;
use crate::graph::node::{GraphData, NodeId, NodeKind, ValueId};
use crate::{Dispatch, Limits, Operand, Shape};

/// Sets of nodes, initially one per node, and which values each node reads.
pub(super) struct Partition<'a> {
    pub data: &'a GraphData,
    pub live: &'a Live,
    limits: &'a Limits,
    /// The bases (values or copies of values) that each node reads.
    pub reads: Vec<Vec<Base>>,
    /// The bases that each node reads at positions other than that of the element that it writes.
    scattered: Vec<Vec<Base>>,
    /// For each node: the nodes that read its results or copies of its results, and those views of its results
    /// that are copied.
    pub readers: Vec<Vec<NodeId>>,
    /// The bases that are stored in a buffer because they are fetched, copied, or the new value of a variable.
    pub kept: BTreeSet<Base>,
    /// The node that represents each node's set.
    root: Vec<NodeId>,
    /// The members of each set, at the index of the set's representative.
    pub members: Vec<Vec<NodeId>>,
    /// The op launches computed so far, which are reused.
    pub launches: BTreeMap<NodeId, OpLaunch>,
}

impl<'a> Partition<'a> {
    pub fn new(data: &'a GraphData, live: &'a Live, limits: &'a Limits, fused: &Fused) -> Self {
        let count = data.nodes.len();
        let nodes = || (0..count).map(NodeId);
        let mut reads = vec![vec![]; count];
        let mut readers = vec![vec![]; count];
        let mut scattered = vec![vec![]; count];
        for i in nodes().filter(|&i| live.needed[i] && !fused.is_view(i)) {
            let whole = matches!(data.nodes[i].kind, NodeKind::Op(_));
            for &input in &data.nodes[i].inputs {
                let input = live.resolve(input);
                let base = if whole { fused.whole(input) } else { fused.readings[&input].base };
                readers[base.node()].push(i);
                reads[i].push(base);
                if !whole && !fused.readings[&input].view.is_contiguous() {
                    scattered[i].push(base);
                }
            }
        }
        // A copy is a separate task. It is recorded under the node of the view that it copies.
        for (value, reading) in &fused.copies {
            if reading.base.node() != value.node {
                readers[reading.base.node()].push(value.node);
            }
        }
        let kept = live.fetches.iter().chain(&live.updates).chain(fused.copies.keys());
        let kept = kept.map(|value| fused.readings[value].base).collect();
        let members = nodes().map(|i| vec![i]).collect();
        Self {
            data,
            live,
            limits,
            reads,
            scattered,
            readers,
            kept,
            root: nodes().collect(),
            members,
            launches: BTreeMap::new(),
        }
    }

    pub fn root(&self, node: NodeId) -> NodeId {
        self.root[node]
    }

    fn shape(&self, node: NodeId) -> &Shape {
        &self.data.nodes[node].outputs[0].shape
    }

    /// Returns whether two nodes have the same shape and both read results of a third node.
    pub fn related(&self, a: NodeId, b: NodeId) -> bool {
        self.shape(a) == self.shape(b)
            && self.reads[a].iter().any(|base| {
                let node = base.node();
                !is_bufferless(&self.data.nodes[node].kind) && self.reads[b].iter().any(|other| other.node() == node)
            })
    }

    /// Merges the sets of two nodes if one kernel can bind all their buffers and neither set depends on the other
    /// through a third set. Returns whether the nodes are in one set afterwards.
    pub fn merge(&mut self, a: NodeId, b: NodeId) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        a == b || self.bindings(a, b) <= self.limits.storage_buffers && self.join(a, b)
    }

    /// Merges the sets of two nodes as [`Self::merge`] does, without the limit on the number of buffers.
    pub fn join(&mut self, a: NodeId, b: NodeId) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return true;
        }
        if self.scattered(a, b) || self.scattered(b, a) || self.detour(a, b) || self.detour(b, a) {
            return false;
        }
        let moved = std::mem::take(&mut self.members[b]);
        for &node in &moved {
            self.root[node] = a;
        }
        self.members[a].extend(moved);
        self.members[a].sort_unstable();
        true
    }

    /// Returns how many storage buffers the merged set would bind: those of the op's kernel, and those that the
    /// clusters read and write. A buffer that is updated in place counts once.
    fn bindings(&mut self, a: NodeId, b: NodeId) -> usize {
        let members: Vec<NodeId> = self.members[a].iter().chain(&self.members[b]).copied().collect();
        let inside = |node: NodeId| members.contains(&node);
        let mut own = 0;
        for &node in &members {
            own += self.kernel_bindings(node, &inside);
        }
        let pointwise = |node: &&NodeId| matches!(self.data.nodes[**node].kind, NodeKind::Pointwise(..));
        let mut inputs = BTreeSet::new();
        let mut schedules = BTreeSet::new();
        let read = members.iter().filter(pointwise).flat_map(|&node| &self.reads[node]);
        for base in read.filter(|base| !inside(base.node())) {
            match (base, &self.data.nodes[base.node()].kind) {
                (Base::Own(_), NodeKind::Constant(_) | NodeKind::Iota) => {}
                (Base::Own(value), NodeKind::Scheduled(_)) => {
                    schedules.insert(self.data.spec(*value).dtype.is_float());
                }
                _ => {
                    inputs.insert(*base);
                }
            }
        }
        let outputs = members.iter().filter(pointwise).filter(|&&node| {
            let value = node.output(0);
            let in_place = self.data.updates.iter().zip(&self.live.updates).any(|(update, &new)| {
                new == value
                    && self
                        .data
                        .variables
                        .get(&update.variable.id())
                        .is_some_and(|&variable| inputs.contains(&Base::Own(variable.output(0))))
            });
            !in_place && self.is_stored(value, &inside)
        });
        own + inputs.len() + schedules.len() + outputs.count()
    }

    /// Returns the largest number of buffers that a dispatch of the op at a node binds. Outputs that are read only
    /// by nodes `inside` the merged set do not count.
    fn kernel_bindings(&mut self, node: NodeId, inside: &impl Fn(NodeId) -> bool) -> usize {
        if !self.launches.contains_key(&node) {
            let Some(launch) = OpLaunch::of(self.data, self.live, self.limits, node) else { return 0 };
            self.launches.insert(node, launch);
        }
        let hidden = |operand: &Operand| match *operand {
            Operand::Output(output) => !self.is_stored(node.output(output), inside),
            _ => false,
        };
        let bound = |dispatch: &Dispatch| dispatch.bindings.iter().filter(|(_, operand)| !hidden(operand)).count();
        self.launches[&node].dispatches.iter().map(bound).max().unwrap_or(0)
    }

    /// Returns whether a value needs a buffer: because a node that is not `inside` the set reads it, or because no
    /// node reads it but an op's kernel writes it nevertheless.
    pub fn is_stored(&self, value: ValueId, inside: &impl Fn(NodeId) -> bool) -> bool {
        let base = Base::Own(value);
        let mut readers = self.readers[value.node].iter().filter(|&&reader| self.reads[reader].contains(&base));
        let mut read = false;
        self.kept.contains(&base)
            || readers.any(|&reader| {
                read = true;
                !inside(reader)
            })
            || !read
    }

    /// Returns whether set `to` reads results of set `from` at positions other than that of the element that it
    /// writes.
    fn scattered(&self, from: NodeId, to: NodeId) -> bool {
        let mut bases = self.members[to].iter().flat_map(|&reader| &self.scattered[reader]);
        bases.any(|base| matches!(base, Base::Own(value) if self.root(value.node) == from))
    }

    /// Returns whether set `to` depends on set `from` through a node outside both sets.
    fn detour(&self, from: NodeId, to: NodeId) -> bool {
        let mut visited = vec![false; self.root.len()];
        let mut stack: Vec<NodeId> = vec![];
        let outside = |node: NodeId| {
            let root = self.root(node);
            root != from && root != to
        };
        for &member in &self.members[from] {
            stack.extend(self.readers[member].iter().copied().filter(|&reader| outside(reader)));
        }
        while let Some(node) = stack.pop() {
            let root = self.root(node);
            if root == to {
                return true;
            }
            // The search also follows sets whose nodes come after `to` in the graph. They can lead back to `to`
            // through another set that has members both after and before `to`.
            if std::mem::replace(&mut visited[root], true) {
                continue;
            }
            for &member in &self.members[root] {
                stack.extend(self.readers[member].iter().copied());
            }
        }
        false
    }
}
