//! Roundings that an op declares, for its error bound.

use crate::host::cast::wide;

/// `2⁻²⁴`: largest relative error of one rounding to `f32`.
pub const EPS: f64 = 5.960_464_477_539_063e-8;

/// Number and size of an op's roundings. Together with the exact result, they determine its error bound.
///
/// An element with exact value `y` that moves by `δ` when its inputs are perturbed has the bound
/// `c·√terms·(eps·|y| + δ) + eps·(ulp·|y| + cancelling) + max(c, 4)·2⁻¹²⁶`.
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
    /// Number of operations in sequence, times a margin.
    pub c: f64,
    /// Number of terms of the longest sum of an element.
    pub terms: usize,
    /// Error of elementary functions, in units of `eps` times the result.
    pub ulp: f64,
    /// Size of intermediate results that cancel: they add an error of `eps` times this, however small the result is.
    pub cancelling: f64,
    /// True if nothing is rounded, so that bits must be equal.
    pub exact: bool,
}

impl Accuracy {
    /// Accuracy of ops that only move, compare or choose: every element must be equal.
    pub const EXACT: Self = Self { exact: true, ..Self::new() };

    /// Returns the accuracy of one or a few correctly rounded operations: `c` is 4.
    pub const fn new() -> Self {
        Self { c: 4.0, terms: 1, ulp: 0.0, cancelling: 0.0, exact: false }
    }

    /// Sets the number of operations in sequence: `c` is four times that. With 0, an op only moves, compares or chooses
    /// elements, and loses only those that a device flushes to zero.
    pub const fn steps(self, steps: f64) -> Self {
        Self { c: 4.0 * steps, ..self }
    }

    /// Sets the number of terms of the longest sum of an element; at least 1.
    pub const fn terms(self, terms: usize) -> Self {
        Self { terms: if terms == 0 { 1 } else { terms }, ..self }
    }

    /// Sets the error of elementary functions, in units of `eps` times the result.
    pub const fn ulp(self, ulp: f64) -> Self {
        Self { ulp, ..self }
    }

    /// Sets the size of intermediate results that cancel.
    pub const fn cancelling(self, size: f64) -> Self {
        Self { cancelling: size, ..self }
    }

    /// Returns the bound of an element with exact value `y` that moves by `delta` when the inputs are perturbed.
    pub fn bound(&self, y: f64, delta: f64) -> f64 {
        if self.exact {
            return 0.0;
        }
        let root = wide(self.terms).sqrt();
        self.c * root * (EPS * y.abs() + delta)
            + EPS * (self.ulp * y.abs() + self.cancelling)
            + self.c.max(4.0) * f64::from(f32::MIN_POSITIVE)
    }

    /// Returns the bounds of all elements of several results from their exact values and movements.
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
