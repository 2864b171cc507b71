//! The options of convolutions and of their transposes.

use crate::ops::spatial::{Sizes, setters};

/// What a convolution adds around its input: zeros, before and after each axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const D: usize> {
    /// So many on either side of each axis.
    Sizes([usize; D]),
    /// So many that the result has the size of the input; of an odd number, the larger part comes after. Needs a
    /// stride of 1.
    Same,
}

impl<const D: usize> Padding<D> {
    /// None at all; PyTorch's `"valid"`.
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

/// How the window of a convolution lies on its input; the defaults are PyTorch's.
///
/// ```
/// use wgrad_core::ops::{ConvOptions, Padding};
/// let options = ConvOptions::<2>::new().stride([2, 1]).padding(1).groups(4);
/// assert_eq!((options.stride, options.padding), ([2, 1], Padding::Sizes([1, 1])));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions<const D: usize> {
    /// Steps of the window; 1.
    pub stride: [usize; D],
    /// Zeros around the input; none.
    pub padding: Padding<D>,
    /// Steps from one tap of the window to the next; 1.
    pub dilation: [usize; D],
    /// Groups of channels that do not see each other; 1.
    pub groups: usize,
}

impl<const D: usize> Default for ConvOptions<D> {
    fn default() -> Self {
        Self { stride: [1; D], padding: Padding::VALID, dilation: [1; D], groups: 1 }
    }
}

impl<const D: usize> ConvOptions<D> {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Steps of the window.
        stride: Sizes<D>,
        /// Zeros around the input: a number, one per axis, or [`Padding::Same`].
        padding: Padding<D>,
        /// Steps from one tap of the window to the next.
        dilation: Sizes<D>,
        /// Groups of channels that do not see each other; as many as channels for a depthwise convolution.
        groups = usize,
    }
}

/// How the window of a transposed convolution lies on its result; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTransposeOptions<const D: usize> {
    /// Steps of the window; 1.
    pub stride: [usize; D],
    /// Elements cut off on either side of each axis of the result; none.
    pub padding: [usize; D],
    /// Elements added after each axis of the result, fewer than its stride or its dilation: which of the sizes that
    /// the convolution would map to that of the input is meant; 0.
    pub output_padding: [usize; D],
    /// Steps from one tap of the window to the next; 1.
    pub dilation: [usize; D],
    /// Groups of channels that do not see each other; 1.
    pub groups: usize,
}

impl<const D: usize> Default for ConvTransposeOptions<D> {
    fn default() -> Self {
        Self { stride: [1; D], padding: [0; D], output_padding: [0; D], dilation: [1; D], groups: 1 }
    }
}

impl<const D: usize> ConvTransposeOptions<D> {
    /// PyTorch's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// Steps of the window.
        stride: Sizes<D>,
        /// Elements cut off on either side of the result.
        padding: Sizes<D>,
        /// Elements added after each axis of the result.
        output_padding: Sizes<D>,
        /// Steps from one tap of the window to the next.
        dilation: Sizes<D>,
        /// Groups of channels that do not see each other.
        groups = usize,
    }
}
