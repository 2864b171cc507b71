//! Where a run stops being numbers: the node that makes the first infinity or NaN of its inputs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::node::{NodeKind, ValueId};
use crate::{Array, Counter, Data, Graph, Result, Session, Site, Tensor, Variable};

/// Bytes of values that are fetched at once, and how many.
const BYTES: usize = 256 << 20;
const COUNT: usize = 256;

/// What a node was given that made an infinity or NaN of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The name of what was read: an op, an input or a variable.
    pub name: String,
    /// Its type and shape.
    pub spec: String,
    /// Its smallest and its largest value.
    pub range: [f64; 2],
    /// Its value where the result is not finite, if the op goes element by element.
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

fn index(mut at: usize, dims: &[usize]) -> Vec<usize> {
    let mut index: Vec<_> = dims.iter().rev().map(|&size| (at % size, at /= size).0).collect();
    index.reverse();
    index
}

/// Variables and counters as they were, to be put back after each run.
struct Before(Vec<(Variable, Arc<Array>)>, Vec<(Counter, u64)>);

impl Before {
    fn put_back(&self) -> Result<()> {
        for (variable, value) in &self.0 {
            if !variable.value().is_ok_and(|now| Arc::ptr_eq(&now, value)) {
                variable.set((**value).clone())?;
            }
        }
        self.1.iter().for_each(|(counter, value)| counter.set(*value));
        Ok(())
    }
}

impl Session {
    /// Runs a graph once with every node's value fetched, and names the first node on the way to `targets`, or else to the
    /// updates of variables, that makes an infinity or NaN of finite inputs. None if all of them are finite.
    ///
    /// What only masked elements are is no fault: a node counts if what it made arrives. Variables and counters are
    /// afterwards as they were before. This is slow and takes memory, and is for the one step that failed: large graphs run
    /// several times. Steps are not fused here, so what overflows barely may not do so here.
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
        graph.check()?;
        self.sync()?;
        let before = Before(
            graph.variables().into_iter().map(|v| v.value().map(|value| (v, value))).collect::<Result<_>>()?,
            graph.data().counters.iter().map(|counter| (counter.clone(), counter.get())).collect(),
        );
        let roots: Vec<ValueId> = targets.iter().map(|tensor| tensor.id()).collect();
        let updates: Vec<ValueId> = graph.data().updates.iter().map(|update| update.value).collect();
        let (given, computed) = values(graph, &[&roots[..], &updates].concat());
        let mut wrong = BTreeMap::new();
        for value in given {
            if let Some(array) = known(graph, value, feeds)
                && let Some(at) = first_wrong(&array)
            {
                wrong.insert(value, (at, array.to_f64()[at]));
            }
        }
        for some in portions(graph, &computed) {
            for (value, array) in some.iter().zip(self.values_of(graph, some, feeds, &before)?) {
                if let Some(at) = first_wrong(&array) {
                    wrong.insert(*value, (at, array.to_f64()[at]));
                }
            }
        }
        let culprit = [roots, updates].iter().find_map(|roots| origin(graph, roots, &wrong));
        let Some(culprit) = culprit else { return Ok(None) };
        self.report(graph, culprit, wrong[&culprit], feeds, &before).map(Some)
    }

    /// The values of some nodes.
    fn values_of(
        &mut self,
        graph: &Graph,
        values: &[ValueId],
        feeds: &[(&Tensor, &Array)],
        before: &Before,
    ) -> Result<Vec<Array>> {
        let tensors: Vec<_> = values.iter().map(|&value| Tensor::new(graph.clone(), value)).collect();
        let step = self.compile(graph, &tensors.iter().collect::<Vec<_>>())?;
        // What no fetched value needs is no input of this plan.
        let inputs = &step.plan().inputs;
        let feeds: Vec<_> =
            feeds.iter().filter(|(tensor, _)| inputs.iter().any(|input| input.value == tensor.id())).copied().collect();
        let arrays = self.run(&step, &feeds);
        self.sync()?;
        before.put_back()?;
        arrays
    }

    fn report(
        &mut self,
        graph: &Graph,
        culprit: ValueId,
        (at, value): (usize, f64),
        feeds: &[(&Tensor, &Array)],
        before: &Before,
    ) -> Result<NonFinite> {
        let (node, dims) = {
            let data = graph.data();
            (data.nodes[culprit.node].clone(), data.spec(culprit).shape.dims().to_vec())
        };
        let pointwise = matches!(node.kind, NodeKind::Pointwise(..));
        let mut causes = vec![];
        for &input in &node.inputs {
            let array = match known(graph, input, feeds) {
                Some(array) => array,
                None => self.values_of(graph, &[input], feeds, before)?.remove(0).into(),
            };
            let values = array.to_f64();
            let range = values.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], &x| [a.min(x), b.max(x)]);
            let data = graph.data();
            causes.push(Cause {
                name: data.nodes[input.node].name().into(),
                spec: data.spec(input).to_string(),
                range,
                element: values.get(at).copied().filter(|_| pointwise),
            });
        }
        let given = is_given(&node.kind);
        Ok(NonFinite { name: node.name().into(), site: node.site, given, value, index: index(at, &dims), causes })
    }
}

fn is_given(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Input(_) | NodeKind::Variable(_) | NodeKind::Array(_))
}

/// The floats that lead to `roots`, in the order of their nodes: those that are given, and those that are computed.
fn values(graph: &Graph, roots: &[ValueId]) -> (Vec<ValueId>, Vec<ValueId>) {
    let data = graph.data();
    let mut live = vec![false; data.nodes.len()];
    let mut stack: Vec<usize> = roots.iter().map(|root| root.node).collect();
    while let Some(node) = stack.pop() {
        if !std::mem::replace(&mut live[node], true) {
            stack.extend(data.nodes[node].inputs.iter().map(|input| input.node));
        }
    }
    let live = (0..data.nodes.len()).filter(|&node| live[node]);
    let all = live.flat_map(|node| (0..data.nodes[node].outputs.len()).map(move |output| ValueId { node, output }));
    let floats = all.filter(|&value| data.spec(value).dtype.is_float());
    let unknown = |value: &ValueId| {
        !matches!(data.nodes[value.node].kind, NodeKind::Constant(_) | NodeKind::Scheduled(_) | NodeKind::Iota)
    };
    floats.filter(unknown).partition(|value| is_given(&data.nodes[value.node].kind))
}

/// The value of a node that is given.
fn known(graph: &Graph, value: ValueId, feeds: &[(&Tensor, &Array)]) -> Option<Arc<Array>> {
    match &graph.data().nodes[value.node].kind {
        NodeKind::Input(_) => {
            feeds.iter().find(|(tensor, _)| tensor.id() == value).map(|(_, array)| Arc::new((*array).clone()))
        }
        NodeKind::Variable(variable) => variable.value().ok(),
        NodeKind::Array(array) => Some(array.clone()),
        _ => None,
    }
}

/// Values that are fetched together.
fn portions<'v>(graph: &Graph, mut values: &'v [ValueId]) -> Vec<&'v [ValueId]> {
    let data = graph.data();
    let mut portions = vec![];
    while !values.is_empty() {
        let mut bytes = 0;
        let fits = values.iter().take(COUNT).take_while(|&&value| {
            bytes += data.spec(value).shape.numel() * 4;
            bytes <= BYTES
        });
        let count = fits.count().max(1);
        let (some, rest) = values.split_at(count);
        portions.push(some);
        values = rest;
    }
    portions
}

/// The first value, in the order of nodes, that is wrong while nothing that it is made of is, and from which wrong values
/// lead to one of `roots`.
fn origin(graph: &Graph, roots: &[ValueId], wrong: &BTreeMap<ValueId, (usize, f64)>) -> Option<ValueId> {
    let data = graph.data();
    let mut stack: Vec<ValueId> = roots.iter().copied().filter(|root| wrong.contains_key(root)).collect();
    let (mut seen, mut first) = (vec![false; data.nodes.len()], None::<ValueId>);
    while let Some(value) = stack.pop() {
        if std::mem::replace(&mut seen[value.node], true) {
            continue;
        }
        let inputs: Vec<_> = data.nodes[value.node].inputs.iter().filter(|input| wrong.contains_key(input)).collect();
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
