//! Conversions of numbers that the standard library only has as `as`, each with the reason why it is exact or rounded.

/// Converts a size to `f64`: exact below 2⁵³, and no memory holds more elements.
#[inline(always)]
pub(crate) fn wide(size: usize) -> f64 {
    size as f64
}

/// Rounds a number to `f32`, the type of kernels.
pub(crate) fn single(number: f64) -> f32 {
    number as f32
}

/// Converts a size to a signed integer; larger ones than `i64::MAX` do not occur.
pub(crate) fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
