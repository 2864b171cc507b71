//! Where a run stops being numbers: the node that makes the first infinity or NaN of its inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::graph::node::{NodeId, NodeKind, ValueId};
use crate::verify::interpreter::{Interpreter, Values, is_given};
use crate::{Array, Data, Graph, Result, Session, Site, Tensor};

/// What a node read: beside an infinity or NaN that it made, or an error.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The name of what was read: an op, an input or a variable.
    pub name: String,
    /// Its type and shape.
    pub spec: String,
    /// Its smallest and its largest value.
    pub range: [f64; 2],
    /// Its value where the result is looked at, if the op goes element by element.
    pub element: Option<f64>,
}

/// The first node of a graph whose inputs are finite and whose output is not, on the way to what went wrong.
#[derive(Clone, Debug)]
pub struct NonFinite {
    /// The node's name: an op, or an input or variable that was not finite before the run.
    pub name: String,
    /// Where it comes from. A gradient stands where the op stands whose gradient it is.
    pub site: Site,
    /// Whether it was there before the run: an input, a variable or an array.
    pub given: bool,
    /// The value: infinite or NaN.
    pub value: f64,
    /// Where it is.
    pub index: Vec<usize>,
    /// What the op read.
    pub causes: Vec<Cause>,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, site, given, value, index, causes } = self;
        let specs: Vec<_> = causes.iter().map(|cause| cause.spec.as_str()).collect();
        if *given {
            write!(f, "`{name}` has {value} at {index:?} before the step")?;
        } else {
            write!(f, "{name}({}) gives {value} at {index:?}", specs.join(", "))?;
        }
        for Cause { name, range: [low, high], element, .. } in causes {
            write!(f, "\n    of {name}: ")?;
            if let Some(element) = element {
                write!(f, "{element:?} there, ")?;
            }
            write!(f, "{low:?} to {high:?}")?;
        }
        write!(f, "\n  at {site}")
    }
}

/// The first infinity or NaN, by its bits: an exponent of ones. What a driver thinks of comparisons with NaN is no matter.
fn first_wrong(array: &Array) -> Option<usize> {
    match array.data() {
        Data::F32(values) => values.iter().position(|x| x.to_bits() & 0x7f80_0000 == 0x7f80_0000),
        Data::F64(values) => values.iter().position(|x| x.to_bits() & 0x7ff0_0000_0000_0000 == 0x7ff0_0000_0000_0000),
        Data::U32(_) => None,
    }
}

/// What a node reads, and the elements at the linear position `at` of its result.
pub(crate) fn causes(interpreter: &Interpreter, values: &Values, node: NodeId, at: usize) -> Result<Vec<Cause>> {
    let pointwise = matches!(interpreter.nodes[node].kind, NodeKind::Pointwise(..));
    let mut causes = vec![];
    for &input in &interpreter.nodes[node].inputs {
        let read = interpreter.value(values, input)?.to_f64();
        let range = read.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], &x| [a.min(x), b.max(x)]);
        causes.push(Cause {
            name: interpreter.nodes[input.node].name().into(),
            spec: interpreter.spec(input).to_string(),
            range,
            element: read.get(at).copied().filter(|_| pointwise),
        });
    }
    Ok(causes)
}

impl Session {
    /// Runs a graph once with every node's value fetched, and names the first node on the way to `targets`, or else to the
    /// updates of variables, that makes an infinity or NaN of finite inputs. None if all of them are finite.
    ///
    /// What only masked elements are is no fault: a node counts if what it made arrives. No variable is updated and no counter
    /// moves. This is slow and takes memory, and is for the one step that failed. Steps are hardly fused here, so what
    /// overflows barely may not do so here.
    ///
    /// ```
    /// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [3], DType::F32);
    /// let large = &x * 1e30;
    /// let y = &large * &large - 1.0;
    /// let mut session = Session::new(CpuBackend::<f32>::new(), &Params::seeded(0))?;
    /// let x_value = Array::vector(vec![0.5f32, 2.0, -1.0]);
    /// let found = session.first_non_finite(&graph, &[&y], &[(&x, &x_value)])?.unwrap();
    /// assert_eq!((found.name.as_str(), found.index, found.value), ("mul", vec![0], f64::INFINITY));
    /// # Ok::<(), wgrad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Session::compile`] and [`Session::run`].
    pub fn first_non_finite(
        &mut self,
        graph: &Graph,
        targets: &[&Tensor],
        feeds: &[(&Tensor, &Array)],
    ) -> Result<Option<NonFinite>> {
        self.sync()?;
        let roots: Vec<ValueId> = targets.iter().map(|tensor| tensor.id()).collect();
        let updates: Vec<ValueId> = graph.data().updates.iter().map(|update| update.value).collect();
        let interpreter = Interpreter::new(graph, &[&roots[..], &updates].concat(), feeds, self.is_wide())?;
        let (mut wrong, mut found) = (BTreeSet::new(), BTreeMap::new());
        let report = |value: ValueId, array: &Array, at: usize, causes: Vec<Cause>| {
            let node = &interpreter.nodes[value.node];
            NonFinite {
                name: node.name().into(),
                site: node.site.clone(),
                given: is_given(&node.kind),
                value: array.to_f64()[at],
                index: array.shape().index(at),
                causes,
            }
        };
        for value in interpreter.given() {
            let array = interpreter.value(&Interpreter::values(), value)?;
            if let Some(at) = first_wrong(&array) {
                wrong.insert(value);
                found.insert(value, report(value, &array, at, vec![]));
            }
        }
        self.run_node_by_node(graph, &interpreter, |values, node| {
            for value in interpreter.outputs(node) {
                let array = interpreter.value(values, value)?;
                let Some(at) = first_wrong(&array) else { continue };
                let read = &interpreter.nodes[node].inputs;
                if !read.iter().any(|input| wrong.contains(&interpreter.source(*input))) {
                    found.insert(value, report(value, &array, at, causes(&interpreter, values, node, at)?));
                }
                wrong.insert(value);
            }
            Ok(())
        })?;
        let culprit = [roots, updates].iter().find_map(|roots| origin(&interpreter, roots, &wrong));
        Ok(culprit.and_then(|culprit| found.remove(&culprit)))
    }
}

/// The first value, in the order of nodes, that is wrong while nothing that it is made of is, and from which wrong values
/// lead to one of `roots`.
fn origin(interpreter: &Interpreter, roots: &[ValueId], wrong: &BTreeSet<ValueId>) -> Option<ValueId> {
    let mut stack: Vec<ValueId> =
        roots.iter().map(|&root| interpreter.source(root)).filter(|root| wrong.contains(root)).collect();
    let (mut seen, mut first) = (vec![false; interpreter.nodes.len()], None::<ValueId>);
    while let Some(value) = stack.pop() {
        if std::mem::replace(&mut seen[value.node], true) {
            continue;
        }
        let inputs = interpreter.nodes[value.node].inputs.iter().map(|&input| interpreter.source(input));
        let inputs: Vec<_> = inputs.filter(|input| wrong.contains(input)).collect();
        if inputs.is_empty() {
            first = Some(first.map_or(value, |first| first.min(value)));
        }
        stack.extend(inputs);
    }
    first
}

#[cfg(test)]
#[path = "non_finite_tests.rs"]
mod tests;
