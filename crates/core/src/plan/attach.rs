//! The third pass: fuses clusters (sets of pointwise ops that run in one loop) into the kernels of adjacent ops,
//! and groups parameter updates with the same formula.
//!
//! A cluster that reads an op's output element by element is an *epilogue* of the op. A cluster that computes an
//! op's input element by element is a *prologue*. Both run in the op's kernel if the op allows it. Clusters that
//! update parameters are not attached to ops: they run in a group, one task that updates many parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::fused::{Base, Fused, Host, Reading, Side, is_bufferless};
use super::partition::Partition;
use crate::graph::node::{NodeId, NodeKind, ValueId};
use crate::{Kind, Op};

/// Result of the pass. A cluster is identified by its *home*: the node that represented the cluster before the
/// cluster was attached to an op or grouped.
#[derive(Default)]
pub(super) struct Attached {
    /// The home of each node whose cluster is attached or grouped.
    homes: BTreeMap<NodeId, NodeId>,
    /// Map from the home of each attached cluster to the op in whose kernel the cluster runs.
    pub hosts: BTreeMap<NodeId, Host>,
    /// The homes of the clusters of each group.
    pub groups: Vec<Vec<NodeId>>,
}

impl Attached {
    /// Returns the home (representative node) of the cluster that contains a node, if that cluster is attached or
    /// grouped.
    pub fn home(&self, node: NodeId) -> Option<NodeId> {
        self.homes.get(&node).copied()
    }

    fn record(&mut self, home: NodeId, members: &[NodeId]) {
        self.homes.extend(members.iter().map(|&member| (member, home)));
    }
}

pub(super) fn attach(sets: &mut Partition<'_>, fused: &Fused) -> Attached {
    let mut clusters: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    for (i, node) in sets.data.numbered() {
        if sets.live.needed[i] && matches!(node.kind, NodeKind::Pointwise(..)) {
            clusters.entry(sets.root(i)).or_default().push(i);
        }
    }
    let mut attached = Attached::default();
    let mut by_rule: BTreeMap<String, Vec<NodeId>> = BTreeMap::new();
    for (&home, members) in &clusters {
        if let Some(rule) = rule(sets, fused, members) {
            by_rule.entry(rule).or_default().push(home);
        }
    }
    for homes in by_rule.into_values() {
        let mut group: Vec<NodeId> = vec![];
        for home in homes {
            if group.first().is_none_or(|&first| sets.join(first, home)) {
                attached.record(home, &clusters[&home]);
                group.push(home);
            }
        }
        attached.groups.push(group);
    }
    attached.groups.sort();
    // The largest clusters are attached first, because the limit on bindings may not allow all clusters that could
    // join an op.
    let mut largest: Vec<_> = clusters.iter().collect();
    largest.sort_by_key(|(_, members)| std::cmp::Reverse(sets.data.nodes[members[0]].outputs[0].shape.numel()));
    for (&home, members) in largest {
        if attached.home(home).is_some() || updates_a_parameter(sets, members) {
            continue;
        }
        let sides = epilogues(sets, fused, members).into_iter().chain(prologues(sets, fused, members));
        for host in sides.collect::<Vec<_>>() {
            if !reads_within(sets, fused, members, host) && sets.merge(host.op, home) {
                attached.record(home, members);
                attached.hosts.insert(home, host);
                break;
            }
        }
    }
    attached
}

/// Returns the op at a node, unless it is a view.
fn op<'a>(sets: &Partition<'a>, fused: &Fused, node: NodeId) -> Option<&'a dyn Op> {
    match &sets.data.nodes[node].kind {
        NodeKind::Op(op) if !fused.is_view(node) => Some(&**op),
        _ => None,
    }
}

/// Returns the ops that the cluster could be an epilogue of: the cluster reads an op's output only at the position
/// of the element that it computes. The latest op comes first, because the results of all earlier ops exist when
/// it runs.
fn epilogues(sets: &Partition<'_>, fused: &Fused, members: &[NodeId]) -> Vec<Host> {
    let elements = sets.data.nodes[members[0]].outputs[0].shape.numel();
    let mut found: BTreeMap<ValueId, bool> = BTreeMap::new();
    for reading in readings(sets, fused, members) {
        if let Base::Own(value) = reading.base {
            let elementwise = reading.view.is_contiguous() && sets.data.spec(value).shape.numel() == elements;
            *found.entry(value).or_insert(true) &= elementwise;
        }
    }
    let takes = |value: &ValueId| {
        op(sets, fused, value.node).is_some_and(|op| op.epilogues().contains(&value.output))
            && sets.data.spec(*value).dtype.is_float()
    };
    let elementwise = found.into_iter().filter(|(value, elementwise)| *elementwise && takes(value));
    elementwise.rev().map(|(value, _)| Host { op: value.node, side: Side::Epilogue(value.output) }).collect()
}

/// Returns the ops that the cluster could be a prologue of: the cluster computes every element of an op's input.
fn prologues(sets: &Partition<'_>, fused: &Fused, members: &[NodeId]) -> Vec<Host> {
    let mut found = vec![];
    for reader in members.iter().flat_map(|&member| &sets.readers[member]).collect::<BTreeSet<_>>() {
        let Some(op) = op(sets, fused, *reader) else { continue };
        for (i, &input) in sets.data.nodes[*reader].inputs.iter().enumerate() {
            let Base::Own(made) = fused.whole(sets.live.resolve(input)) else { continue };
            let same = sets.data.nodes[*reader]
                .inputs
                .iter()
                .filter(|&&other| fused.whole(sets.live.resolve(other)) == Base::Own(made));
            let once = same.count() == 1;
            let float = sets.data.spec(made).dtype.is_float();
            if members.contains(&made.node) && op.prologues().contains(&i) && once && float {
                found.push(Host { op: *reader, side: Side::Prologue(i) });
            }
        }
    }
    found
}

/// Returns whether a cluster reads results of the kernel that it would join, other than the element that an
/// epilogue receives from the op.
fn reads_within(sets: &Partition<'_>, fused: &Fused, members: &[NodeId], Host { op, side }: Host) -> bool {
    let kernel = &sets.members[sets.root(op)];
    readings(sets, fused, members).any(|reading| {
        let passed = |value: ValueId| value.node == op && side == Side::Epilogue(value.output);
        kernel.contains(&reading.base.node()) && !matches!(reading.base, Base::Own(value) if passed(value))
    })
}

/// Returns the views through which a cluster's members read inputs that come from outside the cluster.
fn readings<'a>(sets: &Partition<'_>, fused: &'a Fused, members: &'a [NodeId]) -> impl Iterator<Item = &'a Reading> {
    let inputs = members.iter().flat_map(|&member| &sets.data.nodes[member].inputs);
    let readings: Vec<_> = inputs.map(|&input| &fused.readings[&sets.live.resolve(input)]).collect();
    readings.into_iter().filter(|reading| !members.contains(&reading.base.node()))
}

/// Returns the kind of the variable that the node's result updates; `None` if it updates no variable.
fn updated(sets: &Partition<'_>, node: NodeId) -> Option<Kind> {
    let value = node.output(0);
    let mut updates = sets.data.updates.iter().zip(&sets.live.updates);
    updates.find(|(_, new)| **new == value).map(|(update, _)| update.variable.kind())
}

fn updates_a_parameter(sets: &Partition<'_>, members: &[NodeId]) -> bool {
    members.iter().any(|&member| updated(sets, member) == Some(Kind::Parameter))
}

/// Describes the formula of a cluster that updates at least one parameter and writes nothing but variables; `None`
/// for other clusters. The description omits shapes and buffers, so that clusters with equal descriptions can run
/// as one task.
fn rule(sets: &Partition<'_>, fused: &Fused, members: &[NodeId]) -> Option<String> {
    if !updates_a_parameter(sets, members) {
        return None;
    }
    let inside = |node: NodeId| members.contains(&node);
    let mut rule = String::new();
    let mut inputs: Vec<&Reading> = vec![];
    for &member in members {
        let NodeKind::Pointwise(op, attributes) = &sets.data.nodes[member].kind else { return None };
        write!(rule, "{:p}{attributes:?}(", *op).expect("strings grow");
        for &input in &sets.data.nodes[member].inputs {
            let input = sets.live.resolve(input);
            let reading = &fused.readings[&input];
            let node = reading.base.node();
            let dtype = sets.data.spec(input).dtype;
            let own = matches!(reading.base, Base::Own(_)) && reading.view.is_contiguous();
            if let (true, Some(place)) = (own, members.iter().position(|&m| m == node)) {
                write!(rule, "r{place},").expect("strings grow");
                continue;
            }
            if inside(node) {
                return None;
            }
            match &sets.data.nodes[node].kind {
                NodeKind::Constant(value) => write!(rule, "{:x}{dtype},", value.to_bits()),
                NodeKind::Iota => return None,
                kind => {
                    let known =
                        inputs.iter().position(|other| other.base == reading.base && other.view == reading.view);
                    let place = known.unwrap_or(inputs.len());
                    if known.is_none() {
                        inputs.push(reading);
                    }
                    let own = sets.data.spec(reading.base.value()).shape.numel();
                    let shape = &sets.data.nodes[member].outputs[0].shape;
                    // For a parameter with one element, the rank distinguishes the parameter's gradient (at least
                    // one axis) from a number that all parameters read (no axes).
                    let rank = sets.data.spec(reading.base.value()).shape.rank();
                    let whole = reading.view.is_contiguous() && own == shape.numel() && (own > 1 || rank > 0);
                    if whole && !is_bufferless(kind) {
                        write!(rule, "i{place}{dtype},")
                    } else if reading.view.is_splat() {
                        // One number that all parameters read, such as the learning rate.
                        write!(rule, "i{place}{dtype}={:?}+{},", reading.base, reading.view.offset)
                    } else {
                        return None;
                    }
                }
            }
            .expect("strings grow");
        }
        let stored = sets.is_stored(member.output(0), &inside);
        match updated(sets, member) {
            Some(kind) => write!(rule, "){kind:?};"),
            None if stored => return None,
            None => write!(rule, ");"),
        }
        .expect("strings grow");
    }
    Some(rule)
}
