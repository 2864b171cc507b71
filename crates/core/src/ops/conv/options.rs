//! Options of convolutions and transposed convolutions.

use crate::ops::spatial::{Sizes, setters};

/// Zero padding of a convolution, before and after each spatial axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const D: usize> {
    /// The given number of zeros on both sides of each axis.
    Sizes([usize; D]),
    /// Enough zeros for the result to be as large as the input; if their number is odd, the extra zero comes after
    /// the input. Requires a stride of 1. Equivalent: PyTorch's `"same"`.
    Same,
}

impl<const D: usize> Padding<D> {
    /// No padding; PyTorch's `"valid"`.
    pub const VALID: Self = Self::Sizes([0; D]);
}

impl<const D: usize> From<usize> for Padding<D> {
    fn from(size: usize) -> Self {
        Self::Sizes([size; D])
    }
}

impl<const D: usize> From<[usize; D]> for Padding<D> {
    fn from(sizes: [usize; D]) -> Self {
        Self::Sizes(sizes)
    }
}

/// Options of a convolution, with PyTorch's defaults.
///
/// ```
/// use wgrad_core::ops::{ConvOptions, Padding};
/// let options = ConvOptions::<2>::new().stride([2, 1]).padding(1).groups(4);
/// assert_eq!((options.stride, options.padding), ([2, 1], Padding::Sizes([1, 1])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions<const D: usize> {
    /// Step of the window along each axis; default: 1.
    pub stride: [usize; D],
    /// Zeros around the input; default: none.
    pub padding: Padding<D>,
    /// Distance between taps of the window; default: 1.
    pub dilation: [usize; D],
    /// Groups of channels, convolved separately; default: 1.
    pub groups: usize,
}

impl<const D: usize> Default for ConvOptions<D> {
    fn default() -> Self {
        Self { stride: [1; D], padding: Padding::VALID, dilation: [1; D], groups: 1 }
    }
}

impl<const D: usize> ConvOptions<D> {
    /// Returns PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the step of the window.
        stride: Sizes<D>,
        /// Sets the padding: a single number, one number per axis, or [`Padding::Same`].
        padding: Padding<D>,
        /// Sets the distance between taps of the window.
        dilation: Sizes<D>,
        /// Sets the number of groups of channels, which are convolved separately. With one group per channel the
        /// convolution is depthwise.
        groups = usize,
    }
}

/// Options of a transposed convolution, with PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTransposeOptions<const D: usize> {
    /// Step of the window along each axis; default: 1.
    pub stride: [usize; D],
    /// Elements removed at both ends of each axis of the result; default: 0.
    pub padding: [usize; D],
    /// Elements added at the end of each axis of the result, fewer than the stride or the dilation; default: 0. A
    /// strided convolution maps images of several sizes to results of one size; this number selects which of the
    /// sizes the transposed convolution returns.
    pub output_padding: [usize; D],
    /// Distance between taps of the window; default: 1.
    pub dilation: [usize; D],
    /// Groups of channels, convolved separately; default: 1.
    pub groups: usize,
}

impl<const D: usize> Default for ConvTransposeOptions<D> {
    fn default() -> Self {
        Self { stride: [1; D], padding: [0; D], output_padding: [0; D], dilation: [1; D], groups: 1 }
    }
}

impl<const D: usize> ConvTransposeOptions<D> {
    /// Returns PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Sets the step of the window.
        stride: Sizes<D>,
        /// Sets the number of elements removed at both ends of each axis of the result.
        padding: Sizes<D>,
        /// Sets the number of elements added at the end of each axis of the result.
        output_padding: Sizes<D>,
        /// Sets the distance between taps of the window.
        dilation: Sizes<D>,
        /// Sets the number of groups of channels, which are convolved separately.
        groups = usize,
    }
}
