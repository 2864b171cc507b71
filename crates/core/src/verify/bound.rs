//! How far a result in `f32` may be from the truth: one bound, derived from the truth alone.
//!
//! Rounding acts like small relative changes of the inputs and of the result, once per operation. So the bound of an
//! element `y` is
//!
//! ```text
//! c · √n · (eps·|y| + Δ) + ulp · eps · |y| + eps · cancelling + c · tiny
//! ```
//!
//! with
//!
//! - `eps = 2⁻²⁴`, half a unit in the last place of a number just above a power of two;
//! - `Δ` how much the reference in `f64` moves, at most over several draws, when every element of its inputs changes by a
//!   random relative `±eps`: the condition of the computation at these very inputs;
//! - `n` the longest sum behind the element: rounding errors of a sum grow like `√n` of those of its terms, and `Δ` of a
//!   sum like the root of the sum of their squares, so that their product is about `eps` times the sum of their absolute
//!   values;
//! - `c` how many operations stand in sequence, times a margin of 4;
//! - `ulp` what WGSL's accuracy table allows the functions on the way, beyond what `Δ` knows. A unit in the last place is
//!   up to `2·eps`: division has 2.5 of them, `inverseSqrt` 2, `sqrt` is a division by that, `log` 3, and `exp` 3 + 2·|x|,
//!   whose second part grows as `Δ` does;
//! - `cancelling` the size of intermediate results whose difference is the element and that no input shows: a softmax's
//!   gradient where p is near 1, a batch norm's over two rows;
//! - `tiny = 2⁻¹²⁶`, the smallest normal number: a device may flush what is smaller to zero, also on the way.
//!
//! `n`, `c`, `ulp` and `cancelling` are an [`Accuracy`], which an op declares
//! ([`Op::accuracy`](crate::Op::accuracy), [`Pointwise::accuracy`](crate::Pointwise::accuracy)). A result of many nodes has
//! no accuracy of its own: every node is computed with errors as large as its op's, and the bound is how far results go
//! apart ([`crate::expected`], [`crate::expected_in`]).
//! Integers have no rounding: theirs must be equal. Nothing is said of an element that is beyond the range of `f32`.

use crate::{Array, DType, Result, Stream};

pub use crate::op::accuracy::{Accuracy, EPS};

/// How often inputs are shaken to see how far results move.
pub const DRAWS: usize = 6;

/// The array with every element changed by a random relative `±eps`; integers stay as they are.
pub fn shake(array: &Array, stream: &mut Stream) -> Array {
    shake_by(EPS, array, stream)
}

/// The same with another size of change.
pub(crate) fn shake_by(relative: f64, array: &Array, stream: &mut Stream) -> Array {
    if array.dtype() == DType::U32 {
        return array.clone();
    }
    let mut values = array.to_f64();
    for x in &mut values {
        *x *= 1.0 + relative * random_error(stream);
    }
    Array::new::<f64>(array.shape(), values).expect("as many as before")
}

/// Returns a number from [-1, 1), of 32 random bits: enough for an error, and half the work of [`Stream::uniform`].
pub(crate) fn random_error(stream: &mut Stream) -> f64 {
    f64::from(stream.next_u32()) / 2f64.powi(31) - 1.0
}

/// `Δ` of every element: how far it moves from the `truth`, at most over `draws` runs on inputs that `run` shakes, such as
/// [`DRAWS`].
///
/// `run` is given the random numbers for [`shake`], the same for the same `name`, and returns the results in the
/// order of `truth`.
///
/// # Errors
/// The first of `run`.
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
            for ((moved, y), shaken) in moved.iter_mut().zip(truth).zip(result.to_f64()) {
                *moved = moved.max((shaken - y).abs());
            }
        }
    }
    Ok(moved)
}

/// An element of a result, beside its truth and its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    /// Its linear position.
    pub at: usize,
    /// What was computed.
    pub got: f64,
    /// What is true.
    pub truth: f64,
    /// How far it may be off.
    pub bound: f64,
}

impl Deviation {
    /// The element of `got` whose error is the largest share of its bound, if there are elements.
    ///
    /// Elements whose truth is beyond the range of `f32`, or NaN where the result is, count as being right.
    pub fn worst(got: &Array, truth: &[f64], bounds: &[f64]) -> Option<Self> {
        let all = got.to_f64().into_iter().zip(truth).zip(bounds).enumerate();
        let all = all.map(|(at, ((got, &truth), &bound))| Self { at, got, truth, bound });
        all.fold(None, |worst: Option<Self>, one| match worst {
            Some(worst) if worst.share() >= one.share() => Some(worst),
            _ => Some(one),
        })
    }

    /// The absolute error; 0 where nothing is said of the element.
    #[allow(clippy::float_cmp, reason = "two infinities are equal")]
    pub fn error(&self) -> f64 {
        let Self { got, truth, .. } = *self;
        if got == truth || truth.abs() > f64::from(f32::MAX) || (truth.is_nan() && got.is_nan()) {
            0.0
        } else {
            (got - truth).abs()
        }
    }

    /// The error in units in the last place of the `f32` that is nearest to the truth.
    pub fn ulp(&self) -> f64 {
        let size = (self.truth.abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX);
        // The distance to the next number: a float's last bit.
        let unit = f32::from_bits((size.to_bits() & 0x7f80_0000).max(0x0080_0000));
        self.error() / (f64::from(unit) * 2.0 * EPS)
    }

    /// The error as a share of its bound: more than 1 is a fault. Infinite for a NaN that should be none, and for any error
    /// where none is allowed.
    pub fn share(&self) -> f64 {
        let error = self.error();
        if error == 0.0 {
            0.0
        } else if error.is_nan() || self.bound.is_nan() || self.bound == 0.0 {
            f64::INFINITY
        } else {
            error / self.bound
        }
    }

    /// Whether the error exceeds its bound.
    pub fn fails(&self) -> bool {
        self.share() > 1.0
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "exact numbers")]
mod tests {
    use super::*;

    #[test]
    fn a_sum_keeps_its_bound_in_f32_but_not_a_truncated_one() {
        let n = 1000;
        let mut stream = Stream::named(1, "terms");
        let terms: Vec<f32> = (0..n).map(|_| stream.uniform() as f32 - 0.5).collect();
        let array = Array::vector(terms.clone());
        let sum = |array: &Array| vec![Array::scalar(array.to_f64().iter().sum::<f64>())];
        let truth = vec![sum(&array)[0].to_f64()];
        let moved = sensitivity(&truth, "sum", DRAWS, |stream| Ok(sum(&shake(&array, stream)))).unwrap();
        let bounds = Accuracy::new().terms(n).bounds(&truth, &moved);
        let judge = |got: f32| Deviation::worst(&Array::scalar(got), &truth[0], &bounds[0]).unwrap();
        assert!(!judge(terms.iter().sum()).fails());
        assert!(judge(terms[..n - 1].iter().sum()).fails(), "one term too few");
        assert!(moved[0][0] > 0.0 && moved[0][0] < 1e-5);
    }

    #[test]
    fn non_finite_values_are_skipped_or_infinitely_wrong() {
        let judge = |got: f32, truth: f64, bound: f64| Deviation { at: 0, got: got.into(), truth, bound }.share();
        assert_eq!(judge(f32::INFINITY, 1e39, 1.0), 0.0);
        assert_eq!(judge(f32::NAN, f64::NAN, f64::NAN), 0.0);
        assert_eq!(judge(f32::NAN, 1.0, 1.0), f64::INFINITY);
        assert_eq!(judge(2.0, 1.0, 0.0), f64::INFINITY);
        assert_eq!(judge(f32::INFINITY, 1.0, 1.0), f64::INFINITY);
        assert_eq!(judge(1.0, 1.5, 1.0), 0.5);
    }

    #[test]
    fn units_in_the_last_place_are_those_of_f32() {
        let ulp = |got: f32, truth: f64| Deviation { at: 0, got: got.into(), truth, bound: 1.0 }.ulp();
        assert_eq!(ulp(1.0 + f32::EPSILON, 1.0), 1.0);
        assert_eq!(ulp(1024.0f32.next_up(), 1024.0), 1.0);
        assert_eq!(ulp(f32::from_bits(3), 0.0), 3.0);
    }

    #[test]
    fn integers_are_not_shaken() {
        let labels = Array::vector(vec![1u32, 2]);
        assert_eq!(shake(&labels, &mut Stream::named(0, "x")), labels);
    }
}
