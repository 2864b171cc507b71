//! The gradient of each parameter beside finite differences of the loss.

use std::sync::Arc;

use super::ops::Ops;
use super::report::{ParameterAudit, Verdict};
use super::slope::{agrees, along, direction, dot, norm, slope, terms};
use super::step_values::{Parameter, StepValues, is_ruled, reached};
use crate::graph::node::{NodeId, ValueId};
use crate::host::cast::wide;
use crate::verify::interpreter::{Interpreter, Values};
use crate::{Array, Result, Stream};

/// Number of sets into which parameters are split; those of one set move at once.
const SETS: usize = 16;

/// A parameter that moves.
struct Move {
    at: ValueId,
    value: Arc<Array>,
    direction: Vec<f64>,
}

impl Move {
    /// Returns the parameter's value at `t`.
    fn along(&self, t: f64) -> (ValueId, Array) {
        (self.at, along(&self.value, &self.direction, t))
    }
}

/// Compares the gradients of all parameters with finite differences; `ops` is what is known of the ops by themselves.
pub(super) fn check(step: &StepValues<'_>, ops: &Ops) -> Result<Vec<ParameterAudit>> {
    let mut all = (0..step.parameters.len()).map(|i| look(step, i)).collect::<Result<Vec<_>>>()?;
    let judged: Vec<usize> = (0..all.len()).filter(|&i| all[i].verdict != Verdict::Estimated).collect();
    let forward = step.interpreter.to(step.loss);
    for set in judged.chunks(judged.len().div_ceil(SETS).max(1)) {
        if !agree(step, set, &forward, ops, &mut all)? {
            for &i in set {
                agree(step, &[i], &forward, ops, &mut all)?;
            }
        }
    }
    Ok(all)
}

/// What is seen of a parameter without moving it.
fn look(step: &StepValues<'_>, i: usize) -> Result<ParameterAudit> {
    let Parameter { variable, value: at, gradient, update } = &step.parameters[i];
    let values = step.interpreter.value(&step.base, *at)?.to_f64();
    let gradient = step.interpreter.value(&step.base, *gradient)?.to_f64();
    let passed = reached(&step.interpreter, std::iter::once(at.node));
    let estimated =
        (0..passed.len()).any(|node| passed[node] && step.leads[node] && step.interpreter.nodes[node].is_estimated());
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
        verdict: if estimated { Verdict::Estimated } else { Verdict::Unknown },
    })
}

/// Moves some parameters at once and notes what that says; false if a single one has to be found.
fn agree(
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
    let measured = slope(size, |t| {
        let changed: Vec<_> = moves.iter().map(|moved| moved.along(t)).collect();
        step.loss_at(forward, &changed)
    })?;
    let mut verdict = agrees(claimed, measured, size);
    if verdict == Verdict::Disagrees {
        let [Move { at, .. }] = moves[..] else { return Ok(false) };
        let passed = reached(&step.interpreter, std::iter::once(at.node));
        let on_the_way = |nodes: &[NodeId]| nodes.iter().any(|&node| passed[node]);
        let kinks = || on_the_way(&ops.kinks) || on_the_way(&ops.unknown);
        if !on_the_way(&ops.faults) && (kinks() || jumps(step, &moves, forward)?) {
            verdict = Verdict::Kink;
        }
    }
    for &i in set {
        (all[i].moved, all[i].claimed, all[i].measured, all[i].verdict) = (set.len(), claimed, measured.value, verdict);
    }
    Ok(true)
}

/// Whether what has no gradient, such as a comparison or the index of the largest, changes with the least of moves.
fn jumps(step: &StepValues<'_>, moves: &[Move], forward: &Interpreter) -> Result<bool> {
    let ruleless = |node: NodeId| !is_ruled(&step.interpreter.nodes[node]);
    let at = |t: f64| -> Result<Values> {
        let changed: Vec<_> = moves.iter().map(|moved| moved.along(t)).collect();
        let mut values = step.with(&changed)?;
        forward.run(&mut values, ruleless)?;
        Ok(values)
    };
    let (up, down) = (at(1e-7)?, at(-1e-7)?);
    let outputs = forward.computed().into_iter().filter(|&node| ruleless(node)).flat_map(|node| forward.outputs(node));
    Ok(outputs.into_iter().any(|value| up.get(value) != down.get(value)))
}
