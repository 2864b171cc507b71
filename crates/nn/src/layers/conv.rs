//! Convolutions and transposed convolutions, in one and two dimensions.

use std::panic::Location;

use wgrad_core::ops::{ConvOptions, ConvTransposeOptions, Padding, Sizes, cat};
use wgrad_core::{Kind, Misfit, Params, Tensor, Variable};

use crate::{Module, init};

/// What a convolution finds around its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The input mirrored at its first and last element, which are not repeated.
    Reflect,
    /// The first and last element, repeated.
    Replicate,
    /// The input again, from the other end.
    Circular,
}

/// A convolution of lines `[N, C, L]` or `[C, L]`; see [`Conv`].
pub type Conv1d = Conv<1>;
/// A convolution of images `[N, C, H, W]` or `[C, H, W]`; see [`Conv`].
pub type Conv2d = Conv<2>;
/// A transposed convolution of lines `[N, C, L]` or `[C, L]`; see [`ConvTranspose`].
pub type ConvTranspose1d = ConvTranspose<1>;
/// A transposed convolution of images `[N, C, H, W]` or `[C, H, W]`; see [`ConvTranspose`].
pub type ConvTranspose2d = ConvTranspose<2>;

/// A convolution over `D` axes: [`Conv1d`] or [`Conv2d`]. The maths are those of [`Tensor::conv1d`].
///
/// Variables: `weight` `[out, in/groups, K…]` and `bias` `[out]`. Both begin uniform in ±`1/√(in/groups · K…)`, PyTorch's
/// default.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_core::ops::ConvOptions;
/// use wgrad_nn::{Module, layers::Conv2d};
/// let p = Params::seeded(7);
/// let conv = Conv2d::with(&p.at("conv1"), 3, 16, 3, ConvOptions::new().stride(2).padding(1));
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 3, 32, 32], DType::F32);
/// assert_eq!(conv.forward(&x).shape().dims(), [8, 16, 16, 16]);
/// ```
#[derive(Clone, Debug)]
pub struct Conv<const D: usize> {
    scope: String,
    weight: Variable,
    bias: Option<Variable>,
    channels: [usize; 2],
    options: ConvOptions<D>,
    mode: PaddingMode,
}

/// Declares a weight of this shape and perhaps a bias, with PyTorch's initial values.
#[track_caller]
fn declare(params: &Params, weight: Vec<usize>, outputs: Option<usize>) -> (Variable, Option<Variable>) {
    // As PyTorch counts, for transposed convolutions, too.
    let fan_in = weight[1..].iter().product();
    let weight = params.variable("weight", weight, Kind::Parameter, init::kaiming_uniform(fan_in, 5.0f64.sqrt()));
    let bias = outputs.map(|outputs| params.variable("bias", [outputs], Kind::Parameter, init::bias(fan_in)));
    (weight, bias)
}

/// Channels per group; as many as there are where groups do not divide, which is an error of the first forward pass.
fn per_group(channels: usize, groups: usize) -> usize {
    if groups > 0 && channels.is_multiple_of(groups) { channels / groups } else { channels }
}

fn undivided([inputs, outputs]: [usize; 2], groups: usize) -> Option<Misfit> {
    let divides = |channels: usize| groups > 0 && channels.is_multiple_of(groups);
    (!divides(inputs) || !divides(outputs)).then(|| {
        Misfit::new(format!("{groups} groups do not divide {inputs} input and {outputs} output channels"))
            .fix("choose groups that divide both; 1 is none")
    })
}

impl<const D: usize> Conv<D> {
    /// A layer from `inputs` to `outputs` channels with a bias, a stride of 1 and no padding.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, inputs: usize, outputs: usize, kernel: impl Into<Sizes<D>>) -> Self {
        Self::with(params, inputs, outputs, kernel, ConvOptions::default())
    }

    /// A layer with options.
    #[track_caller]
    #[must_use]
    pub fn with(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<D>>,
        options: ConvOptions<D>,
    ) -> Self {
        Self::declared(params, inputs, outputs, kernel.into(), options, true)
    }

    /// A layer with options and without bias.
    #[track_caller]
    #[must_use]
    pub fn without_bias(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<D>>,
        options: ConvOptions<D>,
    ) -> Self {
        Self::declared(params, inputs, outputs, kernel.into(), options, false)
    }

    #[track_caller]
    fn declared(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: Sizes<D>,
        options: ConvOptions<D>,
        biased: bool,
    ) -> Self {
        let shape = [&[outputs, per_group(inputs, options.groups)], &kernel.0[..]].concat();
        let (weight, bias) = declare(params, shape, biased.then_some(outputs));
        Self {
            scope: params.path().into(),
            weight,
            bias,
            channels: [inputs, outputs],
            options,
            mode: PaddingMode::Zeros,
        }
    }

    /// What the layer finds around its input.
    #[must_use]
    pub fn padding_mode(mut self, mode: PaddingMode) -> Self {
        self.mode = mode;
        self
    }

    /// The weight `[out, in/groups, K…]`.
    #[must_use]
    pub fn weight(&self) -> &Variable {
        &self.weight
    }

    /// The bias `[out]`.
    #[must_use]
    pub fn bias(&self) -> Option<&Variable> {
        self.bias.as_ref()
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &ConvOptions<D> {
        &self.options
    }

    /// What stands before and after each axis.
    fn around(&self) -> [[usize; 2]; D] {
        let kernel = self.weight.shape().dims()[2..].to_vec();
        std::array::from_fn(|axis| match self.options.padding {
            Padding::Sizes(sizes) => [sizes[axis]; 2],
            Padding::Same => {
                let reach = self.options.dilation[axis] * kernel[axis].saturating_sub(1);
                [reach / 2, reach - reach / 2]
            }
        })
    }

    /// The input with its surroundings, and the options without.
    #[track_caller]
    fn padded(&self, x: &Tensor) -> Result<(Tensor, ConvOptions<D>), Misfit> {
        if self.mode == PaddingMode::Zeros || x.shape().rank() < D + 1 {
            return Ok((x.clone(), self.options));
        }
        if self.options.padding == Padding::Same && self.options.stride != [1; D] {
            return Err(Misfit::new(format!(
                "padding to the same size needs a stride of 1, not {:?}",
                self.options.stride
            )));
        }
        let mut y = x.clone();
        for (axis, [before, after]) in self.around().into_iter().enumerate() {
            y = surround(&y, y.shape().rank() - D + axis, before, after, self.mode)?;
        }
        Ok((y, self.options.padding(Padding::VALID)))
    }
}

/// The tensor with `before` and `after` of its own elements around one axis.
#[track_caller]
fn surround(x: &Tensor, axis: usize, before: usize, after: usize, mode: PaddingMode) -> Result<Tensor, Misfit> {
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
        return Err(Misfit::new(format!(
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

/// Declares the forward passes of both dimensions.
macro_rules! forward {
    ($layer:ident, $axes:literal, $op:ident) => {
        impl Module for $layer<$axes> {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                let graph = x.graph();
                let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
                let weight = graph.variable(&self.weight);
                let bias = self.bias.as_ref().map(|bias| graph.variable(bias));
                if let Some(misfit) = undivided(self.channels, self.options.groups) {
                    return x.misfit(stringify!($op), &[&weight], misfit);
                }
                match self.padded(x) {
                    Ok((x, options)) => x.$op(&weight, bias.as_ref(), options),
                    Err(misfit) => x.misfit(stringify!($op), &[&weight], misfit),
                }
            }
        }
    };
}
forward!(Conv, 1, conv1d);
forward!(Conv, 2, conv2d);
forward!(ConvTranspose, 1, conv_transpose1d);
forward!(ConvTranspose, 2, conv_transpose2d);

/// A transposed convolution over `D` axes: [`ConvTranspose1d`] or [`ConvTranspose2d`]. The maths are those of
/// [`Tensor::conv_transpose1d`].
///
/// Variables: `weight` `[in, out/groups, K…]` and `bias` `[out]`. Both begin uniform in ±`1/√(out/groups · K…)`,
/// PyTorch's default.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_core::ops::ConvTransposeOptions;
/// use wgrad_nn::{Module, layers::ConvTranspose2d};
/// let p = Params::seeded(7);
/// let up = ConvTranspose2d::with(&p.at("up"), 16, 8, 4, ConvTransposeOptions::new().stride(2).padding(1));
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [8, 16, 7, 7], DType::F32);
/// assert_eq!(up.forward(&x).shape().dims(), [8, 8, 14, 14]);
/// ```
#[derive(Clone, Debug)]
pub struct ConvTranspose<const D: usize> {
    scope: String,
    weight: Variable,
    bias: Option<Variable>,
    channels: [usize; 2],
    options: ConvTransposeOptions<D>,
}

impl<const D: usize> ConvTranspose<D> {
    /// A layer from `inputs` to `outputs` channels with a bias, a stride of 1 and no padding.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, inputs: usize, outputs: usize, kernel: impl Into<Sizes<D>>) -> Self {
        Self::with(params, inputs, outputs, kernel, ConvTransposeOptions::default())
    }

    /// A layer with options.
    #[track_caller]
    #[must_use]
    pub fn with(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<D>>,
        options: ConvTransposeOptions<D>,
    ) -> Self {
        Self::declared(params, inputs, outputs, kernel.into(), options, true)
    }

    /// A layer with options and without bias.
    #[track_caller]
    #[must_use]
    pub fn without_bias(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: impl Into<Sizes<D>>,
        options: ConvTransposeOptions<D>,
    ) -> Self {
        Self::declared(params, inputs, outputs, kernel.into(), options, false)
    }

    #[track_caller]
    fn declared(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: Sizes<D>,
        options: ConvTransposeOptions<D>,
        biased: bool,
    ) -> Self {
        let shape = [&[inputs, per_group(outputs, options.groups)], &kernel.0[..]].concat();
        let (weight, bias) = declare(params, shape, biased.then_some(outputs));
        Self { scope: params.path().into(), weight, bias, channels: [inputs, outputs], options }
    }

    /// The weight `[in, out/groups, K…]`.
    #[must_use]
    pub fn weight(&self) -> &Variable {
        &self.weight
    }

    /// The bias `[out]`.
    #[must_use]
    pub fn bias(&self) -> Option<&Variable> {
        self.bias.as_ref()
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &ConvTransposeOptions<D> {
        &self.options
    }

    #[allow(clippy::unnecessary_wraps, reason = "one macro declares both kinds of layers")]
    fn padded(&self, x: &Tensor) -> Result<(Tensor, ConvTransposeOptions<D>), Misfit> {
        Ok((x.clone(), self.options))
    }
}
