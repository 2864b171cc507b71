//! The nodes of a graph with their values on the host, one after the other: computed in `f64`, or fetched from a device
//! that runs the graph part by part.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::node::{Node, NodeKind, ValueId};
use crate::op::pointwise::Block;
use crate::op::reference::{Buffers, Reference, Slice, SliceMut};
use crate::{Accuracy, Array, DType, Data, Error, Graph, Op, Pointwise, Result, Session, Spec, Tensor, View};

/// Bytes of values that are fetched at once, and how many.
const BYTES: usize = 256 << 20;
const COUNT: usize = 256;

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

/// The part of a graph that leads to some values: its nodes in order, and what is known before a run.
#[derive(Clone)]
pub(crate) struct Walk {
    pub nodes: Vec<Arc<Node>>,
    /// The nodes that count, in order.
    live: Vec<usize>,
    /// What nobody reads after a node, also through views.
    ends: HashMap<usize, Vec<ValueId>>,
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

impl Walk {
    /// The part of `graph` that leads to `roots`. Values are as a device holds them, in `f32`, or as they are if it is `wide`.
    ///
    /// # Errors
    /// An error of the graph; an input that is not fed, or not what the graph says.
    pub fn new(graph: &Graph, roots: &[ValueId], feeds: &[(&Tensor, &Array)], wide: bool) -> Result<Self> {
        graph.check()?;
        let data = graph.data();
        let mut live = vec![false; data.nodes.len()];
        let mut stack: Vec<usize> = roots.iter().map(|root| root.node).collect();
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut live[node], true) {
                stack.extend(data.nodes[node].inputs.iter().map(|input| input.node));
            }
        }
        let live = (0..data.nodes.len()).filter(|&node| live[node]).collect();
        let scheduled = data.schedule.iter().map(|entry| (entry.dtype, (entry.value)())).collect();
        let nodes = data.nodes.clone();
        drop(data);
        let mut walk = Self { nodes, live, ends: HashMap::new(), scheduled, feeds: HashMap::new(), wide };
        for (tensor, array) in feeds {
            if !tensor.graph().is(graph) {
                return Err(Error::Feed(format!("{tensor:?} belongs to another graph")));
            }
            walk.feeds.insert(tensor.id(), walk.held(array));
        }
        for &node in &walk.live {
            let Node { kind: NodeKind::Input(name), outputs, .. } = &*walk.nodes[node] else { continue };
            let spec = &outputs[0];
            match walk.feeds.get(&ValueId { node, output: 0 }) {
                None => return Err(Error::Feed(format!("input `{name}` ({spec}) was not fed"))),
                Some(fed) if *fed.shape() != spec.shape || !fed.dtype().feeds(spec.dtype) => {
                    let (dtype, shape) = (fed.dtype(), fed.shape());
                    return Err(Error::Feed(format!("input `{name}` is {spec}, but was fed {dtype}{shape}")));
                }
                Some(_) => {}
            }
        }
        walk.ends = walk.ends(roots);
        Ok(walk)
    }

    fn ends(&self, roots: &[ValueId]) -> HashMap<usize, Vec<ValueId>> {
        let mut last: HashMap<ValueId, usize> = HashMap::new();
        let mut read = |value: ValueId, node: usize| {
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
            read(root, usize::MAX);
        }
        let mut ends: HashMap<usize, Vec<ValueId>> = HashMap::new();
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
    pub fn is_alias(&self, node: usize) -> bool {
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
    pub fn is_live(&self, node: usize) -> bool {
        self.live.binary_search(&node).is_ok()
    }

    /// The part of the walk that leads to one value.
    pub fn to(&self, root: ValueId) -> Self {
        let mut live = vec![false; self.nodes.len()];
        live[root.node] = true;
        for node in (0..=root.node).rev().filter(|&node| self.is_live(node)) {
            if live[node] {
                self.nodes[node].inputs.iter().for_each(|input| live[input.node] = true);
            }
        }
        let live = (0..self.nodes.len()).filter(|&node| live[node]).collect();
        let mut part = Self { live, ends: HashMap::new(), ..self.clone() };
        part.ends = part.ends(&[root]);
        part
    }

    /// The nodes that compute something, in order.
    pub fn computed(&self) -> Vec<usize> {
        let computes = |&node: &usize| {
            matches!(self.nodes[node].kind, NodeKind::Pointwise(..) | NodeKind::Op(_)) && !self.is_alias(node)
        };
        self.live.iter().copied().filter(computes).collect()
    }

    /// The inputs, variables and arrays that count.
    pub fn given(&self) -> Vec<ValueId> {
        let given = self.live.iter().filter(|&&node| is_given(&self.nodes[node].kind));
        given.map(|&node| ValueId { node, output: 0 }).collect()
    }

    /// The outputs of a node.
    pub fn outputs(&self, node: usize) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.nodes[node].outputs.len()).map(move |output| ValueId { node, output })
    }

    /// What a node loses by rounding.
    pub fn accuracy(&self, node: usize) -> Accuracy {
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
        let number = |dtype: DType, x: f64| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as a device is told them")]
            match dtype {
                DType::U32 => Array::scalar(x as u64 as u32),
                _ if self.wide => Array::scalar(x),
                _ => Array::scalar(x as f32),
            }
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
                Arc::new(seen(&base, &view))
            }
            NodeKind::Pointwise(..) | NodeKind::Invalid => unreachable!("nodes are walked in order"),
        })
    }

    /// The values that a node reads.
    pub fn inputs(&self, values: &Values, node: usize) -> Result<Vec<Arc<Array>>> {
        self.nodes[node].inputs.iter().map(|&input| self.value(values, input)).collect()
    }

    /// What a node makes of these inputs, by its reference in `f64`.
    pub fn compute(&self, node: usize, inputs: &[Arc<Array>]) -> Vec<Array> {
        let Node { kind, inputs: read, outputs, .. } = &*self.nodes[node];
        match kind {
            NodeKind::Pointwise(row, attributes) => vec![pointwise(row, attributes, &outputs[0], inputs)],
            NodeKind::Op(op) => structured(&**op, &self.specs(read), outputs, inputs),
            _ => unreachable!("only ops compute"),
        }
    }

    /// Forgets what nobody reads after `node`.
    pub fn forget(&self, values: &mut Values, node: usize) {
        for value in self.ends.get(&node).into_iter().flatten() {
            values.0.remove(value);
        }
    }

    /// Computes every node in `f64` that has no value yet. Keeps the roots, and every node that `keep` names.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn run(&self, values: &mut Values, keep: impl Fn(usize) -> bool) -> Result<()> {
        for node in self.computed() {
            if values.get(ValueId { node, output: 0 }).is_none() {
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

    /// Nodes that are fetched together.
    fn portions<'n>(&self, mut nodes: &'n [usize]) -> Vec<&'n [usize]> {
        let mut portions = vec![];
        while !nodes.is_empty() {
            let (mut bytes, mut count) = (0, 0);
            let fits = nodes.iter().take_while(|&&node| {
                bytes += self.nodes[node].outputs.iter().map(Spec::bytes).sum::<usize>();
                count += self.nodes[node].outputs.len();
                bytes <= BYTES && count <= COUNT
            });
            let (some, rest) = nodes.split_at(fits.count().max(1));
            portions.push(some);
            nodes = rest;
        }
        portions
    }

    /// The nodes `some` as a graph of their own: inputs stand for what other nodes have computed. Returns it, the outputs of
    /// all nodes, and what is fed.
    fn part(&self, graph: &Graph, values: &Values, some: &[usize]) -> Result<Part> {
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
                let id = ValueId { node: copy, output: value.output };
                known.insert(value, id);
                fetches.push(Tensor::new(part.clone(), id));
            }
        }
        Ok(Part { graph: part, fetches, feeds })
    }

    /// Brings a value into a part, if it is not there yet.
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
            ValueId { node: push(part, node, known, node.kind.clone()), output: value.output }
        } else if matches!(
            node.kind,
            NodeKind::Variable(_) | NodeKind::Array(_) | NodeKind::Constant(_) | NodeKind::Iota
        ) {
            ValueId { node: push(part, node, known, node.kind.clone()), output: 0 }
        } else {
            let kind = NodeKind::Input(node.name().into());
            let read = Node { kind, inputs: vec![], outputs: vec![self.spec(value).clone()], site: node.site.clone() };
            let id = ValueId { node: push(part, &read, known, read.kind.clone()), output: 0 };
            feeds.push((Tensor::new(part.clone(), id), self.value(values, value)?));
            id
        };
        known.insert(value, id);
        Ok(())
    }
}

/// A graph of some nodes of another.
struct Part {
    graph: Graph,
    fetches: Vec<Tensor>,
    feeds: Vec<(Tensor, Arc<Array>)>,
}

/// Adds a node with its inputs as they are called in the part.
fn push(part: &Graph, node: &Node, known: &HashMap<ValueId, ValueId>, kind: NodeKind) -> usize {
    let inputs = node.inputs.iter().map(|input| known[input]).collect();
    let mut data = part.data();
    data.nodes.push(Arc::new(Node { kind, inputs, outputs: node.outputs.clone(), site: node.site.clone() }));
    data.nodes.len() - 1
}

impl Session {
    /// Whether the device computes in `f64`.
    pub(crate) fn is_wide(&self) -> bool {
        self.device().kind == "cpu-f64"
    }

    /// Runs the nodes of a walk on the device, a part of the graph at a time, each from the values that came out before it:
    /// calls `see` with every node, once its values are known. Nothing is updated, no counter moves.
    ///
    /// # Errors
    /// As [`Session::compile`] and [`Session::run`]; the first of `see`.
    pub(crate) fn walk(
        &mut self,
        graph: &Graph,
        walk: &Walk,
        mut see: impl FnMut(&mut Values, usize) -> Result<()>,
    ) -> Result<()> {
        let mut values = Walk::values();
        let computed = walk.computed();
        for some in walk.portions(&computed) {
            let Part { graph, fetches, feeds } = walk.part(graph, &values, some)?;
            let step = self.compile(&graph, &fetches.iter().collect::<Vec<_>>())?;
            let feeds: Vec<_> = feeds.iter().map(|(tensor, array)| (tensor, &**array)).collect();
            let mut arrays = self.run(&step, &feeds)?.into_iter();
            let all: Vec<_> = some.iter().flat_map(|&node| walk.outputs(node)).collect();
            for value in all {
                values.set(value, arrays.next().expect("a value for each that is fetched"));
            }
            for &node in some {
                see(&mut values, node)?;
            }
            for &node in some {
                walk.forget(&mut values, node);
            }
        }
        Ok(())
    }
}

/// The elements of an array at the places of a view.
fn seen(base: &Array, view: &View) -> Array {
    fn pick<T: crate::Element>(values: &[T], view: &View) -> Array {
        let values = if view.is_contiguous() && view.shape.numel() == values.len() {
            values.to_vec()
        } else {
            (0..view.shape.numel()).map(|i| values[view.locate(i)]).collect()
        };
        Array::new(&view.shape, values).expect("as many as the view has")
    }
    match base.data() {
        Data::F32(values) => pick(values, view),
        Data::F64(values) => pick(values, view),
        Data::U32(values) => pick(values, view),
    }
}

/// The floats of an array in double precision; its integers as they are.
fn widened(array: &Arc<Array>) -> Arc<Array> {
    match array.data() {
        Data::F32(_) => Arc::new(Array::new(array.shape(), array.to_f64()).expect("as many as before")),
        _ => array.clone(),
    }
}

fn slice(array: &Array) -> Slice<'_, f64> {
    match array.data() {
        Data::F64(values) => Slice::Float(values),
        Data::U32(values) => Slice::Uint(values),
        Data::F32(_) => unreachable!("inputs were widened"),
    }
}

/// Room for an output in double precision.
enum Room {
    Float(Vec<f64>),
    Uint(Vec<u32>),
}

impl Room {
    fn of(spec: &Spec) -> Self {
        let elements = spec.shape.numel();
        if spec.dtype.is_float() { Self::Float(vec![0.0; elements]) } else { Self::Uint(vec![0; elements]) }
    }

    fn slice(&mut self) -> SliceMut<'_, f64> {
        match self {
            Self::Float(values) => SliceMut::Float(values),
            Self::Uint(values) => SliceMut::Uint(values),
        }
    }

    fn array(self, spec: &Spec) -> Array {
        match self {
            Self::Float(values) => Array::new(&spec.shape, values),
            Self::Uint(values) => Array::new(&spec.shape, values),
        }
        .expect("the room was made for it")
    }
}

fn pointwise(row: &Pointwise, attributes: &[f64], spec: &Spec, inputs: &[Arc<Array>]) -> Array {
    let inputs: Vec<_> = inputs.iter().map(widened).collect();
    let args: Vec<_> = inputs.iter().map(|input| slice(input)).collect();
    let mut room = Room::of(spec);
    (row.block_f64)(&Block { args: &args, attributes }, room.slice());
    room.array(spec)
}

fn structured(op: &dyn Op, inputs: &[Spec], outputs: &[Spec], arrays: &[Arc<Array>]) -> Vec<Array> {
    let arrays: Vec<_> = arrays.iter().map(widened).collect();
    let mut rooms: Vec<_> = outputs.iter().map(Room::of).collect();
    let slices = arrays.iter().map(|array| slice(array)).collect();
    let buffers = Buffers::new((inputs, outputs), slices, rooms.iter_mut().map(Room::slice).collect());
    op.reference(Reference::F64(buffers));
    rooms.into_iter().zip(outputs).map(|(room, spec)| room.array(spec)).collect()
}
