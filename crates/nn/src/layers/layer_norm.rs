//! Layer norm: each sample is brought to mean 0 and variance 1, whatever the mode.

use wgrad_core::{Params, Shape};

use super::affine::Affine;

options! {
    /// Options of a [`LayerNorm`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct LayerNormOptions {
        /// Number added to the variance; 1e−5 by default.
        eps: f64 = 1e-5,
        /// Whether to have a trained weight and bias; by default both are there.
        elementwise_affine: bool = true,
        /// Whether an affine layer has a bias; by default it has.
        bias: bool = true,
    }
}

/// Layer norm: `y = (x − mean) / √(var + eps) · weight + bias`, with mean and biased variance over the last axes.
///
/// Variables: `weight` and `bias`, of the shape that is normalised; they begin as 1 and 0. Other sizes of the last axes
/// are errors.
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
    /// Makes a norm over the last axes, of these sizes; declares its variables in `params`.
    #[track_caller]
    pub fn new(params: &Params, normalized_shape: impl Into<Shape>) -> Self {
        Self::with(params, normalized_shape, LayerNormOptions::new())
    }

    /// Makes a norm with options.
    #[track_caller]
    pub fn with(params: &Params, normalized_shape: impl Into<Shape>, options: LayerNormOptions) -> Self {
        let shape = normalized_shape.into();
        let affine = Affine::new(params, &shape, options.elementwise_affine, options.bias);
        Self { shape, options, affine }
    }

    /// Returns the sizes that are normalised.
    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }
}

module!(LayerNorm, |norm, x| {
    norm.affine.around(x, |weight, bias| x.layer_norm(norm.shape.dims(), weight, bias, norm.options.eps))
});
