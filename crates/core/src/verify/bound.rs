//! Error bound of a result in `f32`, derived from the reference result alone.
//!
//! Rounding acts like small relative changes of the inputs and of the result, once per operation. The bound of an
//! element `y` is therefore
//!
//! ```text
//! c · √n · (eps·|y| + Δ) + ulp · eps · |y| + eps · cancelling + c · tiny
//! ```
//!
//! with
//!
//! - `eps`: `2⁻²⁴`, the largest relative error of one rounding to `f32`.
//! - `Δ`: how sensitive the computation is to its inputs. Every element of the inputs is changed by a random
//!   relative error of at most `eps`, and the reference is computed again in `f64`. `Δ` is the largest change of
//!   the result over several draws of these errors.
//! - `n`: the number of terms of the longest sum in the computation. For a sum, `Δ` is about `eps` times the L2
//!   norm of the terms, so `√n · Δ` is about `eps` times the sum of the terms' absolute values.
//! - `c`: the number of operations that are computed one after another, times a margin of 4.
//! - `ulp`: the additional error of functions such as `log`, which `Δ` does not cover, in units of `eps · |y|`. It
//!   follows from WGSL's accuracy table, which allows errors of 2.5 units in the last place for division, 2 for
//!   `inverseSqrt`, 3 for `log`, and `3 + 2·|x|` for `exp(x)`; `sqrt` is a division by the result of
//!   `inverseSqrt`. A unit in the last place is up to `2 · eps · |y|`. The part `2·|x|` of `exp` grows as `Δ` does
//!   and is covered by it.
//! - `cancelling`: the size of intermediate results that cancel each other, if their rounding errors are not
//!   covered by `Δ`. Examples are the gradient of a softmax with a probability near 1, and of a batch norm over
//!   two rows.
//! - `tiny`: `2⁻¹²⁶`, the smallest normal number. A device may flush smaller numbers to zero, including
//!   intermediate results.
//!
//! Each op declares its `n`, `c`, `ulp` and `cancelling` as an [`Accuracy`]
//! ([`Op::accuracy`](crate::Op::accuracy), [`Pointwise::accuracy`](crate::Pointwise::accuracy)). A result of many
//! ops has no single accuracy. It is computed several times with random errors as large as each op's bound, and
//! its bound follows from the spread of these results ([`crate::expected`], [`crate::expected_with_draws`]).
//!
//! Integers are not rounded and must be equal. An element beyond the range of `f32` is not checked.

use crate::{Array, DType, Result, Stream};

pub use crate::op::accuracy::{Accuracy, EPS};

/// Number of times that the inputs are perturbed at random to compute a bound.
pub const DRAWS: usize = 6;

/// Returns the array with every float changed by a random relative error of at most `eps`; integers stay as they
/// are.
pub fn perturb(array: &Array, stream: &mut Stream) -> Array {
    perturb_by(EPS, array, stream)
}

/// Returns the array with every float changed by a random relative error of at most `relative`; integers stay as
/// they are.
pub(crate) fn perturb_by(relative: f64, array: &Array, stream: &mut Stream) -> Array {
    if array.dtype() == DType::U32 {
        return array.clone();
    }
    let mut values = array.to_f64();
    for x in &mut values {
        *x *= 1.0 + relative * random_error(stream);
    }
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}

/// Returns a random number from [-1, 1) with 32 random bits, which costs half as much as [`Stream::uniform`].
pub(crate) fn random_error(stream: &mut Stream) -> f64 {
    f64::from(stream.next_u32()) / 2f64.powi(31) - 1.0
}

/// Computes the sensitivity `Δ` of every element: how far it moves at most from its value in `truth` in `draws`
/// runs on perturbed inputs.
///
/// `run` perturbs its inputs with the given stream ([`perturb`]) and returns the results in the order of `truth`.
/// The stream depends only on `name`. [`DRAWS`] is the usual number of draws.
///
/// # Errors
/// Returns the first error of `run`.
pub fn sensitivity(
    truth: &[Vec<f64>],
    name: &str,
    draws: usize,
    mut run: impl FnMut(&mut Stream) -> Result<Vec<Array>>,
) -> Result<Vec<Vec<f64>>> {
    let mut moved: Vec<Vec<f64>> = truth.iter().map(|values| vec![0.0; values.len()]).collect();
    let mut stream = Stream::named(11, name);
    for _ in 0..draws {
        let results = run(&mut stream)?;
        for ((moved, truth), result) in moved.iter_mut().zip(truth).zip(&results) {
            for ((moved, y), perturbed) in moved.iter_mut().zip(truth).zip(result.to_f64()) {
                *moved = moved.max((perturbed - y).abs());
            }
        }
    }
    Ok(moved)
}

/// Element of a result with its reference value and its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// Index of the element in row-major order.
    pub at: usize,
    /// Computed value.
    pub got: f64,
    /// Reference value.
    pub truth: f64,
    /// Largest absolute error allowed.
    pub bound: f64,
}

impl Deviation {
    /// Returns the element of `got` whose error is the largest fraction of its bound; `None` if there are no
    /// elements.
    ///
    /// An element counts as right if its reference value is beyond the range of `f32`, or if both values are NaN.
    pub fn worst(got: &Array, truth: &[f64], bounds: &[f64]) -> Option<Self> {
        let all = got.to_f64().into_iter().zip(truth).zip(bounds).enumerate();
        let all = all.map(|(at, ((got, &truth), &bound))| Self { at, got, truth, bound });
        all.fold(None, |worst: Option<Self>, one| match worst {
            Some(worst) if worst.bound_fraction() >= one.bound_fraction() => Some(worst),
            _ => Some(one),
        })
    }

    /// Returns the absolute error; 0 for an element that is not checked (see [`Self::worst`]).
    #[allow(clippy::float_cmp, reason = "two infinities are equal")]
    pub fn error(&self) -> f64 {
        let Self { got, truth, .. } = *self;
        if got == truth || truth.abs() > f64::from(f32::MAX) || (truth.is_nan() && got.is_nan()) {
            0.0
        } else {
            (got - truth).abs()
        }
    }

    /// Returns the error in units in the last place of the `f32` that is nearest to the reference value.
    pub fn ulp(&self) -> f64 {
        let size = (self.truth.abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
        // The largest power of two up to `size`; the unit in the last place is 2·eps times this power.
        let power = f32::from_bits((size.to_bits() & 0x7f80_0000).max(0x0080_0000));
        self.error() / (f64::from(power) * 2.0 * EPS)
    }

    /// Returns the error as a fraction of its bound; more than 1 is a failure. The fraction is infinite for an
    /// unexpected NaN, and for any error if the bound is 0.
    pub fn bound_fraction(&self) -> f64 {
        let error = self.error();
        if error == 0.0 {
            0.0
        } else if error.is_nan() || self.bound.is_nan() || self.bound == 0.0 {
            f64::INFINITY
        } else {
            error / self.bound
        }
    }

    /// Returns whether the error exceeds its bound.
    pub fn fails(&self) -> bool {
        self.bound_fraction() > 1.0
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact numbers")]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_within_its_bound_and_a_short_one_is_not() {
        let n = 1000;
        let mut stream = Stream::named(1, "terms");
        let terms: Vec<f32> = (0..n).map(|_| stream.uniform() as f32 - 0.5).collect();
        let array = Array::vector(terms.clone());
        let sum = |array: &Array| vec![Array::scalar(array.to_f64().iter().sum::<f64>())];
        let truth = vec![sum(&array)[0].to_f64()];
        let moved = sensitivity(&truth, "sum", DRAWS, |stream| Ok(sum(&perturb(&array, stream)))).unwrap();
        let bounds = Accuracy::new().terms(n).bounds(&truth, &moved);
        let deviation = |got: f32| Deviation::worst(&Array::scalar(got), &truth[0], &bounds[0]).unwrap();
        assert!(!deviation(terms.iter().sum()).fails());
        assert!(deviation(terms[..n - 1].iter().sum()).fails(), "one term too few");
        assert!(moved[0][0] > 0.0 && moved[0][0] < 1e-5);
    }

    #[test]
    fn unchecked_elements_pass_and_wrong_ones_are_infinite() {
        let fraction =
            |got: f32, truth: f64, bound: f64| Deviation { at: 0, got: got.into(), truth, bound }.bound_fraction();
        assert_eq!(fraction(f32::INFINITY, 1e39, 1.0), 0.0);
        assert_eq!(fraction(f32::NAN, f64::NAN, f64::NAN), 0.0);
        assert_eq!(fraction(f32::NAN, 1.0, 1.0), f64::INFINITY);
        assert_eq!(fraction(2.0, 1.0, 0.0), f64::INFINITY);
        assert_eq!(fraction(f32::INFINITY, 1.0, 1.0), f64::INFINITY);
        assert_eq!(fraction(1.0, 1.5, 1.0), 0.5);
    }

    #[test]
    fn units_in_the_last_place_are_those_of_f32() {
        let ulp = |got: f32, truth: f64| Deviation { at: 0, got: got.into(), truth, bound: 1.0 }.ulp();
        assert_eq!(ulp(1.0 + f32::EPSILON, 1.0), 1.0);
        assert_eq!(ulp(1024.0f32.next_up(), 1024.0), 1.0);
        assert_eq!(ulp(f32::from_bits(3), 0.0), 3.0);
    }

    #[test]
    fn integers_are_not_perturbed() {
        let labels = Array::vector(vec![1u32, 2]);
        assert_eq!(perturb(&labels, &mut Stream::named(0, "x")), labels);
    }
}
