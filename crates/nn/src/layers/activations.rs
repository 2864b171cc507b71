//! Activations as modules, for [`Sequential`](crate::Sequential); in a formula, call the op: `x.relu()`.

use wgrad_core::{Init, InvalidArgument, Kind, Params, Variable};

module! {
    /// Rectifier: `max(x, 0)`.
    pub struct Relu; |x| x.relu()
}
module! {
    /// Rectifier with a bound: `min(max(x, 0), 6)`.
    pub struct Relu6; |x| x.relu6()
}
module! {
    /// Logistic function: `1 / (1 + e⁻ˣ)`.
    pub struct Sigmoid; |x| x.sigmoid()
}
module! {
    /// Hyperbolic tangent.
    pub struct Tanh; |x| x.tanh()
}
module! {
    /// Sigmoid-weighted unit, or swish: `x · sigmoid(x)`.
    pub struct Silu; |x| x.silu()
}
module! {
    /// Logarithm of the sigmoid: `log(sigmoid(x))`.
    pub struct LogSigmoid; |x| x.log_sigmoid()
}
module! {
    /// Slow sigmoid from −1 to 1: `x / (1 + |x|)`.
    pub struct Softsign; |x| x.softsign()
}
module! {
    /// Mish: `x · tanh(log(1 + eˣ))`.
    pub struct Mish; |x| x.mish()
}
module! {
    /// Self-normalising unit: `1.0507 · elu(x)` with an alpha of 1.6733, which keeps means 0 and variances 1.
    pub struct Selu; |x| x.selu()
}
module! {
    /// Piecewise linear sigmoid: `min(max(x/6 + 1/2, 0), 1)`.
    pub struct Hardsigmoid; |x| x.hardsigmoid()
}
module! {
    /// Swish with the piecewise linear sigmoid: `x · hardsigmoid(x)`.
    pub struct Hardswish; |x| x.hardswish()
}
module! {
    /// Shrinkage by the hyperbolic tangent: `x − tanh(x)`.
    pub struct Tanhshrink; |x| x.tanhshrink()
}
module! {
    /// The input itself: for the place of a layer that is left out.
    pub struct Identity; |x| x.clone()
}

options! {
    /// Leaky rectifier: `x` above 0, `negative_slope · x` below.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct LeakyRelu {
        /// Factor below 0; 0.01 by default.
        negative_slope: f64 = 0.01,
    }
}
module!(LeakyRelu, |relu, x| x.leaky_relu(relu.negative_slope));

options! {
    /// Exponential linear unit: `x` above 0, `alpha · (eˣ − 1)` below.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Elu {
        /// Limit for large negative x, with its sign changed; 1 by default.
        alpha: f64 = 1.0,
    }
}
module!(Elu, |elu, x| x.elu(elu.alpha));

options! {
    /// Smooth exponential linear unit: `x` above 0, `alpha · (e^(x/alpha) − 1)` below.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Celu {
        /// Limit for large negative x, with its sign changed; 1 by default. One that is not positive is an error.
        alpha: f64 = 1.0,
    }
}
module!(Celu, |celu, x| x.celu(celu.alpha));

options! {
    /// Smooth rectifier: `log(1 + e^(beta·x)) / beta`, and `x` itself where `beta·x` is above the threshold.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// use wgrad_nn::{Module, layers::Softplus};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let x = graph.input("x", [64], DType::F32);
    /// assert!(Softplus::new().beta(2.0).forward(&x).is_valid());
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Softplus {
        /// Sharpness of the bend, 1 by default; not 0.
        beta: f64 = 1.0,
        /// Number at which the straight line begins; 20 by default.
        threshold: f64 = 20.0,
    }
}
module!(Softplus, |softplus, x| x.softplus_with(softplus.beta, softplus.threshold));

options! {
    /// Clamp: `min(max(x, min_val), max_val)`; bounds in the wrong order are an error.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Hardtanh {
        /// Lower bound; −1 by default.
        min_val: f64 = -1.0,
        /// Upper bound; 1 by default.
        max_val: f64 = 1.0,
    }
}
module!(Hardtanh, |hardtanh, x| x.hardtanh(hardtanh.min_val, hardtanh.max_val));

options! {
    /// Soft shrinkage: `x − lambd` above lambd, `x + lambd` below −lambd, 0 between.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Softshrink {
        /// Half the width of the zeros, 0.5 by default; not negative.
        lambd: f64 = 0.5,
    }
}
module!(Softshrink, |shrink, x| x.softshrink(shrink.lambd));

options! {
    /// Hard shrinkage: 0 from −lambd to lambd, `x` elsewhere.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Hardshrink {
        /// Half the width of the zeros; 0.5 by default.
        lambd: f64 = 0.5,
    }
}
module!(Hardshrink, |shrink, x| x.hardshrink(shrink.lambd));

options! {
    /// Threshold: `x` above the threshold, `value` elsewhere.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Threshold(threshold: f64, value: f64) {}
}
module!(Threshold, |layer, x| x.threshold(layer.threshold, layer.value));

options! {
    /// Softmax along an axis: `eˣ / Σ eˣ`. A negative `dim` counts from the end.
    ///
    /// ```
    /// use wgrad_core::{DType, Graph, Mode};
    /// use wgrad_nn::{Module, layers::Softmax};
    /// let graph = Graph::new(Mode::Evaluate);
    /// let y = Softmax::new(-1).forward(&graph.input("x", [64, 10], DType::F32));
    /// assert_eq!(y.shape().dims(), [64, 10]);
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Softmax(dim: isize) {}
}
module!(Softmax, |softmax, x| x.softmax(softmax.dim));

options! {
    /// Logarithm of [`Softmax`], without its underflow.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LogSoftmax(dim: isize) {}
}
module!(LogSoftmax, |softmax, x| x.log_softmax(softmax.dim));

options! {
    /// [`Softmax`] of −x.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Softmin(dim: isize) {}
}
module!(Softmin, |softmin, x| x.softmin(softmin.dim));

module! {
    /// [`Softmax`] over the channels of `[N, C, H, W]` or `[C, H, W]`; other ranks are errors.
    pub struct Softmax2d; |x| {
        let shape = x.shape();
        if x.is_valid() && !matches!(shape.rank(), 3 | 4) {
            let invalid = InvalidArgument::new(format!("expected [N, C, H, W] or [C, H, W], not {shape}"))
                .fix("along any axis of any tensor: `Softmax::new(axis)`");
            return x.invalid("softmax2d", &[], invalid);
        }
        x.softmax(-3)
    }
}

options! {
    /// Gated linear unit: `a · sigmoid(b)` of the two halves of an axis; an odd size is an error.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Glu {
        /// Axis that is halved, by default the last one; a negative one counts from the end.
        dim: isize = -1,
    }
}
module!(Glu, |glu, x| x.glu(glu.dim));

/// Formula by which a [`Gelu`] is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GeluApproximation {
    /// Exact, with the normal distribution function.
    #[default]
    None,
    /// Approximation by the hyperbolic tangent.
    Tanh,
}

options! {
    /// Gaussian error linear unit: `x · Φ(x)` with the normal distribution function Φ.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Gelu {
        /// Approximation of Φ; by default none.
        approximate: GeluApproximation = GeluApproximation::None,
    }
}
module!(Gelu, |gelu, x| match gelu.approximate {
    GeluApproximation::None => x.gelu(),
    GeluApproximation::Tanh => x.gelu_tanh(),
});

options! {
    /// Options of a [`Prelu`].
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct PreluOptions {
        /// Number of weights: 1, which is the default, or one per channel.
        num_parameters: usize = 1,
        /// Initial value of the weights; 0.25 by default.
        init: f64 = 0.25,
    }
}

/// Rectifier with a trained slope: `x` above 0, `weight · x` below, with one weight, or one for each channel of axis 1.
///
/// Variable: `weight` `[1]` or `[C]`, beginning as 0.25. He, Zhang, Ren, Sun: "Delving deep into rectifiers", 2015.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::{Prelu, PreluOptions}};
/// let params = Params::seeded(0);
/// let prelu = Prelu::with(&params.at("act"), PreluOptions::new().num_parameters(16));
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
    /// Declares one weight in `params`.
    #[track_caller]
    pub fn new(params: &Params) -> Self {
        Self::with(params, PreluOptions::new())
    }

    /// Declares the weights in `params`.
    #[track_caller]
    pub fn with(params: &Params, options: PreluOptions) -> Self {
        let init = Init::Constant(options.init);
        let weight = params.variable("weight", [options.num_parameters], Kind::Parameter, init);
        Self { scope: params.path().into(), weight }
    }
}

module!(Prelu, |prelu, x| {
    let graph = x.graph();
    let _scope = graph.scope(&prelu.scope);
    x.prelu(&graph.variable(&prelu.weight))
});
