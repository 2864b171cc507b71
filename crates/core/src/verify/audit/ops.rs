//! Check of each op's gradient rule in isolation, at the values that the op's inputs have in the step.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::derivative::{compare, direction, dot, measure_derivative, moved_along, terms, typical_size};
use super::report::{GradientVerdict, OpAudit};
use super::step_values::{StepValues, is_ruled};
use crate::graph::node::{NodeId, NodeKind, ValueId};
use crate::verify::interpreter::Interpreter;
use crate::{Array, Graph, Mode, Result, Spec, Stream, Tensor, vjp};

/// Results for the ops between parameters and the loss.
#[derive(Default)]
pub(super) struct Ops {
    /// Ops whose rule is wrong.
    pub wrong: Vec<OpAudit>,
    /// Number of ops that were compared with finite differences.
    pub checked: usize,
    /// Nodes whose rule is wrong.
    pub faults: Vec<NodeId>,
    /// Nodes that are at a kink, where the one-sided derivatives differ.
    pub kinks: Vec<NodeId>,
    /// Nodes whose finite differences are not finite or change with the step size.
    pub unknown: Vec<NodeId>,
}

/// Op in a separate graph, with the gradients of its inputs.
struct IsolatedOp<'a> {
    interpreter: &'a Interpreter,
    node: NodeId,
    graph: Graph,
    inputs: Vec<Tensor>,
    /// Outputs that the loss depends on, with their cotangents.
    cotangents: Vec<(usize, Tensor)>,
    /// Inputs that depend on parameters, with their gradient; `None` if the rule returns no gradient.
    gradients: Vec<(usize, Option<Tensor>)>,
}

type Arrays = [Arc<Array>];

/// Directional derivative with respect to one input, computed with the op's gradient rule and with finite
/// differences.
struct DirectionCheck {
    verdict: GradientVerdict,
    claimed: f64,
    measured: f64,
}

/// Returns the weighted sum of the elements. Elements with weight 0 are skipped, even if they are not finite.
fn weighted_sum(values: &Array, weights: &Array) -> f64 {
    let pairs = values.to_f64().into_iter().zip(weights.to_f64());
    pairs.filter(|(_, weight)| *weight != 0.0).map(|(value, weight)| value * weight).sum()
}

/// Absolute value, as a multiple of the typical size of a result's elements, above which an element is excluded
/// from the check.
const HUGE: f64 = 1e6;

/// Relative difference of the one-sided derivatives above which an element counts as a kink.
const KINK: f64 = 1e-4;

impl<'a> IsolatedOp<'a> {
    fn new(step: &'a StepValues<'_>, node: NodeId, read: &BTreeSet<ValueId>) -> Result<Self> {
        let interpreter = &step.interpreter;
        let of = &interpreter.nodes[node];
        let graph = Graph::new(Mode::Train);
        let input = |spec: &Spec, name: &str| graph.push(NodeKind::Input(name.into()), vec![], vec![spec.clone()]);
        let inputs: Vec<Tensor> = of.inputs.iter().map(|&value| input(interpreter.spec(value), "input")).collect();
        let ids = inputs.iter().map(Tensor::id).collect();
        let y = graph.push(of.kind.clone(), ids, of.outputs.clone()).id().node;
        let counts = |output: &usize| read.contains(&node.output(*output)) && of.outputs[*output].dtype.is_float();
        let outputs = (0..of.outputs.len()).filter(counts);
        let cotangents: Vec<_> = outputs.map(|output| (output, input(&of.outputs[output], "cotangent"))).collect();
        let ys: Vec<Tensor> =
            cotangents.iter().map(|&(output, _)| Tensor::new(graph.clone(), y.output(output))).collect();
        let pairs: Vec<_> = ys.iter().zip(cotangents.iter().map(|(_, cotangent)| cotangent)).collect();
        // Only float inputs that depend on parameters are differentiated; the op may have no gradient for the
        // others.
        let differentiated: Vec<usize> =
            (0..inputs.len()).filter(|&i| step.depends[of.inputs[i].node] && inputs[i].dtype().is_float()).collect();
        let wrt: Vec<Tensor> = differentiated.iter().map(|&i| inputs[i].clone()).collect();
        let gradients = differentiated.into_iter().zip(vjp(&pairs, &wrt)).collect();
        graph.check()?;
        Ok(Self { interpreter, node, graph, inputs, cotangents, gradients })
    }

    /// Computes the gradients with the op's rule; 0 for an input for which the rule returns none.
    fn gradients(&self, arrays: &Arrays, weights: &[Array]) -> Result<Vec<Vec<f64>>> {
        let cotangents = self.cotangents.iter().map(|(_, tensor)| tensor).zip(weights);
        let feeds: Vec<(&Tensor, &Array)> =
            self.inputs.iter().zip(arrays.iter().map(|array| &**array)).chain(cotangents).collect();
        let roots: Vec<ValueId> =
            self.gradients.iter().filter_map(|(_, gradient)| Some(gradient.as_ref()?.id())).collect();
        let interpreter = Interpreter::new(&self.graph, &roots, &feeds, true)?;
        let mut values = Interpreter::values();
        interpreter.run(&mut values, |_| false)?;
        let gradient = |(i, gradient): &(usize, Option<Tensor>)| match gradient {
            Some(gradient) => Ok(interpreter.value(&values, gradient.id())?.to_f64()),
            None => Ok(vec![0.0; arrays[*i].shape().numel()]),
        };
        self.gradients.iter().map(gradient).collect()
    }

    /// Computes the outputs of the op.
    fn outputs(&self, arrays: &Arrays) -> Vec<Array> {
        self.interpreter.compute(self.node, arrays)
    }

    /// Moves input `i` along `direction`, and compares the claimed and the measured derivative of the sum of all
    /// outputs, weighted with their cotangents.
    fn check_direction(
        &self,
        arrays: &Arrays,
        weights: &[Array],
        i: usize,
        gradient: &[f64],
        direction: &[f64],
    ) -> Result<DirectionCheck> {
        let (claimed, terms) = (dot(gradient, direction), terms(gradient, direction));
        let measured = measure_derivative(terms, |t| {
            let mut arrays = arrays.to_vec();
            arrays[i] = Arc::new(moved_along(&arrays[i], direction, t));
            let outputs = self.outputs(&arrays);
            let weighted = self.cotangents.iter().zip(weights);
            Ok(weighted.map(|(&(output, _), weight)| weighted_sum(&outputs[output], weight)).sum())
        })?;
        Ok(DirectionCheck { verdict: compare(claimed, measured, terms), claimed, measured: measured.value })
    }

    /// Returns the verdict on an input for which the rule and the finite differences disagree, after checking
    /// whether the op has a kink.
    fn recheck(
        &self,
        arrays: &Arrays,
        weights: &[Array],
        which: usize,
        stream: &mut Stream,
    ) -> Result<GradientVerdict> {
        let i = self.gradients[which].0;
        if matches!(self.interpreter.nodes[self.node].kind, NodeKind::Pointwise(..)) {
            return self.element_by_element(arrays, weights, which, stream);
        }
        // Repeats the check at nearby values, where there is hardly ever a kink.
        let near: Vec<_> = arrays.iter().map(|array| Arc::new(nearby(array, stream))).collect();
        let gradient = &self.gradients(&near, weights)?[which];
        let direction = direction(&near[i].to_f64(), stream);
        Ok(match self.check_direction(&near, weights, i, gradient, &direction)?.verdict {
            GradientVerdict::Agrees => GradientVerdict::Kink,
            other => other,
        })
    }

    /// Checks a pointwise op element by element. Where the one-sided derivatives differ, the rule's derivative
    /// must be between them; for all other elements, it must agree with finite differences as usual.
    fn element_by_element(
        &self,
        arrays: &Arrays,
        weights: &[Array],
        which: usize,
        stream: &mut Stream,
    ) -> Result<GradientVerdict> {
        let i = self.gradients[which].0;
        let x = arrays[i].to_f64();
        let scale = typical_size(&x);
        let step: Vec<f64> = x.iter().map(|x| 1e-6 * x.abs().max(scale).max(1e-30)).collect();
        let moved = |t: f64| {
            let mut arrays = arrays.to_vec();
            arrays[i] = Arc::new(moved_along(&arrays[i], &step, t));
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
            let slack = KINK * left.abs().max(right.abs()) + rounding;
            if (left - right).abs() <= slack && claim.is_finite() {
                continue;
            }
            (kinks, direction[k]) = (kinks + 1, 0.0);
            if claim < left.min(right) - 10.0 * slack || claim > left.max(right) + 10.0 * slack {
                return Ok(GradientVerdict::Disagrees);
            }
        }
        let gradient = &self.gradients(arrays, weights)?[which];
        let gradient: Vec<f64> =
            gradient.iter().zip(&direction).map(|(g, d)| if *d == 0.0 { 0.0 } else { *g }).collect();
        Ok(match self.check_direction(arrays, weights, i, &gradient, &direction)?.verdict {
            GradientVerdict::Agrees if kinks > 0 => GradientVerdict::Kink,
            other => other,
        })
    }

    /// Checks the gradients of all inputs; returns the worst verdict, with the details if a gradient is wrong.
    fn audit(&self, arrays: &Arrays) -> Result<(GradientVerdict, Option<OpAudit>)> {
        let of = &self.interpreter.nodes[self.node];
        let mut stream = Stream::named(29, &format!("{} {}", of.name(), self.node));
        let outputs = self.outputs(arrays);
        // Masked elements, which are infinite or huge, would dominate the sum: they get weight 0.
        let mut weight = |&(output, _): &(usize, Tensor)| {
            let values = outputs[output].to_f64();
            let huge = HUGE * typical_size(&values);
            let weights = values.iter().map(|y| if y.abs() < huge { stream.normal() } else { 0.0 });
            Array::new(&of.outputs[output].shape, weights.collect::<Vec<_>>())
        };
        let weights: Vec<Array> = self.cotangents.iter().map(&mut weight).collect::<Result<_>>()?;
        let gradients = self.gradients(arrays, &weights)?;
        let mut worst = GradientVerdict::Agrees;
        for (which, gradient) in gradients.iter().enumerate() {
            let (i, rule) = &self.gradients[which];
            let x = arrays[*i].to_f64();
            let mut checked = self.check_direction(arrays, &weights, *i, gradient, &direction(&x, &mut stream))?;
            if !checked.measured.is_finite() {
                // The moved values may be outside the op's domain, such as negative arguments of a logarithm. The
                // check is repeated with each element moved in proportion to its own value.
                let proportional: Vec<f64> = x.iter().map(|x| x * stream.normal()).collect();
                checked = self.check_direction(arrays, &weights, *i, gradient, &proportional)?;
            }
            if checked.verdict == GradientVerdict::Disagrees {
                checked.verdict = self.recheck(arrays, &weights, which, &mut stream)?;
            }
            let DirectionCheck { verdict, claimed, measured } = checked;
            match verdict {
                GradientVerdict::Disagrees => {
                    let (name, site, missing) = (of.name().into(), of.site.clone(), rule.is_none());
                    return Ok((verdict, Some(OpAudit { name, site, input: *i, missing, claimed, measured })));
                }
                GradientVerdict::Agrees => {}
                _ if worst == GradientVerdict::Unknown => {}
                other => worst = other,
            }
        }
        Ok((worst, None))
    }
}

/// Compares the rule of every op between parameters and the loss with finite differences.
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
            GradientVerdict::Disagrees => ops.faults.push(node),
            GradientVerdict::Kink => ops.kinks.push(node),
            GradientVerdict::Unknown => ops.unknown.push(node),
            GradientVerdict::Agrees | GradientVerdict::Estimated => {}
        }
    }
    Ok(ops)
}

/// Returns a copy of an array in which every float is changed a little.
fn nearby(array: &Arc<Array>, stream: &mut Stream) -> Array {
    if !array.dtype().is_float() {
        return (**array).clone();
    }
    let values = array.to_f64();
    let size = typical_size(&values);
    let mut moved = |x: &f64| {
        let by = 1e-2 * stream.normal();
        if *x == 0.0 { by * size.max(1e-3) } else { x * (1.0 + by) }
    };
    let values = values.iter().map(&mut moved).collect();
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}
