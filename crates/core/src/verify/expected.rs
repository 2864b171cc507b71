//! Expected values of a graph in `f64`, with error bounds for a run in `f32`.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::graph::node::ValueId;
use crate::host::cast::wide;
use crate::verify::bound::{EPS, perturb_by, random_error};
use crate::verify::interpreter::{Interpreter, Values};
use crate::{Accuracy, Array, DType, Graph, Result, Stream, Tensor};

/// Number of runs with different rounding errors.
const DRAWS: u64 = 4;

/// Expected value with its error bounds.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Elements, computed in `f64`.
    pub values: Vec<f64>,
    /// Largest absolute error that each element may have in an `f32` run, given the rounding of all ops before it.
    pub bounds: Vec<f64>,
}

/// Computes some values of a graph on the host in `f64`, with error bounds for a run in `f32`.
///
/// Every node of the graph is computed several times: once exactly, and then with random rounding errors as large
/// as the bound of the node's op allows ([`crate::bound`]). The spread of the results shows how far two devices
/// may differ. The bound of an element is twice its largest distance from the exact value, plus a quarter of the
/// root mean square of all elements' distances, because some elements by chance hardly move. For example, the
/// gradient of a unit that is close to its threshold has a wide bound.
///
/// Variables and counters are read from the host: call [`Session::sync`](crate::Session::sync) before. Nothing is
/// updated.
///
/// ```
/// use wgrad_core::{Array, DType, Graph, Mode, expected};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [2], DType::F32);
/// let y = (&x - 1.0) * 3.0;
/// let found = expected(&graph, &[&y], &[(&x, &Array::vector(vec![3.0f32, 1.001]))])?.remove(0);
/// assert_eq!(found.values[0], 6.0);
/// // The second element is a small difference of large numbers.
/// assert!(found.bounds[1] / found.values[1] > 20.0 * found.bounds[0] / found.values[0]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
///
/// # Errors
/// Returns an error if the graph contains an error, a feed is missing or has the wrong shape or type, or the
/// newest value of a variable is on a device.
pub fn expected(graph: &Graph, tensors: &[&Tensor], feeds: &[(&Tensor, &Array)]) -> Result<Vec<Expected>> {
    let roots: Vec<ValueId> = tensors.iter().map(|tensor| tensor.id()).collect();
    expected_of(graph, &roots, feeds)
}

/// Computes some values of a graph on the host in `f64`, with error bounds from one additional run per number in
/// `draws`. Each number determines the random rounding errors of its run.
///
/// A bound is the largest distance of these runs from the exact value, and at least the bound of the op that
/// computes the value. Unlike the bounds of [`expected`], these have no margin. An element that by chance hardly
/// moves in these runs may therefore seem to fail; the caller then repeats the check with further draws and takes
/// the larger bounds.
///
/// # Errors
/// Returns the errors that [`expected`] returns.
pub fn expected_with_draws(
    graph: &Graph,
    tensors: &[&Tensor],
    feeds: &[(&Tensor, &Array)],
    draws: Range<u64>,
) -> Result<Vec<Expected>> {
    let roots: Vec<ValueId> = tensors.iter().map(|tensor| tensor.id()).collect();
    let interpreter = Interpreter::new(graph, &roots, feeds, false)?;
    let (truth, others) = runs(&interpreter, draws)?;
    roots.iter().map(|&root| without_margin(&interpreter, &truth, &others, root)).collect()
}

pub(crate) fn expected_of(graph: &Graph, roots: &[ValueId], feeds: &[(&Tensor, &Array)]) -> Result<Vec<Expected>> {
    let interpreter = Interpreter::new(graph, roots, feeds, false)?;
    let (truth, others) = runs(&interpreter, 0..DRAWS)?;
    roots.iter().map(|&root| with_margin(&interpreter, &truth, &others, root)).collect()
}

/// Computes the nodes exactly, and once per draw with random rounding errors. Returns the exact values, then those
/// of each draw.
fn runs(interpreter: &Interpreter, draws: Range<u64>) -> Result<(Values, Vec<Values>)> {
    let mut truth = Interpreter::values();
    let mut others: Vec<(Values, Noise)> = draws.map(|draw| (Interpreter::values(), Noise::new(draw))).collect();
    for node in interpreter.computed() {
        let accuracy = interpreter.accuracy(node);
        others.par_iter_mut().try_for_each(|(values, noise)| -> Result<()> {
            let inputs = interpreter.inputs(values, node)?;
            let perturbed: Vec<_> = inputs.iter().map(|input| noise.perturbed(input.clone(), &accuracy)).collect();
            let mut arrays = if noise.flushes && computes(&accuracy) {
                interpreter.compute_flushed(node, &perturbed)
            } else {
                interpreter.compute(node, &perturbed)
            };
            if arrays.iter().any(has_nan) {
                // The perturbation moved an input out of the op's domain: take the results of the unperturbed
                // inputs.
                let unperturbed = interpreter.compute(node, &inputs);
                arrays = arrays.iter().zip(&unperturbed).map(|(array, other)| without_nan(array, other)).collect();
            }
            for (value, array) in interpreter.outputs(node).zip(arrays) {
                values.set(value, noise.rounded(array, &accuracy));
            }
            interpreter.drop_unused(values, node);
            Ok(())
        })?;
        let inputs = interpreter.inputs(&truth, node)?;
        for (value, array) in interpreter.outputs(node).zip(interpreter.compute(node, &inputs)) {
            truth.set(value, array);
        }
        interpreter.drop_unused(&mut truth, node);
    }
    Ok((truth, others.into_iter().map(|(values, _)| values).collect()))
}

fn has_nan(array: &Array) -> bool {
    array.dtype().is_float() && array.to_f64().iter().any(|x| x.is_nan())
}

/// Returns an array with every NaN replaced by the element of another array.
fn without_nan(array: &Array, other: &Array) -> Array {
    if !has_nan(array) {
        return array.clone();
    }
    let values = array.to_f64().into_iter().zip(other.to_f64());
    let values = values.map(|(x, other)| if x.is_nan() { other } else { x }).collect();
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}

/// Returns the largest distance of each element from the exact value over all runs.
#[allow(clippy::float_cmp, reason = "two infinities are equal")]
fn largest_distances(interpreter: &Interpreter, values: &[f64], others: &[Values], root: ValueId) -> Result<Vec<f64>> {
    let mut apart = vec![0f64; values.len()];
    for other in others {
        for ((apart, y), other) in apart.iter_mut().zip(values).zip(interpreter.value(other, root)?.to_f64()) {
            // Two equal infinities, or two NaNs, have distance 0.
            let same = other == *y || (other.is_nan() && y.is_nan());
            let distance = if same { 0.0 } else { (other - y).abs() };
            *apart = if distance.is_nan() { f64::INFINITY } else { apart.max(distance) };
        }
    }
    Ok(apart)
}

/// Returns bounds without a margin, each at least the bound of the op that computes the value.
fn without_margin(interpreter: &Interpreter, truth: &Values, others: &[Values], root: ValueId) -> Result<Expected> {
    let values = interpreter.value(truth, root)?.to_f64();
    let mut bounds = largest_distances(interpreter, &values, others, root)?;
    if interpreter.spec(root).dtype.is_float() {
        let accuracy = interpreter.accuracy(interpreter.source(root).node);
        for (bound, y) in bounds.iter_mut().zip(&values) {
            *bound = bound.max(accuracy.bound(*y, 0.0));
        }
    }
    Ok(Expected { values, bounds })
}

/// Returns bounds with a margin: each is twice the element's largest distance from the exact value, plus a quarter
/// of the root mean square of all elements' distances.
fn with_margin(interpreter: &Interpreter, truth: &Values, others: &[Values], root: ValueId) -> Result<Expected> {
    let values = interpreter.value(truth, root)?.to_f64();
    let apart = largest_distances(interpreter, &values, others, root)?;
    // By chance, an element may hardly differ between the runs, so the margin is computed from all elements.
    let count = wide(apart.len().max(1));
    let finite = apart.iter().filter(|apart| apart.is_finite());
    let margin = 0.25 * (finite.map(|apart| apart * apart).sum::<f64>() / count).sqrt();
    let bound = |(y, apart): (&f64, &f64)| 2.0 * apart + margin + 2.0 * EPS * y.abs() + f64::from(f32::MIN_POSITIVE);
    let bounds =
        if interpreter.spec(root).dtype.is_float() { values.iter().zip(&apart).map(bound).collect() } else { apart };
    Ok(Expected { values, bounds })
}

/// Returns the relative error that represents the rounding within an op.
fn amplitude(accuracy: &Accuracy) -> f64 {
    accuracy.c * wide(accuracy.terms).sqrt() * EPS
}

/// Returns whether an op rounds: it does more than move, compare or select numbers.
fn computes(accuracy: &Accuracy) -> bool {
    !accuracy.exact && accuracy.c > 0.0
}

/// Random rounding errors of one run.
struct Noise {
    stream: Stream,
    /// True if subnormal numbers are flushed to zero, as on some devices.
    flushes: bool,
}

impl Noise {
    fn new(draw: u64) -> Self {
        Self { stream: Stream::new(17, draw), flushes: draw % 2 == 1 }
    }

    /// Returns an input with the relative errors that represent the rounding within the op.
    fn perturbed(&mut self, input: Arc<Array>, accuracy: &Accuracy) -> Arc<Array> {
        if !computes(accuracy) {
            return input;
        }
        let perturbed = perturb_by(amplitude(accuracy), &input, &mut self.stream);
        Arc::new(self.flushed(perturbed))
    }

    /// Returns a result with random errors that represent the rounding of the result itself.
    fn rounded(&mut self, array: Array, accuracy: &Accuracy) -> Array {
        if accuracy.exact || array.dtype() == DType::U32 {
            return array;
        }
        let relative = amplitude(accuracy) + accuracy.ulp * EPS;
        if relative == 0.0 && accuracy.cancelling == 0.0 {
            return self.flushed(array);
        }
        let mut values = array.to_f64();
        for y in values.iter_mut().filter(|y| y.is_finite()) {
            let error = random_error(&mut self.stream);
            *y += (relative * y.abs() + accuracy.cancelling * EPS) * error;
        }
        self.flushed(Array::new(array.shape(), values).expect("as many as before"))
    }

    /// Returns an array with subnormal numbers replaced by zero, if this run flushes them.
    fn flushed(&self, array: Array) -> Array {
        let small = |x: f64| x != 0.0 && x.abs() < f64::from(f32::MIN_POSITIVE);
        if !self.flushes || array.dtype() == DType::U32 || !array.to_f64().into_iter().any(small) {
            return array;
        }
        let values = array.to_f64().into_iter().map(|x| if small(x) { 0.0 } else { x }).collect();
        Array::new::<f64>(array.shape(), values).expect("as many as before")
    }
}
