//! Group norm: normalizes groups of channels of each sample to mean 0 and variance 1, in training and evaluation.

use wgrad_core::{InvalidArgument, Params};

use super::affine::Affine;

options! {
    /// Options of a [`GroupNorm`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct GroupNormOptions {
        /// Number added to the variance. Default: 1e−5.
        eps: f64 = 1e-5,
        /// If `false`, the layer has no weight and no bias. Default: `true`.
        affine: bool = true,
        /// If `false`, an affine layer has no bias. Default: `true`.
        bias: bool = true,
    }
}

/// Group norm: `y = (x − mean) / √(var + eps) · weight + bias`, with the mean and biased variance of each group of
/// neighbouring channels of a sample; PyTorch's `GroupNorm`.
///
/// Shapes: the input is `[N, C]` or `[N, C, L…]`; the output has the same shape.
///
/// Variables: `weight` (initially 1) and `bias` (initially 0), both of shape `[C]`.
///
/// The layer records an error in the graph, which `compile` reports, if the number of groups does not divide the
/// number of channels, the input has another number of channels, or each group has only one value.
///
/// Wu, He: "Group normalization", 2018.
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
    /// Creates a layer for `channels` channels in `groups` groups. Its variables are declared in `params`.
    #[track_caller]
    pub fn new(params: &Params, groups: usize, channels: usize) -> Self {
        Self::with(params, groups, channels, GroupNormOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(params: &Params, groups: usize, channels: usize, options: GroupNormOptions) -> Self {
        let affine = Affine::new(params, &[channels].into(), options.affine, options.bias);
        Self { groups, channels, options, affine }
    }
}

module!(GroupNorm, |norm, x| norm.affine.apply(x, |weight, bias| {
    if let Some(&found) = x.shape().dims().get(1).filter(|&&found| found != norm.channels) {
        let (shape, channels) = (x.shape(), norm.channels);
        let invalid = InvalidArgument::new(format!("axis 1 of {shape} has {found} channels, the layer has {channels}"))
            .fix(format!("make the layer with {found} channels, or the layer before it with {channels} outputs"));
        return x.invalid("group_norm", &[], invalid);
    }
    x.group_norm(norm.groups, weight, bias, norm.options.eps)
}));
