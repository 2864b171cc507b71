//! Pooling layers: the options of the ops are the layers.

use wgrad_core::Tensor;
use wgrad_core::ops::{AvgPool, MaxPool, OutputSizes};

use crate::Module;

/// Max pooling of lines `[N, C, L]` or `[C, L]`: see [`Tensor::max_pool1d`].
pub type MaxPool1d = MaxPool<1>;
/// Max pooling of images `[N, C, H, W]` or `[C, H, W]`: see [`Tensor::max_pool2d`].
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// use wgrad_nn::{Module, layers::MaxPool2d};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 3, 28, 28], DType::F32);
/// assert_eq!(MaxPool2d::new(3).stride(2).padding(1).forward(&x).shape().dims(), [8, 3, 14, 14]);
/// ```
pub type MaxPool2d = MaxPool<2>;
/// Average pooling of lines `[N, C, L]` or `[C, L]`: see [`Tensor::avg_pool1d`].
pub type AvgPool1d = AvgPool<1>;
/// Average pooling of images `[N, C, H, W]` or `[C, H, W]`: see [`Tensor::avg_pool2d`].
pub type AvgPool2d = AvgPool<2>;

impl Module for MaxPool<1> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.max_pool1d(*self)
    }
}

impl Module for MaxPool<2> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.max_pool2d(*self)
    }
}

impl Module for AvgPool<1> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.avg_pool1d(*self)
    }
}

impl Module for AvgPool<2> {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.avg_pool2d(*self)
    }
}

/// Declares the layers that pool to a given size.
macro_rules! adaptive {
    ($(#[$doc:meta])* $name:ident, $axes:literal, |$x:ident, $size:ident| $pool:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(OutputSizes<$axes>);

        impl $name {
            /// A layer with results of this size: a number, one per axis, or `None` for that of the input.
            #[must_use]
            pub fn new(output: impl Into<OutputSizes<$axes>>) -> Self {
                Self(output.into())
            }
        }

        impl Module for $name {
            #[track_caller]
            fn forward(&self, $x: &Tensor) -> Tensor {
                let $size = self.0;
                $pool
            }
        }
    };
}
adaptive! {
    /// Average pooling of lines to a given length: see [`Tensor::adaptive_avg_pool1d`].
    AdaptiveAvgPool1d, 1, |x, size| x.adaptive_avg_pool1d(size)
}
adaptive! {
    /// Average pooling of images to a given size: see [`Tensor::adaptive_avg_pool2d`].
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// use wgrad_nn::{Module, layers::AdaptiveAvgPool2d};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [8, 3, 28, 28], DType::F32);
    /// assert_eq!(AdaptiveAvgPool2d::new([Some(7), None]).forward(&x).shape().dims(), [8, 3, 7, 28]);
    /// ```
    AdaptiveAvgPool2d, 2, |x, size| x.adaptive_avg_pool2d(size)
}
adaptive! {
    /// Max pooling of lines to a given length: see [`Tensor::adaptive_max_pool1d`].
    AdaptiveMaxPool1d, 1, |x, size| x.adaptive_max_pool1d(size).0
}
adaptive! {
    /// Max pooling of images to a given size: see [`Tensor::adaptive_max_pool2d`].
    AdaptiveMaxPool2d, 2, |x, size| x.adaptive_max_pool2d(size).0
}
