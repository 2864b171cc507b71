//! Activation functions as modules, for use in a [`Sequential`](crate::Sequential). In a `forward` function, call
//! the tensor op instead, such as `x.relu()`.

use wgrad_core::{Init, InvalidArgument, Kind, Params, Variable};

module! {
    /// Rectified linear unit: `max(x, 0)`; PyTorch's `ReLU`.
    pub struct Relu; |x| x.relu()
}
module! {
    /// Rectified linear unit with an upper bound: `min(max(x, 0), 6)`; PyTorch's `ReLU6`.
    pub struct Relu6; |x| x.relu6()
}
module! {
    /// Logistic function: `1 / (1 + e⁻ˣ)`; PyTorch's `Sigmoid`.
    pub struct Sigmoid; |x| x.sigmoid()
}
module! {
    /// Hyperbolic tangent; PyTorch's `Tanh`.
    pub struct Tanh; |x| x.tanh()
}
module! {
    /// Sigmoid linear unit, or swish: `x · sigmoid(x)`; PyTorch's `SiLU`.
    pub struct Silu; |x| x.silu()
}
module! {
    /// Logarithm of the sigmoid: `log(sigmoid(x))`; PyTorch's `LogSigmoid`.
    pub struct LogSigmoid; |x| x.log_sigmoid()
}
module! {
    /// Softsign: `x / (1 + |x|)`; PyTorch's `Softsign`.
    pub struct Softsign; |x| x.softsign()
}
module! {
    /// Mish: `x · tanh(log(1 + eˣ))`; PyTorch's `Mish`.
    pub struct Mish; |x| x.mish()
}
module! {
    /// Scaled exponential linear unit: `1.0507 · elu(x)` with an alpha of 1.6733, which preserves mean 0 and variance
    /// 1; PyTorch's `SELU`.
    pub struct Selu; |x| x.selu()
}
module! {
    /// Piecewise linear sigmoid: `min(max(x/6 + 1/2, 0), 1)`; PyTorch's `Hardsigmoid`.
    pub struct Hardsigmoid; |x| x.hardsigmoid()
}
module! {
    /// Swish with the piecewise linear sigmoid: `x · hardsigmoid(x)`; PyTorch's `Hardswish`.
    pub struct Hardswish; |x| x.hardswish()
}
module! {
    /// Tanhshrink: `x − tanh(x)`; PyTorch's `Tanhshrink`.
    pub struct Tanhshrink; |x| x.tanhshrink()
}
module! {
    /// Identity: returns its input unchanged, as a placeholder for a layer; PyTorch's `Identity`.
    pub struct Identity; |x| x.clone()
}

options! {
    /// Leaky rectified linear unit: `x` for `x > 0`, otherwise `negative_slope · x`; PyTorch's `LeakyReLU`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct LeakyRelu {
        /// Factor by which negative numbers are multiplied. Default: 0.01.
        negative_slope: f64 = 0.01,
    }
}
module!(LeakyRelu, |relu, x| x.leaky_relu(relu.negative_slope));

options! {
    /// Exponential linear unit: `x` for `x > 0`, otherwise `alpha · (eˣ − 1)`; PyTorch's `ELU`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Elu {
        /// Scale of the negative part, which approaches `−alpha` for `x → −∞`. Default: 1.
        alpha: f64 = 1.0,
    }
}
module!(Elu, |elu, x| x.elu(elu.alpha));

options! {
    /// Continuously differentiable exponential linear unit: `x` for `x > 0`, otherwise `alpha · (e^(x/alpha) − 1)`;
    /// PyTorch's `CELU`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Celu {
        /// Scale of the negative part, which approaches `−alpha` for `x → −∞`; must be positive. Default: 1.
        alpha: f64 = 1.0,
    }
}
module!(Celu, |celu, x| x.celu(celu.alpha));

options! {
    /// Smooth rectifier: `log(1 + e^(beta·x)) / beta`, and `x` where `beta·x` is above the threshold; PyTorch's
    /// `Softplus`.
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
        /// Sharpness of the bend; must not be 0. Default: 1.
        beta: f64 = 1.0,
        /// Value of `beta·x` above which the result is `x`. Default: 20.
        threshold: f64 = 20.0,
    }
}
module!(Softplus, |softplus, x| x.softplus_with(softplus.beta, softplus.threshold));

options! {
    /// Clamp: `min(max(x, min_val), max_val)`; PyTorch's `Hardtanh`. If `min_val` is above `max_val`, `forward`
    /// records an error in the graph, which `compile` reports.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Hardtanh {
        /// Lower bound. Default: −1.
        min_val: f64 = -1.0,
        /// Upper bound. Default: 1.
        max_val: f64 = 1.0,
    }
}
module!(Hardtanh, |hardtanh, x| x.hardtanh(hardtanh.min_val, hardtanh.max_val));

options! {
    /// Soft shrinkage: `x − lambd` for `x > lambd`, `x + lambd` for `x < −lambd`, otherwise 0; PyTorch's `Softshrink`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Softshrink {
        /// Half the width of the interval around 0 in which the result is 0; must not be negative. Default: 0.5.
        lambd: f64 = 0.5,
    }
}
module!(Softshrink, |shrink, x| x.softshrink(shrink.lambd));

options! {
    /// Hard shrinkage: 0 for `x` from `−lambd` to `lambd`, otherwise `x`; PyTorch's `Hardshrink`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Hardshrink {
        /// Half the width of the interval around 0 in which the result is 0. Default: 0.5.
        lambd: f64 = 0.5,
    }
}
module!(Hardshrink, |shrink, x| x.hardshrink(shrink.lambd));

options! {
    /// Threshold: `x` for `x > threshold`, otherwise `value`; PyTorch's `Threshold`.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Threshold(threshold: f64, value: f64) {}
}
module!(Threshold, |layer, x| x.threshold(layer.threshold, layer.value));

options! {
    /// Softmax along the axis `dim`: `eˣ / Σ eˣ`; PyTorch's `Softmax`. A negative `dim` counts from the end: −1 is
    /// the last axis.
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
    /// Logarithm of the [`Softmax`] along the axis `dim`, computed without underflow; PyTorch's `LogSoftmax`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LogSoftmax(dim: isize) {}
}
module!(LogSoftmax, |softmax, x| x.log_softmax(softmax.dim));

options! {
    /// [`Softmax`] of −x along the axis `dim`; PyTorch's `Softmin`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Softmin(dim: isize) {}
}
module!(Softmin, |softmin, x| x.softmin(softmin.dim));

module! {
    /// [`Softmax`] over the channels of `[N, C, H, W]` or `[C, H, W]`; PyTorch's `Softmax2d`. For inputs of other
    /// ranks, `forward` records an error in the graph, which `compile` reports.
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
    /// Gated linear unit: `a · sigmoid(b)`, where `a` and `b` are the two halves of the input along the axis
    /// `dim`; PyTorch's `GLU`. If the size of the axis is odd, `forward` records an error in the graph, which
    /// `compile` reports.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Glu {
        /// Axis along which the input is halved. A negative number counts from the end. Default: −1, the last
        /// axis.
        dim: isize = -1,
    }
}
module!(Glu, |glu, x| x.glu(glu.dim));

/// Formula that a [`Gelu`] uses for the normal distribution function Φ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GeluApproximation {
    /// No approximation: Φ is computed exactly.
    #[default]
    None,
    /// An approximation with the hyperbolic tangent.
    Tanh,
}

options! {
    /// Gaussian error linear unit: `x · Φ(x)` with the normal distribution function Φ; PyTorch's `GELU`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Gelu {
        /// Formula for Φ: exact or approximate. Default: [`GeluApproximation::None`], the exact one.
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
        /// Number of weights: 1, or one per channel. Default: 1.
        num_parameters: usize = 1,
        /// Initial value of the weights. Default: 0.25.
        init: f64 = 0.25,
    }
}

/// Leaky rectified linear unit with a trainable negative slope: `x` for `x > 0`, otherwise `weight · x`; PyTorch's
/// `PReLU`.
///
/// There is either one weight for all elements, or one for each channel along axis 1.
///
/// Variable: `weight` `[1]` or `[C]`, initially 0.25.
///
/// He, Zhang, Ren, Sun: "Delving deep into rectifiers", 2015.
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
    /// Creates a layer with one weight, which is declared in `params`.
    #[track_caller]
    pub fn new(params: &Params) -> Self {
        Self::with(params, PreluOptions::new())
    }

    /// Creates a layer with options.
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
