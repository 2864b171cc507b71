//! Linear: `y = x Wᵀ + b`.

use wgrad_core::{Init, Kind, Params, Tensor, Variable};

use crate::{Module, init};

/// How a [`Linear`] is made.
#[derive(Clone, Copy, Debug)]
pub struct LinearOptions {
    /// Whether to add a bias.
    pub bias: bool,
    /// How the weight begins, if not as in PyTorch.
    pub weight_init: Option<Init>,
    /// How the bias begins, if not as in PyTorch.
    pub bias_init: Option<Init>,
}

impl Default for LinearOptions {
    fn default() -> Self {
        Self { bias: true, weight_init: None, bias_init: None }
    }
}

/// `y = x Wᵀ + b` over the last axis, with any axes before it.
///
/// Variables: `weight` `[out, in]` and `bias` `[out]`. Both begin uniform in ±`1/√in`, PyTorch's default.
#[derive(Clone, Debug)]
pub struct Linear {
    scope: String,
    weight: Variable,
    bias: Option<Variable>,
}

impl Linear {
    /// A layer from `inputs` to `outputs` features, with bias; declares its variables in `params`.
    #[track_caller]
    #[must_use]
    pub fn new(params: &Params, inputs: usize, outputs: usize) -> Self {
        Self::with(params, inputs, outputs, LinearOptions::default())
    }

    /// A layer without bias.
    #[track_caller]
    #[must_use]
    pub fn without_bias(params: &Params, inputs: usize, outputs: usize) -> Self {
        Self::with(params, inputs, outputs, LinearOptions { bias: false, ..LinearOptions::default() })
    }

    /// A layer with options.
    #[track_caller]
    #[must_use]
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

    /// The weight `[out, in]`.
    #[must_use]
    pub fn weight(&self) -> &Variable {
        &self.weight
    }

    /// The bias `[out]`.
    #[must_use]
    pub fn bias(&self) -> Option<&Variable> {
        self.bias.as_ref()
    }
}

impl Module for Linear {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let graph = x.graph();
        let _scope = graph.scope(&self.scope);
        let weight = graph.variable(&self.weight);
        match &self.bias {
            Some(bias) => x.linear(&weight, Some(&graph.variable(bias))),
            None => x.linear(&weight, None),
        }
    }
}
