//! Linear and convolution layers whose weights are −1 or 1, multiplied by one factor per output.

use std::panic::Location;

use wgrad_core::ops::{ConvOptions, Padding, Sizes};
use wgrad_core::{InvalidArgument, Kind, Params, Tensor, Variable};

use super::conv::window_setters;
use super::{Linear, LinearOptions};
use crate::init;

options! {
    /// Options of a [`BinaryLinear`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BinaryLinearOptions {
        /// If `false`, the layer has no bias. The bias is not binary. Default: `true`.
        bias: bool = true,
        /// If `true`, the weight signs of each output are multiplied by the mean of `|weight|` of that output, as
        /// in XNOR-Net. Gradients flow through this factor. Default: `true`.
        scale: bool = true,
    }
}

options! {
    /// Options of a [`BinaryConv2d`]: the convolution's [`ConvOptions`], `bias` and `scale`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BinaryConv2dOptions {
        (window: ConvOptions<2> = ConvOptions::new())
        /// If `false`, the layer has no bias. The bias is not binary. Default: `true`.
        bias: bool = true,
        /// If `true`, the weight signs of each output channel are multiplied by the mean of `|weight|` of that
        /// channel; see [`BinaryLinearOptions::scale`]. Default: `true`.
        scale: bool = true,
    }
}

impl BinaryConv2dOptions {
    window_setters!(ConvOptions: stride: Sizes<2>, padding: Padding<2>, dilation: Sizes<2>);
}

/// Returns the signs of a weight `[out, …]`. If `scale` is set, the signs of each output are multiplied by the
/// mean of its `|weight|`.
fn signs(weight: &Tensor, scale: bool) -> Tensor {
    let signs = weight.binarize();
    if !scale {
        return signs;
    }
    let axes: Vec<isize> = (1..weight.shape().rank().cast_signed()).collect();
    signs * weight.abs().mean_keepdim(&axes)
}

/// Linear layer with binary weights: `y = x Bᵀ + b` with `B = α·sign(W)`. The weight `W` is stored and trained in
/// full precision.
///
/// `sign(W)` is 1 where `W ≥ 0`, otherwise −1. In the backward pass, gradients pass through `sign` unchanged where
/// `|W| ≤ 1` (straight-through estimator), and are 0 elsewhere; see [`Tensor::binarize`]. `α` is the mean of `|W|`
/// of each output, or 1 if [`BinaryLinearOptions::scale`] is `false`.
///
/// Shapes, variables and initial values are those of [`Linear`], so a state dict saved from one of the two layers
/// loads into the other.
///
/// Courbariaux, Bengio, David: "`BinaryConnect`", 2015. The factor `α`: Rastegari et al.: "XNOR-Net", 2016.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::BinaryLinear};
/// let layer = BinaryLinear::new(&Params::seeded(7).at("fc1"), 30, 64);
/// let graph = Graph::new(Mode::Train);
/// assert_eq!(layer.forward(&graph.input("x", [8, 30], DType::F32)).shape().dims(), [8, 64]);
/// ```
#[derive(Clone, Debug)]
pub struct BinaryLinear {
    scope: String,
    linear: Linear,
    scale: bool,
}

impl BinaryLinear {
    /// Creates a layer with `inputs` input features, `outputs` output features and the default options.
    #[track_caller]
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> Self {
        Self::with(params, inputs, outputs, BinaryLinearOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(params: &Params, inputs: usize, outputs: usize, options: BinaryLinearOptions) -> Self {
        let linear = Linear::with(params, inputs, outputs, LinearOptions::new().bias(options.bias));
        Self { scope: params.path().into(), linear, scale: options.scale }
    }

    /// Returns the weight `[out, in]` in full precision.
    pub fn weight(&self) -> &Variable {
        self.linear.weight()
    }
}

module!(BinaryLinear, |layer, x| {
    let graph = x.graph();
    let _scope = graph.scope_of_library(&layer.scope, Location::caller(), crate::source());
    let weight = graph.variable(layer.linear.weight());
    if weight.shape().numel() == 0 {
        return x.invalid("binary_linear", &[], InvalidArgument::new("the layer has no weights"));
    }
    let bias = layer.linear.bias().map(|bias| graph.variable(bias));
    x.linear(&signs(&weight, layer.scale), bias.as_ref())
});

/// Convolution of images `[N, C, H, W]` or `[C, H, W]` with binary weights; see [`BinaryLinear`].
///
/// Shapes, variables and initial values are those of [`Conv2d`](super::Conv2d). The input is padded with zeros.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::{BinaryConv2d, BinaryConv2dOptions}};
/// let options = BinaryConv2dOptions::new().padding(1);
/// let layer = BinaryConv2d::with(&Params::seeded(7).at("conv1"), 3, 16, 3, options);
/// let graph = Graph::new(Mode::Train);
/// assert_eq!(layer.forward(&graph.input("x", [8, 3, 9, 9], DType::F32)).shape().dims(), [8, 16, 9, 9]);
/// ```
#[derive(Clone, Debug)]
pub struct BinaryConv2d {
    scope: String,
    weight: Variable,
    bias: Option<Variable>,
    options: BinaryConv2dOptions,
}

impl BinaryConv2d {
    /// Creates a layer with `inputs` input channels, `outputs` output channels and the default options.
    #[track_caller]
    pub fn new(params: &Params, inputs: usize, outputs: usize, kernel: impl Into<Sizes<2>>) -> Self {
        Self::with(params, inputs, outputs, kernel, BinaryConv2dOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<2>>,
        options: BinaryConv2dOptions,
    ) -> Self {
        // If `groups` does not divide the channels, the first forward pass records the error.
        let per_group = inputs.checked_div(options.window.groups).unwrap_or(inputs);
        let shape = [&[outputs, per_group], &kernel.into().0[..]].concat();
        let fan_in = shape[1..].iter().product();
        let weight = params.variable("weight", shape, Kind::Parameter, init::kaiming_uniform(fan_in, 5.0f64.sqrt()));
        let bias = if options.bias {
            Some(params.variable("bias", [outputs], Kind::Parameter, init::bias(fan_in)))
        } else {
            None
        };
        Self { scope: params.path().into(), weight, bias, options }
    }

    /// Returns the weight `[out, in/groups, KH, KW]` in full precision.
    pub fn weight(&self) -> &Variable {
        &self.weight
    }
}

module!(BinaryConv2d, |layer, x| {
    let graph = x.graph();
    let _scope = graph.scope_of_library(&layer.scope, Location::caller(), crate::source());
    let weight = graph.variable(&layer.weight);
    if weight.shape().numel() == 0 {
        return x.invalid("binary_conv2d", &[], InvalidArgument::new("the layer has no weights"));
    }
    let bias = layer.bias.as_ref().map(|bias| graph.variable(bias));
    x.conv2d(&signs(&weight, layer.options.scale), bias.as_ref(), layer.options.window)
});
