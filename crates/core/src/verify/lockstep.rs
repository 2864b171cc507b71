//! Lockstep: runs a complete step on the device one node at a time, and compares each node's result with a
//! reference computed from the same inputs.

use std::fmt;
use std::sync::Arc;

use crate::graph::node::{NodeId, ValueId};
use crate::verify::bound::{self, Deviation};
use crate::verify::expected::expected_of;
use crate::verify::interpreter::{Interpreter, Values};
use crate::verify::non_finite::{Cause, causes};
use crate::{Array, DType, DeviceInfo, Graph, Result, Session, Site, Tensor, Variable};

/// Comparison of a node's result with its reference.
#[derive(Clone, Debug)]
pub struct NodeCheck {
    /// The op's name.
    pub name: String,
    /// Source location; for a gradient, the location of the op that was differentiated.
    pub site: Site,
    /// Type and shape of the output with the largest error relative to its bound.
    pub spec: String,
    /// Element of that output with the largest error relative to its bound; `None` if there are no elements.
    pub worst: Option<Deviation>,
    /// Index of the element `worst`.
    pub index: Vec<usize>,
    /// Inputs of the op, if the check failed.
    pub causes: Vec<Cause>,
}

impl NodeCheck {
    /// Returns the largest error as a fraction of its bound; more than 1 is a failure.
    pub fn bound_fraction(&self) -> f64 {
        self.worst.map_or(0.0, |worst| worst.bound_fraction())
    }

    /// Returns whether an error exceeds its bound.
    pub fn fails(&self) -> bool {
        self.bound_fraction() > 1.0
    }
}

/// Comparison of a result of the fused step with a run in `f64`.
#[derive(Clone, Debug)]
pub struct FusedCheck {
    /// Name of the fetched tensor's op, or of the updated variable.
    pub name: String,
    /// Source location.
    pub site: Site,
    /// Element with the largest error relative to its bound, which covers the rounding of all ops before it;
    /// `None` if there are no elements.
    pub worst: Option<Deviation>,
    /// Index of the element `worst`.
    pub index: Vec<usize>,
}

impl FusedCheck {
    /// Returns whether an error exceeds its bound.
    pub fn fails(&self) -> bool {
        self.worst.is_some_and(|worst| worst.fails())
    }
}

/// Report of [`Session::lockstep`].
#[derive(Clone, Debug)]
pub struct Lockstep {
    /// The device.
    pub device: DeviceInfo,
    /// Checks of all nodes that compute something, in the order of execution.
    pub nodes: Vec<NodeCheck>,
    /// Checks of the fetched tensors and updated variables of the fused step.
    pub fused: Vec<FusedCheck>,
}

impl Lockstep {
    /// Returns whether every error is within its bound.
    pub fn passes(&self) -> bool {
        self.first_failure().is_none() && self.fused.iter().all(|result| !result.fails())
    }

    /// Returns the first node whose error exceeds its bound. The reference is computed from the inputs that this
    /// node had on the device, so the fault is in this node.
    pub fn first_failure(&self) -> Option<&NodeCheck> {
        self.nodes.iter().find(|node| node.fails())
    }

    /// Returns whether every single node is within its bound but the fused step is not. The fault is then in a
    /// fused kernel or in the reuse of buffers.
    pub fn only_fused(&self) -> bool {
        self.first_failure().is_none() && !self.passes()
    }
}

/// Number of results listed in the report.
const SHOWN: usize = 10;

fn write_deviation(f: &mut fmt::Formatter<'_>, worst: &Deviation, index: &[usize]) -> fmt::Result {
    let Deviation { got, truth, bound, .. } = *worst;
    write!(
        f,
        "is {got:?} at {index:?}, and should be {truth:.9e}: off by {:.2e}, the bound is {bound:.2e}",
        worst.error()
    )
}

impl fmt::Display for Lockstep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, nodes, fused } = self;
        if let Some(node) = self.first_failure() {
            let after = nodes.iter().filter(|node| node.fails()).count() - 1;
            write!(f, "lockstep on {device}: `{}` fails, the first of {} nodes", node.name, nodes.len())?;
            if after > 0 {
                write!(f, " ({after} more after it)")?;
            }
            write!(f, "\n  {} ", node.spec)?;
            if let Some(worst) = &node.worst {
                write_deviation(f, worst, &node.index)?;
            }
            for Cause { name, spec, range: [low, high], element } in &node.causes {
                write!(f, "\n    of {name} {spec}: ")?;
                if let Some(element) = element {
                    write!(f, "{element:?} there, ")?;
                }
                write!(f, "{low:?} to {high:?}")?;
            }
            writeln!(f, "\n  at {}", node.site)?;
        } else if self.only_fused() {
            let wrong: Vec<_> = fused.iter().filter(|result| result.fails()).collect();
            writeln!(
                f,
                "lockstep on {device}: each of {} nodes is right on its own, but the fused step is wrong: only when fused, \
                 {} of {} results are wrong",
                nodes.len(),
                wrong.len(),
                fused.len()
            )?;
            for result in wrong.iter().take(SHOWN) {
                write!(f, "  `{}` ", result.name)?;
                if let Some(worst) = &result.worst {
                    write_deviation(f, worst, &result.index)?;
                }
                writeln!(f, "\n    at {}", result.site)?;
            }
        } else {
            let (n, m) = (nodes.len(), fused.len());
            writeln!(f, "lockstep on {device}: {n} nodes and {m} results of the fused step are within their bounds")?;
            let fraction = |result: &&FusedCheck| result.worst.map_or(0.0, |worst| worst.bound_fraction());
            if let Some(furthest) = fused.iter().max_by(|a, b| fraction(a).total_cmp(&fraction(b))) {
                let (name, fraction) = (&furthest.name, fraction(&furthest));
                writeln!(f, "furthest from a run in f64 is `{name}`, at {fraction:.3} of what rounding explains")?;
            }
        }
        let mut worst: Vec<&NodeCheck> = nodes.iter().filter(|node| node.worst.is_some()).collect();
        worst.sort_by(|a, b| b.bound_fraction().total_cmp(&a.bound_fraction()));
        write!(f, "{:>9}  {:>9}  {:>7}  node", "of bound", "error", "ULP")?;
        for node in worst.iter().take(SHOWN) {
            let Some(deviation) = &node.worst else { continue };
            let (fraction, error, ulp) = (deviation.bound_fraction(), deviation.error(), deviation.ulp());
            write!(f, "\n{fraction:>9.3}  {error:>9.2e}  {ulp:>7.1}  {} {}, {}", node.name, node.spec, node.site)?;
        }
        Ok(())
    }
}

impl Session {
    /// Runs a step on the device node by node and compares each node with its reference.
    ///
    /// The reference is computed in `f64` on the host from the inputs that the node had on the device. Errors
    /// therefore do not accumulate, and the first node whose error exceeds its bound ([`crate::bound`]) is the
    /// faulty one. Afterwards the fused step is run, and `targets` and all updated variables are compared with a
    /// run in `f64`, within a bound for the rounding of all ops before them ([`expected`](crate::expected)).
    ///
    /// Variables and counters are restored afterwards. This is slow and needs much memory: each node is computed
    /// about ten times on the host, in `f64`.
    ///
    /// ```
    /// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [3], DType::F32);
    /// let y = (&x * 2.0 + 1.0).sum_keepdim(&[0]);
    /// let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0))?;
    /// let report = session.lockstep(&graph, &[&y], &[(&x, &Array::vector(vec![0.5f32, 2.0, -1.0]))])?;
    /// assert!(report.passes(), "{report}");
    /// assert_eq!(report.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["mul", "add", "sum"]);
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors that [`Session::compile`] and [`Session::run`] return.
    pub fn lockstep(&mut self, graph: &Graph, targets: &[&Tensor], feeds: &[(&Tensor, &Array)]) -> Result<Lockstep> {
        self.sync()?;
        let updates: Vec<(Variable, ValueId)> =
            graph.data().updates.iter().map(|update| (update.variable.clone(), update.value)).collect();
        let mut roots: Vec<ValueId> = targets.iter().map(|tensor| tensor.id()).collect();
        roots.extend(updates.iter().map(|(_, value)| *value));
        let interpreter = Interpreter::new(graph, &roots, feeds, self.is_wide())?;
        let mut nodes = vec![];
        self.run_node_by_node(graph, &interpreter, |values, node| {
            nodes.push(check(&interpreter, values, node)?);
            Ok(())
        })?;
        let before = graph.state()?;
        let arrays = self.run_fused(graph, targets, feeds, &updates);
        // The state is restored even if the run failed.
        self.sync().and_then(|()| before.restore())?;
        let arrays = arrays?;
        let names = targets.iter().map(|tensor| interpreter.nodes[tensor.id().node].name().to_string());
        let names = names.chain(updates.iter().map(|(variable, _)| variable.name().to_string()));
        let mut fused = vec![];
        for (((name, array), &root), truth) in names.zip(&arrays).zip(&roots).zip(expected_of(graph, &roots, feeds)?) {
            let worst = Deviation::worst(array, &truth.values, &truth.bounds);
            let index = worst.map_or_else(Vec::new, |worst| array.shape().index(worst.at));
            fused.push(FusedCheck { name, site: interpreter.nodes[root.node].site.clone(), worst, index });
        }
        Ok(Lockstep { device: self.device(), nodes, fused })
    }

    /// Runs the fused step; returns the fetched tensors, then the new values of the variables.
    fn run_fused(
        &mut self,
        graph: &Graph,
        targets: &[&Tensor],
        feeds: &[(&Tensor, &Array)],
        updates: &[(Variable, ValueId)],
    ) -> Result<Vec<Array>> {
        let step = self.compile(graph, targets)?;
        let feeds: Vec<_> = feeds.iter().filter(|(tensor, _)| step.reads(tensor)).copied().collect();
        let mut arrays = self.run(&step, &feeds)?;
        self.sync()?;
        for (variable, _) in updates {
            arrays.push((*variable.value()?).clone());
        }
        Ok(arrays)
    }
}

/// Largest number of rounds in which the bounds of a node are computed. If the node seems to fail, a further round
/// of random perturbations of its inputs can widen the bounds: by chance, the earlier rounds may have hardly
/// changed a few elements among millions, whose bounds are then too narrow.
const ROUNDS: usize = 12;

/// Compares the device's outputs of a node with the reference on the same inputs.
fn check(interpreter: &Interpreter, values: &Values, node: NodeId) -> Result<NodeCheck> {
    let inputs = interpreter.inputs(values, node)?;
    let truth: Vec<Vec<f64>> = interpreter.compute(node, &inputs).iter().map(Array::to_f64).collect();
    let exact_node =
        interpreter.accuracy(node).exact || interpreter.nodes[node].outputs.iter().all(|spec| spec.dtype == DType::U32);
    let mut moved: Vec<Vec<f64>> = truth.iter().map(|values| vec![0.0; values.len()]).collect();
    let mut worst = None;
    for round in 0..if exact_node { 1 } else { ROUNDS } {
        if !exact_node {
            let name = format!("{} {node} {round}", interpreter.nodes[node].name());
            let further = bound::sensitivity(&truth, &name, bound::DRAWS, |stream| {
                let perturbed: Vec<_> = inputs.iter().map(|input| Arc::new(bound::perturb(input, stream))).collect();
                Ok(interpreter.compute(node, &perturbed))
            })?;
            for (moved, further) in moved.iter_mut().flatten().zip(further.iter().flatten()) {
                *moved = moved.max(*further);
            }
        }
        worst = worst_deviation(interpreter, values, node, (&truth, &moved))?;
        if !worst.is_some_and(|(_, worst)| worst.fails()) {
            break;
        }
    }
    let value = worst.map_or(node.output(0), |(value, _)| value);
    let worst = worst.map(|(_, worst)| worst);
    let read = match &worst {
        Some(worst) if worst.fails() => causes(interpreter, values, node, worst.at)?,
        _ => vec![],
    };
    let of = &interpreter.nodes[node];
    Ok(NodeCheck {
        name: of.name().into(),
        site: of.site.clone(),
        spec: interpreter.spec(value).to_string(),
        index: worst.map_or_else(Vec::new, |worst| interpreter.spec(value).shape.index(worst.at)),
        worst,
        causes: read,
    })
}

/// Returns the element of a node's outputs whose error is the largest fraction of its bound.
fn worst_deviation(
    interpreter: &Interpreter,
    values: &Values,
    node: NodeId,
    (truth, moved): (&[Vec<f64>], &[Vec<f64>]),
) -> Result<Option<(ValueId, Deviation)>> {
    let bounds = interpreter.accuracy(node).bounds(truth, moved);
    let mut worst: Option<(ValueId, Deviation)> = None;
    for (value, (truth, bounds)) in interpreter.outputs(node).zip(truth.iter().zip(&bounds)) {
        // Integers are not rounded, even if the op has float outputs too.
        let exact = (interpreter.spec(value).dtype == DType::U32).then(|| vec![0.0; truth.len()]);
        let bounds = exact.as_ref().unwrap_or(bounds);
        let Some(deviation) = Deviation::worst(&*interpreter.value(values, value)?, truth, bounds) else { continue };
        if worst.as_ref().is_none_or(|(_, worst)| deviation.bound_fraction() > worst.bound_fraction()) {
            worst = Some((value, deviation));
        }
    }
    Ok(worst)
}

#[cfg(test)]
#[path = "lockstep_tests.rs"]
mod tests;
