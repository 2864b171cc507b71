//! Number conversions that the standard library offers only as `as` casts. Each comment says why the result is
//! exact or where it is rounded.

/// Converts a size to `f64`. This is exact below 2⁵³, and no memory can store more elements than that.
#[inline(always)]
pub(crate) fn wide(size: usize) -> f64 {
    size as f64
}

/// Rounds a number to `f32`, the type that kernels compute in.
pub(crate) fn single(number: f64) -> f32 {
    number as f32
}

/// Converts a size to a signed integer. Sizes above `i64::MAX` do not occur.
pub(crate) fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
