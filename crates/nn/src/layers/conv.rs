//! Convolution layers in one and two dimensions.

use std::panic::Location;

use wgrad_core::ops::{ConvOptions, Padding, Sizes, cat};
use wgrad_core::{InvalidArgument, Kind, Params, Tensor, Variable};

use crate::init;

/// Convolution of sequences `[N, C, L]` or `[C, L]`; PyTorch's `Conv1d`. See [`Conv`].
pub type Conv1d = Conv<1>;
/// Convolution of images `[N, C, H, W]` or `[C, H, W]`; PyTorch's `Conv2d`. See [`Conv`].
pub type Conv2d = Conv<2>;
/// Options of a [`Conv1d`].
pub type Conv1dOptions = ConvLayerOptions<1>;
/// Options of a [`Conv2d`].
pub type Conv2dOptions = ConvLayerOptions<2>;

/// Values with which a convolution pads its input; PyTorch's `padding_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// Mirror image of the input; the first and the last element are not repeated.
    Reflect,
    /// Copies of the first and the last element.
    Replicate,
    /// Periodic continuation: elements from the opposite end of the input.
    Circular,
}

/// Declares setters that forward to the convolution op's options: `stride`, `padding` and so on.
macro_rules! window_setters {
    ($Op:ident: $($setter:ident: $From:ty),+) => {
        $(
            #[doc = concat!("Sets the option of the op: see [`", stringify!($Op), "::", stringify!($setter), "`].")]
            pub fn $setter(mut self, $setter: impl Into<$From>) -> Self {
                self.window = self.window.$setter($setter);
                self
            }
        )+

        #[doc = concat!("Sets the option of the op: see [`", stringify!($Op), "::groups`].")]
        pub fn groups(mut self, groups: usize) -> Self {
            self.window = self.window.groups(groups);
            self
        }
    };
}
pub(super) use window_setters;

options! {
    /// Options of a [`Conv`]: the [`ConvOptions`] of the convolution op, `bias` and `padding_mode`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ConvLayerOptions<const D> {
        (window: ConvOptions<D> = ConvOptions::new())
        /// If `false`, the layer has no bias. Default: `true`.
        bias: bool = true,
        /// Values with which the input is padded. Default: [`PaddingMode::Zeros`].
        padding_mode: PaddingMode = PaddingMode::Zeros,
    }
}

impl<const D: usize> ConvLayerOptions<D> {
    window_setters!(ConvOptions: stride: Sizes<D>, padding: Padding<D>, dilation: Sizes<D>);
}

/// Weight and bias of a convolution or a transposed convolution.
#[derive(Clone, Debug)]
pub(super) struct Filters {
    scope: String,
    pub weight: Variable,
    pub bias: Option<Variable>,
    channels: [usize; 2],
    groups: usize,
}

impl Filters {
    /// Declares the layer's weight, whose shape is `weight`, and a bias if `bias` is set, with PyTorch's initial
    /// values. `channels` contains the number of input channels and the number of output channels.
    #[track_caller]
    pub fn declare(params: &Params, weight: Vec<usize>, channels: [usize; 2], groups: usize, bias: bool) -> Self {
        // PyTorch also uses this formula for transposed convolutions, although axis 0 of their weight is the axis
        // of the input channels.
        let fan_in = weight[1..].iter().product();
        let weight = params.variable("weight", weight, Kind::Parameter, init::kaiming_uniform(fan_in, 5.0f64.sqrt()));
        let bias =
            if bias { Some(params.variable("bias", [channels[1]], Kind::Parameter, init::bias(fan_in))) } else { None };
        Self { scope: params.path().into(), weight, bias, channels, groups }
    }

    /// Adds the op `op` on `x` to the graph, with the layer's weight and bias. `name` is the op's name in error
    /// messages.
    #[track_caller]
    pub fn trace(
        &self,
        x: &Tensor,
        name: &str,
        op: impl FnOnce(&Tensor, Option<&Tensor>) -> Result<Tensor, InvalidArgument>,
    ) -> Tensor {
        let graph = x.graph();
        let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
        let weight = graph.variable(&self.weight);
        let bias = self.bias.as_ref().map(|bias| graph.variable(bias));
        let traced = match invalid_groups(self.channels, self.groups) {
            Some(invalid) => Err(invalid),
            None => op(&weight, bias.as_ref()),
        };
        traced.unwrap_or_else(|invalid| x.invalid(name, &[&weight], invalid))
    }
}

/// Returns the channels per group. If `groups` does not divide `channels`, returns `channels`, and the first
/// forward pass records the error.
pub(super) fn per_group(channels: usize, groups: usize) -> usize {
    if groups > 0 && channels.is_multiple_of(groups) { channels / groups } else { channels }
}

fn invalid_groups([inputs, outputs]: [usize; 2], groups: usize) -> Option<InvalidArgument> {
    let divides = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
    (!divides(inputs) || !divides(outputs)).then(|| {
        InvalidArgument::new(format!("{groups} groups do not divide {inputs} input and {outputs} output channels"))
            .fix("choose groups that divide both; 1 means no groups")
    })
}

/// Convolution over `D` spatial axes: [`Conv1d`] or [`Conv2d`]. See [`Tensor::conv1d`] for the formula.
///
/// Variables: `weight` `[out, in/groups, K…]` and `bias` `[out]`, both initially uniform in ±`1/√(in/groups · K…)`.
///
/// Defaults: stride 1, no padding, dilation 1, 1 group, with a bias.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::{Conv2d, Conv2dOptions}};
/// let p = Params::seeded(7);
/// let conv = Conv2d::with(&p.at("conv1"), 3, 16, 3, Conv2dOptions::new().stride(2).padding(1));
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 3, 32, 32], DType::F32);
/// assert_eq!(conv.forward(&x).shape().dims(), [8, 16, 16, 16]);
/// ```
#[derive(Clone, Debug)]
pub struct Conv<const D: usize> {
    kernel: Filters,
    options: ConvLayerOptions<D>,
}

impl<const D: usize> Conv<D> {
    /// Creates a layer with `inputs` input channels, `outputs` output channels, a bias, a stride of 1 and no
    /// padding.
    #[track_caller]
    pub fn new(params: &Params, inputs: usize, outputs: usize, kernel: impl Into<Sizes<D>>) -> Self {
        Self::with(params, inputs, outputs, kernel, ConvLayerOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<D>>,
        options: ConvLayerOptions<D>,
    ) -> Self {
        let groups = options.window.groups;
        let shape = [&[outputs, per_group(inputs, groups)], &kernel.into().0[..]].concat();
        Self { kernel: Filters::declare(params, shape, [inputs, outputs], groups, options.bias), options }
    }

    /// Returns the weight `[out, in/groups, K…]`.
    pub fn weight(&self) -> &Variable {
        &self.kernel.weight
    }

    /// Returns the bias `[out]`, or `None` if the layer has no bias.
    pub fn bias(&self) -> Option<&Variable> {
        self.kernel.bias.as_ref()
    }

    /// Returns the number of elements to pad before and after each spatial axis.
    fn padding_sizes(&self) -> [[usize; 2]; D] {
        let kernel = self.kernel.weight.shape().dims()[2..].to_vec();
        std::array::from_fn(|axis| match self.options.window.padding {
            Padding::Sizes(sizes) => [sizes[axis]; 2],
            Padding::Same => {
                let reach = self.options.window.dilation[axis] * kernel[axis].saturating_sub(1);
                [reach / 2, reach - reach / 2]
            }
        })
    }

    /// Returns the padded input, and op options without padding. For zero padding, which the op performs itself,
    /// returns `x` and the op options unchanged.
    #[track_caller]
    fn padded(&self, x: &Tensor) -> Result<(Tensor, ConvOptions<D>), InvalidArgument> {
        if self.options.padding_mode == PaddingMode::Zeros || x.shape().rank() < D + 1 {
            return Ok((x.clone(), self.options.window));
        }
        if self.options.window.padding == Padding::Same && self.options.window.stride != [1; D] {
            return Err(InvalidArgument::new(format!(
                "padding to the same size needs a stride of 1, not {:?}",
                self.options.window.stride
            )));
        }
        let mut y = x.clone();
        for (axis, [before, after]) in self.padding_sizes().into_iter().enumerate() {
            y = pad(&y, y.shape().rank() - D + axis, before, after, self.options.padding_mode)?;
        }
        Ok((y, self.options.window.padding(Padding::VALID)))
    }
}

module!(Conv<1>, |conv, x| conv
    .kernel
    .trace(x, "conv1d", |weight, bias| { conv.padded(x).map(|(x, window)| x.conv1d(weight, bias, window)) }));
module!(Conv<2>, |conv, x| conv
    .kernel
    .trace(x, "conv2d", |weight, bias| { conv.padded(x).map(|(x, window)| x.conv2d(weight, bias, window)) }));

/// Pads one axis of a tensor with `before` and `after` elements that are copied from the tensor.
#[track_caller]
fn pad(x: &Tensor, axis: usize, before: usize, after: usize, mode: PaddingMode) -> Result<Tensor, InvalidArgument> {
    if before + after == 0 {
        return Ok(x.clone());
    }
    let n = x.shape().dims()[axis];
    let most = match mode {
        PaddingMode::Reflect => n.saturating_sub(1),
        PaddingMode::Circular => n,
        PaddingMode::Zeros | PaddingMode::Replicate => usize::MAX,
    };
    if before.max(after) > most || n == 0 {
        let name = if mode == PaddingMode::Reflect { "reflected" } else { "circular" };
        return Err(InvalidArgument::new(format!(
            "{name} padding of {} needs more than the {n} elements of axis {axis}",
            before.max(after)
        ))
        .fix("pad less, or use PaddingMode::Replicate"));
    }
    let lead = |i: usize| match mode {
        PaddingMode::Reflect => before - i,
        PaddingMode::Circular => n - before + i,
        PaddingMode::Zeros | PaddingMode::Replicate => 0,
    };
    let tail = |i: usize| match mode {
        PaddingMode::Reflect => n - 2 - i,
        PaddingMode::Circular => i,
        PaddingMode::Zeros | PaddingMode::Replicate => n - 1,
    };
    let axis = axis.cast_signed();
    let element = |i: usize| x.slice(axis, i..=i);
    let lead = (0..before).map(|i| element(lead(i)));
    let tail = (0..after).map(|i| element(tail(i)));
    let pieces: Vec<_> = lead.chain([x.clone()]).chain(tail).collect();
    Ok(cat(&pieces.iter().collect::<Vec<_>>(), axis))
}
