//! Nodes of graphs, as plain data.

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
    /// Returns the id of one of the node's outputs.
    pub const fn output(self, output: usize) -> ValueId {
        ValueId { node: self, output }
    }
}

/// Id of a value of a graph: an output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId {
    /// The node.
    pub node: NodeId,
    /// The index of the output.
    pub output: usize,
}

/// Operation of a node.
#[derive(Clone)]
pub enum NodeKind {
    /// Array that is fed at every run, with its name.
    Input(String),
    /// Named variable, before the updates of the run.
    Variable(Variable),
    /// Number that is known when the graph is traced.
    Constant(f64),
    /// Array that is known when the graph is traced.
    Array(Arc<Array>),
    /// Linear index of each element.
    Iota,
    /// Number that the host computes before each run: position in [`Graph::schedule`](crate::Graph::schedule).
    Scheduled(usize),
    /// Pointwise op with its attributes.
    Pointwise(&'static Pointwise, Vec<f64>),
    /// Structured op or view.
    Op(Arc<dyn Op>),
    /// Identity through which no gradient flows.
    Detach,
    /// Result of an op that did not fit its inputs.
    Invalid,
}

/// Node of a graph.
#[derive(Clone)]
pub struct Node {
    /// The operation.
    pub kind: NodeKind,
    /// The values that it reads.
    pub inputs: Vec<ValueId>,
    /// The shapes and types of its outputs.
    pub outputs: Vec<Spec>,
    /// The place in the user's program.
    pub site: Site,
}

impl Node {
    /// Returns the name that errors and plans use.
    pub fn name(&self) -> &str {
        match &self.kind {
            NodeKind::Input(name) => name,
            NodeKind::Variable(variable) => variable.name(),
            NodeKind::Constant(_) => "constant",
            NodeKind::Array(_) => "array",
            NodeKind::Iota => "iota",
            NodeKind::Scheduled(_) => "scheduled",
            NodeKind::Pointwise(op, _) => op.name,
            NodeKind::Op(op) => op.name(),
            NodeKind::Detach => "detach",
            NodeKind::Invalid => "invalid",
        }
    }

    /// Returns whether the gradient rule is by design not the derivative: [`Pointwise::estimated`], [`Op::estimated`].
    pub fn is_estimated(&self) -> bool {
        match &self.kind {
            NodeKind::Pointwise(op, _) => op.estimated,
            NodeKind::Op(op) => op.estimated(),
            _ => false,
        }
    }
}

/// Number that the host computes before each run.
#[derive(Clone)]
pub struct Scheduled {
    /// The name, as plans print it.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// The function that computes the number for the next run.
    pub value: Arc<dyn Fn() -> f64 + Send + Sync>,
}

/// Update of a variable at the end of a run.
#[derive(Clone)]
pub struct Update {
    /// The variable.
    pub variable: Variable,
    /// The new value.
    pub value: ValueId,
}

/// Scope that is open while ops are traced.
pub(crate) struct Scope {
    pub path: String,
    /// The call that is reported instead of lines of the library: see
    /// [`Graph::scope_of_library`](crate::Graph::scope_of_library).
    pub caller: Option<LibraryCall>,
}

/// Call into a library.
#[derive(Clone, Copy)]
pub(crate) struct LibraryCall {
    /// The line of the caller.
    pub line: &'static Location<'static>,
    /// The folder of the library's source files.
    pub library: &'static str,
}

/// Call of a layer: a scope with the range of nodes that were traced while it was open.
pub(crate) struct Call {
    pub path: String,
    pub nodes: std::ops::Range<usize>,
}

/// Contents of a graph.
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
    /// Values that are read instead of variables.
    pub(crate) replacements: Vec<(Variable, ValueId)>,
    pub(crate) scopes: Vec<Scope>,
    /// The scopes that were opened, in order, without those inside a scope of the same path.
    pub(crate) calls: Vec<Call>,
    /// The call site of the node whose gradient rule is being traced.
    pub(crate) rewriting: Option<Site>,
    pub(crate) error: Option<GraphError>,
    pub(crate) lints: Lints,
    /// The parameters that the graph trains.
    pub(crate) trained: Trained,
    /// The owners of the state that the graph changes.
    pub(crate) owners: Vec<Owner>,
    /// True if a gradient was traced.
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

    /// Returns the spec of a value.
    pub fn spec(&self, value: ValueId) -> &Spec {
        &self.nodes[value.node].outputs[value.output]
    }

    /// Returns whether the sum of `value` over `axes` is zero by construction.
    pub(crate) fn vanishes(&self, value: ValueId, axes: &[usize]) -> bool {
        match &self.nodes[value.node].kind {
            NodeKind::Op(op) => op.vanishes(value.output, &self.spec(value).shape, axes),
            _ => false,
        }
    }

    /// Returns whether `value` is computed from `from`.
    pub(crate) fn depends(&self, value: ValueId, from: ValueId) -> bool {
        let mut stack = self.nodes[value.node].inputs.clone();
        let mut seen = vec![false; self.nodes.len()];
        while let Some(value) = stack.pop() {
            if value == from {
                return true;
            }
            // Nodes only read earlier nodes.
            if value.node > from.node && !std::mem::replace(&mut seen[value.node], true) {
                stack.extend(&self.nodes[value.node].inputs);
            }
        }
        false
    }
}
