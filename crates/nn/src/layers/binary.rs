//! Layers whose weights are signs.

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
        /// Whether to add a bias, which is not binary; by default it is added.
        bias: bool = true,
        /// Whether signs are multiplied by the mean of `|weight|`, one factor per output, as in XNOR-Net, the default;
        /// the factor has a gradient, too.
        scale: bool = true,
    }
}

options! {
    /// Options of a [`BinaryConv2d`]: those of the op, [`ConvOptions`], and those of a [`BinaryLinear`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BinaryConv2dOptions {
        (window: ConvOptions<2> = ConvOptions::new())
        /// Whether to add a bias, which is not binary; by default it is added.
        bias: bool = true,
        /// Whether signs are multiplied by the mean of `|weight|`: see [`BinaryLinearOptions::scale`].
        scale: bool = true,
    }
}

impl BinaryConv2dOptions {
    window_setters!(ConvOptions: stride: Sizes<2>, padding: Padding<2>, dilation: Sizes<2>);
}

/// Returns the signs of a weight `[out, …]`, perhaps with a factor per output.
fn signs(weight: &Tensor, scale: bool) -> Tensor {
    let signs = weight.binarize();
    if !scale {
        return signs;
    }
    let axes: Vec<isize> = (1..weight.shape().rank().cast_signed()).collect();
    signs * weight.abs().mean_keepdim(&axes)
}

/// Linear layer of signs: `y = x Bᵀ + b` with `B = α·sign(W)`: the weight is kept and trained in full, its signs are
/// what is computed with.
///
/// `sign` is 1 for 0 and more, −1 below. Its gradient passes straight through where `|W| ≤ 1`, and is 0 elsewhere: see
/// [`Tensor::binarize`]. `α` is the mean of `|W|` of each output, or 1 without [`BinaryLinearOptions::scale`].
///
/// Variables and initial values are those of [`Linear`], so that weights of one load into the other.
///
/// Courbariaux, Bengio, David: "`BinaryConnect`", 2015; for `α` Rastegari et al.: "XNOR-Net", 2016.
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
    /// Makes a layer from `inputs` to `outputs` features, with bias and scale.
    #[track_caller]
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> Self {
        Self::with(params, inputs, outputs, BinaryLinearOptions::new())
    }

    /// Makes a layer with options.
    #[track_caller]
    pub fn with(params: &Params, inputs: usize, outputs: usize, options: BinaryLinearOptions) -> Self {
        let linear = Linear::with(params, inputs, outputs, LinearOptions::new().bias(options.bias));
        Self { scope: params.path().into(), linear, scale: options.scale }
    }

    /// Returns the weight `[out, in]` whose signs count.
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

/// Convolution of images `[N, C, H, W]` or `[C, H, W]` with the signs of its weight: see [`BinaryLinear`].
///
/// Variables and initial values are those of [`Conv2d`](super::Conv2d), with zeros as padding.
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
    /// Makes a layer from `inputs` to `outputs` channels, with bias and scale, a stride of 1 and no padding.
    #[track_caller]
    pub fn new(params: &Params, inputs: usize, outputs: usize, kernel: impl Into<Sizes<2>>) -> Self {
        Self::with(params, inputs, outputs, kernel, BinaryConv2dOptions::new())
    }

    /// Makes a layer with options.
    #[track_caller]
    pub fn with(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<2>>,
        options: BinaryConv2dOptions,
    ) -> Self {
        // Groups that do not divide are an error of the first forward pass.
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

    /// Returns the weight `[out, in/groups, KH, KW]` whose signs count.
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
