//! Nodes: what a graph is made of, as plain data.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

use crate::graph::lints::Lints;
use crate::graph::owner::Owner;
use crate::graph::params::{Counter, Variable};
use crate::graph::trained::Trained;
use crate::host::position::position;
use crate::{Array, DType, GraphError, Op, Pointwise, Site, Spec};

position! {
    /// Position of a node in [`Graph::nodes`](crate::Graph::nodes).
    pub struct NodeId;
}

impl NodeId {
    /// Returns one of the values that the node makes.
    pub const fn output(self, output: usize) -> ValueId {
        ValueId { node: self, output }
    }
}

/// One value of a graph: an output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId {
    /// The node.
    pub node: NodeId,
    /// Which of its outputs.
    pub output: usize,
}

/// What a node is.
#[derive(Clone)]
pub enum NodeKind {
    /// Fed at every run.
    Input(String),
    /// A named variable, as it is before this run's updates.
    Variable(Variable),
    /// One number, known when the graph is traced.
    Constant(f64),
    /// An array, known when the graph is traced.
    Array(Arc<Array>),
    /// The linear index of each element.
    Iota,
    /// A number that the host computes before each run: entry of [`Graph::schedule`](crate::Graph::schedule).
    Scheduled(usize),
    /// A pointwise op with its attributes.
    Pointwise(&'static Pointwise, Vec<f64>),
    /// A structured op or a view.
    Op(Arc<dyn Op>),
    /// The input itself, where gradients stop.
    Detach,
    /// What an op that did not fit left behind.
    Invalid,
}

/// One node.
#[derive(Clone)]
pub struct Node {
    /// What it does.
    pub kind: NodeKind,
    /// The values it reads.
    pub inputs: Vec<ValueId>,
    /// What it makes.
    pub outputs: Vec<Spec>,
    /// Where it came from.
    pub site: Site,
}

impl Node {
    /// The name that errors and plans use.
    pub fn name(&self) -> &str {
        match &self.kind {
            NodeKind::Input(name) => name,
            NodeKind::Variable(variable) => variable.name(),
            NodeKind::Constant(_) => "constant",
            NodeKind::Array(_) => "array",
            NodeKind::Iota => "iota",
            NodeKind::Scheduled(_) => "scheduled",
            NodeKind::Pointwise(row, _) => row.name,
            NodeKind::Op(op) => op.name(),
            NodeKind::Detach => "detach",
            NodeKind::Invalid => "invalid",
        }
    }

    /// Whether its gradient rule is by design not the derivative: [`Pointwise::estimated`], [`Op::estimated`].
    pub fn is_estimated(&self) -> bool {
        match &self.kind {
            NodeKind::Pointwise(row, _) => row.estimated,
            NodeKind::Op(op) => op.estimated(),
            _ => false,
        }
    }
}

/// A number that the host computes before each run.
#[derive(Clone)]
pub struct Scheduled {
    /// Its name, for plans.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The number for the coming run.
    pub value: Arc<dyn Fn() -> f64 + Send + Sync>,
}

/// A variable's value after the run.
#[derive(Clone)]
pub struct Update {
    /// The variable.
    pub variable: Variable,
    /// Its new value.
    pub value: ValueId,
}

/// A scope that is open while ops are traced.
pub(crate) struct Scope {
    pub path: String,
    /// Replaces the lines of a library: see [`Graph::scope_of_library`](crate::Graph::scope_of_library).
    pub caller: Option<LibraryCall>,
}

/// A call into a library.
#[derive(Clone, Copy)]
pub(crate) struct LibraryCall {
    /// The line of the caller.
    pub line: &'static Location<'static>,
    /// The folder of the library's source files.
    pub library: &'static str,
}

/// One time that a scope was open: the nodes that were traced meanwhile.
pub(crate) struct Call {
    pub path: String,
    pub nodes: std::ops::Range<usize>,
}

/// What a graph holds.
#[derive(Default)]
pub(crate) struct GraphData {
    /// The nodes, each after its inputs.
    pub nodes: Vec<Arc<Node>>,
    /// The updates, in order of declaration.
    pub updates: Vec<Update>,
    /// Numbers computed by the host before each run.
    pub schedule: Vec<Scheduled>,
    /// Counters that go up by one with each run.
    pub counters: Vec<Counter>,
    /// Values that are fetched beside the loss, by name.
    pub(crate) tracked: Vec<(String, ValueId)>,
    /// The node of each variable, by the variable's id.
    pub(crate) variables: HashMap<usize, NodeId>,
    /// What is read in the place of variables.
    pub(crate) stand_ins: Vec<(Variable, ValueId)>,
    pub(crate) scopes: Vec<Scope>,
    /// The scopes that were opened, in order; one inside a scope of the same path is part of that.
    pub(crate) calls: Vec<Call>,
    /// The site of the node whose gradient rule runs.
    pub(crate) rewriting: Option<Site>,
    pub(crate) error: Option<GraphError>,
    pub(crate) lints: Lints,
    /// The parameters that are to be moved.
    pub(crate) trained: Trained,
    /// Whose state the graph changes.
    pub(crate) owners: Vec<Owner>,
    /// Whether a gradient was asked for.
    pub(crate) differentiated: bool,
}

impl GraphData {
    /// Opens a scope.
    pub(crate) fn open(&mut self, scope: Scope) {
        if !self.scopes.iter().any(|open| open.path == scope.path) {
            let from = self.nodes.len();
            self.calls.push(Call { path: scope.path.clone(), nodes: from..usize::MAX });
        }
        self.scopes.push(scope);
    }

    /// Closes the innermost scope.
    pub(crate) fn close(&mut self) {
        let (closed, to) = (self.scopes.pop(), self.nodes.len());
        let Some(Scope { path, .. }) = closed else { return };
        if !self.scopes.iter().any(|open| open.path == path)
            && let Some(call) = self.calls.iter_mut().rfind(|call| call.path == path)
        {
            call.nodes.end = to;
        }
    }

    /// Returns the nodes with their ids, in order.
    pub(crate) fn numbered(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Arc<Node>)> {
        self.nodes.iter().enumerate().map(|(i, node)| (NodeId(i), node))
    }

    /// The spec of a value.
    pub fn spec(&self, value: ValueId) -> &Spec {
        &self.nodes[value.node].outputs[value.output]
    }

    /// Whether the sum of `value` over `axes` is known to be zero.
    pub(crate) fn vanishes(&self, value: ValueId, axes: &[usize]) -> bool {
        match &self.nodes[value.node].kind {
            NodeKind::Op(op) => op.vanishes(value.output, &self.spec(value).shape, axes),
            _ => false,
        }
    }

    /// Whether `value` is computed from `from`.
    pub(crate) fn depends(&self, value: ValueId, from: ValueId) -> bool {
        let mut stack = self.nodes[value.node].inputs.clone();
        let mut seen = vec![false; self.nodes.len()];
        while let Some(value) = stack.pop() {
            if value == from {
                return true;
            }
            // Nodes only read earlier ones.
            if value.node > from.node && !std::mem::replace(&mut seen[value.node], true) {
                stack.extend(&self.nodes[value.node].inputs);
            }
        }
        false
    }
}
