//! Pooling layers. `MaxPool` and `AvgPool`, the options of the pooling ops, implement [`Module`](crate::Module).

use wgrad_core::ops::{AvgPool, MaxPool, OutputSizes};

/// Max pooling of sequences `[N, C, L]` or `[C, L]`; PyTorch's `MaxPool1d`. See
/// [`Tensor::max_pool1d`](wgrad_core::Tensor::max_pool1d).
pub type MaxPool1d = MaxPool<1>;
/// Max pooling of images `[N, C, H, W]` or `[C, H, W]`; PyTorch's `MaxPool2d`. See
/// [`Tensor::max_pool2d`](wgrad_core::Tensor::max_pool2d).
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// use wgrad_nn::{Module, layers::MaxPool2d};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 3, 28, 28], DType::F32);
/// assert_eq!(MaxPool2d::new(3).stride(2).padding(1).forward(&x).shape().dims(), [8, 3, 14, 14]);
/// ```
pub type MaxPool2d = MaxPool<2>;
/// Average pooling of sequences `[N, C, L]` or `[C, L]`; PyTorch's `AvgPool1d`. See
/// [`Tensor::avg_pool1d`](wgrad_core::Tensor::avg_pool1d).
pub type AvgPool1d = AvgPool<1>;
/// Average pooling of images `[N, C, H, W]` or `[C, H, W]`; PyTorch's `AvgPool2d`. See
/// [`Tensor::avg_pool2d`](wgrad_core::Tensor::avg_pool2d).
pub type AvgPool2d = AvgPool<2>;

module!(MaxPool<1>, |pool, x| x.max_pool1d(*pool));
module!(MaxPool<2>, |pool, x| x.max_pool2d(*pool));
module!(AvgPool<1>, |pool, x| x.avg_pool1d(*pool));
module!(AvgPool<2>, |pool, x| x.avg_pool2d(*pool));

/// Average pooling of sequences to a given length; PyTorch's `AdaptiveAvgPool1d`. See
/// [`Tensor::adaptive_avg_pool1d`](wgrad_core::Tensor::adaptive_avg_pool1d).
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
/// Average pooling of images to a given size; PyTorch's `AdaptiveAvgPool2d`. See
/// [`Tensor::adaptive_avg_pool2d`](wgrad_core::Tensor::adaptive_avg_pool2d).
///
/// ```
/// use wgrad_core::{DType, Graph, Mode};
/// use wgrad_nn::{Module, layers::AdaptiveAvgPool2d};
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 3, 28, 28], DType::F32);
/// assert_eq!(AdaptiveAvgPool2d::new([Some(7), None]).forward(&x).shape().dims(), [8, 3, 7, 28]);
/// ```
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;
/// Max pooling of sequences to a given length; PyTorch's `AdaptiveMaxPool1d`. See
/// [`Tensor::adaptive_max_pool1d`](wgrad_core::Tensor::adaptive_max_pool1d).
pub type AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
/// Max pooling of images to a given size; PyTorch's `AdaptiveMaxPool2d`. See
/// [`Tensor::adaptive_max_pool2d`](wgrad_core::Tensor::adaptive_max_pool2d).
pub type AdaptiveMaxPool2d = AdaptiveMaxPool<2>;

/// Average pooling of `D` spatial axes to a given size: [`AdaptiveAvgPool1d`] or [`AdaptiveAvgPool2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveAvgPool<const D: usize>(OutputSizes<D>);

impl<const D: usize> AdaptiveAvgPool<D> {
    /// Creates a layer with the given output size: one number for all axes, or one per axis, where `None` keeps
    /// the axis's input size.
    pub fn new(output_size: impl Into<OutputSizes<D>>) -> Self {
        Self(output_size.into())
    }
}

/// Max pooling of `D` spatial axes to a given size: [`AdaptiveMaxPool1d`] or [`AdaptiveMaxPool2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveMaxPool<const D: usize>(OutputSizes<D>);

impl<const D: usize> AdaptiveMaxPool<D> {
    /// Creates a layer with the given output size: one number for all axes, or one per axis, where `None` keeps
    /// the axis's input size.
    pub fn new(output_size: impl Into<OutputSizes<D>>) -> Self {
        Self(output_size.into())
    }
}

module!(AdaptiveAvgPool<1>, |pool, x| x.adaptive_avg_pool1d(pool.0));
module!(AdaptiveAvgPool<2>, |pool, x| x.adaptive_avg_pool2d(pool.0));
module!(AdaptiveMaxPool<1>, |pool, x| x.adaptive_max_pool1d(pool.0).0);
module!(AdaptiveMaxPool<2>, |pool, x| x.adaptive_max_pool2d(pool.0).0);
