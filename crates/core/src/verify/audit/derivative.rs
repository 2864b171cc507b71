//! Directional derivatives along random directions, computed from a gradient and with finite differences.

use super::report::GradientVerdict;
use crate::{Array, Result, Stream};

/// Returns the L2 norm.
pub(super) fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Returns the dot product.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns the typical absolute size of some numbers: the first decile of the absolute values that are finite and
/// not 0, or 1 if there are none. The quantile is low, because most numbers may be mask values such as `-1e9`.
pub(super) fn typical_size(values: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = values.iter().map(|x| x.abs()).filter(|x| *x > 0.0 && x.is_finite()).collect();
    let at = sizes.len() / 10;
    if sizes.is_empty() { 1.0 } else { *sizes.select_nth_unstable_by(at, f64::total_cmp).1 }
}

/// Returns a random direction in which each number moves in proportion to its absolute value, which is first
/// clamped to between 1 and 1000 times the typical size. Numbers that are not finite do not move.
pub(super) fn direction(values: &[f64], stream: &mut Stream) -> Vec<f64> {
    let size = typical_size(values);
    let mut along = |x: &f64| x.abs().clamp(size, 1e3 * size) * stream.normal();
    values.iter().map(|x| if x.is_finite() { along(x) } else { 0.0 }).collect()
}

/// Returns `array + t·direction`.
pub(super) fn moved_along(array: &Array, direction: &[f64], t: f64) -> Array {
    let values = array.to_f64().iter().zip(direction).map(|(x, d)| x + t * d).collect();
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}

/// Returns the L2 norm of the products `gradient·direction`, whose sum is the directional derivative. The rounding
/// error of that sum is proportional to this norm.
pub(super) fn terms(gradient: &[f64], direction: &[f64]) -> f64 {
    gradient.iter().zip(direction).map(|(g, d)| g * g * d * d).sum::<f64>().sqrt()
}

/// Derivative computed with central differences, at the step size with the smallest estimated error.
#[derive(Clone, Copy)]
pub(super) struct Derivative {
    pub value: f64,
    /// Estimated error of the derivative.
    error: f64,
    /// Larger absolute value of the function at the two points of the central difference.
    size: f64,
}

/// Measures the derivative of `f` at 0. `terms` is the scale of the expected value (see [`terms`]): the search for
/// a step size ends when the estimated error is far below `terms`.
pub(super) fn measure_derivative(terms: f64, mut f: impl FnMut(f64) -> Result<f64>) -> Result<Derivative> {
    let mut best = Derivative { value: f64::NAN, error: f64::INFINITY, size: 0.0 };
    for t in [1e-4, 1e-5, 1e-3, 1e-6, 1e-7] {
        let mut central = |t: f64| -> Result<_> {
            let (up, down) = (f(t)?, f(-t)?);
            Ok(((up - down) / (2.0 * t), up.abs().max(down.abs())))
        };
        let ((coarse, size), (fine, _)) = (central(t)?, central(t / 2.0)?);
        let error = (fine - coarse).abs() / 3.0 + 8.0 * f64::EPSILON * size / t;
        let value = (4.0 * fine - coarse) / 3.0;
        if error < best.error {
            best = Derivative { value, error, size };
        }
        if error <= 1e-8 * value.abs().max(terms) || terms == 0.0 && error <= 1e-9 * size {
            break;
        }
    }
    Ok(best)
}

/// Compares the derivative that a gradient claims with the measured derivative. `terms` is the scale of the
/// claimed derivative (see [`terms`]).
pub(super) fn compare(claimed: f64, measured: Derivative, terms: f64) -> GradientVerdict {
    let Derivative { value: measured, error, size } = measured;
    let tolerance = 1e-6 * claimed.abs().max(measured.abs()) + 1e-7 * terms;
    if (claimed - measured).abs() <= tolerance + 10.0 * error {
        // If the estimated error is as large as the derivative, even a wrong gradient is within the tolerance.
        let least = (1e-3 * terms).max(1e-3 * measured.abs()).max(1e-8 * size);
        if error <= least { GradientVerdict::Agrees } else { GradientVerdict::Unknown }
    } else if measured.is_finite() && claimed.is_finite() {
        GradientVerdict::Disagrees
    } else {
        GradientVerdict::Unknown
    }
}
