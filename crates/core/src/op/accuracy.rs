//! Roundings that an op declares: all that its error bound needs besides the truth.

use crate::host::cast::wide;

/// `2⁻²⁴`: the largest relative error of one rounding to `f32`.
pub const EPS: f64 = 5.960_464_477_539_063e-8;

/// How many roundings an op makes, and of what size: all that a bound needs besides the truth.
///
/// ```
/// use wgrad_core::bound::{Accuracy, EPS};
/// let product = Accuracy::new().terms(64);
/// // Of a sum of 64 products that is 1 and that moves by 3 eps when its inputs do.
/// let bound = product.bound(1.0, 3.0 * EPS);
/// assert!((bound - 4.0 * 8.0 * 4.0 * EPS).abs() < 1e-12);
/// assert_eq!(Accuracy::EXACT.bound(1.0, 0.0), 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct Accuracy {
    /// Operations in sequence, times a margin.
    pub c: f64,
    /// The longest sum behind an element.
    pub terms: usize,
    /// Units of `eps` times the result that its functions may lose.
    pub ulp: f64,
    /// The size of intermediate results that cancel: `eps` times this is lost whatever the result is.
    pub cancelling: f64,
    /// No rounding at all: bits must agree.
    pub exact: bool,
}

impl Accuracy {
    /// What only moves, compares or chooses: every element must be equal.
    pub const EXACT: Self = Self { exact: true, ..Self::new() };

    /// One correctly rounded operation, or some few: `c` is 4.
    pub const fn new() -> Self {
        Self { c: 4.0, terms: 1, ulp: 0.0, cancelling: 0.0, exact: false }
    }

    /// So many operations in sequence: `c` is four times that. 0 for what only moves, compares or chooses, and so loses no
    /// more than what a device flushes to zero.
    pub const fn steps(self, steps: f64) -> Self {
        Self { c: 4.0 * steps, ..self }
    }

    /// The longest sum behind an element; at least 1.
    pub const fn terms(self, terms: usize) -> Self {
        Self { terms: if terms == 0 { 1 } else { terms }, ..self }
    }

    /// What the functions on the way may lose, in units of `eps` times the result.
    pub const fn ulp(self, ulp: f64) -> Self {
        Self { ulp, ..self }
    }

    /// The size of intermediate results that cancel.
    pub const fn cancelling(self, size: f64) -> Self {
        Self { cancelling: size, ..self }
    }

    /// The bound of an element that is `y` in truth and moves by `delta` when the inputs are shaken.
    pub fn bound(&self, y: f64, delta: f64) -> f64 {
        if self.exact {
            return 0.0;
        }
        let root = wide(self.terms).sqrt();
        self.c * root * (EPS * y.abs() + delta)
            + EPS * (self.ulp * y.abs() + self.cancelling)
            + self.c.max(4.0) * f64::from(f32::MIN_POSITIVE)
    }

    /// The bounds of the elements of several results, and how far each moves.
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
