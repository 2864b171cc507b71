//! Reverse-mode differentiation: gradients are traced as further nodes of the same graph.

use std::collections::HashMap;
use std::sync::Arc;

use crate::graph::node::{NodeId, NodeKind, ValueId};
use crate::{Applied, Graph};
use crate::{InvalidArgument, Op, Shape, Tensor};

/// Traces the gradients of `loss` with respect to the tensors `wrt`. The result is `None` for tensors that `loss`
/// does not depend on.
///
/// A loss with several elements records an error in the graph, which `compile` reports.
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

/// Traces vector-Jacobian products: the gradients, with respect to `wrt`, of the sum of `tensor · cotangent` over
/// all pairs in `of`.
///
/// The nodes of the graph are visited once, in reverse order. If a value is used several times, the gradients of
/// all uses are added. No gradient flows through `detach`, integers, or pointwise ops without a gradient rule.
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
    let mut parts: HashMap<ValueId, Vec<PartialGradient>> = HashMap::new();
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
        // All nodes that read this node's outputs have been visited. The gradients of parts of the outputs are
        // therefore complete and can be joined.
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
            NodeKind::Pointwise(op, _) => {
                if let Some(rule) = op.backward {
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

/// Adds the gradients of parts of a value to the value's gradient. For each axis along which parts were taken, the
/// parts' `rule` is called once, with all parts of that axis.
fn join(cotangents: &mut HashMap<ValueId, Tensor>, id: ValueId, whole: &Shape, mut parts: Vec<PartialGradient>) {
    while let Some(PartialGradient { axis, rule, .. }) = parts.first() {
        let (axis, rule) = (*axis, *rule);
        let (along, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.axis == axis);
        let along = along.into_iter().map(|part| (part.start, part.gradient)).collect();
        add(cotangents, id, rule(whole, axis, along));
        parts = others;
    }
}

/// Function that combines gradients of parts of a tensor into the gradient of the complete tensor, whose shape is
/// `whole`. Each part is given with its first position along `axis`. Parts may overlap, and need not cover the
/// complete tensor.
pub type Join = fn(whole: &Shape, axis: usize, parts: Vec<(usize, Tensor)>) -> Tensor;

#[derive(Debug)]
struct PartialGradient {
    axis: usize,
    start: usize,
    gradient: Tensor,
    rule: Join,
}

/// Returns, for each node up to `last`, whether it computes a tensor in `wrt`, or depends on such a tensor other
/// than through `detach`.
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

/// Context of a gradient rule: the op's inputs and outputs, the gradients of the outputs (cotangents), and the
/// gradients of the inputs, which the rule sets.
#[derive(Debug)]
pub struct Backward {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    cotangents: Vec<Option<Tensor>>,
    gradients: Vec<Option<Tensor>>,
    parts: Vec<(usize, PartialGradient)>,
    needs: Vec<bool>,
    attributes: Vec<f64>,
}

impl Backward {
    /// Returns input `i` of the op.
    pub fn input(&self, i: usize) -> &Tensor {
        &self.inputs[i]
    }

    /// Returns the number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Returns output `i` of the op.
    pub fn output(&self, i: usize) -> &Tensor {
        &self.outputs[i]
    }

    /// Returns the gradient with respect to output `i`; `None` if nothing differentiable depends on the output.
    pub fn cotangent(&self, i: usize) -> Option<Tensor> {
        self.cotangents[i].clone()
    }

    /// Returns the gradient with respect to the op's only output. It always exists, because a rule runs only if a
    /// gradient of an output exists.
    pub fn dy(&self) -> Tensor {
        self.cotangents.iter().flatten().next().cloned().expect("a rule runs when a cotangent arrived")
    }

    /// Returns whether the gradient of input `i` is needed.
    pub fn needs(&self, i: usize) -> bool {
        self.needs[i]
    }

    /// Returns attribute `i` of a pointwise op.
    pub fn attribute(&self, i: usize) -> f64 {
        self.attributes[i]
    }

    /// Replaces the op, which must not be pointwise, with an op that has the same inputs and additional outputs.
    /// An op uses this if its gradient needs further values, and the forward pass can compute them most cheaply.
    /// Returns the outputs of the new op.
    pub fn widen(&self, op: impl Op) -> Applied {
        let value = self.outputs[0].id();
        self.outputs[0].graph().widen(value.node, Arc::new(op))
    }

    /// Sets the gradient of input `i`. Does nothing if the gradient is not needed.
    pub fn give(&mut self, i: usize, gradient: Tensor) {
        if self.needs[i] && gradient.is_valid() {
            self.gradients[i] = Some(gradient);
        }
    }

    /// Sets the gradient of a part of input `i`: of the elements from index `start` on along `axis`. The gradient
    /// of other elements is zero.
    ///
    /// `rule` is called once for all parts of a value along an axis. This makes slicing cheap: for a sequence that
    /// is sliced into many time steps, the gradients of all slices are combined at once, instead of adding a
    /// full-size gradient for each slice.
    pub fn give_part(&mut self, i: usize, axis: usize, start: usize, gradient: Tensor, rule: Join) {
        if self.needs[i] && gradient.is_valid() {
            self.parts.push((i, PartialGradient { axis, start, gradient, rule }));
        }
    }

    /// Sets the gradient of input `i` to the result of `gradient`, which is called only if the gradient is needed.
    pub fn give_with(&mut self, i: usize, gradient: impl FnOnce(&Self) -> Tensor) {
        if self.needs[i] {
            let gradient = gradient(self);
            self.give(i, gradient);
        }
    }
}
