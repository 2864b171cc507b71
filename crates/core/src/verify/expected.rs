//! What a step should give: its values in `f64`, and how far a run in `f32` may come to be from them.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::graph::node::ValueId;
use crate::host::cast::wide;
use crate::verify::bound::{EPS, random_error, shake_by};
use crate::verify::interpreter::{Interpreter, Values};
use crate::{Accuracy, Array, DType, Graph, Result, Stream, Tensor};

/// How many runs with other rounding errors are compared.
const DRAWS: u64 = 4;

/// A value as it should be.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The elements, computed in `f64`.
    pub values: Vec<f64>,
    /// How far the elements of a run in `f32` may be from them, by all the rounding on the way.
    pub bounds: Vec<f64>,
}

/// Computes some values of a graph on the host in `f64`, and how far a run in `f32` may be from them.
///
/// Every node of the graph is computed several times: once as it is, and with rounding errors in the place of those that
/// its op may make, as large as its bound ([`crate::bound`]) lets them be. Where the results go apart, so may those of two
/// devices: a bound is twice how far they do at most, and a quarter of how far elements do on average, as some are steady by chance. A unit
/// that is barely on or off gives its gradient a wide bound; that is the truth about it.
///
/// The graph reads variables and counters as they are on the host ([`Session::sync`](crate::Session::sync) before); nothing is
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
/// Errors of the graph; inputs that are missing or misshapen; variables whose newest value is on a device.
pub fn expected(graph: &Graph, tensors: &[&Tensor], feeds: &[(&Tensor, &Array)]) -> Result<Vec<Expected>> {
    let roots: Vec<ValueId> = tensors.iter().map(|tensor| tensor.id()).collect();
    expected_of(graph, &roots, feeds)
}

/// Computes some values of a graph on the host in `f64`, and bounds from the runs `draws`, each with rounding errors of its
/// own.
///
/// A bound is how far the runs go apart at most, and no less than what the last op may lose. Unlike those of [`expected`]
/// the bounds have no margin: an element that few runs hardly move may seem to fail, so whoever asks looks again with
/// further runs, and takes the larger bounds.
///
/// # Errors
/// As [`expected`].
pub fn expected_in(
    graph: &Graph,
    tensors: &[&Tensor],
    feeds: &[(&Tensor, &Array)],
    draws: Range<u64>,
) -> Result<Vec<Expected>> {
    let roots: Vec<ValueId> = tensors.iter().map(|tensor| tensor.id()).collect();
    let interpreter = Interpreter::new(graph, &roots, feeds, false)?;
    let (truth, others) = runs(&interpreter, draws)?;
    roots.iter().map(|&root| narrow(&interpreter, &truth, &others, root)).collect()
}

pub(crate) fn expected_of(graph: &Graph, roots: &[ValueId], feeds: &[(&Tensor, &Array)]) -> Result<Vec<Expected>> {
    let interpreter = Interpreter::new(graph, roots, feeds, false)?;
    let (truth, others) = runs(&interpreter, 0..DRAWS)?;
    roots.iter().map(|&root| judge(&interpreter, &truth, &others, root)).collect()
}

/// Computes the nodes as they are, and once per draw with rounding errors.
fn runs(interpreter: &Interpreter, draws: Range<u64>) -> Result<(Values, Vec<Values>)> {
    let mut truth = Interpreter::values();
    let mut others: Vec<(Values, Noise)> = draws.map(|draw| (Interpreter::values(), Noise::new(draw))).collect();
    for node in interpreter.computed() {
        let accuracy = interpreter.accuracy(node);
        others.par_iter_mut().try_for_each(|(values, noise)| -> Result<()> {
            let inputs = interpreter.inputs(values, node)?;
            let shaken: Vec<_> = inputs.iter().map(|input| noise.shaken(input.clone(), &accuracy)).collect();
            let mut arrays = if noise.flushes && computes(&accuracy) {
                interpreter.compute_flushed(node, &shaken)
            } else {
                interpreter.compute(node, &shaken)
            };
            if arrays.iter().any(has_nan) {
                // An input at the end of the op's domain was shaken out of it.
                let steady = interpreter.compute(node, &inputs);
                arrays = arrays.iter().zip(&steady).map(|(array, steady)| without_nan(array, steady)).collect();
            }
            for (value, array) in interpreter.outputs(node).zip(arrays) {
                values.set(value, noise.rounded(array, &accuracy));
            }
            interpreter.forget(values, node);
            Ok(())
        })?;
        let inputs = interpreter.inputs(&truth, node)?;
        for (value, array) in interpreter.outputs(node).zip(interpreter.compute(node, &inputs)) {
            truth.set(value, array);
        }
        interpreter.forget(&mut truth, node);
    }
    Ok((truth, others.into_iter().map(|(values, _)| values).collect()))
}

fn has_nan(array: &Array) -> bool {
    array.dtype().is_float() && array.to_f64().iter().any(|x| x.is_nan())
}

/// Returns an array with the elements of another one in the place of NaN.
fn without_nan(array: &Array, other: &Array) -> Array {
    if !has_nan(array) {
        return array.clone();
    }
    let values = array.to_f64().into_iter().zip(other.to_f64());
    let values = values.map(|(x, other)| if x.is_nan() { other } else { x }).collect();
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}

/// Computes how far the elements of the runs are from the truth, at most.
#[allow(clippy::float_cmp, reason = "two infinities are equal")]
fn apart(interpreter: &Interpreter, values: &[f64], others: &[Values], root: ValueId) -> Result<Vec<f64>> {
    let mut apart = vec![0f64; values.len()];
    for other in others {
        for ((apart, y), other) in apart.iter_mut().zip(values).zip(interpreter.value(other, root)?.to_f64()) {
            // Two infinities, or NaNs, are not apart.
            let same = other == *y || (other.is_nan() && y.is_nan());
            let distance = if same { 0.0 } else { (other - y).abs() };
            *apart = if distance.is_nan() { f64::INFINITY } else { apart.max(distance) };
        }
    }
    Ok(apart)
}

fn narrow(interpreter: &Interpreter, truth: &Values, others: &[Values], root: ValueId) -> Result<Expected> {
    let values = interpreter.value(truth, root)?.to_f64();
    let mut bounds = apart(interpreter, &values, others, root)?;
    if interpreter.spec(root).dtype.is_float() {
        let accuracy = interpreter.accuracy(interpreter.source(root).node);
        for (bound, y) in bounds.iter_mut().zip(&values) {
            *bound = bound.max(accuracy.bound(*y, 0.0));
        }
    }
    Ok(Expected { values, bounds })
}

fn judge(interpreter: &Interpreter, truth: &Values, others: &[Values], root: ValueId) -> Result<Expected> {
    let values = interpreter.value(truth, root)?.to_f64();
    let apart = apart(interpreter, &values, others, root)?;
    // By chance, all runs may agree on an element whose neighbours go apart.
    let count = wide(apart.len().max(1));
    let finite = apart.iter().filter(|apart| apart.is_finite());
    let margin = 0.25 * (finite.map(|apart| apart * apart).sum::<f64>() / count).sqrt();
    let bound = |(y, apart): (&f64, &f64)| 2.0 * apart + margin + 2.0 * EPS * y.abs() + f64::from(f32::MIN_POSITIVE);
    let bounds =
        if interpreter.spec(root).dtype.is_float() { values.iter().zip(&apart).map(bound).collect() } else { apart };
    Ok(Expected { values, bounds })
}

fn amplitude(accuracy: &Accuracy) -> f64 {
    accuracy.c * wide(accuracy.terms).sqrt() * EPS
}

/// Returns whether an op computes: it does more than to move, compare or choose numbers.
fn computes(accuracy: &Accuracy) -> bool {
    !accuracy.exact && accuracy.c > 0.0
}

/// Rounding errors of one run.
struct Noise {
    stream: Stream,
    /// Whether numbers below the smallest normal one are zero, as a device may have it.
    flushes: bool,
}

impl Noise {
    fn new(draw: u64) -> Self {
        Self { stream: Stream::new(17, draw), flushes: draw % 2 == 1 }
    }

    /// Returns an input with the relative errors that, by the bound, stand for those of the op.
    fn shaken(&mut self, input: Arc<Array>, accuracy: &Accuracy) -> Arc<Array> {
        if !computes(accuracy) {
            return input;
        }
        let shaken = shake_by(amplitude(accuracy), &input, &mut self.stream);
        Arc::new(self.flushed(shaken))
    }

    /// Returns a result with its own error.
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

    fn flushed(&self, array: Array) -> Array {
        let small = |x: f64| x != 0.0 && x.abs() < f64::from(f32::MIN_POSITIVE);
        if !self.flushes || array.dtype() == DType::U32 || !array.to_f64().into_iter().any(small) {
            return array;
        }
        let values = array.to_f64().into_iter().map(|x| if small(x) { 0.0 } else { x }).collect();
        Array::new::<f64>(array.shape(), values).expect("as many as before")
    }
}
