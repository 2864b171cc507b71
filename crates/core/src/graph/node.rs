//! Nodes of a graph, as plain data.

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
    /// Returns the id of the node's output number `output`.
    pub const fn output(self, output: usize) -> ValueId {
        ValueId { node: self, output }
    }
}

/// Id of a value in a graph. Every value is an output of a node.
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
    /// Input with this name: an array that is fed at every run.
    Input(String),
    /// Value of a variable at the beginning of a run.
    Variable(Variable),
    /// Number that is known when the graph is traced.
    Constant(f64),
    /// Array that is known when the graph is traced.
    Array(Arc<Array>),
    /// Row-major position of each element.
    Iota,
    /// Number that the host computes before each run. The field is the number's position in
    /// [`Graph::schedule`](crate::Graph::schedule).
    Scheduled(usize),
    /// Pointwise op, and the values of its attributes.
    Pointwise(&'static Pointwise, Vec<f64>),
    /// Op other than a pointwise op: a structured op or a view.
    Op(Arc<dyn Op>),
    /// Identity through which no gradient flows.
    Detach,
    /// Result of an op that could not take its inputs.
    Invalid,
}

/// Node of a graph.
#[derive(Clone)]
pub struct Node {
    /// The operation.
    pub kind: NodeKind,
    /// The values that the node reads.
    pub inputs: Vec<ValueId>,
    /// The shapes and types of the outputs.
    pub outputs: Vec<Spec>,
    /// The place in the user's program where the node was traced.
    pub site: Site,
}

impl Node {
    /// Returns the name that errors and plans print.
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

    /// Returns whether the gradient rule deliberately differs from the derivative: see [`Pointwise::estimated`]
    /// and [`Op::estimated`].
    pub fn is_estimated(&self) -> bool {
        match &self.kind {
            NodeKind::Pointwise(op, _) => op.estimated,
            NodeKind::Op(op) => op.estimated(),
            _ => false,
        }
    }
}

/// Number that the host computes before each run, such as a learning rate.
#[derive(Clone)]
pub struct Scheduled {
    /// The name that plans print.
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
    /// The call into a library during which the scope was opened. Error messages report the line of this call
    /// instead of a line of the library: see [`Graph::scope_of_library`](crate::Graph::scope_of_library).
    pub caller: Option<LibraryCall>,
}

/// Call into a library.
#[derive(Clone, Copy)]
pub(crate) struct LibraryCall {
    /// The source line of the caller.
    pub line: &'static Location<'static>,
    /// The folder of the library's source files.
    pub library: &'static str,
}

/// Layer call: a scope that was opened, and the range of nodes that were traced while it was open.
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
    /// The numbers that the host computes before each run.
    pub schedule: Vec<Scheduled>,
    /// The counters that increase by one after each run; a counter may be listed repeatedly.
    pub counters: Vec<Counter>,
    /// The values that a trainer fetches together with the loss, with their names.
    pub(crate) tracked: Vec<(String, ValueId)>,
    /// Map from the id of each variable that the graph reads to the node that reads it.
    pub(crate) variables: HashMap<usize, NodeId>,
    /// The replaced variables, with the values that are read instead.
    pub(crate) replacements: Vec<(Variable, ValueId)>,
    pub(crate) scopes: Vec<Scope>,
    /// The scopes that were opened, in order, except scopes nested in a scope of the same path.
    pub(crate) calls: Vec<Call>,
    /// The place of the op whose gradient rule is being traced; `None` at other times. Error messages about the
    /// ops that the rule adds report this place.
    pub(crate) rewriting: Option<Site>,
    pub(crate) error: Option<GraphError>,
    pub(crate) lints: Lints,
    /// The parameters that the graph trains.
    pub(crate) trained: Trained,
    /// The owners of the optimizer state that the graph updates.
    pub(crate) owners: Vec<Owner>,
    /// True if gradients were traced.
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

    /// Returns whether the sum of `value` over `axes` is known to be zero: see [`Op::vanishes`].
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
            // Nodes at or before `from` cannot depend on it, because nodes only read earlier nodes.
            if value.node > from.node && !std::mem::replace(&mut seen[value.node], true) {
                stack.extend(&self.nodes[value.node].inputs);
            }
        }
        false
    }
}
