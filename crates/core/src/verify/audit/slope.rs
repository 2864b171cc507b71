//! Slopes along random directions, by a gradient and by finite differences.

use super::report::Verdict;
use crate::{Array, Result, Stream};

pub(super) fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The size of what is small among some numbers, without the smallest tenth and zeros; 1 if all are zero. A mask may be most of
/// them, as `-1e9` in the place of `-∞`.
pub(super) fn size(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|x| x.abs()).filter(|x| *x > 0.0 && x.is_finite()).collect();
    let at = sizes.len() / 10;
    if sizes.is_empty() { 1.0 } else { *sizes.select_nth_unstable_by(at, f64::total_cmp).1 }
}

/// A random direction in which numbers move in proportion to themselves, as far as they are of like sizes.
pub(super) fn direction(values: &[f64], stream: &mut Stream) -> Vec<f64> {
    let size = size(values);
    let mut along = |x: &f64| x.abs().clamp(size, 1e3 * size) * stream.normal();
    values.iter().map(|x| if x.is_finite() { along(x) } else { 0.0 }).collect()
}

/// `values + t·direction`.
pub(super) fn along(array: &Array, direction: &[f64], t: f64) -> Array {
    let values = array.to_f64().iter().zip(direction).map(|(x, d)| x + t * d).collect();
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}

/// The size of the terms of which a claimed slope is the sum.
pub(super) fn terms(gradient: &[f64], direction: &[f64]) -> f64 {
    gradient.iter().zip(direction).map(|(g, d)| g * g * d * d).sum::<f64>().sqrt()
}

/// A slope by central differences, that of the size of step which is steadiest.
#[derive(Clone, Copy)]
pub(super) struct Slope {
    pub value: f64,
    /// Its likely error.
    error: f64,
    /// The size of the function itself.
    size: f64,
}

/// Measures the slope of `f` at 0. `terms` is the size of what is expected: an error far below it is small enough.
pub(super) fn slope(terms: f64, mut f: impl FnMut(f64) -> Result<f64>) -> Result<Slope> {
    let mut best = Slope { value: f64::NAN, error: f64::INFINITY, size: 0.0 };
    for t in [1e-4, 1e-5, 1e-3, 1e-6, 1e-7] {
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
        if error <= 1e-8 * value.abs().max(terms) || terms == 0.0 && error <= 1e-9 * size {
            break;
        }
    }
    Ok(best)
}

/// Whether a claimed slope is the measured one. `terms` is the size of those that it is a sum of.
pub(super) fn agrees(claimed: f64, measured: Slope, terms: f64) -> Verdict {
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
