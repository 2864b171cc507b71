//! What an audit measures: slopes along random directions, of a loss and of each op.

use std::collections::HashMap;
use std::sync::Arc;

use super::{OpAudit, ParameterAudit, Silent, Verdict};
use crate::node::{Node, NodeKind, ValueId};
use crate::walk::{Values, Walk};
use crate::{Array, Graph, Kind, Mode, Result, Stream, Tensor, Variable, gradients, vjp};

/// A loss at the values that it has in a step.
pub(super) struct Here {
    /// The graph with the gradients.
    pub walk: Walk,
    pub loss: ValueId,
    /// Parameters, and their gradients.
    pub parameters: Vec<(Variable, ValueId)>,
    updates: HashMap<String, ValueId>,
    pub base: Values,
    /// Which nodes depend on parameters.
    depends: Vec<bool>,
}

/// The node of a parameter in a graph.
fn node_of(walk: &Walk, variable: &Variable) -> Option<ValueId> {
    let is = |node: &Node| matches!(&node.kind, NodeKind::Variable(known) if known.name() == variable.name());
    walk.nodes.iter().position(is).map(|node| ValueId { node, output: 0 })
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[allow(clippy::cast_precision_loss, reason = "a number of elements")]
fn wide(count: usize) -> f64 {
    count as f64
}

/// A random direction of the size of `values`, or of 1 if they are zero.
fn direction(values: &[f64], stream: &mut Stream) -> Vec<f64> {
    let size = norm(values) / wide(values.len().max(1)).sqrt();
    let size = if size > 0.0 && size.is_finite() { size } else { 1.0 };
    values.iter().map(|_| size * stream.normal()).collect()
}

/// `values + t·direction`.
fn along(array: &Array, direction: &[f64], t: f64) -> Array {
    let values = array.to_f64().iter().zip(direction).map(|(x, d)| x + t * d).collect();
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}

/// A slope by central differences, that of the size of step which is steadiest.
#[derive(Clone, Copy)]
struct Slope {
    value: f64,
    /// Its likely error.
    error: f64,
    /// The size of the function itself.
    size: f64,
}

fn slope(mut f: impl FnMut(f64) -> Result<f64>) -> Result<Slope> {
    let mut best = Slope { value: f64::NAN, error: f64::INFINITY, size: 0.0 };
    for t in [1e-3, 1e-4, 1e-5, 1e-6, 1e-7] {
        let mut central = |t: f64| -> Result<_> {
            let (up, down) = (f(t)?, f(-t)?);
            Ok(((up - down) / (2.0 * t), up.abs().max(down.abs())))
        };
        let ((coarse, size), (fine, _)) = (central(t)?, central(t / 2.0)?);
        let error = (fine - coarse).abs() / 3.0 + 8.0 * f64::EPSILON * size / t;
        let value = (4.0 * fine - coarse) / 3.0;
        if error < best.error {
            best = Slope { value, error, size };
        }
        if error <= 1e-9 * value.abs() {
            break;
        }
    }
    Ok(best)
}

/// Whether a claimed slope is the measured one. `terms` is the size of those that it is a sum of.
fn agrees(claimed: f64, measured: Slope, terms: f64) -> Verdict {
    let Slope { value: measured, error, size } = measured;
    let tolerance = 1e-6 * claimed.abs().max(measured.abs()) + 1e-7 * terms;
    if (claimed - measured).abs() <= tolerance + 10.0 * error {
        // An error as large as the slope would let anything pass.
        let least = (1e-3 * terms).max(1e-3 * measured.abs()).max(1e-8 * size);
        if error <= least { Verdict::Agrees } else { Verdict::Unknown }
    } else if measured.is_finite() && claimed.is_finite() {
        Verdict::Disagrees
    } else {
        Verdict::Unknown
    }
}

fn size_of(gradient: &[f64], direction: &[f64]) -> f64 {
    gradient.iter().zip(direction).map(|(g, d)| g * g * d * d).sum::<f64>().sqrt()
}

/// The loss where some values are others.
type LossAt<'a> = dyn Fn(&[(ValueId, Array)]) -> Result<f64> + 'a;

impl Here {
    #[track_caller]
    pub fn new(loss: &Tensor, feeds: &[(&Tensor, &Array)]) -> Result<Self> {
        let graph = loss.graph().copy();
        let moved = |tensor: &Tensor| Tensor::new(graph.clone(), tensor.id());
        let trained = |v: &Variable| v.kind() == Kind::Parameter && v.is_trainable();
        let all: Vec<Variable> = graph.variables().into_iter().filter(trained).collect();
        let handles: Vec<Tensor> = all.iter().map(|variable| graph.variable(variable)).collect();
        let found = gradients(&moved(loss), &handles);
        graph.check()?;
        let parameters: Vec<(Variable, ValueId)> =
            all.into_iter().zip(found).filter_map(|(v, gradient)| Some((v, gradient?.id()))).collect();
        let updates: HashMap<String, ValueId> =
            graph.data().updates.iter().map(|update| (update.variable.name().to_string(), update.value)).collect();
        let updates: HashMap<_, _> =
            updates.into_iter().filter(|(name, _)| parameters.iter().any(|(v, _)| v.name() == name)).collect();
        let mut roots = vec![loss.id()];
        roots.extend(parameters.iter().map(|(_, gradient)| *gradient));
        roots.extend(updates.values());
        let feeds: Vec<(Tensor, &Array)> =
            feeds.iter().filter(|(t, _)| t.graph().is(loss.graph())).map(|&(t, array)| (moved(t), array)).collect();
        let feeds: Vec<(&Tensor, &Array)> = feeds.iter().map(|(tensor, array)| (tensor, *array)).collect();
        let walk = Walk::new(&graph, &roots, &feeds, true)?;
        let mut base = Walk::values();
        let forward = loss.id().node;
        walk.run(&mut base, |node| node <= forward)?;
        let mut depends = vec![false; walk.nodes.len()];
        for (i, node) in walk.nodes.iter().enumerate() {
            let parameter =
                matches!(&node.kind, NodeKind::Variable(v) if parameters.iter().any(|(p, _)| p.name() == v.name()));
            let flows = !matches!(node.kind, NodeKind::Detach);
            depends[i] = parameter || flows && node.inputs.iter().any(|input| depends[input.node]);
        }
        Ok(Self { walk, loss: loss.id(), parameters, updates, base, depends })
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

    pub fn parameter(&self, i: usize) -> Result<ParameterAudit> {
        let (variable, gradient) = &self.parameters[i];
        let at = node_of(&self.walk, variable).expect("the graph reads its parameters");
        let value = self.walk.value(&self.base, at)?;
        let gradient = self.walk.value(&self.base, *gradient)?.to_f64();
        let values = value.to_f64();
        let mut stream = Stream::named(23, variable.name());
        let direction = direction(&values, &mut stream);
        let claimed = dot(&gradient, &direction);
        let forward = self.walk.to(self.loss);
        let loss_at = |changed: &[(ValueId, Array)]| -> Result<f64> {
            let mut values = self.with(changed)?;
            forward.run(&mut values, |_| false)?;
            Ok(forward.value(&values, self.loss)?.to_f64()[0])
        };
        let measured = slope(|t| loss_at(&[(at, along(&value, &direction, t))]))?;
        let mut verdict = agrees(claimed, measured, size_of(&gradient, &direction));
        if verdict == Verdict::Disagrees && self.agrees_nearby(i, at, &direction, &loss_at, &mut stream)? {
            verdict = Verdict::Kink;
        }
        let update = match self.updates.get(variable.name()) {
            Some(&update) => {
                let after = self.walk.value(&self.base, update)?.to_f64();
                let change: Vec<f64> = after.iter().zip(&values).map(|(after, before)| after - before).collect();
                Some(norm(&change) / norm(&values))
            }
            None => None,
        };
        Ok(ParameterAudit {
            name: variable.name().into(),
            spec: variable.spec().to_string(),
            norm: norm(&values),
            gradient_norm: norm(&gradient),
            zeros: wide(gradient.iter().filter(|g| **g == 0.0).count()) / wide(gradient.len().max(1)),
            update,
            claimed,
            measured: measured.value,
            verdict,
        })
    }

    /// Whether the gradient agrees with differences where all parameters are a little different.
    fn agrees_nearby(
        &self,
        i: usize,
        at: ValueId,
        direction: &[f64],
        loss_at: &LossAt<'_>,
        stream: &mut Stream,
    ) -> Result<bool> {
        for _ in 0..2 {
            let mut near = vec![];
            for (variable, _) in &self.parameters {
                let node = node_of(&self.walk, variable).expect("the graph reads its parameters");
                let value = self.walk.value(&self.base, node)?;
                near.push((node, along(&value, &self::direction(&value.to_f64(), stream), 1e-2)));
            }
            let gradient = {
                let walk = self.walk.to(self.parameters[i].1);
                let mut values = self.with(&near)?;
                walk.run(&mut values, |_| false)?;
                walk.value(&values, self.parameters[i].1)?.to_f64()
            };
            let measured = slope(|t| {
                let mut moved = near.clone();
                let place = moved.iter_mut().find(|(node, _)| *node == at).expect("it is one of the parameters");
                place.1 = along(&place.1, direction, t);
                loss_at(&moved)
            })?;
            let claimed = dot(&gradient, direction);
            if agrees(claimed, measured, size_of(&gradient, direction)) != Verdict::Agrees {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ops with wrong rules, and how many were looked at.
    pub fn ops(&self) -> Result<(Vec<OpAudit>, usize)> {
        let (mut wrong, mut checked) = (vec![], 0);
        let forward = self.walk.to(self.loss);
        for node in self.walk.computed() {
            let of = &self.walk.nodes[node];
            let ruled = !matches!(of.kind, NodeKind::Pointwise(row, _) if row.backward.is_none());
            let float = of.outputs.first().is_some_and(|spec| spec.dtype.is_float());
            if node > self.loss.node || !ruled || !float || !self.depends[node] || !forward.is_live(node) {
                continue;
            }
            checked += 1;
            wrong.extend(self.op(node)?);
        }
        Ok((wrong, checked))
    }

    /// What is wrong with the rule of a node.
    fn op(&self, node: usize) -> Result<Option<OpAudit>> {
        let of = &self.walk.nodes[node];
        let graph = Graph::new(Mode::Train);
        let place =
            |spec: &crate::Spec, name: &str| graph.push(NodeKind::Input(name.into()), vec![], vec![spec.clone()]);
        let inputs: Vec<Tensor> = of.inputs.iter().map(|&input| place(self.walk.spec(input), "input")).collect();
        let ids = inputs.iter().map(Tensor::id).collect();
        let y = graph.push(of.kind.clone(), ids, of.outputs.clone());
        let cotangent = place(&of.outputs[0], "cotangent");
        // Of the others an op may refuse a gradient.
        let asked: Vec<usize> =
            (0..inputs.len()).filter(|&i| self.depends[of.inputs[i].node] && inputs[i].dtype().is_float()).collect();
        let wanted: Vec<Tensor> = asked.iter().map(|&i| inputs[i].clone()).collect();
        let found = vjp(&[(&y, &cotangent)], &wanted);
        graph.check()?;
        let arrays = self.walk.inputs(&self.base, node)?;
        let mut stream = Stream::named(29, &format!("{} {node}", of.name()));
        let weights: Vec<f64> = (0..of.outputs[0].shape.numel()).map(|_| stream.normal()).collect();
        let weights = Array::new(&of.outputs[0].shape, weights)?;
        let mut roots = vec![y.id()];
        roots.extend(found.iter().flatten().map(Tensor::id));
        for (&i, found) in asked.iter().zip(&found) {
            let direction = direction(&arrays[i].to_f64(), &mut stream);
            let judge = |arrays: &[Arc<Array>]| -> Result<(Verdict, f64, f64)> {
                let mut feeds: Vec<(&Tensor, &Array)> = inputs.iter().zip(arrays).map(|(t, a)| (t, &**a)).collect();
                feeds.push((&cotangent, &weights));
                let walk = Walk::new(&graph, &roots, &feeds, true)?;
                let gradient = match found {
                    Some(gradient) => {
                        let mut values = Walk::values();
                        walk.run(&mut values, |_| false)?;
                        walk.value(&values, gradient.id())?.to_f64()
                    }
                    None => vec![0.0; direction.len()],
                };
                let measured = slope(|t| {
                    let mut arrays = arrays.to_vec();
                    arrays[i] = Arc::new(along(&arrays[i], &direction, t));
                    Ok(dot(&self.walk.compute(node, &arrays)[0].to_f64(), &weights.to_f64()))
                })?;
                let claimed = dot(&gradient, &direction);
                Ok((agrees(claimed, measured, size_of(&gradient, &direction)), claimed, measured.value))
            };
            let (verdict, claimed, measured) = judge(&arrays)?;
            if verdict != Verdict::Disagrees {
                continue;
            }
            // A kink at these values is none at values nearby.
            let near: Vec<_> = arrays.iter().map(|array| Arc::new(nearby(array, &mut stream))).collect();
            if judge(&near)?.0 == Verdict::Disagrees {
                return Ok(Some(OpAudit {
                    name: of.name().into(),
                    site: of.site.clone(),
                    input: i,
                    claimed,
                    measured,
                }));
            }
        }
        Ok(None)
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

/// The array with every float a little different.
fn nearby(array: &Arc<Array>, stream: &mut Stream) -> Array {
    if !array.dtype().is_float() {
        return (**array).clone();
    }
    let values = array.to_f64();
    let size = norm(&values) / wide(values.len().max(1)).sqrt();
    let mut moved = |x: &f64| {
        let by = 1e-2 * stream.normal();
        if *x == 0.0 { by * size.max(1e-3) } else { x * (1.0 + by) }
    };
    let values = values.iter().map(&mut moved).collect();
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}
