//! Layer norm: normalizes each sample to mean 0 and variance 1, in training and evaluation.

use wgrad_core::{Params, Shape};

use super::affine::Affine;

options! {
    /// Options of a [`LayerNorm`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct LayerNormOptions {
        /// Number added to the variance. Default: 1e−5.
        eps: f64 = 1e-5,
        /// If `false`, the layer has no weight and no bias. Default: `true`.
        elementwise_affine: bool = true,
        /// If `false`, an affine layer has no bias. Default: `true`.
        bias: bool = true,
    }
}

/// Layer norm: `y = (x − mean) / √(var + eps) · weight + bias`, with the mean and biased variance over the last
/// axes; PyTorch's `LayerNorm`.
///
/// Shapes: the last axes of the input must have the sizes `normalized_shape`, otherwise the layer records an error
/// in the graph, which `compile` reports. The output has the shape of the input.
///
/// Variables: `weight` (initially 1) and `bias` (initially 0), both of shape `normalized_shape`.
///
/// Ba, Kiros, Hinton: "Layer normalization", 2016.
///
/// ```
/// use wgrad_core::{Array, CpuBackend, DType, Graph, Mode, Params, Session};
/// use wgrad_nn::{Module, layers::LayerNorm};
/// let params = Params::seeded(0);
/// let norm = LayerNorm::new(&params.at("norm"), [4]);
/// let graph = Graph::new(Mode::Evaluate);
/// let x = graph.input("x", [1, 4], DType::F32);
/// let y = norm.forward(&x);
/// let mut session = Session::new(CpuBackend::<f64>::new(), &params)?;
/// let step = session.compile(&graph, &[&y])?;
/// let y = session.run(&step, &[(&x, &Array::new([1, 4], vec![1.0f32, 1.0, 3.0, 3.0])?)])?;
/// assert!(y[0].to_f64().iter().zip([-1.0, -1.0, 1.0, 1.0]).all(|(y, expected)| (y - expected).abs() < 1e-5));
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNorm {
    shape: Shape,
    options: LayerNormOptions,
    affine: Affine,
}

impl LayerNorm {
    /// Creates a layer that normalizes over the last axes, which have the sizes `normalized_shape`. Its variables are
    /// declared in `params`.
    #[track_caller]
    pub fn new(params: &Params, normalized_shape: impl Into<Shape>) -> Self {
        Self::with(params, normalized_shape, LayerNormOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(params: &Params, normalized_shape: impl Into<Shape>, options: LayerNormOptions) -> Self {
        let shape = normalized_shape.into();
        let affine = Affine::new(params, &shape, options.elementwise_affine, options.bias);
        Self { shape, options, affine }
    }

    /// Returns the sizes of the normalized axes.
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }
}

module!(LayerNorm, |norm, x| {
    norm.affine.apply(x, |weight, bias| x.layer_norm(norm.shape.dims(), weight, bias, norm.options.eps))
});
