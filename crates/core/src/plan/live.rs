//! The first pass: dead-node elimination and merging of equal nodes.

use std::collections::HashMap;

use crate::graph::node::{GraphData, NodeId, NodeKind, ValueId};

/// The nodes that a plan needs, with equal ones merged.
pub(super) struct Live {
    /// For each node, whether it is needed and was not merged into another one.
    pub needed: Vec<bool>,
    /// Representative of each node: its first output.
    pub same: Vec<ValueId>,
    /// Values to fetch, resolved.
    pub fetches: Vec<ValueId>,
    /// New value of each update of the graph, resolved.
    pub updates: Vec<ValueId>,
}

impl Live {
    /// Returns the representative of `value`.
    pub fn resolve(&self, value: ValueId) -> ValueId {
        resolve(&self.same, value)
    }
}

fn resolve(same: &[ValueId], value: ValueId) -> ValueId {
    let representative = same[value.node];
    // A node represents another with all its outputs, so the output index carries over; `detach` is its input's value.
    if representative.node == value.node {
        value
    } else {
        ValueId { output: representative.output + value.output, ..representative }
    }
}

pub(super) fn pass(data: &GraphData, fetches: &[ValueId], passes: &mut Vec<String>) -> Live {
    let mut first_by_key: HashMap<(String, Vec<ValueId>), NodeId> = HashMap::new();
    let mut same: Vec<ValueId> = Vec::with_capacity(data.nodes.len());
    for (i, node) in data.numbered() {
        let inputs: Vec<_> = node.inputs.iter().map(|&input| resolve(&same, input)).collect();
        let own = i.output(0);
        let key = match &node.kind {
            NodeKind::Detach => {
                same.push(inputs[0]);
                continue;
            }
            NodeKind::Constant(value) => Some(format!("constant {} {:x}", node.outputs[0], value.to_bits())),
            NodeKind::Iota => Some(format!("iota {}", node.outputs[0])),
            NodeKind::Pointwise(op, attributes) => Some(format!("{:p} {attributes:?}", *op)),
            NodeKind::Op(op) => Some(format!("{:?} {op:?}", op.kind())),
            _ => None,
        };
        let first = key.map_or(i, |key| *first_by_key.entry((key, inputs)).or_insert(i));
        same.push(if first == i { own } else { first.output(0) });
    }
    let roots: Vec<_> = fetches.iter().map(|&fetch| resolve(&same, fetch)).collect();
    let updates: Vec<_> = data.updates.iter().map(|update| resolve(&same, update.value)).collect();
    let mut needed = vec![false; data.nodes.len()];
    let mut stack: Vec<NodeId> = roots.iter().chain(&updates).map(|value| value.node).collect();
    while let Some(node) = stack.pop() {
        if !std::mem::replace(&mut needed[node], true) {
            stack.extend(data.nodes[node].inputs.iter().map(|&input| resolve(&same, input).node));
        }
    }
    let merged = same.iter().enumerate().filter(|(i, representative)| representative.node.0 != *i).count();
    let dead = needed.iter().filter(|&&needed| !needed).count() - merged;
    passes.push(format!("live: {} nodes traced, {dead} dead, {merged} merged", data.nodes.len()));
    Live { needed, same, fetches: roots, updates }
}
