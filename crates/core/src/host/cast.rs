//! Conversions of numbers that the standard library leaves to `as`, each with the reason why nothing is lost.

/// A size as a number: exact below 2⁵³, and no memory holds more elements.
#[inline(always)]
pub(crate) fn wide(size: usize) -> f64 {
    size as f64
}

/// A number rounded to `f32`, in which kernels compute.
pub(crate) fn single(number: f64) -> f32 {
    number as f32
}

/// A size as a signed number: buffers are smaller than 2 GiB.
pub(crate) fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
