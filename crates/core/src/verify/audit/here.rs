//! A loss at the values that it has in a step, and the slopes of it along parameters.

use std::sync::Arc;

use super::ops::{Ops, is_ruled};
use super::slope::{agrees, along, direction, dot, norm, slope, terms};
use super::{Estimate, ParameterAudit, Silent, Verdict};
use crate::graph::node::{NodeKind, ValueId};
use crate::host::cast::wide;
use crate::verify::walk::{Values, Walk};
use crate::{Array, CpuBackend, Graph, Kind, NonFinite, Params, Result, Session, Stream, Tensor, Variable, gradients};

/// A loss at the values that it has in a step.
pub(super) struct Here<'a> {
    /// A copy of the graph, with the gradients.
    pub graph: Graph,
    /// What it is fed.
    pub feeds: Vec<(Tensor, &'a Array)>,
    pub walk: Walk,
    pub loss: ValueId,
    pub parameters: Vec<Parameter>,
    pub base: Values,
    /// Which nodes depend on parameters.
    pub depends: Vec<bool>,
    /// Which nodes the loss depends on, so that gradients pass them.
    pub leads: Vec<bool>,
}

/// A parameter that the loss depends on.
pub(super) struct Parameter {
    pub variable: Variable,
    value: ValueId,
    gradient: ValueId,
    /// Its value after the step, if the graph changes it.
    update: Option<ValueId>,
}

/// So many sets of parameters are moved, one after the other: of more parameters, some that follow each other move at once.
const SETS: usize = 16;

/// A parameter, its value, and where it moves.
type Move = (ValueId, Arc<Array>, Vec<f64>);

impl<'a> Here<'a> {
    #[track_caller]
    pub fn new(loss: &Tensor, feeds: &[(&Tensor, &'a Array)]) -> Result<Self> {
        let graph = loss.graph().copy();
        let moved = |tensor: &Tensor| Tensor::new(graph.clone(), tensor.id());
        let trained = |v: &Variable| v.kind() == Kind::Parameter && v.is_trainable();
        let all: Vec<Variable> = graph.variables().into_iter().filter(trained).collect();
        let handles: Vec<Tensor> = all.iter().map(|variable| graph.variable(variable)).collect();
        let found = gradients(&moved(loss), &handles);
        graph.check()?;
        let update_of = |variable: &Variable| {
            let data = graph.data();
            let update = data.updates.iter().find(|update| update.variable.name() == variable.name());
            update.map(|update| update.value)
        };
        let parameters: Vec<Parameter> = all
            .into_iter()
            .zip(handles.iter().zip(found))
            .filter_map(|(variable, (value, gradient))| {
                let update = update_of(&variable);
                Some(Parameter { variable, value: value.id(), gradient: gradient?.id(), update })
            })
            .collect();
        let mut roots = vec![loss.id()];
        roots.extend(parameters.iter().map(|parameter| parameter.gradient));
        roots.extend(parameters.iter().filter_map(|parameter| parameter.update));
        let feeds: Vec<(Tensor, &Array)> =
            feeds.iter().filter(|(t, _)| t.graph().is(loss.graph())).map(|&(t, array)| (moved(t), array)).collect();
        let fed: Vec<(&Tensor, &Array)> = feeds.iter().map(|(tensor, array)| (tensor, *array)).collect();
        let walk = Walk::new(&graph, &roots, &fed, true)?;
        let mut base = Walk::values();
        let forward = loss.id().node;
        walk.run(&mut base, |node| node <= forward)?;
        let depends = reached(&walk, parameters.iter().map(|parameter| parameter.value.node));
        let mut leads = vec![false; walk.nodes.len()];
        leads[forward] = true;
        for node in (0..=forward).rev() {
            let of = &walk.nodes[node];
            if leads[node] && !matches!(of.kind, NodeKind::Detach) {
                of.inputs.iter().for_each(|input| leads[input.node] = true);
            }
        }
        Ok(Self { graph, feeds, walk, loss: loss.id(), parameters, base, depends, leads })
    }

    /// The values with others in the place of some: what does not depend on these is as it was, and so is what is `detach`ed.
    fn with(&self, changed: &[(ValueId, Array)]) -> Result<Values> {
        let mut values = Walk::values();
        let mut moves = vec![false; self.loss.node + 1];
        for (value, _) in changed {
            moves[value.node] = true;
        }
        for node in 0..=self.loss.node {
            let of = &self.walk.nodes[node];
            let detached = matches!(of.kind, NodeKind::Detach);
            moves[node] |= !detached && of.inputs.iter().any(|input| moves[input.node]);
            if moves[node] || !self.walk.is_live(node) {
                continue;
            }
            if detached {
                let value = ValueId { node, output: 0 };
                values.set(value, self.walk.value(&self.base, value)?);
            }
            for value in self.walk.outputs(node) {
                if let Some(array) = self.base.get(value) {
                    values.set(value, array.clone());
                }
            }
        }
        for (value, array) in changed {
            values.set(*value, array.clone());
        }
        Ok(values)
    }

    /// The loss where some values are others than in the step.
    fn loss_at(&self, forward: &Walk, changed: &[(ValueId, Array)]) -> Result<f64> {
        let mut values = self.with(changed)?;
        forward.run(&mut values, |_| false)?;
        Ok(forward.value(&values, self.loss)?.to_f64()[0])
    }

    /// All parameters, in order; `ops` is what is known of the ops by themselves.
    pub fn parameters(&self, ops: &Ops) -> Result<Vec<ParameterAudit>> {
        let mut all = (0..self.parameters.len()).map(|i| self.look(i)).collect::<Result<Vec<_>>>()?;
        let judged: Vec<usize> = (0..all.len()).filter(|&i| all[i].verdict != Verdict::Estimated).collect();
        let forward = self.walk.to(self.loss);
        for set in judged.chunks(judged.len().div_ceil(SETS).max(1)) {
            if !self.agree(set, &forward, ops, &mut all)? {
                for &i in set {
                    self.agree(&[i], &forward, ops, &mut all)?;
                }
            }
        }
        Ok(all)
    }

    /// What is seen of a parameter without moving it.
    fn look(&self, i: usize) -> Result<ParameterAudit> {
        let Parameter { variable, value: at, gradient, update } = &self.parameters[i];
        let values = self.walk.value(&self.base, *at)?.to_f64();
        let gradient = self.walk.value(&self.base, *gradient)?.to_f64();
        let passed = reached(&self.walk, std::iter::once(at.node));
        let estimated =
            (0..passed.len()).any(|node| passed[node] && self.leads[node] && self.walk.nodes[node].is_estimated());
        let update = match update {
            Some(update) => {
                let after = self.walk.value(&self.base, *update)?.to_f64();
                let change: Vec<f64> = after.iter().zip(&values).map(|(after, before)| after - before).collect();
                Some(norm(&change) / norm(&values))
            }
            None => None,
        };
        Ok(ParameterAudit {
            name: variable.name().into(),
            spec: variable.spec().to_string(),
            site: self.walk.nodes[at.node].site.clone(),
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
    fn agree(&self, set: &[usize], forward: &Walk, ops: &Ops, all: &mut [ParameterAudit]) -> Result<bool> {
        let mut moves: Vec<Move> = vec![];
        let (mut claimed, mut size) = (0.0, 0f64);
        for &i in set {
            let &Parameter { ref variable, value: at, gradient, .. } = &self.parameters[i];
            let value = self.walk.value(&self.base, at)?;
            let gradient = self.walk.value(&self.base, gradient)?.to_f64();
            let direction = direction(&value.to_f64(), &mut Stream::named(23, variable.name()));
            claimed += dot(&gradient, &direction);
            size = size.hypot(terms(&gradient, &direction));
            moves.push((at, value, direction));
        }
        let measured = slope(size, |t| {
            let changed: Vec<_> = moves.iter().map(|(at, value, d)| (*at, along(value, d, t))).collect();
            self.loss_at(forward, &changed)
        })?;
        let mut verdict = agrees(claimed, measured, size);
        if verdict == Verdict::Disagrees {
            let [(at, ..)] = moves[..] else { return Ok(false) };
            let passed = reached(&self.walk, std::iter::once(at.node));
            let on_the_way = |nodes: &[usize]| nodes.iter().any(|&node| passed[node]);
            let kinks = || on_the_way(&ops.kinks) || on_the_way(&ops.unknown);
            if !on_the_way(&ops.faults) && (kinks() || self.jumps(&moves, forward)?) {
                verdict = Verdict::Kink;
            }
        }
        for &i in set {
            (all[i].moved, all[i].claimed, all[i].measured, all[i].verdict) =
                (set.len(), claimed, measured.value, verdict);
        }
        Ok(true)
    }

    /// Whether what has no gradient, such as a comparison or the index of the largest, changes with the least of moves.
    fn jumps(&self, moves: &[Move], forward: &Walk) -> Result<bool> {
        let ruleless = |node: usize| !is_ruled(&self.walk.nodes[node]);
        let at = |t: f64| -> Result<Values> {
            let changed: Vec<_> = moves.iter().map(|(at, value, d)| (*at, along(value, d, t))).collect();
            let mut values = self.with(&changed)?;
            forward.run(&mut values, ruleless)?;
            Ok(values)
        };
        let (up, down) = (at(1e-7)?, at(-1e-7)?);
        let outputs =
            forward.computed().into_iter().filter(|&node| ruleless(node)).flat_map(|node| forward.outputs(node));
        Ok(outputs.into_iter().any(|value| up.get(value) != down.get(value)))
    }

    /// Ops on the way from parameters to the loss whose gradient is an estimate.
    pub fn estimated(&self) -> Vec<Estimate> {
        let passed = (0..=self.loss.node).filter(|&node| self.depends[node] && self.leads[node]);
        let estimated = passed.map(|node| &self.walk.nodes[node]).filter(|of| of.is_estimated());
        estimated.map(|of| Estimate { name: of.name().into(), site: of.site.clone() }).collect()
    }

    /// The first value of the loss and its gradients that is not finite in a run in `f32`.
    pub fn non_finite(&self, params: &Params) -> Result<Option<NonFinite>> {
        let mut session = Session::new(CpuBackend::<f32>::new(), params)?;
        session.on_warning(Arc::new(|_| {}));
        let gradients = self.parameters.iter().map(|parameter| parameter.gradient);
        let targets: Vec<Tensor> =
            std::iter::once(self.loss).chain(gradients).map(|id| Tensor::new(self.graph.clone(), id)).collect();
        let feeds: Vec<(&Tensor, &Array)> = self.feeds.iter().map(|(tensor, array)| (tensor, *array)).collect();
        session.first_non_finite(&self.graph, &targets.iter().collect::<Vec<_>>(), &feeds)
    }

    /// Where all rows of a batch are 0 after an op of one argument.
    pub fn silent(&self) -> Result<Vec<Silent>> {
        let mut silent = vec![];
        for node in self.walk.computed().into_iter().filter(|&node| node < self.loss.node && self.depends[node]) {
            let of = &self.walk.nodes[node];
            let one = matches!(of.kind, NodeKind::Pointwise(row, _) if row.args.len() == 1 && row.backward.is_some());
            let dims = of.outputs[0].shape.dims();
            if !one || dims.len() < 2 || dims.contains(&0) {
                continue;
            }
            let (channels, inner) = (dims[1], dims[2..].iter().product::<usize>());
            let mut alive = vec![false; channels];
            let y = self.walk.value(&self.base, ValueId { node, output: 0 })?.to_f64();
            y.iter().enumerate().filter(|(_, y)| **y != 0.0).for_each(|(i, _)| alive[i / inner % channels] = true);
            let units = alive.iter().filter(|alive| !**alive).count();
            if units > 0 {
                silent.push(Silent { name: of.name().into(), site: of.site.clone(), units, of: channels });
            }
        }
        Ok(silent)
    }
}

/// Which nodes gradients come from on the way to some: those that depend on them otherwise than through `detach`.
fn reached(walk: &Walk, from: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut reached = vec![false; walk.nodes.len()];
    from.for_each(|node| reached[node] = true);
    for (node, of) in walk.nodes.iter().enumerate() {
        let flows = !matches!(of.kind, NodeKind::Detach);
        reached[node] |= flows && of.inputs.iter().any(|input| reached[input.node]);
    }
    reached
}
