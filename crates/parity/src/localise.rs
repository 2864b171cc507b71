//! Search for the cause of a failure: the first node of the graph whose value is wrong.

use std::collections::BTreeSet;

use wgrad_core::plan::Plan;
use wgrad_core::{Array, Deviation, Expected, NodeKind, Params, Result, Session, Site, Tensor, ValueId};
use wgrad_kernels::Device;

use crate::harness::{DRAWS, Harness};
use crate::kernels::producers;
use crate::trace::Trace;

/// Culprit of a failure: the first node in the graph whose value has an error beyond its bound.
#[derive(Clone, Debug)]
pub struct Culprit {
    /// Name of the node's op.
    pub node: String,
    /// Names of the kernels that computed the node's value.
    pub kernels: BTreeSet<String>,
    /// Source line and scope of the node.
    pub site: Site,
}

impl Harness {
    /// Runs the case again with every node's value fetched, and returns the first node in graph order with an
    /// error beyond its bound. Returns `None` if all nodes are within their bounds; the failure then occurs only
    /// if kernels are fused.
    ///
    /// # Errors
    /// Returns the same errors as [`Harness::check`].
    pub fn localise(&self, device: Device) -> Result<Option<Culprit>> {
        let trace = Trace::new(self.case())?;
        let values: Vec<Tensor> = values(&trace);
        let fetches: Vec<&Tensor> = values.iter().collect();
        let feed = self.feed();
        let expected = trace.expected(self.case(), &fetches, feed, 0..DRAWS)?;
        let mut session = Session::new(device, &Params::seeded(0))?;
        let step = session.compile(&trace.graph, &fetches)?;
        let got = trace.run(&mut session, &step, feed)?;
        let fails = |got: &Array, Expected { values, bounds }: &Expected| {
            Deviation::worst(got, values, bounds).is_some_and(|worst| worst.fails())
        };
        let Some(first) = got.iter().zip(&expected).position(|(got, expected)| fails(got, expected)) else {
            return Ok(None);
        };
        let plan = Plan::new(&trace.graph, &fetches, &session.limits())?;
        let node = values[first].node();
        let kernels = match &node.kind {
            // A generated kernel is named after the pointwise op of this node.
            NodeKind::Pointwise(op, _) => [format!("pointwise {}", op.name)].into(),
            _ => producers(&plan)?.swap_remove(first),
        };
        Ok(Some(Culprit { node: node.name().into(), kernels, site: node.site.clone() }))
    }
}

/// Returns the values on which the results depend, in graph order.
fn values(trace: &Trace) -> Vec<Tensor> {
    let mut live = BTreeSet::new();
    let mut stack: Vec<ValueId> = trace.fetches().iter().map(|tensor| tensor.id()).collect();
    let nodes = trace.graph.nodes();
    while let Some(value) = stack.pop() {
        let node = &nodes[value.node];
        if matches!(node.kind, NodeKind::Pointwise(..) | NodeKind::Op(_)) && live.insert(value) {
            stack.extend(&node.inputs);
        }
    }
    live.into_iter().filter_map(|value| trace.graph.tensor(value)).collect()
}
