//! Tensors: handles to values of a graph.

use std::fmt;
use std::sync::Arc;

use crate::graph::Graph;
use crate::graph::node::{Node, NodeKind, ValueId};
use crate::{DType, InvalidArgument, Pointwise, Shape, Spec};

/// A handle to a value of a [`Graph`]: cheap to clone, never data.
///
/// Operators broadcast; `f64` stands for a number on either side. An op whose inputs do not fit returns an invalid
/// tensor, which passes silently through further ops; `compile` returns the first error.
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

    /// The graph that this is a value of.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Which value of the graph.
    pub fn id(&self) -> ValueId {
        self.id
    }

    /// Returns the node that makes this value, as it is now.
    pub fn node(&self) -> Arc<Node> {
        self.graph.data().nodes[self.id.node].clone()
    }

    /// Shape and element type.
    pub fn spec(&self) -> Spec {
        self.graph.data().spec(self.id).clone()
    }

    /// The shape; without axes when invalid.
    pub fn shape(&self) -> Shape {
        self.spec().shape
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.spec().dtype
    }

    /// Whether every op up to here fitted its inputs.
    pub fn is_valid(&self) -> bool {
        !matches!(self.graph.data().nodes[self.id.node].kind, NodeKind::Invalid)
    }

    /// The same value, where gradients stop.
    #[track_caller]
    pub fn detach(&self) -> Self {
        if !self.is_valid() {
            return self.clone();
        }
        self.graph.push(NodeKind::Detach, vec![self.id], vec![self.spec()])
    }

    /// A pointwise op on this tensor and others, broadcast to a common shape.
    #[track_caller]
    pub fn pointwise(&self, row: &'static Pointwise, others: &[&Self], attributes: &[f64]) -> Self {
        let mut args = vec![self];
        args.extend(others);
        self.graph.pointwise(row, &args, attributes)
    }

    /// A number of this tensor's graph.
    #[track_caller]
    pub fn number(&self, value: f64) -> Self {
        self.graph.constant(value)
    }

    /// Records that `op` cannot take these tensors, and returns the invalid tensor that stands for its result.
    #[track_caller]
    pub fn invalid(&self, op: &str, others: &[&Self], invalid: InvalidArgument) -> Self {
        if let Some(invalid) = std::iter::once(&self).chain(others).find(|t| !t.is_valid()) {
            return (**invalid).clone();
        }
        let specs: Vec<_> = std::iter::once(&self).chain(others).map(|t| t.spec()).collect();
        self.graph.fail(op, &specs, invalid)
    }
}
