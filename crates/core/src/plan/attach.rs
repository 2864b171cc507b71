//! The third pass: clusters join the ops that they are next to, and updates by one rule form groups.
//!
//! A cluster that reads an op's output element by element is that op's *epilogue*, one that makes an op's input element
//! by element its *prologue*: both run in the op's kernel if the op allows it. What updates parameters runs in a group
//! instead, all parameters in one task.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::fuse::{Base, Builder, Fused, Reading, is_bufferless};
use crate::graph::node::{NodeKind, ValueId};
use crate::{Kind, Op};

/// Where a cluster stands beside its op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It makes this input.
    Prologue(usize),
    /// It reads this output.
    Epilogue(usize),
}

/// What the pass found. Clusters go by their *home*: the node that named their set before they were attached.
#[derive(Default)]
pub(super) struct Attached {
    homes: BTreeMap<usize, usize>,
    /// The op's node and side of each cluster that joined one.
    pub hosts: BTreeMap<usize, (usize, Side)>,
    /// The members of each group.
    pub groups: Vec<Vec<usize>>,
}

impl Attached {
    /// The home of the cluster that a node is in, if that cluster is attached or grouped.
    pub fn home(&self, node: usize) -> Option<usize> {
        self.homes.get(&node).copied()
    }

    fn settle(&mut self, home: usize, members: &[usize]) {
        self.homes.extend(members.iter().map(|&member| (member, home)));
    }
}

pub(super) fn attach(builder: &mut Builder<'_>, fused: &Fused) -> Attached {
    let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, node) in builder.data.nodes.iter().enumerate() {
        if builder.live.needed[i] && matches!(node.kind, NodeKind::Pointwise(..)) {
            clusters.entry(builder.root(i)).or_default().push(i);
        }
    }
    let mut attached = Attached::default();
    let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (&home, members) in &clusters {
        if let Some(rule) = rule(builder, fused, members) {
            alike.entry(rule).or_default().push(home);
        }
    }
    for homes in alike.into_values() {
        let mut group: Vec<usize> = vec![];
        for home in homes {
            if group.first().is_none_or(|&first| builder.join(first, home)) {
                attached.settle(home, &clusters[&home]);
                group.push(home);
            }
        }
        attached.groups.push(group);
    }
    attached.groups.sort();
    // The largest first: there may not be buffers enough for all that could join an op.
    let mut largest: Vec<_> = clusters.iter().collect();
    largest.sort_by_key(|(_, members)| std::cmp::Reverse(builder.data.nodes[members[0]].outputs[0].shape.numel()));
    for (&home, members) in largest {
        if attached.home(home).is_some() || updates_a_parameter(builder, members) {
            continue;
        }
        let sides = epilogues(builder, fused, members).into_iter().chain(prologues(builder, fused, members));
        for (op, side) in sides.collect::<Vec<_>>() {
            if !reads_within(builder, fused, members, op, side) && builder.merge(op, home) {
                attached.settle(home, members);
                attached.hosts.insert(home, (op, side));
                break;
            }
        }
    }
    attached
}

/// The op at a node, if it is one that runs.
fn op<'a>(builder: &Builder<'a>, fused: &Fused, node: usize) -> Option<&'a dyn Op> {
    match &builder.data.nodes[node].kind {
        NodeKind::Op(op) if !fused.is_view(node) => Some(&**op),
        _ => None,
    }
}

/// The ops whose epilogue a cluster can be: it reads their output only where it writes. Latest first: what the cluster
/// reads of earlier ops has then been made.
fn epilogues(builder: &Builder<'_>, fused: &Fused, members: &[usize]) -> Vec<(usize, Side)> {
    let elements = builder.data.nodes[members[0]].outputs[0].shape.numel();
    let mut found: BTreeMap<ValueId, bool> = BTreeMap::new();
    for reading in readings(builder, fused, members) {
        if let Base::Own(value) = reading.base {
            let in_step = reading.view.is_contiguous() && builder.data.spec(value).shape.numel() == elements;
            *found.entry(value).or_insert(true) &= in_step;
        }
    }
    let takes = |value: &ValueId| {
        op(builder, fused, value.node).is_some_and(|op| op.epilogues().contains(&value.output))
            && builder.data.spec(*value).dtype.is_float()
    };
    let in_step = found.into_iter().filter(|(value, in_step)| *in_step && takes(value));
    in_step.rev().map(|(value, _)| (value.node, Side::Epilogue(value.output))).collect()
}

/// The ops whose prologue a cluster can be: it makes one of their inputs as a whole.
fn prologues(builder: &Builder<'_>, fused: &Fused, members: &[usize]) -> Vec<(usize, Side)> {
    let mut found = vec![];
    for reader in members.iter().flat_map(|&member| &builder.readers[member]).collect::<BTreeSet<_>>() {
        let Some(op) = op(builder, fused, *reader) else { continue };
        for (i, &input) in builder.data.nodes[*reader].inputs.iter().enumerate() {
            let Base::Own(made) = fused.whole(builder.live.resolve(input)) else { continue };
            let same = builder.data.nodes[*reader]
                .inputs
                .iter()
                .filter(|&&other| fused.whole(builder.live.resolve(other)) == Base::Own(made));
            let once = same.count() == 1;
            let float = builder.data.spec(made).dtype.is_float();
            if members.contains(&made.node) && op.prologues().contains(&i) && once && float {
                found.push((*reader, Side::Prologue(i)));
            }
        }
    }
    found
}

/// Whether a cluster reads, besides the element handed to it, what the kernel that it would join only just makes.
fn reads_within(builder: &Builder<'_>, fused: &Fused, members: &[usize], op: usize, side: Side) -> bool {
    let kernel = &builder.members[builder.root(op)];
    readings(builder, fused, members).any(|reading| {
        let handed = |value: ValueId| value.node == op && side == Side::Epilogue(value.output);
        kernel.contains(&reading.base.node()) && !matches!(reading.base, Base::Own(value) if handed(value))
    })
}

/// How the members read what none of them makes.
fn readings<'a>(builder: &Builder<'_>, fused: &'a Fused, members: &'a [usize]) -> impl Iterator<Item = &'a Reading> {
    let inputs = members.iter().flat_map(|&member| &builder.data.nodes[member].inputs);
    let readings: Vec<_> = inputs.map(|&input| &fused.readings[&builder.live.resolve(input)]).collect();
    readings.into_iter().filter(|reading| !members.contains(&reading.base.node()))
}

/// The kind of the variable that a node's result is the new value of.
fn updated(builder: &Builder<'_>, node: usize) -> Option<Kind> {
    let value = ValueId { node, output: 0 };
    let mut updates = builder.data.updates.iter().zip(&builder.live.updates);
    updates.find(|(_, new)| **new == value).map(|(update, _)| update.variable.kind())
}

fn updates_a_parameter(builder: &Builder<'_>, members: &[usize]) -> bool {
    members.iter().any(|&member| updated(builder, member) == Some(Kind::Parameter))
}

/// What a cluster that only updates variables, one of them a parameter, does, but for its shape and buffers; nothing
/// for others. Clusters that do the same can run as one.
fn rule(builder: &Builder<'_>, fused: &Fused, members: &[usize]) -> Option<String> {
    if !updates_a_parameter(builder, members) {
        return None;
    }
    let inside = |node: usize| members.contains(&node);
    let mut rule = String::new();
    let mut inputs: Vec<&Reading> = vec![];
    for &member in members {
        let NodeKind::Pointwise(row, attributes) = &builder.data.nodes[member].kind else { return None };
        write!(rule, "{:p}{attributes:?}(", *row).expect("strings grow");
        for &input in &builder.data.nodes[member].inputs {
            let input = builder.live.resolve(input);
            let reading = &fused.readings[&input];
            let node = reading.base.node();
            let dtype = builder.data.spec(input).dtype;
            let own = matches!(reading.base, Base::Own(_)) && reading.view.is_contiguous();
            if let (true, Some(place)) = (own, members.iter().position(|&m| m == node)) {
                write!(rule, "r{place},").expect("strings grow");
                continue;
            }
            if inside(node) {
                return None;
            }
            match &builder.data.nodes[node].kind {
                NodeKind::Constant(value) => write!(rule, "{:x}{dtype},", value.to_bits()),
                NodeKind::Iota => return None,
                kind => {
                    let known =
                        inputs.iter().position(|other| other.base == reading.base && other.view == reading.view);
                    let place = known.unwrap_or(inputs.len());
                    if known.is_none() {
                        inputs.push(reading);
                    }
                    let own = builder.data.spec(reading.base.value()).shape.numel();
                    let shape = &builder.data.nodes[member].outputs[0].shape;
                    // One number for a parameter of one element: its gradient, or what all parameters read?
                    let rank = builder.data.spec(reading.base.value()).shape.rank();
                    let whole = reading.view.is_contiguous() && own == shape.numel() && (own > 1 || rank > 0);
                    if whole && !is_bufferless(kind) {
                        write!(rule, "i{place}{dtype},")
                    } else if reading.view.is_splat() {
                        // The same number for all, such as the learning rate.
                        write!(rule, "i{place}{dtype}={:?}+{},", reading.base, reading.view.offset)
                    } else {
                        return None;
                    }
                }
            }
            .expect("strings grow");
        }
        let stored = builder.is_stored(ValueId { node: member, output: 0 }, &inside);
        match updated(builder, member) {
            Some(kind) => write!(rule, "){kind:?};"),
            None if stored => return None,
            None => write!(rule, ");"),
        }
        .expect("strings grow");
    }
    Some(rule)
}
