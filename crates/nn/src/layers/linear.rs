//! The linear layer.

use wgrad_core::{Init, Kind, Params, Variable};

use crate::init;

options! {
    /// Options of a [`Linear`].
    #[derive(Clone, Copy, Debug)]
    pub struct LinearOptions {
        /// If `false`, the layer has no bias. Default: `true`.
        bias: bool = true,
        /// Initial distribution of the weight. Default: uniform in ±`1/√in`.
        weight_init: Option<Init> as Option<Init> = None,
        /// Initial distribution of the bias. Default: uniform in ±`1/√in`.
        bias_init: Option<Init> as Option<Init> = None,
    }
}

/// Linear layer: `y = x Wᵀ + b`; PyTorch's `Linear`.
///
/// Shapes: the input is `[…, in]`, the output is `[…, out]`.
///
/// Variables: `weight` `[out, in]` and `bias` `[out]`, both initially uniform in ±`1/√in`.
///
/// ```
/// use wgrad_core::{DType, Graph, Mode, Params};
/// use wgrad_nn::{Module, layers::{Linear, LinearOptions}};
/// let layer = Linear::with(&Params::seeded(7).at("fc1"), 30, 64, LinearOptions::new().bias(false));
/// let graph = Graph::new(Mode::Evaluate);
/// assert_eq!(layer.forward(&graph.input("x", [8, 30], DType::F32)).shape().dims(), [8, 64]);
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    scope: String,
    weight: Variable,
    bias: Option<Variable>,
}

impl Linear {
    /// Creates a layer with `inputs` input features, `outputs` output features and a bias. Its variables are
    /// declared in `params`.
    #[track_caller]
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> Self {
        Self::with(params, inputs, outputs, LinearOptions::new())
    }

    /// Creates a layer with options.
    #[track_caller]
    pub fn with(params: &Params, inputs: usize, outputs: usize, options: LinearOptions) -> Self {
        let weight_init = options.weight_init.unwrap_or_else(|| init::kaiming_uniform(inputs, 5.0f64.sqrt()));
        let weight = params.variable("weight", [outputs, inputs], Kind::Parameter, weight_init);
        let bias = if options.bias {
            let bias_init = options.bias_init.unwrap_or_else(|| init::bias(inputs));
            Some(params.variable("bias", [outputs], Kind::Parameter, bias_init))
        } else {
            None
        };
        Self { scope: params.path().into(), weight, bias }
    }

    /// Returns the weight `[out, in]`.
    pub fn weight(&self) -> &Variable {
        &self.weight
    }

    /// Returns the bias `[out]`, or `None` if the layer has no bias.
    pub fn bias(&self) -> Option<&Variable> {
        self.bias.as_ref()
    }
}

module!(Linear, |linear, x| {
    let graph = x.graph();
    let _scope = graph.scope(&linear.scope);
    let weight = graph.variable(&linear.weight);
    match &linear.bias {
        Some(bias) => x.linear(&weight, Some(&graph.variable(bias))),
        None => x.linear(&weight, None),
    }
});
