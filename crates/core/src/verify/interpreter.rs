//! The reference interpreter: the nodes of a graph with their values on the host, computed one after the other in `f64`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::node::{Node, NodeId, NodeKind, ValueId};
use crate::verify::evaluate;
use crate::{Accuracy, Array, DType, FeedError, Graph, Result, Spec, Tensor, View};

/// The values of a graph's nodes, as far as somebody still needs them.
#[derive(Clone)]
pub(crate) struct Values(HashMap<ValueId, Arc<Array>>);

impl Values {
    /// What was kept of a value.
    pub fn get(&self, value: ValueId) -> Option<&Arc<Array>> {
        self.0.get(&value)
    }

    pub fn set(&mut self, value: ValueId, array: impl Into<Arc<Array>>) {
        self.0.insert(value, array.into());
    }
}

/// Reference interpreter: the part of a graph that leads to some values, its nodes in order, and what is known before a run.
#[derive(Clone)]
pub(crate) struct Interpreter {
    pub nodes: Vec<Arc<Node>>,
    /// The nodes that count, in order.
    live: Vec<NodeId>,
    /// What nobody reads after a node, also through views.
    ends: HashMap<NodeId, Vec<ValueId>>,
    scheduled: Vec<(DType, f64)>,
    feeds: HashMap<ValueId, Arc<Array>>,
    wide: bool,
}

/// Whether nothing is computed: the value is known before the run.
pub(crate) fn is_given(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Input(_) | NodeKind::Variable(_) | NodeKind::Array(_))
}

/// Whether a value only relabels elements of another one.
fn is_alias(node: &Node, specs: &[Spec]) -> bool {
    match &node.kind {
        NodeKind::Detach => true,
        NodeKind::Op(op) => specs.first().is_some_and(|spec| op.view(&View::contiguous(&spec.shape)).is_some()),
        _ => false,
    }
}

impl Interpreter {
    /// The part of `graph` that leads to `roots`. Values are as a device holds them, in `f32`, or as they are if it is `wide`.
    ///
    /// # Errors
    /// An error of the graph; an input that is not fed, or not what the graph says.
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
        let mut all = Self { nodes, live, ends: HashMap::new(), scheduled, feeds: HashMap::new(), wide };
        for (tensor, array) in feeds {
            if !tensor.graph().is(graph) {
                return Err(FeedError::OtherGraph { tensor: format!("{tensor:?}") }.into());
            }
            all.feeds.insert(tensor.id(), all.held(array));
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
        all.ends = all.ends(roots);
        Ok(all)
    }

    fn ends(&self, roots: &[ValueId]) -> HashMap<NodeId, Vec<ValueId>> {
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
            // What nobody reads ends where it begins.
            self.outputs(node).for_each(|value| read(value, node));
            self.nodes[node].inputs.iter().for_each(|&input| read(input, node));
        }
        // What was asked for stays.
        for &root in roots {
            read(root, NodeId(usize::MAX));
        }
        let mut ends: HashMap<NodeId, Vec<ValueId>> = HashMap::new();
        for (value, node) in last {
            ends.entry(node).or_default().push(value);
        }
        ends
    }

    /// As the device holds it.
    fn held(&self, array: &Array) -> Arc<Array> {
        if self.wide || array.dtype() != DType::F64 {
            return Arc::new(array.clone());
        }
        Arc::new(Array::new(array.shape(), array.to_f32()).expect("as many as before"))
    }

    pub fn spec(&self, value: ValueId) -> &Spec {
        &self.nodes[value.node].outputs[value.output]
    }

    fn specs(&self, values: &[ValueId]) -> Vec<Spec> {
        values.iter().map(|&value| self.spec(value).clone()).collect()
    }

    /// Whether a node only relabels elements: a view, or where gradients stop.
    pub fn is_alias(&self, node: NodeId) -> bool {
        let node = &self.nodes[node];
        is_alias(node, &self.specs(&node.inputs[..node.inputs.len().min(1)]))
    }

    /// The value whose elements a value only relabels; itself if it has its own.
    pub fn source(&self, mut value: ValueId) -> ValueId {
        while self.is_alias(value.node) {
            value = self.nodes[value.node].inputs[0];
        }
        value
    }

    /// Whether a node counts.
    pub fn is_live(&self, node: NodeId) -> bool {
        self.live.binary_search(&node).is_ok()
    }

    /// The part that leads to one value.
    pub fn to(&self, root: ValueId) -> Self {
        let mut live = vec![false; self.nodes.len()];
        live[root.node] = true;
        for node in (0..=root.node.0).rev().map(NodeId).filter(|&node| self.is_live(node)) {
            if live[node] {
                self.nodes[node].inputs.iter().for_each(|input| live[input.node] = true);
            }
        }
        let live = (0..self.nodes.len()).map(NodeId).filter(|&node| live[node]).collect();
        let mut part = Self { live, ends: HashMap::new(), ..self.clone() };
        part.ends = part.ends(&[root]);
        part
    }

    /// The nodes that compute something, in order.
    pub fn computed(&self) -> Vec<NodeId> {
        let computes = |&node: &NodeId| {
            matches!(self.nodes[node].kind, NodeKind::Pointwise(..) | NodeKind::Op(_)) && !self.is_alias(node)
        };
        self.live.iter().copied().filter(computes).collect()
    }

    /// The inputs, variables and arrays that count.
    pub fn given(&self) -> Vec<ValueId> {
        let given = self.live.iter().filter(|&&node| is_given(&self.nodes[node].kind));
        given.map(|&node| node.output(0)).collect()
    }

    /// The outputs of a node.
    pub fn outputs(&self, node: NodeId) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.nodes[node].outputs.len()).map(move |output| node.output(output))
    }

    /// What a node loses by rounding.
    pub fn accuracy(&self, node: NodeId) -> Accuracy {
        let Node { kind, inputs, .. } = &*self.nodes[node];
        match kind {
            NodeKind::Pointwise(row, _) => row.accuracy(),
            NodeKind::Op(op) => op.accuracy(&self.specs(inputs)),
            _ => Accuracy::EXACT,
        }
    }

    /// No value yet.
    pub fn values() -> Values {
        Values(HashMap::new())
    }

    /// The value of a node: what is kept in `values`, or what follows from that without computing.
    ///
    /// # Errors
    /// When a variable's newest value is on a device.
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
            NodeKind::Variable(variable) => self.held(&*variable.value()?),
            NodeKind::Array(array) => self.held(array),
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
                Arc::new(evaluate::seen(&base, &view))
            }
            NodeKind::Pointwise(..) | NodeKind::Invalid => unreachable!("nodes are computed in order"),
        })
    }

    /// The values that a node reads.
    pub fn inputs(&self, values: &Values, node: NodeId) -> Result<Vec<Arc<Array>>> {
        self.nodes[node].inputs.iter().map(|&input| self.value(values, input)).collect()
    }

    /// What a node makes of these inputs, by its reference in `f64`.
    pub fn compute(&self, node: NodeId, inputs: &[Arc<Array>]) -> Vec<Array> {
        let Node { kind, inputs: read, outputs, .. } = &*self.nodes[node];
        match kind {
            NodeKind::Pointwise(row, attributes) => vec![evaluate::pointwise(row, attributes, &outputs[0], inputs)],
            NodeKind::Op(op) => evaluate::structured(&**op, &self.specs(read), outputs, inputs),
            _ => unreachable!("only ops compute"),
        }
    }

    /// Does as [`Self::compute`], on a device that flushes numbers below the smallest normal one: within a pointwise op,
    /// too.
    pub fn compute_flushed(&self, node: NodeId, inputs: &[Arc<Array>]) -> Vec<Array> {
        let Node { kind, outputs, .. } = &*self.nodes[node];
        match kind {
            NodeKind::Pointwise(row, attributes) => {
                vec![evaluate::pointwise_flushed(row, attributes, &outputs[0], inputs)]
            }
            _ => self.compute(node, inputs),
        }
    }

    /// Forgets what nobody reads after `node`.
    pub fn forget(&self, values: &mut Values, node: NodeId) {
        for value in self.ends.get(&node).into_iter().flatten() {
            values.0.remove(value);
        }
    }

    /// Computes every node in `f64` that has no value yet. Keeps the roots, and every node that `keep` names.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn run(&self, values: &mut Values, keep: impl Fn(NodeId) -> bool) -> Result<()> {
        for node in self.computed() {
            if values.get(node.output(0)).is_none() {
                let inputs = self.inputs(values, node)?;
                for (value, array) in self.outputs(node).zip(self.compute(node, &inputs)) {
                    values.set(value, array);
                }
            }
            for value in self.ends.get(&node).into_iter().flatten().filter(|value| !keep(value.node)) {
                values.0.remove(value);
            }
        }
        Ok(())
    }
}
