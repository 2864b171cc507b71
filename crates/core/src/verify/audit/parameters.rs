//! Comparison of each parameter's gradient with finite differences of the loss.

use std::sync::Arc;

use super::derivative::{compare, direction, dot, measure_derivative, moved_along, norm, terms};
use super::ops::Ops;
use super::report::{GradientVerdict, ParameterAudit};
use super::step_values::{Parameter, StepValues, is_ruled, reached};
use crate::graph::node::{NodeId, ValueId};
use crate::host::cast::wide;
use crate::verify::interpreter::{Interpreter, Values};
use crate::{Array, Result, Stream};

/// Number of sets into which the parameters are split. A finite difference moves all parameters of one set at once.
const SETS: usize = 16;

/// Parameter with the direction along which it is moved.
struct Move {
    at: ValueId,
    value: Arc<Array>,
    direction: Vec<f64>,
}

impl Move {
    /// Returns the parameter's id, and its value plus `t` times the direction.
    fn along(&self, t: f64) -> (ValueId, Array) {
        (self.at, moved_along(&self.value, &self.direction, t))
    }
}

/// Compares the gradients of all parameters with finite differences; `ops` contains the results for the individual
/// ops.
pub(super) fn check(step: &StepValues<'_>, ops: &Ops) -> Result<Vec<ParameterAudit>> {
    let mut all = (0..step.parameters.len()).map(|i| inspect(step, i)).collect::<Result<Vec<_>>>()?;
    let compared: Vec<usize> = (0..all.len()).filter(|&i| all[i].verdict != GradientVerdict::Estimated).collect();
    let forward = step.interpreter.to(step.loss);
    for set in compared.chunks(compared.len().div_ceil(SETS).max(1)) {
        if !check_set(step, set, &forward, ops, &mut all)? {
            for &i in set {
                check_set(step, &[i], &forward, ops, &mut all)?;
            }
        }
    }
    Ok(all)
}

/// Returns the properties of a parameter that need no finite differences.
fn inspect(step: &StepValues<'_>, i: usize) -> Result<ParameterAudit> {
    let Parameter { variable, value: at, gradient, update } = &step.parameters[i];
    let values = step.interpreter.value(&step.base, *at)?.to_f64();
    let gradient = step.interpreter.value(&step.base, *gradient)?.to_f64();
    let between = reached(&step.interpreter, std::iter::once(at.node));
    let estimated =
        (0..between.len()).any(|node| between[node] && step.leads[node] && step.interpreter.nodes[node].is_estimated());
    let update = match update {
        Some(update) => {
            let after = step.interpreter.value(&step.base, *update)?.to_f64();
            let change: Vec<f64> = after.iter().zip(&values).map(|(after, before)| after - before).collect();
            Some(norm(&change) / norm(&values))
        }
        None => None,
    };
    Ok(ParameterAudit {
        name: variable.name().into(),
        spec: variable.spec().to_string(),
        site: step.interpreter.nodes[at.node].site.clone(),
        norm: norm(&values),
        gradient_norm: norm(&gradient),
        zeros: wide(gradient.iter().filter(|g| **g == 0.0).count()) / wide(gradient.len().max(1)),
        update,
        moved: 0,
        claimed: f64::NAN,
        measured: f64::NAN,
        verdict: if estimated { GradientVerdict::Estimated } else { GradientVerdict::Unknown },
    })
}

/// Moves a set of parameters together and records the verdict. Returns false if the set has several parameters and
/// the derivatives disagree, so that the parameters have to be moved one at a time.
fn check_set(
    step: &StepValues<'_>,
    set: &[usize],
    forward: &Interpreter,
    ops: &Ops,
    all: &mut [ParameterAudit],
) -> Result<bool> {
    let mut moves: Vec<Move> = vec![];
    let (mut claimed, mut size) = (0.0, 0f64);
    for &i in set {
        let &Parameter { ref variable, value: at, gradient, .. } = &step.parameters[i];
        let value = step.interpreter.value(&step.base, at)?;
        let gradient = step.interpreter.value(&step.base, gradient)?.to_f64();
        let direction = direction(&value.to_f64(), &mut Stream::named(23, variable.name()));
        claimed += dot(&gradient, &direction);
        size = size.hypot(terms(&gradient, &direction));
        moves.push(Move { at, value, direction });
    }
    let measured = measure_derivative(size, |t| {
        let changed: Vec<_> = moves.iter().map(|moved| moved.along(t)).collect();
        step.loss_at(forward, &changed)
    })?;
    let mut verdict = compare(claimed, measured, size);
    if verdict == GradientVerdict::Disagrees {
        let [Move { at, .. }] = moves[..] else { return Ok(false) };
        let between = reached(&step.interpreter, std::iter::once(at.node));
        let affected = |nodes: &[NodeId]| nodes.iter().any(|&node| between[node]);
        let kinks = || affected(&ops.kinks) || affected(&ops.unknown);
        if !affected(&ops.faults) && (kinks() || jumps(step, &moves, forward)?) {
            verdict = GradientVerdict::Kink;
        }
    }
    for &i in set {
        (all[i].moved, all[i].claimed, all[i].measured, all[i].verdict) = (set.len(), claimed, measured.value, verdict);
    }
    Ok(true)
}

/// Returns whether an op without a gradient, such as a comparison or an argmax, changes its result when the
/// parameters move by a tiny amount.
fn jumps(step: &StepValues<'_>, moves: &[Move], forward: &Interpreter) -> Result<bool> {
    let without_rule = |node: NodeId| !is_ruled(&step.interpreter.nodes[node]);
    let at = |t: f64| -> Result<Values> {
        let changed: Vec<_> = moves.iter().map(|moved| moved.along(t)).collect();
        let mut values = step.with(&changed)?;
        forward.run(&mut values, without_rule)?;
        Ok(values)
    };
    let (up, down) = (at(1e-7)?, at(-1e-7)?);
    let outputs =
        forward.computed().into_iter().filter(|&node| without_rule(node)).flat_map(|node| forward.outputs(node));
    Ok(outputs.into_iter().any(|value| up.get(value) != down.get(value)))
}
