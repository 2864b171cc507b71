//! Lockstep: a whole step, node by node, held to what each node should make of what it was given.

use std::fmt;
use std::sync::Arc;

use crate::graph::node::{NodeId, ValueId};
use crate::verify::bound::{self, Deviation};
use crate::verify::expected::expected_of;
use crate::verify::interpreter::{Interpreter, Values};
use crate::verify::non_finite::{Cause, causes};
use crate::{Array, DType, DeviceInfo, Graph, Result, Session, Site, Tensor, Variable};

/// A node of a graph, held to its reference.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The op's name.
    pub name: String,
    /// Where it comes from. A gradient stands where the op stands whose gradient it is.
    pub site: Site,
    /// Type and shape of the output that is furthest out.
    pub spec: String,
    /// The element of it that is furthest out, and its bound; none if there are no elements.
    pub worst: Option<Deviation>,
    /// Where that element is.
    pub index: Vec<usize>,
    /// What the op read, if it failed.
    pub causes: Vec<Cause>,
}

impl Checked {
    /// The largest error as a share of its bound: more than 1 is a fault.
    pub fn share(&self) -> f64 {
        self.worst.map_or(0.0, |worst| worst.share())
    }

    /// Whether an error exceeds its bound.
    pub fn fails(&self) -> bool {
        self.share() > 1.0
    }
}

/// A result of the step as it really runs, held to a whole run in `f64`.
#[derive(Clone, Debug)]
pub struct FusedCheck {
    /// The op of a fetched tensor, or the variable that is updated.
    pub name: String,
    /// Where it comes from.
    pub site: Site,
    /// The element that is furthest out, with a bound for all rounding on the way; none if there are no elements.
    pub worst: Option<Deviation>,
    /// Where that element is.
    pub index: Vec<usize>,
}

impl FusedCheck {
    /// Whether an error exceeds its bound.
    pub fn fails(&self) -> bool {
        self.worst.is_some_and(|worst| worst.fails())
    }
}

/// What [`Session::lockstep`] found.
#[derive(Clone, Debug)]
pub struct Lockstep {
    /// The device.
    pub device: DeviceInfo,
    /// Every node that computes something, in the order of execution.
    pub nodes: Vec<Checked>,
    /// Fetched tensors and updated variables of the step as it really runs.
    pub fused: Vec<FusedCheck>,
}

impl Lockstep {
    /// Whether every error keeps its bound.
    pub fn passes(&self) -> bool {
        self.first_failure().is_none() && self.fused.iter().all(|result| !result.fails())
    }

    /// The first node whose error exceeds its bound: its inputs are what the device itself computed, so it is to blame.
    pub fn first_failure(&self) -> Option<&Checked> {
        self.nodes.iter().find(|node| node.fails())
    }

    /// Whether every node by itself keeps its bound, and the step as it really runs does not: the fault is in a fused kernel,
    /// or in how buffers are reused.
    pub fn only_fused(&self) -> bool {
        self.first_failure().is_none() && !self.passes()
    }
}

/// Lines of the table.
const SHOWN: usize = 10;

fn off(f: &mut fmt::Formatter<'_>, worst: &Deviation, index: &[usize]) -> fmt::Result {
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
                off(f, worst, &node.index)?;
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
                "lockstep on {device}: each of {} nodes is right by itself, but the step is not as it really runs: only when \
                 fused, {} of {} results are wrong",
                nodes.len(),
                wrong.len(),
                fused.len()
            )?;
            for result in wrong.iter().take(SHOWN) {
                write!(f, "  `{}` ", result.name)?;
                if let Some(worst) = &result.worst {
                    off(f, worst, &result.index)?;
                }
                writeln!(f, "\n    at {}", result.site)?;
            }
        } else {
            let (n, m) = (nodes.len(), fused.len());
            writeln!(f, "lockstep on {device}: {n} nodes and {m} results of the fused step are within their bounds")?;
            let share = |result: &&FusedCheck| result.worst.map_or(0.0, |worst| worst.share());
            if let Some(furthest) = fused.iter().max_by(|a, b| share(a).total_cmp(&share(b))) {
                let (name, share) = (&furthest.name, share(&furthest));
                writeln!(f, "furthest from a run in f64 is `{name}`, at {share:.3} of what rounding explains")?;
            }
        }
        let mut worst: Vec<&Checked> = nodes.iter().filter(|node| node.worst.is_some()).collect();
        worst.sort_by(|a, b| b.share().total_cmp(&a.share()));
        write!(f, "{:>9}  {:>9}  {:>7}  node", "of bound", "error", "ULP")?;
        for node in worst.iter().take(SHOWN) {
            let Some(deviation) = &node.worst else { continue };
            let (share, error, ulp) = (deviation.share(), deviation.error(), deviation.ulp());
            write!(f, "\n{share:>9.3}  {error:>9.2e}  {ulp:>7.1}  {} {}, {}", node.name, node.spec, node.site)?;
        }
        Ok(())
    }
}

impl Session {
    /// Runs a step on the device node by node, and recomputes each node in `f64` on the host from the device's own inputs to
    /// it: errors do not pile up, and the first node whose error exceeds its bound ([`crate::bound`]) is to blame. Then
    /// runs the step as it really is, fused, and holds `targets` and all updated variables to a run in `f64`, within a bound
    /// for all rounding on the way ([`expected`](crate::expected)).
    ///
    /// Variables and counters are afterwards as they were before. This is slow and takes memory: each node is computed about
    /// ten times on the host, in `f64`.
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
    /// As [`Session::compile`] and [`Session::run`].
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
        let arrays = self.as_it_runs(graph, targets, feeds, &updates);
        // Also if the run failed.
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

    /// The fetched tensors and the new values of the variables of a step as it really runs.
    fn as_it_runs(
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

/// How often what seems to fail is shaken anew: among millions of elements there is one that few draws hardly move.
const LOOKS: usize = 12;

/// Holds what the device made of a node's inputs to what should come of them.
fn check(interpreter: &Interpreter, values: &Values, node: NodeId) -> Result<Checked> {
    let inputs = interpreter.inputs(values, node)?;
    let truth: Vec<Vec<f64>> = interpreter.compute(node, &inputs).iter().map(Array::to_f64).collect();
    let still =
        interpreter.accuracy(node).exact || interpreter.nodes[node].outputs.iter().all(|spec| spec.dtype == DType::U32);
    let mut moved: Vec<Vec<f64>> = truth.iter().map(|values| vec![0.0; values.len()]).collect();
    let mut worst = None;
    for look in 0..if still { 1 } else { LOOKS } {
        if !still {
            let name = format!("{} {node} {look}", interpreter.nodes[node].name());
            let further = bound::sensitivity(&truth, &name, bound::DRAWS, |stream| {
                let shaken: Vec<_> = inputs.iter().map(|input| Arc::new(bound::shake(input, stream))).collect();
                Ok(interpreter.compute(node, &shaken))
            })?;
            for (moved, further) in moved.iter_mut().flatten().zip(further.iter().flatten()) {
                *moved = moved.max(*further);
            }
        }
        worst = furthest(interpreter, values, node, (&truth, &moved))?;
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
    Ok(Checked {
        name: of.name().into(),
        site: of.site.clone(),
        spec: interpreter.spec(value).to_string(),
        index: worst.map_or_else(Vec::new, |worst| interpreter.spec(value).shape.index(worst.at)),
        worst,
        causes: read,
    })
}

/// The element of a node's outputs whose error is the largest share of its bound.
fn furthest(
    interpreter: &Interpreter,
    values: &Values,
    node: NodeId,
    (truth, moved): (&[Vec<f64>], &[Vec<f64>]),
) -> Result<Option<(ValueId, Deviation)>> {
    let bounds = interpreter.accuracy(node).bounds(truth, moved);
    let mut worst: Option<(ValueId, Deviation)> = None;
    for (value, (truth, bounds)) in interpreter.outputs(node).zip(truth.iter().zip(&bounds)) {
        // Integers are not rounded, whatever the op does beside them.
        let exact = (interpreter.spec(value).dtype == DType::U32).then(|| vec![0.0; truth.len()]);
        let bounds = exact.as_ref().unwrap_or(bounds);
        let Some(deviation) = Deviation::worst(&*interpreter.value(values, value)?, truth, bounds) else { continue };
        if worst.as_ref().is_none_or(|(_, worst)| deviation.share() > worst.share()) {
            worst = Some((value, deviation));
        }
    }
    Ok(worst)
}

#[cfg(test)]
#[path = "lockstep_tests.rs"]
mod tests;
