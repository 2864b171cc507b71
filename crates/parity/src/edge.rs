//! Values at the edges of `f32`: `exp` near ±88, logits of ±1000, subnormals, sizes from `2⁻⁶⁰` to `2⁶⁰`.

use crate::case::{Case, Values};
use crate::family::Unary;

/// Where `exp` is about to overflow, and where its result is about to be subnormal and then zero.
pub(crate) const EXPONENTS: Values = Values::Of(&[88.0, -88.0, 88.7, -87.3, -103.0, 87.5, 0.0, -0.0, 1.0, -1e-30]);
/// Numbers of which `exp` is infinite or zero, and some between.
pub(crate) const LOGITS: Values = Values::Of(&[1000.0, -1000.0, 88.0, -88.0, 1e-30, -1e-30, 0.0, 17.0]);
/// Numbers smaller than the smallest normal one, or just not: a device may flush these, and must not do worse.
pub(crate) const SUBNORMALS: Values = Values::Of(&[1e-40, -1e-40, 1e-45, -1e-45, 1.2e-38, -1.2e-38, 0.0, -0.0, 1.0]);
/// Numbers of very different sizes.
pub(crate) const SIZES: Values = Values::Powers(-60.0, 60.0);

/// Returns the case of a function of one tensor on `values`, which `what` describes.
pub(crate) fn unary(what: &str, name: &str, values: Values, f: Unary) -> Case {
    // No multiple of four, so that the last elements go by themselves.
    Case::new(format!("edge: {name} of {what}"), &[(&[3, 67], values)], move |x| f(&x[0]))
}

/// Returns the case of a function on numbers near ±88.
pub(crate) fn near(name: &str, f: Unary) -> Case {
    unary("numbers near ±88", name, EXPONENTS, f)
}

/// Returns the case of a function on numbers up to ±1000.
pub(crate) fn far(name: &str, f: Unary) -> Case {
    unary("numbers up to ±1000", name, LOGITS, f)
}

/// Returns the case of a function on subnormal numbers. Only its result is compared: an op loses no more than the flushed
/// number itself, and its gradient may be a quotient by it.
pub(crate) fn subnormal(name: &str, f: Unary) -> Case {
    unary("subnormals", name, SUBNORMALS, f).without_gradients()
}

/// Returns the case of a function on numbers of very different sizes.
pub(crate) fn sized(name: &str, f: Unary) -> Case {
    unary("numbers from 2^-60 to 2^60", name, SIZES, f)
}
