//! Group norm: groups of channels are brought to mean 0 and variance 1 in each sample, whatever the mode.

use wgrad_core::{InvalidArgument, Params};

use super::affine::Affine;

options! {
    /// Options of a [`GroupNorm`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct GroupNormOptions {
        /// Number added to the variance; 1e−5 by default.
        eps: f64 = 1e-5,
        /// Whether to have a trained weight and bias; by default both are there.
        affine: bool = true,
        /// Whether an affine layer has a bias; by default it has.
        bias: bool = true,
    }
}

/// Group norm: `y = (x − mean) / √(var + eps) · weight + bias` for `[N, C]` or `[N, C, L…]`, with mean and biased
/// variance of each sample over groups of neighbouring channels.
///
/// Variables: `weight` and `bias` `[C]`; they begin as 1 and 0. Groups that do not divide the channels, another number
/// of channels, and a single value per group are errors.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::GroupNorm};
/// let norm = GroupNorm::new(&Params::seeded(0).at("norm"), 4, 32);
/// let graph = Graph::new(Mode::Train);
/// assert_eq!(norm.forward(&graph.input("x", [8, 32, 7, 7], DType::F32)).shape().dims(), [8, 32, 7, 7]);
/// ```
#[derive(Clone, Debug)]
pub struct GroupNorm {
    groups: usize,
    channels: usize,
    options: GroupNormOptions,
    affine: Affine,
}

impl GroupNorm {
    /// Makes a norm of `channels` channels in `groups` groups; declares its variables in `params`.
    #[track_caller]
    pub fn new(params: &Params, groups: usize, channels: usize) -> Self {
        Self::with(params, groups, channels, GroupNormOptions::new())
    }

    /// Makes a norm with options.
    #[track_caller]
    pub fn with(params: &Params, groups: usize, channels: usize, options: GroupNormOptions) -> Self {
        let affine = Affine::new(params, &[channels].into(), options.affine, options.bias);
        Self { groups, channels, options, affine }
    }
}

module!(GroupNorm, |norm, x| norm.affine.around(x, |weight, bias| {
    if let Some(&found) = x.shape().dims().get(1).filter(|&&found| found != norm.channels) {
        let (shape, channels) = (x.shape(), norm.channels);
        let invalid = InvalidArgument::new(format!("axis 1 of {shape} has {found} channels, the layer has {channels}"))
            .fix(format!("make the layer with {found} channels, or the layer before it with {channels} outputs"));
        return x.invalid("group_norm", &[], invalid);
    }
    x.group_norm(norm.groups, weight, bias, norm.options.eps)
}));
