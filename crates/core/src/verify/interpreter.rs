//! The reference interpreter: computes the nodes of a graph on the host one after another, in `f64`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::node::{Node, NodeId, NodeKind, ValueId};
use crate::verify::evaluate;
use crate::{Accuracy, Array, DType, FeedError, Graph, Result, Spec, Tensor, View};

/// Values of a graph's nodes that are still needed.
#[derive(Clone)]
pub(crate) struct Values(HashMap<ValueId, Arc<Array>>);

impl Values {
    /// Returns a stored value.
    pub fn get(&self, value: ValueId) -> Option<&Arc<Array>> {
        self.0.get(&value)
    }

    /// Stores a value.
    pub fn set(&mut self, value: ValueId, array: impl Into<Arc<Array>>) {
        self.0.insert(value, array.into());
    }
}

/// Reference interpreter for the part of a graph that leads to some values, called roots.
#[derive(Clone)]
pub(crate) struct Interpreter {
    /// All nodes of the graph.
    pub nodes: Vec<Arc<Node>>,
    /// Nodes that lead to the roots, in the order of execution.
    live: Vec<NodeId>,
    /// For each node, the values of which it is the last reader, directly or through views.
    last_uses: HashMap<NodeId, Vec<ValueId>>,
    /// Type and value of each scheduled number (a number that the host computes before a run, such as a learning
    /// rate).
    scheduled: Vec<(DType, f64)>,
    feeds: HashMap<ValueId, Arc<Array>>,
    /// True if the device computes in `f64`, so that values are not rounded to `f32`.
    wide: bool,
}

/// Returns whether a node's value is known before the run.
pub(crate) fn is_given(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Input(_) | NodeKind::Variable(_) | NodeKind::Array(_))
}

/// Returns whether a node computes nothing but only gives access to elements of another value, as a view or a
/// `detach` does.
fn is_alias(node: &Node, specs: &[Spec]) -> bool {
    match &node.kind {
        NodeKind::Detach => true,
        NodeKind::Op(op) => specs.first().is_some_and(|spec| op.view(&View::contiguous(&spec.shape)).is_some()),
        _ => false,
    }
}

impl Interpreter {
    /// Creates an interpreter of the part of `graph` that leads to `roots`. Feeds and variables are rounded to
    /// `f32`, as on a device, unless `wide` is set.
    ///
    /// # Errors
    /// Returns an error if the graph contains an error, or an input has no feed or a feed of another type or
    /// shape.
    pub fn new(graph: &Graph, roots: &[ValueId], feeds: &[(&Tensor, &Array)], wide: bool) -> Result<Self> {
        graph.check()?;
        let data = graph.data();
        let mut live = vec![false; data.nodes.len()];
        let mut stack: Vec<NodeId> = roots.iter().map(|root| root.node).collect();
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut live[node], true) {
                stack.extend(data.nodes[node].inputs.iter().map(|input| input.node));
            }
        }
        let live = data.numbered().map(|(node, _)| node).filter(|&node| live[node]).collect();
        let scheduled = data.schedule.iter().map(|entry| (entry.dtype, (entry.value)())).collect();
        let nodes = data.nodes.clone();
        drop(data);
        let mut all = Self { nodes, live, last_uses: HashMap::new(), scheduled, feeds: HashMap::new(), wide };
        for (tensor, array) in feeds {
            if !tensor.graph().is(graph) {
                return Err(FeedError::OtherGraph { tensor: format!("{tensor:?}") }.into());
            }
            all.feeds.insert(tensor.id(), all.as_on_device(array));
        }
        for &node in &all.live {
            let Node { kind: NodeKind::Input(name), outputs, .. } = &*all.nodes[node] else { continue };
            let spec = &outputs[0];
            match all.feeds.get(&node.output(0)) {
                None => return Err(FeedError::Missing { input: name.clone(), spec: spec.clone() }.into()),
                Some(fed) if *fed.shape() != spec.shape || !fed.dtype().feeds(spec.dtype) => {
                    let (input, spec, fed) = (name.clone(), spec.clone(), fed.spec());
                    return Err(FeedError::Spec { input, spec, per_step: None, fed }.into());
                }
                Some(_) => {}
            }
        }
        all.last_uses = all.last_uses(roots);
        Ok(all)
    }

    /// Returns, for each node, the values whose last reader it is.
    fn last_uses(&self, roots: &[ValueId]) -> HashMap<NodeId, Vec<ValueId>> {
        let mut last: HashMap<ValueId, NodeId> = HashMap::new();
        let mut read = |value: ValueId, node: NodeId| {
            let mut value = value;
            loop {
                last.insert(value, node);
                if !self.is_alias(value.node) {
                    break;
                }
                value = self.nodes[value.node].inputs[0];
            }
        };
        for &node in &self.live {
            // A value without readers is last used by the node that computes it.
            self.outputs(node).for_each(|value| read(value, node));
            self.nodes[node].inputs.iter().for_each(|&input| read(input, node));
        }
        // Roots are kept.
        for &root in roots {
            read(root, NodeId(usize::MAX));
        }
        let mut last_uses: HashMap<NodeId, Vec<ValueId>> = HashMap::new();
        for (value, node) in last {
            last_uses.entry(node).or_default().push(value);
        }
        last_uses
    }

    /// Returns an array in the precision of the device: `f64` elements are rounded to `f32` unless the device
    /// computes in `f64`.
    fn as_on_device(&self, array: &Array) -> Arc<Array> {
        if self.wide || array.dtype() != DType::F64 {
            return Arc::new(array.clone());
        }
        Arc::new(Array::new(array.shape(), array.to_f32()).expect("as many as before"))
    }

    /// Returns the element type and shape of a value.
    pub fn spec(&self, value: ValueId) -> &Spec {
        &self.nodes[value.node].outputs[value.output]
    }

    fn specs(&self, values: &[ValueId]) -> Vec<Spec> {
        values.iter().map(|&value| self.spec(value).clone()).collect()
    }

    /// Returns whether a node is a view or a `detach`, which compute nothing.
    pub fn is_alias(&self, node: NodeId) -> bool {
        let node = &self.nodes[node];
        is_alias(node, &self.specs(&node.inputs[..node.inputs.len().min(1)]))
    }

    /// Follows views and `detach` back to the value whose elements they give access to; returns `value` itself if
    /// it is not the result of a view or `detach`.
    pub fn source(&self, mut value: ValueId) -> ValueId {
        while self.is_alias(value.node) {
            value = self.nodes[value.node].inputs[0];
        }
        value
    }

    /// Returns whether a node leads to the roots.
    pub fn is_live(&self, node: NodeId) -> bool {
        self.live.binary_search(&node).is_ok()
    }

    /// Returns an interpreter for the part of the graph that leads to one value.
    pub fn to(&self, root: ValueId) -> Self {
        let mut live = vec![false; self.nodes.len()];
        live[root.node] = true;
        for node in (0..=root.node.0).rev().map(NodeId).filter(|&node| self.is_live(node)) {
            if live[node] {
                self.nodes[node].inputs.iter().for_each(|input| live[input.node] = true);
            }
        }
        let live = (0..self.nodes.len()).map(NodeId).filter(|&node| live[node]).collect();
        let mut part = Self { live, last_uses: HashMap::new(), ..self.clone() };
        part.last_uses = part.last_uses(&[root]);
        part
    }

    /// Returns the nodes that compute something, in the order of execution.
    pub fn computed(&self) -> Vec<NodeId> {
        let computes = |&node: &NodeId| {
            matches!(self.nodes[node].kind, NodeKind::Pointwise(..) | NodeKind::Op(_)) && !self.is_alias(node)
        };
        self.live.iter().copied().filter(computes).collect()
    }

    /// Returns the inputs, variables and arrays that lead to the roots.
    pub fn given(&self) -> Vec<ValueId> {
        let given = self.live.iter().filter(|&&node| is_given(&self.nodes[node].kind));
        given.map(|&node| node.output(0)).collect()
    }

    /// Returns the outputs of a node.
    pub fn outputs(&self, node: NodeId) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.nodes[node].outputs.len()).map(move |output| node.output(output))
    }

    /// Returns the accuracy of a node's op.
    pub fn accuracy(&self, node: NodeId) -> Accuracy {
        let Node { kind, inputs, .. } = &*self.nodes[node];
        match kind {
            NodeKind::Pointwise(op, _) => op.accuracy(),
            NodeKind::Op(op) => op.accuracy(&self.specs(inputs)),
            _ => Accuracy::EXACT,
        }
    }

    /// Creates an empty set of values.
    pub fn values() -> Values {
        Values(HashMap::new())
    }

    /// Returns a value: from `values`, or from the feeds, variables, constants and views, which need no
    /// computation.
    ///
    /// # Errors
    /// Returns an error if a variable's newest value is on a device.
    pub fn value(&self, values: &Values, value: ValueId) -> Result<Arc<Array>> {
        if let Some(array) = values.get(value) {
            return Ok(array.clone());
        }
        let node = &self.nodes[value.node];
        let number = |dtype: DType, x: f64| match dtype {
            DType::U32 => Array::scalar(x as u64 as u32),
            _ if self.wide => Array::scalar(x),
            _ => Array::scalar(x as f32),
        };
        Ok(match &node.kind {
            NodeKind::Input(_) => self.feeds[&value].clone(),
            NodeKind::Variable(variable) => self.as_on_device(&*variable.value()?),
            NodeKind::Array(array) => self.as_on_device(array),
            NodeKind::Constant(x) => number(node.outputs[0].dtype, *x).into(),
            NodeKind::Scheduled(i) => number(self.scheduled[*i].0, self.scheduled[*i].1).into(),
            NodeKind::Iota => {
                let shape = &node.outputs[0].shape;
                Array::new(shape, (0u32..).take(shape.numel()).collect::<Vec<_>>())?.into()
            }
            NodeKind::Detach => self.value(values, node.inputs[0])?,
            NodeKind::Op(op) => {
                let base = self.value(values, node.inputs[0])?;
                let view = op.view(&View::contiguous(base.shape())).expect("only views have no value of their own");
                Arc::new(evaluate::gather_view(&base, &view))
            }
            NodeKind::Pointwise(..) | NodeKind::Invalid => unreachable!("nodes are computed in order"),
        })
    }

    /// Returns the values that a node reads.
    pub fn inputs(&self, values: &Values, node: NodeId) -> Result<Vec<Arc<Array>>> {
        self.nodes[node].inputs.iter().map(|&input| self.value(values, input)).collect()
    }

    /// Computes the outputs of a node from these inputs, with the op's reference in `f64`.
    pub fn compute(&self, node: NodeId, inputs: &[Arc<Array>]) -> Vec<Array> {
        let Node { kind, inputs: read, outputs, .. } = &*self.nodes[node];
        match kind {
            NodeKind::Pointwise(op, attributes) => vec![evaluate::pointwise(op, attributes, &outputs[0], inputs)],
            NodeKind::Op(op) => evaluate::structured(&**op, &self.specs(read), outputs, inputs),
            _ => unreachable!("only ops compute"),
        }
    }

    /// Computes the outputs of a node in the same way as a device that flushes subnormal numbers to zero,
    /// including the intermediate results of a pointwise op.
    pub fn compute_flushed(&self, node: NodeId, inputs: &[Arc<Array>]) -> Vec<Array> {
        let Node { kind, outputs, .. } = &*self.nodes[node];
        match kind {
            NodeKind::Pointwise(op, attributes) => {
                vec![evaluate::pointwise_flushed(op, attributes, &outputs[0], inputs)]
            }
            _ => self.compute(node, inputs),
        }
    }

    /// Drops the values that are not read after `node`.
    pub fn drop_unused(&self, values: &mut Values, node: NodeId) {
        for value in self.last_uses.get(&node).into_iter().flatten() {
            values.0.remove(value);
        }
    }

    /// Computes every node in `f64` that has no value yet. Keeps the roots and every node for which `keep` returns
    /// true.
    ///
    /// # Errors
    /// Returns the errors that [`Self::value`] returns.
    pub fn run(&self, values: &mut Values, keep: impl Fn(NodeId) -> bool) -> Result<()> {
        for node in self.computed() {
            if values.get(node.output(0)).is_none() {
                let inputs = self.inputs(values, node)?;
                for (value, array) in self.outputs(node).zip(self.compute(node, &inputs)) {
                    values.set(value, array);
                }
            }
            for value in self.last_uses.get(&node).into_iter().flatten().filter(|value| !keep(value.node)) {
                values.0.remove(value);
            }
        }
        Ok(())
    }
}
