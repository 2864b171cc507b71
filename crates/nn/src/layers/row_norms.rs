//! Layer norm, group norm and the norm by the root of the mean square: each sample by itself, whatever the mode.

use std::panic::Location;

use wgrad_core::{Init, Kind, Misfit, Params, Shape, Tensor, Variable};

use crate::Module;

/// The smallest number that changes 1 when added to it, in `f32`: `PyTorch`'s eps for an [`RmsNorm`] that has none.
const MACHINE_EPSILON: f64 = 1.192_092_895_507_812_5e-7;

/// The trained numbers of a norm, where its options ask for them.
#[derive(Clone, Debug)]
struct Affine {
    scope: String,
    weight: Option<Variable>,
    bias: Option<Variable>,
}

impl Affine {
    #[track_caller]
    fn new(params: &Params, shape: &Shape, weight: bool, bias: bool) -> Self {
        let declare = |name, value| params.variable(name, shape, Kind::Parameter, Init::Constant(value));
        Self {
            scope: params.path().into(),
            weight: weight.then(|| declare("weight", 1.0)),
            bias: (weight && bias).then(|| declare("bias", 0.0)),
        }
    }

    /// What `apply` makes of x, weight and bias, inside the layer's scope.
    #[track_caller]
    fn around(&self, x: &Tensor, apply: impl FnOnce(Option<&Tensor>, Option<&Tensor>) -> Tensor) -> Tensor {
        let graph = x.graph();
        // Closures have no caller of their own.
        let _scope = graph.scope_of_library(&self.scope, Location::caller(), crate::source());
        let read = |variable: &Option<Variable>| variable.as_ref().map(|variable| graph.variable(variable));
        apply(read(&self.weight).as_ref(), read(&self.bias).as_ref())
    }
}

/// How a [`LayerNorm`] is made; the default is PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNormOptions {
    /// Added to the variance.
    pub eps: f64,
    /// Whether to have a trained weight and bias.
    pub elementwise_affine: bool,
    /// Whether an affine layer has a bias.
    pub bias: bool,
}

impl Default for LayerNormOptions {
    fn default() -> Self {
        Self { eps: 1e-5, elementwise_affine: true, bias: true }
    }
}

/// `y = (x − mean) / √(var + eps) · weight + bias`, with mean and biased variance over the last axes.
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
    /// A norm over the last axes, of these sizes, with PyTorch's defaults; declares its variables in `params`.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, shape: impl Into<Shape>) -> Self {
        Self::with(params, shape, LayerNormOptions::default())
    }

    /// A norm with options.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, shape: impl Into<Shape>, options: LayerNormOptions) -> Self {
        let shape = shape.into();
        let affine = Affine::new(params, &shape, options.elementwise_affine, options.bias);
        Self { shape, options, affine }
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &LayerNormOptions {
        &self.options
    }
}

impl Module for LayerNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.affine.around(x, |weight, bias| x.layer_norm(self.shape.dims(), weight, bias, self.options.eps))
    }
}

/// How an [`RmsNorm`] is made; the default is PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNormOptions {
    /// Added to the mean square; `None` for the machine epsilon of `f32`, 1.1920929e-07.
    pub eps: Option<f64>,
    /// Whether to have a trained weight.
    pub elementwise_affine: bool,
}

impl Default for RmsNormOptions {
    fn default() -> Self {
        Self { eps: None, elementwise_affine: true }
    }
}

/// `y = x / √(mean(x²) + eps) · weight`, with the mean over the last axes.
///
/// Variable: `weight`, of the shape that is normalised, beginning as 1. Other sizes of the last axes are errors.
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
    /// A norm over the last axes, of these sizes, with PyTorch's defaults; declares its variable in `params`.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, shape: impl Into<Shape>) -> Self {
        Self::with(params, shape, RmsNormOptions::default())
    }

    /// A norm with options.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, shape: impl Into<Shape>, options: RmsNormOptions) -> Self {
        let shape = shape.into();
        let affine = Affine::new(params, &shape, options.elementwise_affine, false);
        Self { shape, options, affine }
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &RmsNormOptions {
        &self.options
    }
}

impl Module for RmsNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let eps = self.options.eps.unwrap_or(MACHINE_EPSILON);
        self.affine.around(x, |weight, _| x.rms_norm(self.shape.dims(), weight, eps))
    }
}

/// How a [`GroupNorm`] is made; the default is PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormOptions {
    /// Added to the variance.
    pub eps: f64,
    /// Whether to have a trained weight and bias.
    pub affine: bool,
    /// Whether an affine layer has a bias.
    pub bias: bool,
}

impl Default for GroupNormOptions {
    fn default() -> Self {
        Self { eps: 1e-5, affine: true, bias: true }
    }
}

/// `y = (x − mean) / √(var + eps) · weight + bias` for `[N, C]` or `[N, C, L…]`, with mean and biased variance of each
/// sample over groups of neighbouring channels.
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
    /// A norm of `channels` channels in `groups` groups, with PyTorch's defaults; declares its variables in `params`.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, groups: usize, channels: usize) -> Self {
        Self::with(params, groups, channels, GroupNormOptions::default())
    }

    /// A norm with options.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, groups: usize, channels: usize, options: GroupNormOptions) -> Self {
        let affine = Affine::new(params, &[channels].into(), options.affine, options.bias);
        Self { groups, channels, options, affine }
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &GroupNormOptions {
        &self.options
    }
}

impl Module for GroupNorm {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.affine.around(x, |weight, bias| {
            if let Some(&found) = x.shape().dims().get(1).filter(|&&found| found != self.channels) {
                let (shape, channels) = (x.shape(), self.channels);
                let misfit = Misfit::new(format!("axis 1 of {shape} has {found} channels, the layer has {channels}"));
                let misfit = misfit.fix(format!(
                    "make the layer with {found} channels, or the layer before it with {channels} outputs"
                ));
                return x.misfit("group_norm", &[], misfit);
            }
            x.group_norm(self.groups, weight, bias, self.options.eps)
        })
    }
}
