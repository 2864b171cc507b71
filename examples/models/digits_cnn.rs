//! A convolutional network for images of 8 × 8 pixels, given as rows of 64 features.

use wgrad::prelude::*;

/// Creates three convolutions with these widths, each followed by batch norm, then a linear layer. A first pooling
/// halves height and width, and a last pooling averages each channel to 2 × 2.
pub fn digits_cnn(params: &Params, widths: [usize; 3], classes: usize, dropout: f64) -> Sequential {
    let [first, second, third] = widths;
    let near = Conv2dOptions::new().padding(1).bias(false);
    Sequential::new(params)
        .add(|_| |x: &Tensor| x.reshape([x.shape().dims()[0], 1, 8, 8]))
        .add(|p| Conv2d::with(p, 1, first, 3, near))
        .add(|p| BatchNorm2d::new(p, first))
        .add(|_| Relu)
        .add(|p| Conv2d::with(p, first, second, 3, near))
        .add(|p| BatchNorm2d::new(p, second))
        .add(|_| Relu)
        .add(|_| MaxPool2d::new(2))
        .add(|p| Conv2d::with(p, second, third, 3, near))
        .add(|p| BatchNorm2d::new(p, third))
        .add(|_| Relu)
        .add(|_| AdaptiveAvgPool2d::new(2))
        .add(|_| Flatten)
        .add(|p| Dropout::new(p, dropout))
        .add(|p| Linear::new(p, third * 2 * 2, classes))
}
