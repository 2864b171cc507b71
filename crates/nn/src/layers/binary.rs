//! Layers whose weights are signs.

use std::panic::Location;

use wgrad_core::ops::{ConvOptions, Sizes};
use wgrad_core::{Kind, Misfit, Params, Tensor, Variable};

use super::{Linear, LinearOptions};
use crate::{Module, init};

/// How a [`BinaryLinear`] or [`BinaryConv2d`] is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryOptions {
    /// Whether to add a bias, which is not binary.
    pub bias: bool,
    /// Whether signs are multiplied by the mean of `|weight|`, one factor per output, as in XNOR-Net; the factor has a
    /// gradient, too.
    pub scale: bool,
}

impl Default for BinaryOptions {
    fn default() -> Self {
        Self { bias: true, scale: true }
    }
}

/// The signs of a weight `[out, …]`, perhaps with a factor per output.
fn signs(weight: &Tensor, options: BinaryOptions) -> Tensor {
    let signs = weight.binarize();
    if !options.scale {
        return signs;
    }
    let axes: Vec<isize> = (1..weight.shape().rank().cast_signed()).collect();
    signs * weight.abs().mean_keepdim(&axes)
}

/// `y = x Bᵀ + b` with `B = α·sign(W)`: the weight is kept and trained in full, its signs are what is computed with.
///
/// `sign` is 1 for 0 and more, −1 below. Its gradient passes straight through where `|W| ≤ 1`, and is 0 elsewhere: see
/// [`Tensor::binarize`]. `α` is the mean of `|W|` of each output, or 1 without [`BinaryOptions::scale`].
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
    options: BinaryOptions,
}

impl BinaryLinear {
    /// A layer from `inputs` to `outputs` features, with bias and scale.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> Self {
        Self::with(params, inputs, outputs, BinaryOptions::default())
    }

    /// A layer with options.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, inputs: usize, outputs: usize, options: BinaryOptions) -> Self {
        let linear = LinearOptions { bias: options.bias, ..LinearOptions::default() };
        Self { scope: params.path().into(), linear: Linear::with(params, inputs, outputs, linear), options }
    }

    /// The weight `[out, in]` whose signs count.
    #[must_use]
    pub fn weight(&self) -> &Variable {
        self.linear.weight()
    }
}

impl Module for BinaryLinear {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let graph = x.graph();
        let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
        let weight = graph.variable(self.linear.weight());
        if weight.shape().numel() == 0 {
            return x.misfit("binary_linear", &[], Misfit::new("the layer has no weights"));
        }
        let bias = self.linear.bias().map(|bias| graph.variable(bias));
        x.linear(&signs(&weight, self.options), bias.as_ref())
    }
}

/// A convolution of images `[N, C, H, W]` or `[C, H, W]` with the signs of its weight: see [`BinaryLinear`].
///
/// Variables and initial values are those of [`Conv2d`](super::Conv2d), with zeros as padding.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_core::ops::ConvOptions;
/// use wgrad_nn::{Module, layers::{BinaryConv2d, BinaryOptions}};
/// let options = ConvOptions::new().padding(1);
/// let layer = BinaryConv2d::with(&Params::seeded(7).at("conv1"), 3, 16, 3, options, BinaryOptions::default());
/// let graph = Graph::new(Mode::Train);
/// assert_eq!(layer.forward(&graph.input("x", [8, 3, 9, 9], DType::F32)).shape().dims(), [8, 16, 9, 9]);
/// ```
#[derive(Clone, Debug)]
pub struct BinaryConv2d {
    scope: String,
    weight: Variable,
    bias: Option<Variable>,
    conv: ConvOptions<2>,
    options: BinaryOptions,
}

impl BinaryConv2d {
    /// A layer from `inputs` to `outputs` channels, with bias and scale, a stride of 1 and no padding.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, inputs: usize, outputs: usize, kernel: impl Into<Sizes<2>>) -> Self {
        Self::with(params, inputs, outputs, kernel, ConvOptions::default(), BinaryOptions::default())
    }

    /// A layer with options.
    #[track_caller]
    #[must_use]
    pub fn with(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<2>>,
        conv: ConvOptions<2>,
        options: BinaryOptions,
    ) -> Self {
        // Groups that do not divide are an error of the first forward pass.
        let per_group = inputs.checked_div(conv.groups).unwrap_or(inputs);
        let shape = [&[outputs, per_group], &kernel.into().0[..]].concat();
        let fan_in = shape[1..].iter().product();
        let weight = params.variable("weight", shape, Kind::Parameter, init::kaiming_uniform(fan_in, 5.0f64.sqrt()));
        let bias = if options.bias {
            Some(params.variable("bias", [outputs], Kind::Parameter, init::bias(fan_in)))
        } else {
            None
        };
        Self { scope: params.path().into(), weight, bias, conv, options }
    }

    /// The weight `[out, in/groups, KH, KW]` whose signs count.
    #[must_use]
    pub fn weight(&self) -> &Variable {
        &self.weight
    }
}

impl Module for BinaryConv2d {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let graph = x.graph();
        let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
        let weight = graph.variable(&self.weight);
        if weight.shape().numel() == 0 {
            return x.misfit("binary_conv2d", &[], Misfit::new("the layer has no weights"));
        }
        let bias = self.bias.as_ref().map(|bias| graph.variable(bias));
        x.conv2d(&signs(&weight, self.options), bias.as_ref(), self.conv)
    }
}
