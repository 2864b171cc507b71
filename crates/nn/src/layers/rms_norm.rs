//! RMS norm: divides each sample by its root mean square, in training and evaluation.

use wgrad_core::{Params, Shape};

use super::affine::Affine;

/// Machine epsilon of `f32`, which is the default `eps` of an [`RmsNorm`], as in PyTorch.
const MACHINE_EPSILON: f64 = 1.192_092_895_507_812_5e-7;

options! {
    /// Options of an [`RmsNorm`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct RmsNormOptions {
        /// Number added to the mean square; `None` for the machine epsilon of `f32`, 1.1920929e-07. Default: `None`.
        eps: Option<f64> as Option<f64> = None,
        /// If `false`, the layer has no weight. Default: `true`.
        elementwise_affine: bool = true,
    }
}

/// RMS norm: `y = x / √(mean(x²) + eps) · weight`, with the mean over the last axes; PyTorch's `RMSNorm`.
///
/// Shapes: the last axes of the input must have the sizes `normalized_shape`, otherwise the layer records an error
/// in the graph, which `compile` reports. The output has the shape of the input.
///
/// Variable: `weight` (initially 1), of shape `normalized_shape`.
///
/// Zhang, Sennrich: "Root mean square layer normalization", 2019.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::RmsNorm};
/// let params = Params::seeded(0);
/// let norm = RmsNorm::new(&params.at("norm"), [64]);
/// let graph = Graph::new(Mode::Train);
/// assert_eq!(norm.forward(&graph.input("x", [8, 20, 64], DType::F32)).shape().dims(), [8, 20, 64]);
/// assert_eq!(params.get("norm.weight")?.shape().dims(), [64]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RmsNorm {
    shape: Shape,
    options: RmsNormOptions,
    affine: Affine,
}

impl RmsNorm {
    /// Creates a layer that normalizes over the last axes, which have the sizes `normalized_shape`. Its variable is
    /// declared in `params`.
    #[track_caller]
    pub fn new(params: &Params, normalized_shape: impl Into<Shape>) -> Self {
        Self::with(params, normalized_shape, RmsNormOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(params: &Params, normalized_shape: impl Into<Shape>, options: RmsNormOptions) -> Self {
        let shape = normalized_shape.into();
        let affine = Affine::new(params, &shape, options.elementwise_affine, false);
        Self { shape, options, affine }
    }
}

module!(RmsNorm, |norm, x| {
    let eps = norm.options.eps.unwrap_or(MACHINE_EPSILON);
    norm.affine.apply(x, |weight, _| x.rms_norm(norm.shape.dims(), weight, eps))
});
