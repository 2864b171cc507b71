//! A graph on a device node by node: cut into graphs of some nodes each, whose values are all fetched.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::node::{Node, NodeId, NodeKind, ValueId};
use crate::verify::interpreter::{Interpreter, Values};
use crate::{Array, Graph, Result, Session, Spec, Tensor};

/// Bytes of values that are fetched at once, and how many.
const BYTES: usize = 256 << 20;
const COUNT: usize = 256;

impl Interpreter {
    /// Returns the nodes in chunks that are fetched together.
    fn chunks<'n>(&self, mut nodes: &'n [NodeId]) -> Vec<&'n [NodeId]> {
        let mut chunks = vec![];
        while !nodes.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            let fits = nodes.iter().take_while(|&&node| {
                bytes += self.nodes[node].outputs.iter().map(Spec::bytes).sum::<usize>();
                count += self.nodes[node].outputs.len();
                bytes <= BYTES && count <= COUNT
            });
            let (some, rest) = nodes.split_at(fits.count().max(1));
            chunks.push(some);
            nodes = rest;
        }
        chunks
    }

    /// Returns the nodes `some` as a graph of their own: inputs replace what other nodes have computed.
    fn subgraph(&self, graph: &Graph, values: &Values, some: &[NodeId]) -> Result<Subgraph> {
        let part = Graph::new(graph.mode());
        let mut known = HashMap::new();
        let mut feeds = vec![];
        let mut fetches = vec![];
        for &node in some {
            for &input in &self.nodes[node].inputs {
                self.bring(&part, values, input, &mut known, &mut feeds)?;
            }
            let copy = push(&part, &self.nodes[node], &known, self.nodes[node].kind.clone());
            for value in self.outputs(node) {
                let id = copy.output(value.output);
                known.insert(value, id);
                fetches.push(Tensor::new(part.clone(), id));
            }
        }
        Ok(Subgraph { graph: part, fetches, feeds })
    }

    /// Brings a value into a subgraph, if it is not there yet.
    fn bring(
        &self,
        part: &Graph,
        values: &Values,
        value: ValueId,
        known: &mut HashMap<ValueId, ValueId>,
        feeds: &mut Vec<(Tensor, Arc<Array>)>,
    ) -> Result<()> {
        if known.contains_key(&value) {
            return Ok(());
        }
        let node = &self.nodes[value.node];
        let id = if self.is_alias(value.node) {
            self.bring(part, values, node.inputs[0], known, feeds)?;
            push(part, node, known, node.kind.clone()).output(value.output)
        } else if matches!(
            node.kind,
            NodeKind::Variable(_) | NodeKind::Array(_) | NodeKind::Constant(_) | NodeKind::Iota
        ) {
            push(part, node, known, node.kind.clone()).output(0)
        } else {
            let kind = NodeKind::Input(node.name().into());
            let read = Node { kind, inputs: vec![], outputs: vec![self.spec(value).clone()], site: node.site.clone() };
            let id = push(part, &read, known, read.kind.clone()).output(0);
            feeds.push((Tensor::new(part.clone(), id), self.value(values, value)?));
            id
        };
        known.insert(value, id);
        Ok(())
    }
}

/// A graph of some nodes of another.
struct Subgraph {
    graph: Graph,
    /// The outputs of all nodes.
    fetches: Vec<Tensor>,
    feeds: Vec<(Tensor, Arc<Array>)>,
}

/// Adds a node with its inputs as they are called in the subgraph.
fn push(part: &Graph, node: &Node, known: &HashMap<ValueId, ValueId>, kind: NodeKind) -> NodeId {
    let inputs = node.inputs.iter().map(|input| known[input]).collect();
    let mut data = part.data();
    data.nodes.push(Arc::new(Node { kind, inputs, outputs: node.outputs.clone(), site: node.site.clone() }));
    NodeId(data.nodes.len() - 1)
}

impl Session {
    /// Whether the device computes in `f64`.
    pub(crate) fn is_wide(&self) -> bool {
        self.device().kind == "cpu-f64"
    }

    /// Runs the nodes of a graph on the device, some at a time, each from the values that came out before it: calls `see`
    /// with every node, once its values are known. Nothing is updated, no counter moves.
    ///
    /// # Errors
    /// As [`Session::compile`] and [`Session::run`]; the first of `see`.
    pub(crate) fn run_node_by_node(
        &mut self,
        graph: &Graph,
        of: &Interpreter,
        mut see: impl FnMut(&mut Values, NodeId) -> Result<()>,
    ) -> Result<()> {
        let mut values = Interpreter::values();
        let computed = of.computed();
        for some in of.chunks(&computed) {
            let Subgraph { graph, fetches, feeds } = of.subgraph(graph, &values, some)?;
            let step = self.compile(&graph, &fetches.iter().collect::<Vec<_>>())?;
            let feeds: Vec<_> = feeds.iter().map(|(tensor, array)| (tensor, &**array)).collect();
            let mut arrays = self.run(&step, &feeds)?.into_iter();
            let all: Vec<_> = some.iter().flat_map(|&node| of.outputs(node)).collect();
            for value in all {
                values.set(value, arrays.next().expect("a value for each that is fetched"));
            }
            for &node in some {
                see(&mut values, node)?;
            }
            for &node in some {
                of.forget(&mut values, node);
            }
        }
        Ok(())
    }
}
