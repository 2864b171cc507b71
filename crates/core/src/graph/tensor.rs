//! Tensors: handles of values of a graph.

use std::fmt;
use std::sync::Arc;

use crate::graph::Graph;
use crate::graph::node::{Node, NodeKind, ValueId};
use crate::{DType, InvalidArgument, Pointwise, Shape, Spec};

/// Handle of a value of a [`Graph`]: cheap to clone, without data.
///
/// Operators broadcast and take an `f64` on either side. An op whose inputs do not fit returns an invalid tensor, which
/// passes silently through further ops; `compile` returns the first error.
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

    /// Returns the node of this value, as it is now.
    pub fn node(&self) -> Arc<Node> {
        self.graph.data().nodes[self.id.node].clone()
    }

    /// Returns shape and element type.
    pub fn spec(&self) -> Spec {
        self.graph.data().spec(self.id).clone()
    }

    /// Returns the shape; without axes if the tensor is invalid.
    pub fn shape(&self) -> Shape {
        self.spec().shape
    }

    /// Returns the element type.
    pub fn dtype(&self) -> DType {
        self.spec().dtype
    }

    /// Returns whether all ops that compute this tensor fit their inputs.
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

    /// Applies a pointwise op to this tensor and others, broadcast to a common shape.
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

    /// Records that `op` cannot take these tensors, and returns its invalid result.
    #[track_caller]
    pub fn invalid(&self, op: &str, others: &[&Self], invalid: InvalidArgument) -> Self {
        if let Some(invalid) = std::iter::once(&self).chain(others).find(|t| !t.is_valid()) {
            return (**invalid).clone();
        }
        let specs: Vec<_> = std::iter::once(&self).chain(others).map(|t| t.spec()).collect();
        self.graph.fail(op, &specs, invalid)
    }
}
