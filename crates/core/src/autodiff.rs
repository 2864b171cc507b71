//! Reverse-mode differentiation as a graph-to-graph pass: gradients are nodes like any other.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::node::{NodeId, NodeKind, ValueId};
use crate::{Applied, Graph};
use crate::{InvalidArgument, Op, Shape, Tensor};

/// The gradients of `loss`, which must have one element, with respect to `wrt`; `None` where `loss` does not depend.
#[track_caller]
pub fn gradients(loss: &Tensor, wrt: &[Tensor]) -> Vec<Option<Tensor>> {
    if loss.is_valid() && loss.shape().numel() != 1 {
        let invalid = InvalidArgument::new("a gradient is taken of one number, not of several")
            .fix("reduce the loss first: `.mean()` or `.sum()`")
            .fix("or weight its elements: vjp(&[(&y, &cotangent)], …)");
        let _ = loss.invalid("gradients", &[], invalid);
        return vec![None; wrt.len()];
    }
    let one = loss.number(1.0).expand(loss.shape());
    vjp(&[(loss, &one)], wrt)
}

/// The product of each cotangent with the Jacobian of its tensor, summed: the gradients of `Σ tensor · cotangent`.
///
/// Walks the graph backward once. A value used several times gets the sum of its users' gradients; nothing flows
/// through `detach`, integers, or rows without a rule.
#[track_caller]
pub fn vjp(of: &[(&Tensor, &Tensor)], wrt: &[Tensor]) -> Vec<Option<Tensor>> {
    let Some((first, _)) = of.first() else { return vec![None; wrt.len()] };
    if of.iter().any(|(y, cotangent)| !y.is_valid() || !cotangent.is_valid()) || wrt.iter().any(|x| !x.is_valid()) {
        return vec![None; wrt.len()];
    }
    let graph = first.graph().clone();
    graph.data().differentiated = true;
    let last = of.iter().map(|(y, _)| y.id().node).max().unwrap_or(NodeId(0));
    let needed = depends_on(&graph, wrt, last);
    let mut cotangents: HashMap<ValueId, Tensor> = HashMap::new();
    let mut parts: HashMap<ValueId, Vec<Part>> = HashMap::new();
    for (y, cotangent) in of {
        add(&mut cotangents, y.id(), (*cotangent).clone());
    }
    for node in (0..=last.0).rev().map(NodeId) {
        if !needed[node] {
            continue;
        }
        let (kind, inputs, outputs, site) = {
            let data = graph.data();
            let n = &data.nodes[node];
            (n.kind.clone(), n.inputs.clone(), n.outputs.len(), n.site.clone())
        };
        // All readers have been here: what they gave in parts becomes one.
        for id in (0..outputs).map(|output| node.output(output)) {
            if let Some(parts) = parts.remove(&id) {
                let whole = graph.data().spec(id).shape.clone();
                graph.at(site.clone(), || join(&mut cotangents, id, &whole, parts));
            }
        }
        let given: Vec<_> = (0..outputs).map(|output| cotangents.get(&node.output(output)).cloned()).collect();
        if given.iter().all(Option::is_none) {
            continue;
        }
        let attributes = match &kind {
            NodeKind::Pointwise(_, attributes) => attributes.clone(),
            _ => vec![],
        };
        let mut at = Backward {
            inputs: inputs.iter().map(|&id| Tensor::new(graph.clone(), id)).collect(),
            outputs: (0..outputs).map(|output| Tensor::new(graph.clone(), node.output(output))).collect(),
            needs: inputs.iter().map(|id| needed[id.node] && graph.data().spec(*id).dtype.is_float()).collect(),
            gradients: vec![None; inputs.len()],
            parts: vec![],
            cotangents: given,
            attributes,
        };
        graph.at(site, || match kind {
            NodeKind::Pointwise(row, _) => {
                if let Some(rule) = row.backward {
                    rule(&mut at);
                }
            }
            NodeKind::Op(op) => op.backward(&mut at),
            _ => {}
        });
        for (i, part) in at.parts {
            parts.entry(inputs[i]).or_default().push(part);
        }
        for (id, gradient) in inputs.into_iter().zip(at.gradients) {
            if let Some(gradient) = gradient {
                debug_assert_eq!(gradient.shape(), graph.data().spec(id).shape.clone(), "gradient of node {node:?}");
                let site = graph.data().nodes[node].site.clone();
                graph.at(site, || add(&mut cotangents, id, gradient));
            }
        }
    }
    wrt.iter().map(|x| cotangents.get(&x.id()).cloned()).collect()
}

fn add(cotangents: &mut HashMap<ValueId, Tensor>, id: ValueId, gradient: Tensor) {
    let sum = match cotangents.get(&id) {
        Some(sum) => sum + gradient,
        None => gradient,
    };
    cotangents.insert(id, sum);
}

/// Adds the parts that readers of a value gave, those along one axis together.
fn join(cotangents: &mut HashMap<ValueId, Tensor>, id: ValueId, whole: &Shape, mut parts: Vec<Part>) {
    while let Some(Part { axis, rule, .. }) = parts.first() {
        let (axis, rule) = (*axis, *rule);
        let (along, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.axis == axis);
        let along = along.into_iter().map(|part| (part.start, part.gradient)).collect();
        add(cotangents, id, rule(whole, axis, along));
        parts = others;
    }
}

/// Makes the gradient of a whole of the gradients of its parts: each covers as many elements of an axis as it has, from
/// the position beside it. They may overlap, and need not cover the whole.
pub type Join = fn(whole: &Shape, axis: usize, parts: Vec<(usize, Tensor)>) -> Tensor;

#[derive(Debug)]
struct Part {
    axis: usize,
    start: usize,
    gradient: Tensor,
    rule: Join,
}

/// Which of the nodes up to `last` are in `wrt` or have a differentiable path from it.
fn depends_on(graph: &Graph, wrt: &[Tensor], last: NodeId) -> Vec<bool> {
    let data = graph.data();
    let mut needed = vec![false; data.nodes.len().max(last.0 + 1)];
    for x in wrt {
        needed[x.id().node] = true;
    }
    for (i, node) in data.numbered().take(last.0 + 1) {
        if !matches!(node.kind, NodeKind::Detach) && node.inputs.iter().any(|input| needed[input.node]) {
            needed[i] = true;
        }
    }
    needed
}

/// Where a gradient rule reads cotangents and gives gradients.
#[derive(Debug)]
pub struct Backward {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    cotangents: Vec<Option<Tensor>>,
    gradients: Vec<Option<Tensor>>,
    parts: Vec<(usize, Part)>,
    needs: Vec<bool>,
    attributes: Vec<f64>,
}

impl Backward {
    /// Input `i` of the op.
    pub fn input(&self, i: usize) -> &Tensor {
        &self.inputs[i]
    }

    /// The number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Output `i` of the op.
    pub fn output(&self, i: usize) -> &Tensor {
        &self.outputs[i]
    }

    /// The gradient that reached output `i`, if one did.
    pub fn cotangent(&self, i: usize) -> Option<Tensor> {
        self.cotangents[i].clone()
    }

    /// The gradient that reached the op's only output. (A rule runs only when some output got one.)
    pub fn dy(&self) -> Tensor {
        self.cotangents.iter().flatten().next().cloned().expect("a rule runs when a cotangent arrived")
    }

    /// Whether anybody wants the gradient of input `i`.
    pub fn needs(&self, i: usize) -> bool {
        self.needs[i]
    }

    /// Attribute `i` of a pointwise op.
    pub fn attribute(&self, i: usize) -> f64 {
        self.attributes[i]
    }

    /// Replaces the op, which is not a pointwise one, by one with the same inputs and the same outputs and some more
    /// after them, for a gradient that is cheapest to compute on the way: returns the outputs of the new op.
    pub fn widen(&self, op: impl Op) -> Applied {
        let value = self.outputs[0].id();
        self.outputs[0].graph().widen(value.node, Arc::new(op))
    }

    /// Gives the gradient of input `i`; ignored when nobody wants it.
    pub fn give(&mut self, i: usize, gradient: Tensor) {
        if self.needs[i] && gradient.is_valid() {
            self.gradients[i] = Some(gradient);
        }
    }

    /// Gives the gradient of a part of input `i`, which is zero elsewhere: of the elements of `axis` from `start` on.
    ///
    /// `rule` is called once for all the parts of a value along an axis. So a sequence that is taken apart step by step
    /// gets one gradient put together, instead of a sum of as many as it has steps.
    pub fn give_part(&mut self, i: usize, axis: usize, start: usize, gradient: Tensor, rule: Join) {
        if self.needs[i] && gradient.is_valid() {
            self.parts.push((i, Part { axis, start, gradient, rule }));
        }
    }

    /// Gives the gradient of input `i`, built only when somebody wants it.
    pub fn give_with(&mut self, i: usize, gradient: impl FnOnce(&Self) -> Tensor) {
        if self.needs[i] {
            let gradient = gradient(self);
            self.give(i, gradient);
        }
    }
}
