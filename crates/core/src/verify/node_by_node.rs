//! Running a graph on a device node by node. The nodes are split into chunks; each chunk runs as a separate graph,
//! and all its values are fetched.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::node::{Node, NodeId, NodeKind, ValueId};
use crate::verify::interpreter::{Interpreter, Values};
use crate::{Array, Graph, Result, Session, Spec, Tensor};

/// Largest total size of the values in a chunk, in bytes.
const BYTES: usize = 256 << 20;
/// Largest number of values in a chunk.
const COUNT: usize = 256;

impl Interpreter {
    /// Splits the nodes into chunks, whose values are fetched together.
    fn chunks<'n>(&self, mut nodes: &'n [NodeId]) -> Vec<&'n [NodeId]> {
        let mut chunks = vec![];
        while !nodes.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            let fits = nodes.iter().take_while(|&&node| {
                bytes += self.nodes[node].outputs.iter().map(Spec::bytes).sum::<usize>();
                count += self.nodes[node].outputs.len();
                bytes <= BYTES && count <= COUNT
            });
            let (chunk, rest) = nodes.split_at(fits.count().max(1));
            chunks.push(chunk);
            nodes = rest;
        }
        chunks
    }

    /// Returns a graph of the nodes in `chunk`. Values computed by other nodes become inputs.
    fn subgraph(&self, graph: &Graph, values: &Values, chunk: &[NodeId]) -> Result<Subgraph> {
        let subgraph = Graph::new(graph.mode());
        let mut known = HashMap::new();
        let mut feeds = vec![];
        let mut fetches = vec![];
        for &node in chunk {
            for &input in &self.nodes[node].inputs {
                self.import(&subgraph, values, input, &mut known, &mut feeds)?;
            }
            let copy = push(&subgraph, &self.nodes[node], &known, self.nodes[node].kind.clone());
            for value in self.outputs(node) {
                let id = copy.output(value.output);
                known.insert(value, id);
                fetches.push(Tensor::new(subgraph.clone(), id));
            }
        }
        Ok(Subgraph { graph: subgraph, fetches, feeds })
    }

    /// Adds a value to a subgraph, if it is not there yet.
    fn import(
        &self,
        subgraph: &Graph,
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
            self.import(subgraph, values, node.inputs[0], known, feeds)?;
            push(subgraph, node, known, node.kind.clone()).output(value.output)
        } else if matches!(
            node.kind,
            NodeKind::Variable(_) | NodeKind::Array(_) | NodeKind::Constant(_) | NodeKind::Iota
        ) {
            push(subgraph, node, known, node.kind.clone()).output(0)
        } else {
            let kind = NodeKind::Input(node.name().into());
            let read = Node { kind, inputs: vec![], outputs: vec![self.spec(value).clone()], site: node.site.clone() };
            let id = push(subgraph, &read, known, read.kind.clone()).output(0);
            feeds.push((Tensor::new(subgraph.clone(), id), self.value(values, value)?));
            id
        };
        known.insert(value, id);
        Ok(())
    }
}

/// Graph that contains some of the nodes of another graph.
struct Subgraph {
    graph: Graph,
    /// The outputs of all nodes.
    fetches: Vec<Tensor>,
    /// Inputs with the values computed by earlier nodes.
    feeds: Vec<(Tensor, Arc<Array>)>,
}

/// Adds a node to the subgraph; `known` maps the ids of its inputs to those in the subgraph.
fn push(subgraph: &Graph, node: &Node, known: &HashMap<ValueId, ValueId>, kind: NodeKind) -> NodeId {
    let inputs = node.inputs.iter().map(|input| known[input]).collect();
    let mut data = subgraph.data();
    data.nodes.push(Arc::new(Node { kind, inputs, outputs: node.outputs.clone(), site: node.site.clone() }));
    NodeId(data.nodes.len() - 1)
}

impl Session {
    /// Returns whether the device computes in `f64`.
    pub(crate) fn is_wide(&self) -> bool {
        self.device().kind == "cpu-f64"
    }

    /// Runs the nodes of a graph on the device, one chunk after another. Each chunk reads the results that the
    /// device computed for earlier nodes. Calls `visit` with every node once its values are known. No variable is
    /// updated and no counter advances.
    ///
    /// # Errors
    /// Returns the errors that [`Session::compile`] and [`Session::run`] return, and the first error of `visit`.
    pub(crate) fn run_node_by_node(
        &mut self,
        graph: &Graph,
        of: &Interpreter,
        mut visit: impl FnMut(&mut Values, NodeId) -> Result<()>,
    ) -> Result<()> {
        let mut values = Interpreter::values();
        let computed = of.computed();
        for chunk in of.chunks(&computed) {
            let Subgraph { graph, fetches, feeds } = of.subgraph(graph, &values, chunk)?;
            let step = self.compile(&graph, &fetches.iter().collect::<Vec<_>>())?;
            let feeds: Vec<_> = feeds.iter().map(|(tensor, array)| (tensor, &**array)).collect();
            let mut arrays = self.run(&step, &feeds)?.into_iter();
            let all: Vec<_> = chunk.iter().flat_map(|&node| of.outputs(node)).collect();
            for value in all {
                values.set(value, arrays.next().expect("a value for each that is fetched"));
            }
            for &node in chunk {
                visit(&mut values, node)?;
            }
            for &node in chunk {
                of.drop_unused(&mut values, node);
            }
        }
        Ok(())
    }
}
