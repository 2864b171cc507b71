//! Cases of every pointwise op separately, including the ops that only gradients use. They are generated from the
//! list of all pointwise ops, so a new op needs no additional case.

use wgrad_core::ops::pointwise_ops;
use wgrad_core::{Block, Pointwise, Slice, SliceMut, Tensor};

use crate::case::Case;
use crate::case::Fill::{self, Below, Uniform};
use crate::family::Family;

pub(super) const FAMILY: Family = Family::new(own);

/// Interval of small and large positive numbers.
const WIDE: [f64; 2] = [0.05, 4.0];
/// Interval of probabilities that excludes 0 and 1.
const PROBABILITIES: [f64; 2] = [0.05, 0.95];
/// Number of labels; integer arguments are drawn below it.
const LABELS: usize = 5;

fn own() -> Vec<Case> {
    pointwise_ops().iter().map(|&op| case(op)).collect()
}

fn case(op: &'static Pointwise) -> Case {
    let attributes = vec![0.5; op.attributes.len()];
    let [low, high] = if is_number(op, &attributes, WIDE) { WIDE } else { PROBABILITIES };
    let inputs: Vec<(&[usize], Fill)> = op
        .types
        .iter()
        .map(|dtype| (&[200usize][..], if dtype.is_float() { Uniform(low, high) } else { Below(LABELS) }))
        .collect();
    let case = Case::new(format!("row {}", op.name), &inputs, move |x| {
        let args: Vec<&Tensor> = x.iter().collect();
        x[0].graph().pointwise(op, &args, &attributes)
    });
    if op.backward.is_some() { case } else { case.without_gradients() }
}

/// Returns whether an op never returns NaN for arguments in this interval. An op on probabilities, for example,
/// returns NaN for arguments outside [0, 1].
fn is_number(op: &Pointwise, attributes: &[f64], [low, high]: [f64; 2]) -> bool {
    const STEPS: usize = 9;
    if !op.out.is_float() {
        return true;
    }
    // Try all combinations of a few values per argument.
    let count = STEPS.pow(op.types.len() as u32);
    let place = |argument: usize, i: usize| i / STEPS.pow(argument as u32) % STEPS;
    let float = |step: usize| low + (high - low) * step as f64 / (STEPS - 1) as f64;
    let floats: Vec<Vec<f64>> =
        (0..op.types.len()).map(|argument| (0..count).map(|i| float(place(argument, i))).collect()).collect();
    let labels: Vec<Vec<u32>> = (0..op.types.len())
        .map(|argument| (0..count).map(|i| (place(argument, i) % LABELS) as u32).collect())
        .collect();
    let args: Vec<Slice<'_, f64>> = (op.types.iter().zip(&floats).zip(&labels))
        .map(|((dtype, floats), labels)| if dtype.is_float() { Slice::Float(floats) } else { Slice::Uint(labels) })
        .collect();
    let mut out = vec![0.0; count];
    (op.block_f64)(&Block { args: &args, attributes }, SliceMut::Float(&mut out));
    !out.iter().any(|y| y.is_nan())
}
