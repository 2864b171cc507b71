//! Accuracy of an op in `f32`: how many roundings a result contains, from which an error bound is computed.

use crate::host::cast::wide;

/// Largest relative error of one rounding to `f32`: `2⁻²⁴`.
pub const EPS: f64 = 5.960_464_477_539_063e-8;

/// Number and size of the roundings in an op's result. Together with the exact result, they determine the error
/// bound.
///
/// The error bound of an element with exact value `y` is
/// `c·√terms·(eps·|y| + δ) + eps·(ulp·|y| + cancelling) + max(c, 4)·2⁻¹²⁶`. Here, `δ` is how much the element
/// changes when the inputs are perturbed, `eps` is `2⁻²⁴`, and the other names are fields.
///
/// ```
/// use wgrad_core::bound::{Accuracy, EPS};
/// let product = Accuracy::new().terms(64);
/// // A sum of 64 products that is 1 and moves by 3 eps when its inputs are perturbed.
/// let bound = product.bound(1.0, 3.0 * EPS);
/// assert!((bound - 4.0 * 8.0 * 4.0 * EPS).abs() < 1e-12);
/// assert_eq!(Accuracy::EXACT.bound(1.0, 0.0), 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Accuracy {
    /// Number of operations that are computed one after another, times a safety factor.
    pub c: f64,
    /// Number of terms of the longest sum that an element is computed from.
    pub terms: usize,
    /// Error of elementary functions, in units of `eps` times the result.
    pub ulp: f64,
    /// Size of intermediate results that cancel each other. They add an error of `eps` times this size, however
    /// small the result is.
    pub cancelling: f64,
    /// True if nothing is rounded, so that an op's results must equal the exact results bit for bit.
    pub exact: bool,
}

impl Accuracy {
    /// Accuracy of ops that only move, compare or select elements: they must return the exact results.
    pub const EXACT: Self = Self { exact: true, ..Self::new() };

    /// Returns the accuracy of one or a few correctly rounded operations, for which `c` is 4.
    pub const fn new() -> Self {
        Self { c: 4.0, terms: 1, ulp: 0.0, cancelling: 0.0, exact: false }
    }

    /// Sets the number of operations that are computed one after another; `c` becomes four times this number. 0 is
    /// for an op that only moves, compares or selects elements, whose only error is that a device may flush
    /// subnormal elements to zero.
    pub const fn steps(self, steps: f64) -> Self {
        Self { c: 4.0 * steps, ..self }
    }

    /// Sets the number of terms of the longest sum that an element is computed from; 0 counts as 1.
    pub const fn terms(self, terms: usize) -> Self {
        Self { terms: if terms == 0 { 1 } else { terms }, ..self }
    }

    /// Sets the error of elementary functions, in units of `eps` times the result.
    pub const fn ulp(self, ulp: f64) -> Self {
        Self { ulp, ..self }
    }

    /// Sets the size of intermediate results that cancel each other.
    pub const fn cancelling(self, size: f64) -> Self {
        Self { cancelling: size, ..self }
    }

    /// Returns the error bound of an element with exact value `y` that changes by `delta` when the inputs are
    /// perturbed.
    pub fn bound(&self, y: f64, delta: f64) -> f64 {
        if self.exact {
            return 0.0;
        }
        let root = wide(self.terms).sqrt();
        self.c * root * (EPS * y.abs() + delta)
            + EPS * (self.ulp * y.abs() + self.cancelling)
            + self.c.max(4.0) * f64::from(f32::MIN_POSITIVE)
    }

    /// Returns the error bounds of all elements of several results, from the exact values `truth` and the amounts
    /// `moved` by which the elements change when the inputs are perturbed.
    pub fn bounds(&self, truth: &[Vec<f64>], moved: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let bounds =
            |(y, delta): (&Vec<f64>, &Vec<f64>)| y.iter().zip(delta).map(|(&y, &delta)| self.bound(y, delta)).collect();
        truth.iter().zip(moved).map(bounds).collect()
    }
}

impl Default for Accuracy {
    fn default() -> Self {
        Self::new()
    }
}
