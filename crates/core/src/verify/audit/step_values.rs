//! All values of a loss's graph in one step, and evaluation of the loss after some values are changed.

use crate::graph::node::{Node, NodeId, NodeKind, ValueId};
use crate::verify::interpreter::{Interpreter, Values};
use crate::{Array, Graph, Kind, Result, Tensor, Variable, gradients};

/// Loss with all values of its graph in one step.
pub(super) struct StepValues<'a> {
    /// Copy of the graph, with the gradients.
    pub graph: Graph,
    /// Feeds of the copied graph.
    pub feeds: Vec<(Tensor, &'a Array)>,
    pub interpreter: Interpreter,
    pub loss: ValueId,
    pub parameters: Vec<Parameter>,
    /// Values in the step, unchanged.
    pub base: Values,
    /// For each node, whether it depends on parameters.
    pub depends: Vec<bool>,
    /// For each node, whether the loss depends on it other than through `detach`.
    pub leads: Vec<bool>,
}

/// Parameter that the loss depends on.
pub(super) struct Parameter {
    pub variable: Variable,
    pub value: ValueId,
    pub gradient: ValueId,
    /// The parameter's value after the step, if the graph updates the parameter.
    pub update: Option<ValueId>,
}

impl<'a> StepValues<'a> {
    #[track_caller]
    pub fn new(loss: &Tensor, feeds: &[(&Tensor, &'a Array)]) -> Result<Self> {
        let graph = loss.graph().copy();
        let copied = |tensor: &Tensor| Tensor::new(graph.clone(), tensor.id());
        let trained = |v: &Variable| v.kind() == Kind::Parameter && v.is_trainable();
        let all: Vec<Variable> = graph.variables().into_iter().filter(trained).collect();
        let handles: Vec<Tensor> = all.iter().map(|variable| graph.variable(variable)).collect();
        let found = gradients(&copied(loss), &handles);
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
            feeds.iter().filter(|(t, _)| t.graph().is(loss.graph())).map(|&(t, array)| (copied(t), array)).collect();
        let fed: Vec<(&Tensor, &Array)> = feeds.iter().map(|(tensor, array)| (tensor, *array)).collect();
        let interpreter = Interpreter::new(&graph, &roots, &fed, true)?;
        let mut base = Interpreter::values();
        let forward = loss.id().node;
        interpreter.run(&mut base, |node| node <= forward)?;
        let depends = reached(&interpreter, parameters.iter().map(|parameter| parameter.value.node));
        let mut leads = vec![false; interpreter.nodes.len()];
        leads[forward] = true;
        for node in (0..=forward.0).rev().map(NodeId) {
            let of = &interpreter.nodes[node];
            if leads[node] && !matches!(of.kind, NodeKind::Detach) {
                of.inputs.iter().for_each(|input| leads[input.node] = true);
            }
        }
        Ok(Self { graph, feeds, interpreter, loss: loss.id(), parameters, base, depends, leads })
    }

    /// Returns the values of the step with the `changed` values replaced. Values that depend on a changed value
    /// are left out, to be computed again; `detach`ed values are kept.
    pub fn with(&self, changed: &[(ValueId, Array)]) -> Result<Values> {
        let mut values = Interpreter::values();
        let mut moves = vec![false; self.loss.node.0 + 1];
        for (value, _) in changed {
            moves[value.node] = true;
        }
        for node in (0..=self.loss.node.0).map(NodeId) {
            let of = &self.interpreter.nodes[node];
            let detached = matches!(of.kind, NodeKind::Detach);
            moves[node] |= !detached && of.inputs.iter().any(|input| moves[input.node]);
            if moves[node] || !self.interpreter.is_live(node) {
                continue;
            }
            if detached {
                let value = node.output(0);
                values.set(value, self.interpreter.value(&self.base, value)?);
            }
            for value in self.interpreter.outputs(node) {
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

    /// Returns the loss after some values are changed.
    pub fn loss_at(&self, forward: &Interpreter, changed: &[(ValueId, Array)]) -> Result<f64> {
        let mut values = self.with(changed)?;
        forward.run(&mut values, |_| false)?;
        Ok(forward.value(&values, self.loss)?.to_f64()[0])
    }
}

/// Returns, for each node, whether it depends on one of the given nodes other than through `detach`.
pub(super) fn reached(interpreter: &Interpreter, from: impl Iterator<Item = NodeId>) -> Vec<bool> {
    let mut reached = vec![false; interpreter.nodes.len()];
    from.for_each(|node| reached[node] = true);
    for (node, of) in interpreter.nodes.iter().enumerate() {
        let flows = !matches!(of.kind, NodeKind::Detach);
        reached[node] |= flows && of.inputs.iter().any(|input| reached[input.node]);
    }
    reached
}

/// Returns whether a node has a gradient rule.
pub(super) fn is_ruled(of: &Node) -> bool {
    let ruled = !matches!(of.kind, NodeKind::Pointwise(op, _) if op.backward.is_none());
    ruled && of.outputs.iter().any(|spec| spec.dtype.is_float())
}
