//! Search for the first infinity or NaN of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::graph::node::{NodeId, NodeKind, ValueId};
use crate::verify::interpreter::{Interpreter, Values, is_given};
use crate::{Array, Data, Graph, Result, Session, Site, Tensor};

/// Input that a reported node has read; the node's result is wrong or not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Name of the op, input or variable that was read.
    pub name: String,
    /// Type and shape.
    pub spec: String,
    /// Smallest and largest value.
    pub range: [f64; 2],
    /// Value at the index of the reported element, if the op is pointwise.
    pub element: Option<f64>,
}

/// First node with finite inputs and a non-finite output that affects the result.
#[derive(Clone, Debug)]
pub struct NonFinite {
    /// Name of the op, or of the input or variable that was not finite before the run.
    pub name: String,
    /// Source location; for a gradient, the location of the op that was differentiated.
    pub site: Site,
    /// True if the value existed before the run: an input, a variable or an array.
    pub given: bool,
    /// The infinity or NaN.
    pub value: f64,
    /// Index of the element.
    pub index: Vec<usize>,
    /// Inputs of the op.
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

/// Returns the position of the first infinity or NaN, recognised by its bits: all bits of the exponent are set.
fn first_non_finite_element(array: &Array) -> Option<usize> {
    match array.data() {
        Data::F32(values) => values.iter().position(|x| x.to_bits() & 0x7f80_0000 == 0x7f80_0000),
        Data::F64(values) => values.iter().position(|x| x.to_bits() & 0x7ff0_0000_0000_0000 == 0x7ff0_0000_0000_0000),
        Data::U32(_) => None,
    }
}

/// Returns the inputs of a node. The inputs of a pointwise op include their value at the row-major position `at`
/// of the op's result.
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
    /// Finds the first node that computes an infinity or NaN from finite inputs.
    ///
    /// Runs the graph once and fetches every node's value. Searches the nodes that lead to `targets`, then the
    /// nodes that lead to updates of variables. Returns `None` if all these values are finite.
    ///
    /// A non-finite value that is masked out later is not reported: a node counts only if its non-finite value
    /// reaches the result. No variable is updated and no counter advances. This is slow and needs much memory; it
    /// is meant for a single step that failed. Steps are hardly fused here, so a value that barely overflows in
    /// the fused step may be finite here.
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
    /// Returns the errors that [`Session::compile`] and [`Session::run`] return.
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
            if let Some(at) = first_non_finite_element(&array) {
                wrong.insert(value);
                found.insert(value, report(value, &array, at, vec![]));
            }
        }
        self.run_node_by_node(graph, &interpreter, |values, node| {
            for value in interpreter.outputs(node) {
                let array = interpreter.value(values, value)?;
                let Some(at) = first_non_finite_element(&array) else { continue };
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

/// Returns the first value in `wrong`, in the order of nodes, none of whose inputs is in `wrong` and from which a
/// path of wrong values leads to one of `roots`.
fn origin(interpreter: &Interpreter, roots: &[ValueId], wrong: &BTreeSet<ValueId>) -> Option<ValueId> {
    let mut stack: Vec<ValueId> =
        roots.iter().map(|&root| interpreter.source(root)).filter(|root| wrong.contains(root)).collect();
    let (mut visited, mut first) = (vec![false; interpreter.nodes.len()], None::<ValueId>);
    while let Some(value) = stack.pop() {
        if std::mem::replace(&mut visited[value.node], true) {
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
