//! Graphs as text, to compare two graphs.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::{Graph, NodeKind};

impl Graph {
    /// Returns how many nodes of each op the graph contains: `2 add, 1 matmul`.
    pub fn op_counts(&self) -> String {
        let data = self.data();
        let mut counts = BTreeMap::<&str, usize>::new();
        for node in &data.nodes {
            if matches!(node.kind, NodeKind::Op(_) | NodeKind::Pointwise(..)) {
                *counts.entry(node.name()).or_default() += 1;
            }
        }
        counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }

    /// Returns the structure of the graph as text, with one line per node and update. A line contains the op with
    /// its attributes, sizes, inputs and scope. Source lines, the values of arrays and the numbers that the host
    /// computes are omitted, so that a program always yields the same text.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// let trace = |factor: f64| {
    ///     let graph = Graph::new(Mode::Evaluate);
    ///     let _ = graph.input("x", [2], DType::F32) * factor;
    ///     graph
    /// };
    /// assert_eq!(trace(2.0).op_counts(), trace(3.0).op_counts());
    /// assert_eq!(trace(2.0).to_text(), trace(2.0).to_text());
    /// assert_ne!(trace(2.0).to_text(), trace(3.0).to_text());
    /// ```
    pub fn to_text(&self) -> String {
        let data = self.data();
        let mut text = String::new();
        for node in &data.nodes {
            let kind = match &node.kind {
                NodeKind::Constant(value) => format!("{:x}", value.to_bits()),
                NodeKind::Pointwise(_, attributes) => {
                    format!("{:x?}", attributes.iter().map(|value| value.to_bits()).collect::<Vec<_>>())
                }
                NodeKind::Op(op) => format!("{op:?}"),
                NodeKind::Variable(variable) => format!("{:?} {}", variable.kind(), variable.is_trainable()),
                NodeKind::Scheduled(at) => data.schedule[*at].name.clone(),
                _ => String::new(),
            };
            let _ = writeln!(text, "{} {kind} {:?} {:?} {}", node.name(), node.inputs, node.outputs, node.site.scope);
        }
        for update in &data.updates {
            let _ = writeln!(text, "{} {:?}", update.variable.name(), update.value);
        }
        text
    }
}
