//! Number types of the CPU references of ops, with the functions that references call.

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::host::elementary;

/// Number type of a CPU reference: `f32`, or `f64` for the reference values of parity tests.
///
/// The functions of `f64` are those of the standard library. In `f32`, [`exp`](Self::exp), [`ln`](Self::ln),
/// [`ln_1p`](Self::ln_1p) and [`tanh`](Self::tanh) are polynomials without branches and function calls, so that
/// the compiler can vectorise loops; their results are within 2 units in the last place.
pub trait Real:
    Copy
    + Send
    + Sync
    + 'static
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
    /// Returns the number nearest to `x`.
    fn lit(x: f64) -> Self;
    /// Converts to `f64`, exactly. References compute sums in `f64`.
    fn wide(self) -> f64;
    /// Returns 0.
    fn zero() -> Self;
    /// Returns 1.
    fn one() -> Self;
    /// Returns NaN.
    fn nan() -> Self;
    /// Returns positive infinity.
    fn infinity() -> Self;
    /// Returns negative infinity.
    fn neg_infinity() -> Self;
    /// Returns whether this is NaN.
    fn is_nan(self) -> bool;
    /// Returns whether this is neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// Computes `|x|`.
    fn abs(self) -> Self;
    /// Returns the larger number; if one argument is NaN, the other argument.
    fn max(self, other: Self) -> Self;
    /// Returns the smaller number; if one argument is NaN, the other argument.
    fn min(self, other: Self) -> Self;
    /// Returns the largest integer that is at most `x`.
    fn floor(self) -> Self;
    /// Computes `√x`.
    fn sqrt(self) -> Self;
    /// Computes `1 / x`.
    fn recip(self) -> Self;
    /// Computes `xᵖ`.
    fn powf(self, p: Self) -> Self;
    /// Computes `eˣ`.
    fn exp(self) -> Self;
    /// Computes the natural logarithm.
    fn ln(self) -> Self;
    /// Computes `log(1 + x)`, accurately also near 0.
    fn ln_1p(self) -> Self;
    /// Computes the hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Computes the error function.
    fn erf(self) -> Self;
}

/// Implements [`Real`] for a type. The methods listed after `lit` call the given functions. All other methods call
/// those of the standard library.
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

/// Double precision in which results smaller than the smallest normal `f32` become zero, to imitate a device that
/// flushes subnormals.
///
/// A reference that runs in this precision shows how flushing an intermediate result changes the final result. An
/// example is `x·sigmoid(x)` at -88: `sigmoid(x)` is flushed, so the result is 0 instead of the normal number
/// -5e-37.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Flushed(f64);

impl From<f64> for Flushed {
    #[inline(always)]
    fn from(x: f64) -> Self {
        Self(if x.abs() < f64::from(f32::MIN_POSITIVE) { 0.0 } else { x })
    }
}

macro_rules! flushed_operators {
    ($($operator:ident $function:ident $assign:ident $assigning:ident),*) => {
        $(
            impl $operator for Flushed {
                type Output = Self;
                fn $function(self, other: Self) -> Self {
                    $operator::$function(self.0, other.0).into()
                }
            }
            impl $assign for Flushed {
                fn $assigning(&mut self, other: Self) {
                    *self = $operator::$function(*self, other);
                }
            }
        )*
    };
}
flushed_operators! { Add add AddAssign add_assign, Sub sub SubAssign sub_assign }
flushed_operators! { Mul mul MulAssign mul_assign, Div div DivAssign div_assign }

impl Neg for Flushed {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Flushed {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self(0.0), Add::add)
    }
}

macro_rules! flushed_functions {
    ($($name:ident),*) => {
        $(
            fn $name(self) -> Self {
                Real::$name(self.0).into()
            }
        )*
    };
}

impl Real for Flushed {
    fn lit(x: f64) -> Self {
        x.into()
    }
    fn wide(self) -> f64 {
        self.0
    }
    fn zero() -> Self {
        Self(0.0)
    }
    fn one() -> Self {
        Self(1.0)
    }
    fn nan() -> Self {
        Self(f64::NAN)
    }
    fn infinity() -> Self {
        Self(f64::INFINITY)
    }
    fn neg_infinity() -> Self {
        Self(f64::NEG_INFINITY)
    }
    fn is_nan(self) -> bool {
        self.0.is_nan()
    }
    fn is_finite(self) -> bool {
        self.0.is_finite()
    }
    fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
    fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
    fn powf(self, p: Self) -> Self {
        self.0.powf(p.0).into()
    }
    flushed_functions! { abs, floor, sqrt, recip, exp, ln, ln_1p, tanh, erf }
}
