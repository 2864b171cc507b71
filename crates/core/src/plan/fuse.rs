//! The second pass: pointwise nodes become clusters, views fold into whoever reads them.

use std::collections::{BTreeMap, BTreeSet};

use super::attach::{Side, attach};
use super::live::Live;
use crate::graph::node::{GraphData, NodeKind, ValueId};
use crate::{Choice, Dispatch, Launch, Limits, Operand, Shape, Spec, View};

/// Who computes a buffer: one future task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unit {
    /// The structured op at this node.
    Op(usize),
    /// The cluster with this number.
    Cluster(usize),
    /// The group with this number.
    Group(usize),
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
    pub fn node(self) -> usize {
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

/// Launch of an op, described once: fusion counts its bindings, the tasks take it over.
#[derive(Clone, Default)]
pub(super) struct Launched {
    pub dispatches: Vec<Dispatch>,
    pub scratch: Vec<Spec>,
    pub choices: Vec<Choice>,
}

impl Launched {
    /// Describes the launch of the op at a node; none for other nodes, and nothing where there is nothing to compute:
    /// buffers of size zero do not exist on a GPU.
    pub fn of(data: &GraphData, live: &Live, limits: &Limits, node: usize) -> Option<Self> {
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

/// What the pass found.
#[derive(Default)]
pub(super) struct Fused {
    /// How every needed value is read by pointwise readers.
    pub readings: BTreeMap<ValueId, Reading>,
    /// The nodes of each cluster, ascending.
    pub clusters: Vec<Vec<usize>>,
    /// The cluster of each pointwise node.
    pub cluster_of: BTreeMap<usize, usize>,
    /// The values that get a copy, and what the copy reads.
    pub copies: BTreeMap<ValueId, Reading>,
    /// For each cluster that runs in the kernel of an op: the op's node, and on which side.
    pub hosts: BTreeMap<usize, (usize, Side)>,
    /// Clusters that are the same but for their buffers, and run as one task.
    pub groups: Vec<Vec<usize>>,
    /// The launches of ops that clusters might have joined.
    pub launched: BTreeMap<usize, Launched>,
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

    /// The unit that a cluster is part of.
    pub fn unit(&self, cluster: usize) -> Unit {
        if let Some(&(op, _)) = self.hosts.get(&cluster) {
            return Unit::Op(op);
        }
        let group = self.groups.iter().position(|group| group.contains(&cluster));
        group.map_or(Unit::Cluster(cluster), Unit::Group)
    }

    /// The clusters that run in the kernel of an op.
    pub fn attached(&self, op: usize) -> impl Iterator<Item = (usize, Side)> {
        let of_this = self.hosts.iter().filter(move |(_, (host, _))| *host == op);
        of_this.map(|(&cluster, &(_, side))| (cluster, side))
    }

    /// The value that a prologue hands to its op.
    pub fn fed(&self, data: &GraphData, live: &Live, cluster: usize) -> Option<ValueId> {
        match self.hosts.get(&cluster) {
            Some(&(op, Side::Prologue(input))) => match self.whole(live.resolve(data.nodes[op].inputs[input])) {
                Base::Own(value) => Some(value),
                Base::Copy(_) => None,
            },
            _ => None,
        }
    }

    /// The buffer that a reader which needs a whole one reads: the copy if there is one.
    pub fn whole(&self, value: ValueId) -> Base {
        if self.copies.contains_key(&value) { Base::Copy(value) } else { self.readings[&value].base }
    }

    /// Whether the value is only another reading of an earlier one.
    pub fn is_view(&self, node: usize) -> bool {
        let own = ValueId { node, output: 0 };
        self.readings.get(&own).is_some_and(|reading| reading.base != Base::Own(own))
    }
}

/// Whether a value has no buffer unless it is copied into one.
pub(super) fn is_bufferless(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Constant(_) | NodeKind::Iota | NodeKind::Scheduled(_))
}

pub(super) fn pass(data: &GraphData, live: &Live, limits: &Limits, passes: &mut Vec<String>) -> Fused {
    let mut fused = Fused::default();
    let nodes: Vec<usize> = (0..data.nodes.len()).filter(|&i| live.needed[i]).collect();
    for &i in &nodes {
        for (output, spec) in data.nodes[i].outputs.iter().enumerate() {
            let value = ValueId { node: i, output };
            let reading = view(data, live, &mut fused, i)
                .unwrap_or_else(|| Reading { base: Base::Own(value), view: View::contiguous(&spec.shape) });
            fused.readings.insert(value, reading);
        }
    }
    // Structured ops need whole buffers; fetches and updates need one that a task makes.
    let mut wanted: Vec<(ValueId, bool)> = vec![];
    for &i in &nodes {
        if matches!(data.nodes[i].kind, NodeKind::Op(_)) && !fused.is_view(i) {
            wanted.extend(data.nodes[i].inputs.iter().map(|&input| (live.resolve(input), false)));
        }
    }
    wanted.extend(live.fetches.iter().chain(&live.updates).map(|&value| (value, true)));
    for (value, must_be_made) in wanted {
        let reading = fused.readings[&value].clone();
        let (kind, elements) = match reading.base {
            Base::Own(base) => (Some(&data.nodes[base.node].kind), data.spec(base).shape.numel()),
            Base::Copy(base) => (None, data.spec(base).shape.numel()),
        };
        let has_buffer = !kind.is_some_and(is_bufferless);
        let made = kind.is_none_or(|kind| matches!(kind, NodeKind::Pointwise(..) | NodeKind::Op(_)));
        let lies = reading.view.is_contiguous() && reading.view.shape.numel() == elements;
        if !lies || !has_buffer || (must_be_made && !made) {
            fused.copies.insert(value, reading);
        }
    }
    cluster(data, live, limits, &nodes, &mut fused);
    let rows: usize = fused.clusters.iter().map(Vec::len).sum();
    let grouped: usize = fused.groups.iter().map(Vec::len).sum();
    passes.push(format!(
        "fuse: {rows} pointwise nodes in {} clusters, {} copies of views",
        fused.clusters.len(),
        fused.copies.len()
    ));
    passes.push(format!(
        "attach: {} clusters in the kernels of ops, {grouped} in {} groups",
        fused.hosts.len(),
        fused.groups.len()
    ));
    fused
}

/// How the output of node `i` reads its input's base, if it is a view.
fn view(data: &GraphData, live: &Live, fused: &mut Fused, i: usize) -> Option<Reading> {
    let node = &data.nodes[i];
    let NodeKind::Op(op) = &node.kind else { return None };
    let [input] = node.inputs[..] else { return None };
    let input = live.resolve(input);
    let of = fused.readings[&input].clone();
    // An index has no buffer to read at other places.
    let index = matches!(of.base, Base::Own(base) if matches!(data.nodes[base.node].kind, NodeKind::Iota));
    if let (Some(view), false) = (op.view(&of.view), index) {
        return Some(Reading { base: of.base, view });
    }
    // A view that strides cannot express on top of another one: the inner one gets a buffer.
    let view = op.view(&View::contiguous(&data.spec(input).shape))?;
    fused.copies.insert(input, of);
    Some(Reading { base: Base::Copy(input), view })
}

/// Groups pointwise nodes of one shape, so that no group needs its own result by way of another task.
fn cluster(data: &GraphData, live: &Live, limits: &Limits, nodes: &[usize], fused: &mut Fused) {
    let mut builder = Builder::new(data, live, limits, fused);
    for &i in nodes {
        if !matches!(data.nodes[i].kind, NodeKind::Pointwise(..)) {
            continue;
        }
        for &input in &data.nodes[i].inputs {
            let input = live.resolve(input);
            let producer = input.node;
            let direct = matches!(data.nodes[producer].kind, NodeKind::Pointwise(..));
            if direct && data.spec(input).shape == data.nodes[i].outputs[0].shape {
                builder.merge(producer, i);
            }
        }
    }
    let attached = attach(&mut builder, fused);
    // Siblings: clusters of one shape that read a common buffer, such as gradients that flow through two factors.
    let mut by_shape: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for &i in nodes {
        if matches!(data.nodes[i].kind, NodeKind::Pointwise(..)) && attached.home(i).is_none() {
            by_shape.entry(data.nodes[i].outputs[0].shape.dims().to_vec()).or_default().push(i);
        }
    }
    for group in by_shape.values() {
        for (k, &a) in group.iter().enumerate() {
            // Neighbours only: distant siblings would stretch lifetimes, and all pairs would take too long.
            for &b in group[k + 1..].iter().take(16) {
                if builder.related(a, b) {
                    builder.merge(a, b);
                }
            }
        }
    }
    let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &i in nodes {
        if matches!(data.nodes[i].kind, NodeKind::Pointwise(..)) {
            clusters.entry(attached.home(i).unwrap_or(builder.root(i))).or_default().push(i);
        }
    }
    let numbers: BTreeMap<usize, usize> = clusters.keys().enumerate().map(|(number, &home)| (home, number)).collect();
    fused.hosts = attached.hosts.iter().map(|(home, &host)| (numbers[home], host)).collect();
    fused.groups = attached.groups.iter().map(|group| group.iter().map(|home| numbers[home]).collect()).collect();
    let clusters: Vec<_> = clusters.into_values().collect();
    for (number, members) in clusters.iter().enumerate() {
        for &member in members {
            fused.cluster_of.insert(member, number);
        }
    }
    fused.clusters = clusters;
    fused.launched = builder.launched;
}

/// Sets of nodes, with the successor lists of the quotient graph.
pub(super) struct Builder<'a> {
    pub data: &'a GraphData,
    pub live: &'a Live,
    limits: &'a Limits,
    /// Base values that each node reads.
    pub reads: Vec<Vec<Base>>,
    /// Those that it does not read just where it writes.
    scattered: Vec<Vec<Base>>,
    /// The nodes and copies that read each node's results, or its copy.
    pub readers: Vec<Vec<usize>>,
    /// The bases that are fetched, copied or the new value of a variable.
    pub kept: BTreeSet<Base>,
    /// The node that names the set of each node.
    root: Vec<usize>,
    pub members: Vec<Vec<usize>>,
    /// The launches of ops whose bindings were counted.
    launched: BTreeMap<usize, Launched>,
}

impl<'a> Builder<'a> {
    fn new(data: &'a GraphData, live: &'a Live, limits: &'a Limits, fused: &Fused) -> Self {
        let count = data.nodes.len();
        let mut reads = vec![vec![]; count];
        let mut readers = vec![vec![]; count];
        let mut scattered = vec![vec![]; count];
        for i in (0..count).filter(|&i| live.needed[i] && !fused.is_view(i)) {
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
        // A copy is a task between, under the node of the view that it copies.
        for (value, reading) in &fused.copies {
            if reading.base.node() != value.node {
                readers[reading.base.node()].push(value.node);
            }
        }
        let kept = live.fetches.iter().chain(&live.updates).chain(fused.copies.keys());
        let kept = kept.map(|value| fused.readings[value].base).collect();
        let members = (0..count).map(|i| vec![i]).collect();
        Self {
            data,
            live,
            limits,
            reads,
            scattered,
            readers,
            kept,
            root: (0..count).collect(),
            members,
            launched: BTreeMap::new(),
        }
    }

    pub fn root(&self, node: usize) -> usize {
        self.root[node]
    }

    fn shape(&self, node: usize) -> &Shape {
        &self.data.nodes[node].outputs[0].shape
    }

    /// Whether two nodes of one shape read results of a common node.
    fn related(&self, a: usize, b: usize) -> bool {
        self.shape(a) == self.shape(b)
            && self.reads[a].iter().any(|base| {
                let node = base.node();
                !is_bufferless(&self.data.nodes[node].kind) && self.reads[b].iter().any(|other| other.node() == node)
            })
    }

    /// Merges the sets of two nodes if one kernel can bind what both bind and neither needs the other by way of a
    /// third; says whether they are one now.
    pub fn merge(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        a == b || self.bindings(a, b) <= self.limits.storage_buffers && self.join(a, b)
    }

    /// As [`Self::merge`], whatever the number of buffers.
    pub fn join(&mut self, a: usize, b: usize) -> bool {
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

    /// The storage buffers that the merged set would bind: those of its op's kernel, those that clusters read, and those
    /// that they write. An update in place counts once.
    fn bindings(&mut self, a: usize, b: usize) -> usize {
        let members: Vec<usize> = self.members[a].iter().chain(&self.members[b]).copied().collect();
        let inside = |node: usize| members.contains(&node);
        let mut own = 0;
        for &node in &members {
            own += self.kernel_bindings(node, &inside);
        }
        let pointwise = |node: &&usize| matches!(self.data.nodes[**node].kind, NodeKind::Pointwise(..));
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
            let value = ValueId { node, output: 0 };
            let in_place = self.data.updates.iter().zip(&self.live.updates).any(|(update, &new)| {
                new == value
                    && self
                        .data
                        .variables
                        .get(&update.variable.id())
                        .is_some_and(|&variable| inputs.contains(&Base::Own(ValueId { node: variable, output: 0 })))
            });
            !in_place && self.is_stored(value, &inside)
        });
        own + inputs.len() + schedules.len() + outputs.count()
    }

    /// The most buffers that a dispatch of the op at a node binds, less the outputs that only `inside` needs.
    fn kernel_bindings(&mut self, node: usize, inside: &impl Fn(usize) -> bool) -> usize {
        if !self.launched.contains_key(&node) {
            let Some(launched) = Launched::of(self.data, self.live, self.limits, node) else { return 0 };
            self.launched.insert(node, launched);
        }
        let hidden = |operand: &Operand| match *operand {
            Operand::Output(output) => !self.is_stored(ValueId { node, output }, inside),
            _ => false,
        };
        let bound = |dispatch: &Dispatch| dispatch.bindings.iter().filter(|(_, operand)| !hidden(operand)).count();
        self.launched[&node].dispatches.iter().map(bound).max().unwrap_or(0)
    }

    /// Whether a value needs a buffer: somebody not `inside` reads it, or nobody at all (an op writes it all the same).
    pub fn is_stored(&self, value: ValueId, inside: &impl Fn(usize) -> bool) -> bool {
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

    /// Whether cluster `to` reads results of cluster `from` elsewhere than where it writes.
    fn scattered(&self, from: usize, to: usize) -> bool {
        let mut bases = self.members[to].iter().flat_map(|&reader| &self.scattered[reader]);
        bases.any(|base| matches!(base, Base::Own(value) if self.root(value.node) == from))
    }

    /// Whether a path leads from cluster `from` to cluster `to` by way of a node outside both.
    fn detour(&self, from: usize, to: usize) -> bool {
        let mut seen = vec![false; self.root.len()];
        let mut stack: Vec<usize> = vec![];
        let outside = |node: usize| {
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
            // A later cluster is no dead end: it may lead into one that also has members before `to`.
            if std::mem::replace(&mut seen[root], true) {
                continue;
            }
            for &member in &self.members[root] {
                stack.extend(self.readers[member].iter().copied());
            }
        }
        false
    }
}
