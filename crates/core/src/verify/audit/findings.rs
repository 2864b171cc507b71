//! Findings that need no finite differences: estimated gradients, silent units (0 for the entire batch) and
//! non-finite values.

use std::sync::Arc;

use super::report::{Estimate, SilentUnits};
use super::step_values::StepValues;
use crate::graph::node::{NodeId, NodeKind};
use crate::{Array, CpuBackend, NonFinite, Params, Result, Session, Tensor};

/// Returns those ops between parameters and the loss whose gradient is an estimate.
pub(super) fn estimated(step: &StepValues<'_>) -> Vec<Estimate> {
    let between = (0..=step.loss.node.0).map(NodeId).filter(|&node| step.depends[node] && step.leads[node]);
    let estimated = between.map(|node| &step.interpreter.nodes[node]).filter(|of| of.is_estimated());
    estimated.map(|of| Estimate { name: of.name().into(), site: of.site.clone() }).collect()
}

/// Runs the loss and its gradients in `f32` and returns the first non-finite value.
pub(super) fn non_finite(step: &StepValues<'_>, params: &Params) -> Result<Option<NonFinite>> {
    let mut session = Session::new(CpuBackend::<f32>::new(), params)?;
    session.on_warning(Arc::new(|_| {}));
    let gradients = step.parameters.iter().map(|parameter| parameter.gradient);
    let targets: Vec<Tensor> =
        std::iter::once(step.loss).chain(gradients).map(|id| Tensor::new(step.graph.clone(), id)).collect();
    let feeds: Vec<(&Tensor, &Array)> = step.feeds.iter().map(|(tensor, array)| (tensor, *array)).collect();
    session.first_non_finite(&step.graph, &targets.iter().collect::<Vec<_>>(), &feeds)
}

/// Returns the pointwise ops of one argument with units that are 0 for every example of the batch.
pub(super) fn silent(step: &StepValues<'_>) -> Result<Vec<SilentUnits>> {
    let mut silent = vec![];
    for node in step.interpreter.computed().into_iter().filter(|&node| node < step.loss.node && step.depends[node]) {
        let of = &step.interpreter.nodes[node];
        let one = matches!(of.kind, NodeKind::Pointwise(op, _) if op.args.len() == 1 && op.backward.is_some());
        let dims = of.outputs[0].shape.dims();
        if !one || dims.len() < 2 || dims.contains(&0) {
            continue;
        }
        let (channels, inner) = (dims[1], dims[2..].iter().product::<usize>());
        let mut alive = vec![false; channels];
        let y = step.interpreter.value(&step.base, node.output(0))?.to_f64();
        y.iter().enumerate().filter(|(_, y)| **y != 0.0).for_each(|(i, _)| alive[i / inner % channels] = true);
        let units = alive.iter().filter(|alive| !**alive).count();
        if units > 0 {
            silent.push(SilentUnits { name: of.name().into(), site: of.site.clone(), units, of: channels });
        }
    }
    Ok(silent)
}
