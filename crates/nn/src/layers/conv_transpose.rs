//! Transposed convolution layers in one and two dimensions.

use wgrad_core::ops::{ConvTransposeOptions, Sizes};
use wgrad_core::{Params, Variable};

use super::conv::{Filters, per_group, window_setters};

/// Transposed convolution of sequences `[N, C, L]` or `[C, L]`; PyTorch's `ConvTranspose1d`. See [`ConvTranspose`].
pub type ConvTranspose1d = ConvTranspose<1>;
/// Transposed convolution of images `[N, C, H, W]` or `[C, H, W]`; PyTorch's `ConvTranspose2d`. See [`ConvTranspose`].
pub type ConvTranspose2d = ConvTranspose<2>;
/// Options of a [`ConvTranspose1d`].
pub type ConvTranspose1dOptions = ConvTransposeLayerOptions<1>;
/// Options of a [`ConvTranspose2d`].
pub type ConvTranspose2dOptions = ConvTransposeLayerOptions<2>;

options! {
    /// Options of a [`ConvTranspose`]: the [`ConvTransposeOptions`] of the transposed convolution op, and `bias`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ConvTransposeLayerOptions<const D> {
        (window: ConvTransposeOptions<D> = ConvTransposeOptions::new())
        /// If `false`, the layer has no bias. Default: `true`.
        bias: bool = true,
    }
}

impl<const D: usize> ConvTransposeLayerOptions<D> {
    window_setters!(
        ConvTransposeOptions: stride: Sizes<D>, padding: Sizes<D>, output_padding: Sizes<D>, dilation: Sizes<D>
    );
}

/// Transposed convolution over `D` spatial axes: [`ConvTranspose1d`] or [`ConvTranspose2d`]. See
/// [`Tensor::conv_transpose1d`](wgrad_core::Tensor::conv_transpose1d) for the formula.
///
/// Variables: `weight` `[in, out/groups, K…]` and `bias` `[out]`, both initially uniform in ±`1/√(out/groups · K…)`.
///
/// Defaults: stride 1, no padding, no output padding, dilation 1, 1 group, with a bias.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::{ConvTranspose2d, ConvTranspose2dOptions}};
/// let p = Params::seeded(7);
/// let up = ConvTranspose2d::with(&p.at("up"), 16, 8, 4, ConvTranspose2dOptions::new().stride(2).padding(1));
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 16, 7, 7], DType::F32);
/// assert_eq!(up.forward(&x).shape().dims(), [8, 8, 14, 14]);
/// ```
#[derive(Clone, Debug)]
pub struct ConvTranspose<const D: usize> {
    kernel: Filters,
    options: ConvTransposeLayerOptions<D>,
}

impl<const D: usize> ConvTranspose<D> {
    /// Creates a layer with `inputs` input channels, `outputs` output channels, a bias, a stride of 1 and no
    /// padding.
    #[track_caller]
    pub fn new(params: &Params, inputs: usize, outputs: usize, kernel: impl Into<Sizes<D>>) -> Self {
        Self::with(params, inputs, outputs, kernel, ConvTransposeLayerOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<D>>,
        options: ConvTransposeLayerOptions<D>,
    ) -> Self {
        let groups = options.window.groups;
        let shape = [&[inputs, per_group(outputs, groups)], &kernel.into().0[..]].concat();
        Self { kernel: Filters::declare(params, shape, [inputs, outputs], groups, options.bias), options }
    }

    /// Returns the weight `[in, out/groups, K…]`.
    pub fn weight(&self) -> &Variable {
        &self.kernel.weight
    }

    /// Returns the bias `[out]`, or `None` if the layer has no bias.
    pub fn bias(&self) -> Option<&Variable> {
        self.kernel.bias.as_ref()
    }
}

module!(ConvTranspose<1>, |conv, x| conv
    .kernel
    .trace(x, "conv_transpose1d", |weight, bias| { Ok(x.conv_transpose1d(weight, bias, conv.options.window)) }));
module!(ConvTranspose<2>, |conv, x| conv
    .kernel
    .trace(x, "conv_transpose2d", |weight, bias| { Ok(x.conv_transpose2d(weight, bias, conv.options.window)) }));
