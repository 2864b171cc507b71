//! The first pass: eliminates dead nodes, whose results are not needed, and merges equal nodes.

use std::collections::HashMap;

use crate::graph::node::{GraphData, NodeId, NodeKind, ValueId};

/// Nodes that a plan needs, in which equal nodes are merged.
pub(super) struct Live {
    /// For each node, whether it is needed and was not merged into another node.
    pub needed: Vec<bool>,
    /// For each node, the value that represents its first output: the output itself unless the node is merged into
    /// another node.
    pub same: Vec<ValueId>,
    /// For each fetched value, the value that represents it.
    pub fetches: Vec<ValueId>,
    /// For each update of a variable, the value that represents the variable's new value.
    pub updates: Vec<ValueId>,
}

impl Live {
    /// Returns the value that represents `value`.
    pub fn resolve(&self, value: ValueId) -> ValueId {
        resolve(&self.same, value)
    }
}

fn resolve(same: &[ValueId], value: ValueId) -> ValueId {
    let representative = same[value.node];
    // A merged node has the same outputs as its representative, so the output index stays the same. The only
    // output of a `detach` node is represented by the node's input.
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
