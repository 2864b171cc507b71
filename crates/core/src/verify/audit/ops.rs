//! Each op's gradient rule by itself, at the values that it has in the step.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::report::{OpAudit, Verdict};
use super::slope::{agrees, along, direction, dot, size, slope, terms};
use super::step_values::{StepValues, is_ruled};
use crate::graph::node::{NodeId, NodeKind, ValueId};
use crate::verify::interpreter::Interpreter;
use crate::{Array, Graph, Mode, Result, Spec, Stream, Tensor, vjp};

/// What became of the ops on the way from parameters to the loss.
#[derive(Default)]
pub(super) struct Ops {
    pub wrong: Vec<OpAudit>,
    /// How many were held to finite differences.
    pub checked: usize,
    /// The nodes whose rule is wrong.
    pub faults: Vec<NodeId>,
    /// Those that stand at a kink.
    pub kinks: Vec<NodeId>,
    /// Those of which nothing can be said.
    pub unknown: Vec<NodeId>,
}

/// An op in a graph of its own, with its gradient.
struct IsolatedOp<'a> {
    interpreter: &'a Interpreter,
    node: NodeId,
    graph: Graph,
    inputs: Vec<Tensor>,
    /// The cotangents of the outputs that the loss depends on.
    cotangents: Vec<(usize, Tensor)>,
    /// The inputs whose gradient is wanted, and the gradient if the rule gives one.
    found: Vec<(usize, Option<Tensor>)>,
}

type Arrays = [Arc<Array>];

/// A random direction of one input, and what the rule and the differences say of it.
struct Judged {
    verdict: Verdict,
    claimed: f64,
    measured: f64,
}

/// The sum of the elements that have a weight, each times it.
fn weigh(values: &Array, weights: &Array) -> f64 {
    let pairs = values.to_f64().into_iter().zip(weights.to_f64());
    pairs.filter(|(_, weight)| *weight != 0.0).map(|(value, weight)| value * weight).sum()
}

/// Elements this many times larger than the small ones of a result are excluded.
const HUGE: f64 = 1e6;

/// A share by which numbers that should be the same may differ where it is only asked whether there is a kink.
const APART: f64 = 1e-4;

impl<'a> IsolatedOp<'a> {
    fn new(step: &'a StepValues<'_>, node: NodeId, read: &BTreeSet<ValueId>) -> Result<Self> {
        let interpreter = &step.interpreter;
        let of = &interpreter.nodes[node];
        let graph = Graph::new(Mode::Train);
        let place = |spec: &Spec, name: &str| graph.push(NodeKind::Input(name.into()), vec![], vec![spec.clone()]);
        let inputs: Vec<Tensor> = of.inputs.iter().map(|&input| place(interpreter.spec(input), "input")).collect();
        let ids = inputs.iter().map(Tensor::id).collect();
        let y = graph.push(of.kind.clone(), ids, of.outputs.clone()).id().node;
        let counts = |output: &usize| read.contains(&node.output(*output)) && of.outputs[*output].dtype.is_float();
        let outputs = (0..of.outputs.len()).filter(counts);
        let cotangents: Vec<_> = outputs.map(|output| (output, place(&of.outputs[output], "cotangent"))).collect();
        let ys: Vec<Tensor> =
            cotangents.iter().map(|&(output, _)| Tensor::new(graph.clone(), y.output(output))).collect();
        let pairs: Vec<_> = ys.iter().zip(cotangents.iter().map(|(_, cotangent)| cotangent)).collect();
        // Of the others an op may refuse a gradient.
        let asked: Vec<usize> =
            (0..inputs.len()).filter(|&i| step.depends[of.inputs[i].node] && inputs[i].dtype().is_float()).collect();
        let wanted: Vec<Tensor> = asked.iter().map(|&i| inputs[i].clone()).collect();
        let found = asked.into_iter().zip(vjp(&pairs, &wanted)).collect();
        graph.check()?;
        Ok(Self { interpreter, node, graph, inputs, cotangents, found })
    }

    /// The gradients of the wanted inputs by the rule.
    fn gradients(&self, arrays: &Arrays, weights: &[Array]) -> Result<Vec<Vec<f64>>> {
        let cotangents = self.cotangents.iter().map(|(_, tensor)| tensor).zip(weights);
        let feeds: Vec<(&Tensor, &Array)> =
            self.inputs.iter().zip(arrays.iter().map(|array| &**array)).chain(cotangents).collect();
        let roots: Vec<ValueId> = self.found.iter().filter_map(|(_, found)| Some(found.as_ref()?.id())).collect();
        let interpreter = Interpreter::new(&self.graph, &roots, &feeds, true)?;
        let mut values = Interpreter::values();
        interpreter.run(&mut values, |_| false)?;
        let gradient = |(i, found): &(usize, Option<Tensor>)| match found {
            Some(gradient) => Ok(interpreter.value(&values, gradient.id())?.to_f64()),
            None => Ok(vec![0.0; arrays[*i].shape().numel()]),
        };
        self.found.iter().map(gradient).collect()
    }

    /// What the op makes of these inputs.
    fn outputs(&self, arrays: &Arrays) -> Vec<Array> {
        self.interpreter.compute(self.node, arrays)
    }

    /// The slope of the outputs, each times its cotangent, where input `i` moves along `direction`.
    fn judge(
        &self,
        arrays: &Arrays,
        weights: &[Array],
        i: usize,
        gradient: &[f64],
        direction: &[f64],
    ) -> Result<Judged> {
        let (claimed, terms) = (dot(gradient, direction), terms(gradient, direction));
        let measured = slope(terms, |t| {
            let mut arrays = arrays.to_vec();
            arrays[i] = Arc::new(along(&arrays[i], direction, t));
            let outputs = self.outputs(&arrays);
            let weighted = self.cotangents.iter().zip(weights);
            Ok(weighted.map(|(&(output, _), weight)| weigh(&outputs[output], weight)).sum())
        })?;
        Ok(Judged { verdict: agrees(claimed, measured, terms), claimed, measured: measured.value })
    }

    /// The verdict on an input for which rule and differences disagree, after a look at whether the op has a kink there.
    fn second_look(&self, arrays: &Arrays, weights: &[Array], which: usize, stream: &mut Stream) -> Result<Verdict> {
        let i = self.found[which].0;
        if matches!(self.interpreter.nodes[self.node].kind, NodeKind::Pointwise(..)) {
            return self.element_by_element(arrays, weights, which, stream);
        }
        // A kink at these values is none at values nearby.
        let near: Vec<_> = arrays.iter().map(|array| Arc::new(nearby(array, stream))).collect();
        let gradient = &self.gradients(&near, weights)?[which];
        let direction = direction(&near[i].to_f64(), stream);
        Ok(match self.judge(&near, weights, i, gradient, &direction)?.verdict {
            Verdict::Agrees => Verdict::Kink,
            other => other,
        })
    }

    /// At an element where the slopes to the left and to the right differ, the rule's must be between them; along the others
    /// it must agree as ever.
    fn element_by_element(
        &self,
        arrays: &Arrays,
        weights: &[Array],
        which: usize,
        stream: &mut Stream,
    ) -> Result<Verdict> {
        let i = self.found[which].0;
        let x = arrays[i].to_f64();
        let scale = size(&x);
        let step: Vec<f64> = x.iter().map(|x| 1e-6 * x.abs().max(scale).max(1e-30)).collect();
        let moved = |t: f64| {
            let mut arrays = arrays.to_vec();
            arrays[i] = Arc::new(along(&arrays[i], &step, t));
            self.outputs(&arrays)[0].to_f64()
        };
        let (down, y, up) = (moved(-1.0), self.outputs(arrays)[0].to_f64(), moved(1.0));
        let ones = vec![Array::new(weights[0].shape(), vec![1.0; y.len()])?];
        let claims = &self.gradients(arrays, &ones)?[which];
        let mut direction = direction(&x, stream);
        let mut kinks = 0;
        for k in 0..y.len() {
            let (left, right, claim) = ((y[k] - down[k]) / step[k], (up[k] - y[k]) / step[k], claims[k]);
            let rounding = 32.0 * f64::EPSILON * y[k].abs() / step[k];
            let slack = APART * left.abs().max(right.abs()) + rounding;
            if (left - right).abs() <= slack && claim.is_finite() {
                continue;
            }
            (kinks, direction[k]) = (kinks + 1, 0.0);
            if claim < left.min(right) - 10.0 * slack || claim > left.max(right) + 10.0 * slack {
                return Ok(Verdict::Disagrees);
            }
        }
        let gradient = &self.gradients(arrays, weights)?[which];
        let gradient: Vec<f64> =
            gradient.iter().zip(&direction).map(|(g, d)| if *d == 0.0 { 0.0 } else { *g }).collect();
        Ok(match self.judge(arrays, weights, i, &gradient, &direction)?.verdict {
            Verdict::Agrees if kinks > 0 => Verdict::Kink,
            other => other,
        })
    }

    /// The worst of the verdicts on the inputs at these values, and what is wrong.
    fn audit(&self, arrays: &Arrays) -> Result<(Verdict, Option<OpAudit>)> {
        let of = &self.interpreter.nodes[self.node];
        let mut stream = Stream::named(29, &format!("{} {}", of.name(), self.node));
        let outputs = self.outputs(arrays);
        // What is masked, with an infinity or a number that is huge beside the others, would drown them.
        let mut weight = |&(output, _): &(usize, Tensor)| {
            let values = outputs[output].to_f64();
            let huge = HUGE * size(&values);
            let weights = values.iter().map(|y| if y.abs() < huge { stream.normal() } else { 0.0 });
            Array::new(&of.outputs[output].shape, weights.collect::<Vec<_>>())
        };
        let weights: Vec<Array> = self.cotangents.iter().map(&mut weight).collect::<Result<_>>()?;
        let gradients = self.gradients(arrays, &weights)?;
        let mut worst = Verdict::Agrees;
        for (which, gradient) in gradients.iter().enumerate() {
            let (i, found) = &self.found[which];
            let x = arrays[*i].to_f64();
            let mut judged = self.judge(arrays, &weights, *i, gradient, &direction(&x, &mut stream))?;
            if !judged.measured.is_finite() {
                // Not beyond where the op is defined: in proportion to each element.
                let within: Vec<f64> = x.iter().map(|x| x * stream.normal()).collect();
                judged = self.judge(arrays, &weights, *i, gradient, &within)?;
            }
            if judged.verdict == Verdict::Disagrees {
                judged.verdict = self.second_look(arrays, &weights, which, &mut stream)?;
            }
            let Judged { verdict, claimed, measured } = judged;
            match verdict {
                Verdict::Disagrees => {
                    let (name, site, missing) = (of.name().into(), of.site.clone(), found.is_none());
                    return Ok((verdict, Some(OpAudit { name, site, input: *i, missing, claimed, measured })));
                }
                Verdict::Agrees => {}
                _ if worst == Verdict::Unknown => {}
                other => worst = other,
            }
        }
        Ok((worst, None))
    }
}

/// Compares the rule of every op on the way from parameters to the loss with finite differences.
pub(super) fn check(step: &StepValues<'_>) -> Result<Ops> {
    let mut ops = Ops::default();
    let readers = step
        .interpreter
        .nodes
        .iter()
        .enumerate()
        .filter(|&(node, of)| step.leads[node] && !matches!(of.kind, NodeKind::Detach));
    let mut read: BTreeSet<ValueId> = readers.flat_map(|(_, of)| of.inputs.iter().copied()).collect();
    read.insert(step.loss);
    for node in step.interpreter.computed() {
        let of = &step.interpreter.nodes[node];
        if !step.depends[node] || !step.leads[node] || !is_ruled(of) || of.is_estimated() {
            continue;
        }
        ops.checked += 1;
        let arrays = step.interpreter.inputs(&step.base, node)?;
        let (verdict, wrong) = IsolatedOp::new(step, node, &read)?.audit(&arrays)?;
        ops.wrong.extend(wrong);
        match verdict {
            Verdict::Disagrees => ops.faults.push(node),
            Verdict::Kink => ops.kinks.push(node),
            Verdict::Unknown => ops.unknown.push(node),
            Verdict::Agrees | Verdict::Estimated => {}
        }
    }
    Ok(ops)
}

/// The array with every float a little different.
fn nearby(array: &Arc<Array>, stream: &mut Stream) -> Array {
    if !array.dtype().is_float() {
        return (**array).clone();
    }
    let values = array.to_f64();
    let size = size(&values);
    let mut moved = |x: &f64| {
        let by = 1e-2 * stream.normal();
        if *x == 0.0 { by * size.max(1e-3) } else { x * (1.0 + by) }
    };
    let values = values.iter().map(&mut moved).collect();
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}
