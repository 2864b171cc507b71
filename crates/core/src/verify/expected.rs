//! What a step should give: its values in `f64`, and how far a run in `f32` may come to be from them.

use std::sync::Arc;

use crate::graph::node::ValueId;
use crate::verify::bound::{EPS, shake_by};
use crate::verify::interpreter::{Interpreter, Values};
use crate::{Accuracy, Array, DType, Graph, Result, Stream, Tensor};

/// How many runs with other rounding errors are compared.
const DRAWS: usize = 4;

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

pub(crate) fn expected_of(graph: &Graph, roots: &[ValueId], feeds: &[(&Tensor, &Array)]) -> Result<Vec<Expected>> {
    let interpreter = Interpreter::new(graph, roots, feeds, false)?;
    let mut truth = Interpreter::values();
    let mut others: Vec<(Values, Stream)> =
        (0..DRAWS).map(|draw| (Interpreter::values(), Stream::new(17, draw as u64))).collect();
    for node in interpreter.computed() {
        let accuracy = interpreter.accuracy(node);
        for (values, stream) in &mut others {
            let inputs = interpreter.inputs(values, node)?;
            let inputs: Vec<_> = inputs.into_iter().map(|input| shaken(input, &accuracy, stream)).collect();
            for (value, array) in interpreter.outputs(node).zip(interpreter.compute(node, &inputs)) {
                values.set(value, rounded(array, &accuracy, stream));
            }
            interpreter.forget(values, node);
        }
        let inputs = interpreter.inputs(&truth, node)?;
        for (value, array) in interpreter.outputs(node).zip(interpreter.compute(node, &inputs)) {
            truth.set(value, array);
        }
        interpreter.forget(&mut truth, node);
    }
    roots.iter().map(|&root| judge(&interpreter, &truth, &others, root)).collect()
}

#[allow(clippy::float_cmp, reason = "two infinities are equal")]
fn judge(interpreter: &Interpreter, truth: &Values, others: &[(Values, Stream)], root: ValueId) -> Result<Expected> {
    let values = interpreter.value(truth, root)?.to_f64();
    let mut apart = vec![0f64; values.len()];
    for (other, _) in others {
        for ((apart, y), other) in apart.iter_mut().zip(&values).zip(interpreter.value(other, root)?.to_f64()) {
            // Two infinities, or NaNs, are not apart.
            let same = other == *y || (other.is_nan() && y.is_nan());
            let distance = if same { 0.0 } else { (other - y).abs() };
            *apart = if distance.is_nan() { f64::INFINITY } else { apart.max(distance) };
        }
    }
    // By chance, all runs may agree on an element whose neighbours go apart.
    #[allow(clippy::cast_precision_loss, reason = "a number of elements")]
    let count = apart.len().max(1) as f64;
    let finite = apart.iter().filter(|apart| apart.is_finite());
    let margin = 0.25 * (finite.map(|apart| apart * apart).sum::<f64>() / count).sqrt();
    let bound = |(y, apart): (&f64, &f64)| 2.0 * apart + margin + 2.0 * EPS * y.abs() + f64::from(f32::MIN_POSITIVE);
    let bounds =
        if interpreter.spec(root).dtype.is_float() { values.iter().zip(&apart).map(bound).collect() } else { apart };
    Ok(Expected { values, bounds })
}

#[allow(clippy::cast_precision_loss, reason = "sums are shorter than 2^53")]
fn amplitude(accuracy: &Accuracy) -> f64 {
    accuracy.c * (accuracy.terms as f64).sqrt() * EPS
}

/// An input with the relative errors that, by the bound, stand for those of the op.
fn shaken(input: Arc<Array>, accuracy: &Accuracy, stream: &mut Stream) -> Arc<Array> {
    if accuracy.exact { input } else { Arc::new(shake_by(amplitude(accuracy), &input, stream)) }
}

/// A result with its own error.
fn rounded(array: Array, accuracy: &Accuracy, stream: &mut Stream) -> Array {
    if accuracy.exact || array.dtype() == DType::U32 {
        return array;
    }
    let relative = amplitude(accuracy) + accuracy.ulp * EPS;
    let mut values = array.to_f64();
    for y in values.iter_mut().filter(|y| y.is_finite()) {
        *y += (relative * y.abs() + accuracy.cancelling * EPS) * (2.0 * stream.uniform() - 1.0);
    }
    Array::new(array.shape(), values).expect("as many as before")
}
