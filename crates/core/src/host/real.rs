//! The number types of references, and what references may compute with them.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::Element;
use crate::host::elementary;

/// The number type of a reference: `f32`, or `f64` for the truth that parity tests compare with.
///
/// In `f64` the functions are those of the standard library. In `f32`, [`exp`](Self::exp), [`ln`](Self::ln),
/// [`ln_1p`](Self::ln_1p) and [`tanh`](Self::tanh) are polynomials without branches and calls, so that loops over them
/// become vector code; they are within 2 units in the last place.
pub trait Real:
    Element
    + Debug
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
{
    /// The nearest number to `x`.
    fn lit(x: f64) -> Self;
    /// Exactly this number as `f64`; sums are taken there.
    fn wide(self) -> f64;
    /// 0.
    #[must_use]
    fn zero() -> Self;
    /// 1.
    #[must_use]
    fn one() -> Self;
    /// Not a number.
    #[must_use]
    fn nan() -> Self;
    /// The largest of all.
    #[must_use]
    fn infinity() -> Self;
    /// The smallest of all.
    #[must_use]
    fn neg_infinity() -> Self;
    /// Whether it is not a number.
    fn is_nan(self) -> bool;
    /// Whether it is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// `|x|`.
    #[must_use]
    fn abs(self) -> Self;
    /// The larger one; the other one if one is NaN.
    #[must_use]
    fn max(self, other: Self) -> Self;
    /// The smaller one; the other one if one is NaN.
    #[must_use]
    fn min(self, other: Self) -> Self;
    /// The largest whole number that is not above x.
    #[must_use]
    fn floor(self) -> Self;
    /// `√x`.
    #[must_use]
    fn sqrt(self) -> Self;
    /// `1 / x`.
    #[must_use]
    fn recip(self) -> Self;
    /// `xᵖ`.
    #[must_use]
    fn powf(self, p: Self) -> Self;
    /// `eˣ`.
    #[must_use]
    fn exp(self) -> Self;
    /// The natural logarithm.
    #[must_use]
    fn ln(self) -> Self;
    /// `log(1 + x)`, accurate near 0.
    #[must_use]
    fn ln_1p(self) -> Self;
    /// The hyperbolic tangent.
    #[must_use]
    fn tanh(self) -> Self;
    /// The error function.
    #[must_use]
    fn erf(self) -> Self;
}

/// What both types have under the same name, and the functions in which they differ.
macro_rules! real {
    ($type:ident, lit: $lit:expr, $($name:ident: $function:path),*) => {
        impl Real for $type {
            #[inline(always)]
            fn lit(x: f64) -> Self {
                $lit(x)
            }
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn zero() -> Self {
                0.0
            }
            #[inline(always)]
            fn one() -> Self {
                1.0
            }
            #[inline(always)]
            fn nan() -> Self {
                $type::NAN
            }
            #[inline(always)]
            fn infinity() -> Self {
                $type::INFINITY
            }
            #[inline(always)]
            fn neg_infinity() -> Self {
                $type::NEG_INFINITY
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $type::is_nan(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $type::is_finite(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                $type::max(self, other)
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                $type::min(self, other)
            }
            #[inline(always)]
            fn powf(self, p: Self) -> Self {
                $type::powf(self, p)
            }
            $(
                #[inline(always)]
                fn $name(self) -> Self {
                    $function(self)
                }
            )*
        }
    };
}

#[allow(clippy::cast_possible_truncation, reason = "rounding to the type is the purpose")]
#[inline(always)]
fn round(x: f64) -> f32 {
    x as f32
}

real! {
    f32, lit: round,
    abs: f32::abs, floor: f32::floor, sqrt: f32::sqrt, recip: f32::recip, erf: libm::erff,
    exp: elementary::exp, ln: elementary::ln, ln_1p: elementary::ln_1p, tanh: elementary::tanh
}
real! {
    f64, lit: std::convert::identity,
    abs: f64::abs, floor: f64::floor, sqrt: f64::sqrt, recip: f64::recip, erf: libm::erf,
    exp: f64::exp, ln: f64::ln, ln_1p: f64::ln_1p, tanh: f64::tanh
}
