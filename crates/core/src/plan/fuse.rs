//! The second pass: gathers pointwise nodes into clusters, which run in one loop, and lets nodes read views
//! directly from the underlying buffer.

use std::collections::BTreeMap;

use super::attach::attach;
use super::fused::{Base, Fused, Reading, is_bufferless};
use super::ids::ClusterId;
use super::live::Live;
use super::partition::Partition;
use crate::graph::node::{GraphData, NodeId, NodeKind, ValueId};
use crate::{Limits, View};

pub(super) fn pass(data: &GraphData, live: &Live, limits: &Limits, passes: &mut Vec<String>) -> Fused {
    let mut fused = Fused::default();
    let nodes: Vec<NodeId> = data.numbered().map(|(i, _)| i).filter(|&i| live.needed[i]).collect();
    for &i in &nodes {
        for (output, spec) in data.nodes[i].outputs.iter().enumerate() {
            let value = i.output(output);
            let reading = view(data, live, &mut fused, i)
                .unwrap_or_else(|| Reading { base: Base::Own(value), view: View::contiguous(&spec.shape) });
            fused.readings.insert(value, reading);
        }
    }
    // Structured ops (ops that are not pointwise) can only read complete, contiguous buffers. The same is required
    // of fetched values and new values of variables, whose buffer must also be written by a task.
    let mut needed: Vec<(ValueId, bool)> = vec![];
    for &i in &nodes {
        if matches!(data.nodes[i].kind, NodeKind::Op(_)) && !fused.is_view(i) {
            needed.extend(data.nodes[i].inputs.iter().map(|&input| (live.resolve(input), false)));
        }
    }
    needed.extend(live.fetches.iter().chain(&live.updates).map(|&value| (value, true)));
    for (value, must_be_made) in needed {
        let reading = fused.readings[&value].clone();
        let (kind, elements) = match reading.base {
            Base::Own(base) => (Some(&data.nodes[base.node].kind), data.spec(base).shape.numel()),
            Base::Copy(base) => (None, data.spec(base).shape.numel()),
        };
        let has_buffer = !kind.is_some_and(is_bufferless);
        let made = kind.is_none_or(|kind| matches!(kind, NodeKind::Pointwise(..) | NodeKind::Op(_)));
        let is_whole = reading.view.is_contiguous() && reading.view.shape.numel() == elements;
        if !is_whole || !has_buffer || (must_be_made && !made) {
            fused.copies.insert(value, reading);
        }
    }
    cluster(data, live, limits, &nodes, &mut fused);
    let nodes: usize = fused.clusters.iter().map(Vec::len).sum();
    let grouped: usize = fused.groups.iter().map(Vec::len).sum();
    passes.push(format!(
        "fuse: {nodes} pointwise nodes in {} clusters, {} copies of views",
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

/// Returns the strides with which the output of node `i` is read from an underlying buffer; `None` if the node is
/// not a view.
fn view(data: &GraphData, live: &Live, fused: &mut Fused, i: NodeId) -> Option<Reading> {
    let node = &data.nodes[i];
    let NodeKind::Op(op) = &node.kind else { return None };
    let [input] = node.inputs[..] else { return None };
    let input = live.resolve(input);
    let of = fused.readings[&input].clone();
    // Row-major indices (iota) are computed where they are used, so they have no buffer that could be read through
    // a view.
    let index = matches!(of.base, Base::Own(base) if matches!(data.nodes[base.node].kind, NodeKind::Iota));
    if let (Some(view), false) = (op.view(&of.view), index) {
        return Some(Reading { base: of.base, view });
    }
    // Strides cannot express this view of a view, so the inner view is copied to a buffer.
    let view = op.view(&View::contiguous(&data.spec(input).shape))?;
    fused.copies.insert(input, of);
    Some(Reading { base: Base::Copy(input), view })
}

/// Merges pointwise nodes of equal shape into clusters, such that no cluster depends on its own results through
/// another task.
fn cluster(data: &GraphData, live: &Live, limits: &Limits, nodes: &[NodeId], fused: &mut Fused) {
    let mut sets = Partition::new(data, live, limits, fused);
    for &i in nodes {
        if !matches!(data.nodes[i].kind, NodeKind::Pointwise(..)) {
            continue;
        }
        for &input in &data.nodes[i].inputs {
            let input = live.resolve(input);
            let producer = input.node;
            let direct = matches!(data.nodes[producer].kind, NodeKind::Pointwise(..));
            if direct && data.spec(input).shape == data.nodes[i].outputs[0].shape {
                sets.merge(producer, i);
            }
        }
    }
    let attached = attach(&mut sets, fused);
    // Merge siblings: clusters of equal shape that read a common buffer, such as the gradients of both factors of
    // a product.
    let mut by_shape: BTreeMap<Vec<usize>, Vec<NodeId>> = BTreeMap::new();
    for &i in nodes {
        if matches!(data.nodes[i].kind, NodeKind::Pointwise(..)) && attached.home(i).is_none() {
            by_shape.entry(data.nodes[i].outputs[0].shape.dims().to_vec()).or_default().push(i);
        }
    }
    for group in by_shape.values() {
        for (k, &a) in group.iter().enumerate() {
            // Only nearby siblings are merged. Merging distant siblings would extend the lifetimes of buffers, and
            // trying all pairs would take quadratic time.
            for &b in group[k + 1..].iter().take(16) {
                if sets.related(a, b) {
                    sets.merge(a, b);
                }
            }
        }
    }
    let mut clusters: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    for &i in nodes {
        if matches!(data.nodes[i].kind, NodeKind::Pointwise(..)) {
            clusters.entry(attached.home(i).unwrap_or(sets.root(i))).or_default().push(i);
        }
    }
    let numbers: BTreeMap<NodeId, ClusterId> =
        clusters.keys().enumerate().map(|(number, &home)| (home, ClusterId(number))).collect();
    fused.hosts = attached.hosts.iter().map(|(home, &host)| (numbers[home], host)).collect();
    fused.groups = attached.groups.iter().map(|group| group.iter().map(|home| numbers[home]).collect()).collect();
    let clusters: Vec<_> = clusters.into_values().collect();
    for (number, members) in clusters.iter().enumerate() {
        for &member in members {
            fused.cluster_of.insert(member, ClusterId(number));
        }
    }
    fused.clusters = clusters;
    fused.launches = sets.launches;
}
