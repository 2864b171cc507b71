//! Tensors: handles to values of a graph.

use std::fmt;
use std::sync::Arc;

use crate::graph::Graph;
use crate::graph::node::{Node, NodeKind, ValueId};
use crate::{DType, InvalidArgument, Pointwise, Shape, Spec};

/// Handle to a value of a [`Graph`]. It contains no data and is cheap to clone.
///
/// Operators such as `+` broadcast, and either operand may be an `f64`. An op that cannot take its inputs records
/// an error in the graph and returns an invalid tensor; ops applied to an invalid tensor return it unchanged.
/// `compile` returns the first recorded error.
#[derive(Clone)]
#[must_use]
pub struct Tensor {
    graph: Graph,
    id: ValueId,
}

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.graph.data();
        write!(f, "Tensor({} {})", data.nodes[self.id.node].name(), data.spec(self.id))
    }
}

impl Tensor {
    pub(crate) fn new(graph: Graph, id: ValueId) -> Self {
        Self { graph, id }
    }

    /// Returns the graph of this value.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Returns the id of the value in its graph.
    pub fn id(&self) -> ValueId {
        self.id
    }

    /// Returns the node of this value.
    pub fn node(&self) -> Arc<Node> {
        self.graph.data().nodes[self.id.node].clone()
    }

    /// Returns the shape and element type.
    pub fn spec(&self) -> Spec {
        self.graph.data().spec(self.id).clone()
    }

    /// Returns the shape. An invalid tensor has a shape without axes.
    pub fn shape(&self) -> Shape {
        self.spec().shape
    }

    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        self.spec().dtype
    }

    /// Returns false if this tensor is the result of an op that could not take its inputs, or depends on such a
    /// result.
    pub fn is_valid(&self) -> bool {
        !matches!(self.graph.data().nodes[self.id.node].kind, NodeKind::Invalid)
    }

    /// Returns the same value, through which no gradient flows.
    #[track_caller]
    pub fn detach(&self) -> Self {
        if !self.is_valid() {
            return self.clone();
        }
        self.graph.push(NodeKind::Detach, vec![self.id], vec![self.spec()])
    }

    /// Applies a pointwise op to this tensor and `others`, which are broadcast to a common shape.
    #[track_caller]
    pub fn pointwise(&self, op: &'static Pointwise, others: &[&Self], attributes: &[f64]) -> Self {
        let mut args = vec![self];
        args.extend(others);
        self.graph.pointwise(op, &args, attributes)
    }

    /// Adds a number to this tensor's graph, as a tensor without axes.
    #[track_caller]
    pub fn number(&self, value: f64) -> Self {
        self.graph.constant(value)
    }

    /// Records in the graph that `op` cannot take these tensors, and returns an invalid tensor as its result.
    #[track_caller]
    pub fn invalid(&self, op: &str, others: &[&Self], invalid: InvalidArgument) -> Self {
        if let Some(invalid) = std::iter::once(&self).chain(others).find(|t| !t.is_valid()) {
            return (**invalid).clone();
        }
        let specs: Vec<_> = std::iter::once(&self).chain(others).map(|t| t.spec()).collect();
        self.graph.fail(op, &specs, invalid)
    }
}
