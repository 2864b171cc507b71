//! Activations as modules, for [`Sequential`](crate::Sequential); in a formula, call the op: `x.relu()`.

use wgrad_core::{Init, Kind, Misfit, Params, Tensor, Variable};

use crate::Module;

macro_rules! activation {
    ($(#[$doc:meta])* $Name:ident => $op:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Name;

        impl Module for $Name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$op()
            }
        }
    };
    // With options: PyTorch's defaults.
    ($(#[$doc:meta])* $Name:ident => $op:ident($($(#[$of:meta])* $option:ident: f64 = $default:expr),+)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $Name {
            $($(#[$of])* pub $option: f64,)+
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { $($option: $default),+ }
            }
        }

        impl Module for $Name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$op($(self.$option),+)
            }
        }
    };
    // Along an axis, which may count from the end.
    ($(#[$doc:meta])* $Name:ident => $op:ident(axis)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Name {
            /// The axis; a negative one counts from the end.
            pub axis: isize,
        }

        impl $Name {
            /// Along this axis.
            #[must_use]
            pub fn new(axis: isize) -> Self {
                Self { axis }
            }
        }

        impl Module for $Name {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$op(self.axis)
            }
        }
    };
}

activation! {
    /// `max(x, 0)`.
    Relu => relu
}
activation! {
    /// `min(max(x, 0), 6)`.
    Relu6 => relu6
}
activation! {
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid => sigmoid
}
activation! {
    /// The hyperbolic tangent.
    Tanh => tanh
}
activation! {
    /// `x · sigmoid(x)`.
    Silu => silu
}
activation! {
    /// `log(sigmoid(x))`.
    LogSigmoid => log_sigmoid
}
activation! {
    /// `x / (1 + |x|)`.
    Softsign => softsign
}
activation! {
    /// `x · tanh(log(1 + eˣ))`.
    Mish => mish
}
activation! {
    /// `1.0507 · elu(x)` with an alpha of 1.6733, which keeps means 0 and variances 1.
    Selu => selu
}
activation! {
    /// `min(max(x/6 + 1/2, 0), 1)`.
    Hardsigmoid => hardsigmoid
}
activation! {
    /// `x · hardsigmoid(x)`.
    Hardswish => hardswish
}
activation! {
    /// `x − tanh(x)`.
    Tanhshrink => tanhshrink
}

activation! {
    /// `x` above 0, `slope · x` below.
    LeakyRelu => leaky_relu(
        /// The factor below 0; PyTorch's `negative_slope`.
        slope: f64 = 0.01
    )
}
activation! {
    /// `x` above 0, `alpha · (eˣ − 1)` below.
    Elu => elu(
        /// What it goes to, with its sign changed.
        alpha: f64 = 1.0
    )
}
activation! {
    /// `x` above 0, `alpha · (e^(x/alpha) − 1)` below; an alpha that is not positive is an error.
    Celu => celu(
        /// What it goes to, with its sign changed.
        alpha: f64 = 1.0
    )
}
activation! {
    /// `log(1 + e^(beta·x)) / beta`, and `x` itself where `beta·x` is above the threshold.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// use wgrad_nn::{Module, layers::Softplus};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [64], DType::F32);
    /// assert!(Softplus { beta: 2.0, ..Softplus::default() }.forward(&x).is_valid());
    /// ```
    Softplus => softplus_with(
        /// How sharp the bend is; not 0.
        beta: f64 = 1.0,
        /// Where the straight line begins.
        threshold: f64 = 20.0
    )
}
activation! {
    /// `min(max(x, min), max)`; bounds in the wrong order are an error.
    Hardtanh => hardtanh(
        /// The lower bound; PyTorch's `min_val`.
        min: f64 = -1.0,
        /// The upper bound; PyTorch's `max_val`.
        max: f64 = 1.0
    )
}
activation! {
    /// `x − lambda` above lambda, `x + lambda` below −lambda, 0 between.
    Softshrink => softshrink(
        /// Half the width of the zeros; not negative. PyTorch's `lambd`.
        lambda: f64 = 0.5
    )
}
activation! {
    /// 0 from −lambda to lambda, `x` elsewhere.
    Hardshrink => hardshrink(
        /// Half the width of the zeros. PyTorch's `lambd`.
        lambda: f64 = 0.5
    )
}

activation! {
    /// `eˣ / Σ eˣ` along an axis.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// use wgrad_nn::{Module, layers::Softmax};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let y = Softmax::new(-1).forward(&graph.input("x", [64, 10], DType::F32));
    /// assert_eq!(y.shape().dims(), [64, 10]);
    /// ```
    Softmax => softmax(axis)
}
activation! {
    /// The logarithm of [`Softmax`], without its underflow.
    LogSoftmax => log_softmax(axis)
}
activation! {
    /// [`Softmax`] of −x.
    Softmin => softmin(axis)
}
activation! {
    /// `a · sigmoid(b)` of the two halves of an axis, by default the last one; an odd size is an error.
    Glu => glu(axis)
}

impl Default for Glu {
    fn default() -> Self {
        Self { axis: -1 }
    }
}

/// `x` above the threshold, `value` elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// The largest number that is replaced.
    pub threshold: f64,
    /// What replaces it.
    pub value: f64,
}

impl Module for Threshold {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        x.threshold(self.threshold, self.value)
    }
}

/// [`Softmax`] over the channels of `[N, C, H, W]` or `[C, H, W]`; other ranks are errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Softmax2d;

impl Module for Softmax2d {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let shape = x.shape();
        if x.is_valid() && !matches!(shape.rank(), 3 | 4) {
            let misfit = Misfit::new(format!("expected [N, C, H, W] or [C, H, W], not {shape}"))
                .fix("along any axis of any tensor: `Softmax::new(axis)`");
            return x.misfit("softmax2d", &[], misfit);
        }
        x.softmax(-3)
    }
}

/// The input itself: for the place of a layer that is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity;

impl Module for Identity {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.clone()
    }
}

/// `x · Φ(x)` with the normal distribution function Φ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gelu {
    /// Whether to use the approximation by tanh (PyTorch's `approximate="tanh"`).
    pub tanh: bool,
}

impl Module for Gelu {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        if self.tanh { x.gelu_tanh() } else { x.gelu() }
    }
}

/// `x` above 0, `weight · x` below, with a trained weight: one, or one for each channel of axis 1.
///
/// Variable: `weight` `[1]` or `[C]`, beginning as 0.25. He, Zhang, Ren, Sun: "Delving deep into rectifiers", 2015.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::Prelu};
/// let params = Params::seeded(0);
/// let prelu = Prelu::with(&params.at("act"), 16, 0.25);
/// let graph = Graph::new(Mode::Train);
/// let y = prelu.forward(&graph.input("x", [8, 16, 28, 28], DType::F32));
/// assert_eq!(y.shape().dims(), [8, 16, 28, 28]);
/// assert_eq!(params.get("act.weight")?.shape().dims(), [16]);
/// # Ok::<(), wgrad_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Prelu {
    scope: String,
    weight: Variable,
}

impl Prelu {
    /// One weight, which begins as 0.25; declares it in `params`.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params) -> Self {
        Self::with(params, 1, 0.25)
    }

    /// As many weights as there are channels, or 1, which all begin as `init`.
    #[track_caller]
    #[must_use]
    pub fn with(params: &Params, weights: usize, init: f64) -> Self {
        let weight = params.variable("weight", [weights], Kind::Parameter, Init::Constant(init));
        Self { scope: params.path().into(), weight }
    }
}

impl Module for Prelu {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let graph = x.graph();
        let _scope = graph.scope(&self.scope);
        x.prelu(&graph.variable(&self.weight))
    }
}
