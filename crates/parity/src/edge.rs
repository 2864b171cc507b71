//! Edge cases in `f32`: numbers near ±88, where `exp` overflows or underflows; logits of ±1000; subnormals; and
//! magnitudes from `2⁻⁶⁰` to `2⁶⁰`.

use crate::case::{Case, Fill};
use crate::family::Unary;

/// Numbers near which `exp` overflows, becomes subnormal, or becomes 0.
pub(crate) const EXPONENTS: Fill = Fill::Of(&[88.0, -88.0, 88.7, -87.3, -103.0, 87.5, 0.0, -0.0, 1.0, -1e-30]);
/// Logits with an infinite or zero `exp`, and some other numbers.
pub(crate) const LOGITS: Fill = Fill::Of(&[1000.0, -1000.0, 88.0, -88.0, 1e-30, -1e-30, 0.0, 17.0]);
/// Subnormals and numbers near the smallest normal number. A device may replace subnormals with 0, but larger
/// errors are not allowed.
pub(crate) const SUBNORMALS: Fill = Fill::Of(&[1e-40, -1e-40, 1e-45, -1e-45, 1.2e-38, -1.2e-38, 0.0, -0.0, 1.0]);
/// Numbers of very different magnitudes.
pub(crate) const SIZES: Fill = Fill::Powers(-60.0, 60.0);

/// Returns a case for a function of one tensor. `what` describes the distribution `values`.
pub(crate) fn unary(what: &str, name: &str, values: Fill, f: Unary) -> Case {
    // The number of elements is not a multiple of four, so the last elements are not part of a complete `vec4`.
    Case::new(format!("edge: {name} of {what}"), &[(&[3, 67], values)], move |x| f(&x[0]))
}

/// Returns a case for a function of one tensor with numbers near ±88.
pub(crate) fn near(name: &str, f: Unary) -> Case {
    unary("numbers near ±88", name, EXPONENTS, f)
}

/// Returns a case for a function of one tensor with numbers up to ±1000.
pub(crate) fn far(name: &str, f: Unary) -> Case {
    unary("numbers up to ±1000", name, LOGITS, f)
}

/// Returns a case for a function of one tensor with subnormal numbers. Gradients are not compared, because they
/// may be quotients by a number that the device replaces with 0.
pub(crate) fn subnormal(name: &str, f: Unary) -> Case {
    unary("subnormals", name, SUBNORMALS, f).without_gradients()
}

/// Returns a case for a function of one tensor with numbers of very different magnitudes.
pub(crate) fn sized(name: &str, f: Unary) -> Case {
    unary("numbers from 2^-60 to 2^60", name, SIZES, f)
}
